//! The client against a simulated workspace, and against servers that behave as no workspace should.

mod by_id;
mod credentials;
mod failures;
mod lists;
mod redirects;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sandbox::bitbucket::{Bitbucket, RateLimit, Workspace};
use sandbox::server::{Fault, FaultKind, Response, Server};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::config::ContentsOver;
use crate::deadline::{Clock, Deadline};
use crate::http::Http;

struct Setup {
    client: BitbucketClient,
    clock: Clock,
    deadline: Deadline,
}

fn token(text: &str) -> Credential {
    Credential::Token(SecretString::from(text))
}

fn setup(url: &str, workspace: &str, credentials: Vec<Credential>) -> Setup {
    let clock = Clock::simulated("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
    let settings = BitbucketSettings {
        base_url: url.parse().unwrap(),
        workspace: workspace.to_owned(),
        credentials,
        contents_over: ContentsOver::Rest,
        live_reserve: 0.1,
    };
    let client = BitbucketClient::new(Http::new(clock.clone()).unwrap(), settings);
    client.ask_for_heads(false);
    let deadline = Deadline::after(&clock, Duration::from_secs(900));
    Setup {
        client,
        clock,
        deadline,
    }
}

async fn demo() -> (Bitbucket, Setup) {
    let bitbucket = Bitbucket::start(Workspace::demo().unwrap()).await.unwrap();
    let setup = setup(
        &bitbucket.url(),
        &bitbucket.workspace(),
        vec![token(Bitbucket::TOKEN)],
    );
    (bitbucket, setup)
}

/// A server that answers every request with the next of `answers`, and the last one from then on.
async fn scripted(answers: Vec<Response>) -> (Server, Setup) {
    let left = Arc::new(Mutex::new(answers));
    let server = Server::start(move |_| {
        let mut left = left.lock().unwrap();
        if left.len() == 1 {
            left[0].clone()
        } else {
            left.remove(0)
        }
    });
    let server = server.await.unwrap();
    let setup = setup(
        &format!("{}/2.0", server.url()),
        "acme",
        vec![token("only")],
    );
    (server, setup)
}

async fn all(mut pages: Pages, deadline: &Deadline) -> Result<Vec<Value>, Error> {
    let mut values = Vec::new();
    while let Some(page) = pages.next(deadline).await? {
        values.extend(page);
    }
    Ok(values)
}

#[tokio::test]
async fn every_kind_of_object_is_found_again() {
    let (
        bitbucket,
        Setup {
            client, deadline, ..
        },
    ) = demo().await;
    let uuid = bitbucket.repository_uuid("payments-api").unwrap();
    assert_eq!(
        client.repository(&uuid, &deadline).await.unwrap()["slug"],
        "payments-api"
    );
    assert_eq!(
        client.project("PAY", &deadline).await.unwrap().unwrap()["key"],
        "PAY"
    );
    let listed = all(
        client.pull_requests(&uuid, Some("state=\"OPEN\"")),
        &deadline,
    )
    .await
    .unwrap();
    let id = listed[0]["id"].as_u64().unwrap();
    let again = client
        .pull_requests_among(&uuid, "state=\"OPEN\"", &[id], &deadline)
        .await
        .unwrap();
    assert_eq!(again, listed[..1], "one shape, listed or asked for");
    assert!(listed[0]["participants"].is_array() && listed[0]["reviewers"].is_array());
    let merged = client
        .pull_requests_among(&uuid, "state=\"MERGED\"", &[id], &deadline)
        .await
        .unwrap();
    assert_eq!(merged, Vec::<Value>::new());
    let listed = all(client.repositories(None, Some("name ~ \"pay\"")), &deadline)
        .await
        .unwrap();
    let matching = client
        .repositories_among(None, Some("name ~ \"pay\""), &[&uuid], &deadline)
        .await
        .unwrap();
    assert_eq!(matching.len(), 1);
    assert!(listed.contains(&matching[0]));
    assert_eq!(
        client
            .repositories_among(None, Some("name ~ \"zzz\""), &[&uuid], &deadline)
            .await
            .unwrap(),
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn files_are_read_at_a_commit_when_the_branch_has_a_slash() {
    let (
        bitbucket,
        Setup {
            client, deadline, ..
        },
    ) = demo().await;
    let uuid = bitbucket.repository_uuid("a.b_c").unwrap();
    let head = client
        .branch_head(&uuid, "release/2026", &deadline)
        .await
        .unwrap()
        .unwrap();
    let readme = client
        .file(&uuid, &head, "README.md", &deadline)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8(readme).unwrap(),
        "A main branch with a slash.\n"
    );
    assert_eq!(
        client
            .branch_head(&uuid, "nothing", &deadline)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        client
            .file(&uuid, &head, "nothing.md", &deadline)
            .await
            .unwrap(),
        None
    );
    let other = bitbucket.repository_uuid("zurich-unicode").unwrap();
    let odd = client
        .file(&other, "trunk", "docs/Übersicht & Pläne #1.md", &deadline)
        .await
        .unwrap();
    assert_eq!(odd.unwrap(), b"Alles gut.\n");
}

#[tokio::test]
async fn connections_that_break_are_made_again() {
    for kind in [FaultKind::Refuse, FaultKind::Reset, FaultKind::Truncate] {
        let (
            bitbucket,
            Setup {
                client, deadline, ..
            },
        ) = demo().await;
        bitbucket
            .server()
            .misbehave(Fault::new("/projects", kind).times(2));
        assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 3);
        assert_eq!(bitbucket.server().requests().len(), 3);
    }
}

#[tokio::test]
async fn a_burst_limit_is_sat_out_and_a_long_one_is_reported() {
    let ok = Response::json(200, &json!({"values": []}));
    let limited = || Response::text(429, "Rate limit for this resource has been exceeded");
    let (
        server,
        Setup {
            client,
            deadline,
            clock,
        },
    ) = scripted(vec![limited(), ok]).await;
    let before = clock.now();
    assert!(all(client.projects(), &deadline).await.unwrap().is_empty());
    assert_eq!(server.requests().len(), 2);
    assert_eq!(clock.now().duration_since(before).as_secs(), 10);

    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![limited().with_header("Retry-After", 120)]).await;
    let error = all(client.projects(), &deadline).await.unwrap_err();
    assert!(
        matches!(error, Error::RateLimited { retry_after, .. } if retry_after.as_secs() == 120),
        "{error:?}"
    );
    let error = all(client.projects(), &deadline).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }));
    assert_eq!(server.requests().len(), 1, "until then nothing is sent");
}

