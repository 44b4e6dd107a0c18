//! Answers that lead elsewhere: whom our credentials reach, and whose word counts.

use reqwest::Method;

use super::*;
use crate::class::Class;
use crate::telemetry::chain;

fn redirect(status: u16, target: &str) -> Response {
    Response::empty(status).with_header("location", target)
}

/// Somebody else, with an empty list for everybody.
async fn stranger() -> Server {
    Server::start(|_| Response::json(200, &json!({"values": [], "uuid": "{a}"})))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stranger_is_neither_asked_nor_believed() {
    let stranger = stranger().await;
    for status in [301, 302, 303, 307, 308] {
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![redirect(
            status,
            &format!("{}/2.0/repositories/acme?key=k", stranger.url()),
        )])
        .await;
        let listed = all(client.repositories(None, None), &deadline)
            .await
            .unwrap_err();
        let object = client.repository("{a}", &deadline).await.unwrap_err();
        let url = client.url(["workspaces", "acme", "hooks"], &[]);
        let written = client
            .write(Method::POST, &url, Some(&json!({})), &deadline)
            .await
            .unwrap_err();
        for error in [listed, object, written] {
            assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
            assert_eq!(error.class(), Class::Later);
            let shown = chain(&error);
            assert!(
                shown.contains(stranger.url()) && !shown.contains("key=k"),
                "{shown}"
            );
        }
        assert_eq!(server.requests().len(), 3, "{status}");
    }
    assert_eq!(stranger.requests().len(), 0);
}

#[tokio::test]
async fn another_list_of_the_same_host_is_not_the_one_asked_for() {
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![
        redirect(302, "/2.0/repositories/other"),
        Response::json(200, &json!({"values": []})),
    ])
    .await;
    let error = all(client.repositories(None, None), &deadline)
        .await
        .unwrap_err();
    assert!(chain(&error).contains("leads to /2.0/repositories/other"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_slash_at_the_end_is_put_once_and_only_for_reading() {
    let found = || Response::json(200, &json!({"uuid": "{a}"}));
    let to = "/2.0/repositories/acme/%7Ba%7D/";
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![redirect(301, to), found()]).await;
    assert!(client.repository("{a}", &deadline).await.is_ok());
    let requests = server.take_requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|it| it.header("authorization") == Some("Bearer only"))
    );
    assert!(requests[1].path.ends_with('/'));

    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![redirect(301, to), redirect(301, to), found()]).await;
    assert!(client.repository("{a}", &deadline).await.is_err());
    assert_eq!(server.take_requests().len(), 2);

    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![redirect(307, "/2.0/x/"), found()]).await;
    let url = client.url(["x"], &[]);
    let written = client
        .write(Method::PUT, &url, Some(&json!({})), &deadline)
        .await;
    assert!(written.is_err());
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn a_large_file_is_fetched_from_its_storage_without_credentials() {
    let storage = Server::start(|request| match request.path.as_str() {
        "/first" => redirect(302, "/second?key=k"),
        "/second" => Response::bytes(200, "application/octet-stream", b"content".to_vec()),
        "/round" => redirect(302, "/round"),
        "/locked" => Response::empty(401),
        _ => Response::empty(404),
    })
    .await
    .unwrap();
    let mut shown = Vec::new();
    for path in ["first", "round", "locked", "gone"] {
        let target = format!("{}/{path}?key=k", storage.url());
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![redirect(301, &target)]).await;
        let url = client.url(["repositories", "acme", "{a}", "src", "c", "f.bin"], &[]);
        match client.bytes(&url, &deadline).await {
            Ok(content) => assert_eq!(content.unwrap(), b"content"),
            Err(error) => shown.push(format!("{path} {:?} {}", error.class(), chain(&error))),
        }
        // Nobody doubts the credential because of what a storage says.
        assert_eq!(server.requests().len(), 1, "{path}");
        assert_eq!(client.take_set_aside(), Vec::<String>::new());
    }
    let requests = storage.requests();
    assert_eq!(requests.len(), 2 + 3 + 1 + 1);
    assert!(
        requests
            .iter()
            .all(|it| it.header("authorization").is_none())
    );
    insta::assert_snapshot!(shown.join("\n"), @r"
    round Later /2.0/repositories/acme/%7Ba%7D/src/c/f.bin: the answer leads to /round, and is not followed: check BITBUCKET_HOST_URL, and any proxy in between
    locked Later /2.0/repositories/acme/%7Ba%7D/src/c/f.bin: Bitbucket is not available (HTTP 401)
    gone Part /2.0/repositories/acme/%7Ba%7D/src/c/f.bin: not found, or not visible to these credentials
    ");
}