#[tokio::test]
async fn a_resync_leaves_the_reserve_to_live_events() {
    let limit = Response::json(200, &json!({"values": []})).with_header("X-RateLimit-Limit", 20);
    let (
        server,
        Setup {
            client,
            deadline,
            clock,
        },
    ) = scripted(vec![limit]).await;
    let resync = client.with_purpose(Purpose::Resync);
    let error = loop {
        if let Err(error) = all(resync.projects(), &deadline).await {
            break error;
        }
    };
    let Error::RateLimited { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(server.requests().len(), 18);
    assert!(all(client.projects(), &deadline).await.is_ok());
    clock.advance(retry_after);
    let later = Deadline::after(&clock, Duration::from_secs(60));
    assert!(all(resync.projects(), &later).await.is_ok());
}

#[tokio::test]
async fn users_are_accepted_with_e_mail_and_token() {
    let bitbucket = Bitbucket::start(Workspace::demo().unwrap()).await.unwrap();
    bitbucket.accept_basic("dana@acme.example", "ATATT-token");
    let user = Credential::Basic {
        user: "dana@acme.example".to_owned(),
        password: SecretString::from("ATATT-token"),
    };
    let Setup {
        client, deadline, ..
    } = setup(&bitbucket.url(), &bitbucket.workspace(), vec![user]);
    assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_token_that_fits_no_header_is_no_request() {
    let (server, _) = scripted(vec![Response::empty(200)]).await;
    let Setup {
        client, deadline, ..
    } = setup(server.url(), "acme", vec![token("two\nlines")]);
    let error = client.repository("{a}", &deadline).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn when_time_is_up_nothing_is_sent() {
    let (
        server,
        Setup {
            client,
            deadline,
            clock,
        },
    ) = scripted(vec![Response::empty(200)]).await;
    clock.advance(Duration::from_secs(1000));
    let error = client.repository("{a}", &deadline).await.unwrap_err();
    assert!(matches!(error, Error::OutOfTime), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_file_of_more_than_a_mebibyte_is_too_large() {
    let (
        _server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![Response::bytes(
        200,
        "text/plain",
        vec![b'x'; (1 << 20) + 1],
    )])
    .await;
    let error = client
        .file("{a}", "main", "big.txt", &deadline)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}

/// Another server, or another version of it, may list one level whatever depth it is asked for.
#[tokio::test]
async fn a_tree_is_whole_where_the_depth_is_ignored() {
    let page = |entries: &[(&str, &str)]| {
        let values: Vec<Value> = entries
            .iter()
            .map(|(kind, path)| json!({"type": kind, "path": path}))
            .collect();
        Response::json(200, &json!({ "values": values }))
    };
    let (server, setup) = scripted(vec![
        page(&[("commit_directory", "a"), ("commit_file", "x")]),
        page(&[("commit_directory", "a/b"), ("commit_file", "a/x")]),
        page(&[("commit_file", "a/b/x")]),
    ])
    .await;
    let paths = files_in_tree(&setup, None).await;
    assert_eq!(paths, ["x", "a/x", "a/b/x"]);
    assert_eq!(server.requests().len(), 3);
}

/// The paths of all files, asked for with `query` where there is one.
async fn files_in_tree(setup: &Setup, query: Option<&str>) -> Vec<String> {
    let wish = TreeWish {
        depth: None,
        query: query.map(str::to_owned),
        keep: &|entry: &Value| entry["type"] == "commit_file",
    };
    let deadline = Deadline::after(&setup.clock, Duration::from_secs(900));
    let listed = list_tree(&setup.client, "{r}", "c0ffee", &wish, &deadline);
    let entries = listed.await.unwrap();
    let paths = entries.iter().filter_map(|entry| entry["path"].as_str());
    paths.map(str::to_owned).collect()
}

/// Where the query is taken and the depth is not, files below would seem to be gone.
#[tokio::test]
async fn a_server_that_picks_out_too_little_is_not_believed() {
    let levels: &[&[(&str, &str)]] = &[
        &[("commit_directory", "a"), ("commit_file", "x")],
        &[("commit_file", "a/x")],
        &[("commit_file", "x")],
    ];
    let pages = levels.iter().map(|entries| {
        let entry = |(kind, path): &(&str, &str)| json!({"type": kind, "path": path});
        let values: Vec<Value> = entries.iter().map(entry).collect();
        Response::json(200, &json!({ "values": values }))
    });
    let mut pages: Vec<Response> = pages.collect();
    pages.extend(pages.clone());
    let (server, setup) = scripted(pages).await;
    // Walked in two requests, and found wanting in a third.
    for requests in [3, 5] {
        let paths = files_in_tree(&setup, Some("type=\"commit_file\"")).await;
        assert_eq!(paths, ["x", "a/x"]);
        assert_eq!(server.requests().len(), requests);
    }
}

/// Who has shown once that all is there is asked for nothing else, for a day.
#[tokio::test]
async fn a_server_that_picks_out_all_is_believed_for_a_day() {
    let all = json!({"values": [{"type": "commit_file", "path": "a/x"}]});
    let (server, setup) = scripted(vec![Response::json(200, &all)]).await;
    for requests in [2, 3] {
        assert_eq!(files_in_tree(&setup, Some("path~\"x\"")).await, ["a/x"]);
        assert_eq!(server.requests().len(), requests);
    }
    setup.clock.advance(Duration::from_secs(24 * 3600));
    files_in_tree(&setup, Some("path~\"x\"")).await;
    assert_eq!(server.requests().len(), 5);
    let asked = server.requests();
    let asked = asked.iter().map(|request| request.query("q").is_some());
    assert_eq!(asked.collect::<Vec<_>>(), [false, true, true, false, true]);
}
