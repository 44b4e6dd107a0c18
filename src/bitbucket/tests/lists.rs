//! Lists as the worst of servers send them: an end, and no loss.

use super::*;
use crate::class::Class;

fn page(body: Value) -> Response {
    Response::json(200, &body)
}

#[tokio::test]
async fn a_list_is_followed_to_its_end_by_whoever_has_the_cursor() {
    let bitbucket = Bitbucket::start(Workspace::generate(2, 230, 0, 1).unwrap())
        .await
        .unwrap();
    let Setup {
        client, deadline, ..
    } = setup(
        &bitbucket.url(),
        &bitbucket.workspace(),
        vec![token(Bitbucket::TOKEN)],
    );
    let mut pages = client.repositories(None, None);
    assert_eq!(pages.next(&deadline).await.unwrap().unwrap().len(), 100);
    let rest = Pages::resume(client.clone(), pages.cursor().unwrap());
    assert_eq!(all(rest, &deadline).await.unwrap().len(), 130);
    assert_eq!(bitbucket.server().requests().len(), 3);
}

#[tokio::test]
async fn an_empty_page_with_a_next_is_not_the_end() {
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![
        Response::json(
            200,
            &json!({"values": [], "next": "/2.0/repositories/acme?page=2"}),
        ),
        Response::json(200, &json!({"values": [1], "next": ""})),
    ])
    .await;
    assert_eq!(
        all(client.repositories(None, None), &deadline)
            .await
            .unwrap(),
        [json!(1)]
    );
    assert_eq!(server.requests().len(), 2);
}

/// Pipelines, and whoever else leaves `next` out.
#[tokio::test]
async fn a_list_without_next_goes_on_by_number() {
    let server = Server::start(|request| {
        let number: u64 = request
            .query("page")
            .map_or(1, |page| page.parse().unwrap());
        let values: Vec<u64> = (1..=230)
            .skip((number as usize - 1) * 100)
            .take(100)
            .collect();
        page(json!({"values": values, "size": 230, "page": number, "pagelen": 100}))
    });
    let server = server.await.unwrap();
    let Setup {
        client, deadline, ..
    } = setup(server.url(), "acme", vec![token("only")]);
    let values = all(client.pipelines("{r}", Some("a b")), &deadline).await;
    assert_eq!(
        values.unwrap(),
        (1..=230).map(Value::from).collect::<Vec<_>>()
    );
    let last = server.requests().pop().unwrap();
    insta::assert_snapshot!(last.target(), @r#"/repositories/acme/{r}/pipelines/?pagelen=100&sort=-created_on&target.branch=a b&page=3"#);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_page_that_is_the_last_ends_the_list() {
    for last in [
        json!({"values": [1, 2], "size": 2, "page": 1, "pagelen": 100}),
        json!({"values": [1, 2], "size": 2, "page": 1, "pagelen": 100, "next": ""}),
        // More than may be seen is counted, or less than there is.
        json!({"values": [1, 2], "size": 90, "page": 1, "pagelen": 100}),
        json!({"values": [1, 2], "size": 0, "page": 1, "pagelen": 0}),
        // A number of its own is no reason to go on.
        json!({"values": [1, 2], "size": 200}),
        json!({"values": [1, 2]}),
        // Back to itself, and all was seen.
        json!({"values": [1, 2], "size": 2, "page": 1, "pagelen": 2, "next": "/2.0/workspaces/acme/projects?pagelen=100"}),
        json!({"values": [1, 2], "size": 2, "next": "/2.0/workspaces/acme/projects?pagelen=100"}),
    ] {
        let shown = last.to_string();
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![page(last)]).await;
        let values = all(client.projects(), &deadline).await.unwrap();
        assert_eq!(values, [json!(1), json!(2)], "{shown}");
        assert_eq!(server.requests().len(), 1, "{shown}");
    }
}

#[tokio::test]
async fn a_list_that_promises_more_than_it_has_ends_where_it_is_empty() {
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![
        page(json!({"values": [1, 2], "size": 200, "page": 1, "pagelen": 2})),
        page(json!({"values": [], "size": 200, "page": 2, "pagelen": 2})),
    ])
    .await;
    assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 2);
    assert_eq!(server.requests().len(), 2);
}

/// The second page comes under ever new addresses.
#[tokio::test]
async fn a_page_that_comes_again_for_ever_ends_when_all_was_seen() {
    for (size, whole) in [(4, true), (9, false)] {
        let server = Server::start(move |request| {
            let asked: u64 = request
                .query("page")
                .map_or(1, |page| page.parse().unwrap());
            let values = if asked == 1 { [1, 2] } else { [3, 4] };
            let next = format!("/2.0/workspaces/acme/projects?page={}", asked + 1);
            page(json!({"values": values, "size": size, "next": next}))
        });
        let server = server.await.unwrap();
        let url = format!("{}/2.0", server.url());
        let Setup {
            client, deadline, ..
        } = setup(&url, "acme", vec![token("only")]);
        match all(client.projects(), &deadline).await {
            Ok(values) => {
                assert!(whole);
                // Doubles are the caller's; it holds objects by their id.
                assert_eq!(values, [1, 2, 3, 4, 3, 4].map(Value::from));
            }
            Err(error) => assert!(!whole && error.class() == Class::Later, "{error:?}"),
        }
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_circle_is_left_by_number() {
    let projects = "/2.0/workspaces/acme/projects?pagelen=100";
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![
        page(json!({"values": [1, 2], "size": 3, "page": 1, "pagelen": 2, "next": projects})),
        page(json!({"values": [3], "size": 3, "page": 2, "pagelen": 2, "next": projects})),
    ])
    .await;
    let values = all(client.projects(), &deadline).await.unwrap();
    assert_eq!(values, [1, 2, 3].map(Value::from));
    assert_eq!(server.requests().len(), 2);
}

/// A proxy does not rewrite what is in bodies.
#[tokio::test]
async fn a_next_that_leads_elsewhere_is_asked_of_our_own_base() {
    for (base, next, expected) in [
        (
            "/2.0",
            "https://evil.example/2.0/x?page=2&q=a%22b",
            "/2.0/x?page=2&q=a%22b",
        ),
        (
            "/2.0",
            "http://api.bitbucket.org:8443/2.0/x?page=2",
            "/2.0/x?page=2",
        ),
        (
            "/2.0",
            "https://someone:secret@127.0.0.1:1/2.0/x?page=2",
            "/2.0/x?page=2",
        ),
        (
            "/bb/2.0",
            "https://api.bitbucket.org/2.0/x?page=2",
            "/bb/2.0/x?page=2",
        ),
        (
            "/2.0",
            "https://api.bitbucket.org/internal/x?page=2",
            "/internal/x?page=2",
        ),
    ] {
        let left = Mutex::new(vec![
            page(json!({"values": [2]})),
            page(json!({"values": [1], "next": next})),
        ]);
        let server = Server::start(move |_| left.lock().unwrap().pop().unwrap());
        let server = server.await.unwrap();
        let url = format!("{}{base}", server.url());
        let Setup {
            client, deadline, ..
        } = setup(&url, "acme", vec![token("only")]);
        let values = all(client.projects(), &deadline).await.unwrap();
        assert_eq!(values, [1, 2].map(Value::from));
        let asked = server.requests();
        assert_eq!(asked.len(), 2, "{next}");
        let target = &asked[1];
        let (path, query) = expected.split_once('?').unwrap();
        assert_eq!(target.path, path);
        assert!(target.target().starts_with(path), "{query}");
        assert_eq!(target.query("page"), Some("2"));
        assert_eq!(target.header("authorization"), Some("Bearer only"));
    }
}

#[tokio::test]
async fn half_a_character_costs_no_page() {
    let body = br#"{"values": [{"uuid": "{1}", "description": "cut \ud83d"}, {"uuid": "{2}", "description": "#;
    let body = [&body[..], b"\"raw \xff\"}]}"].concat();
    let (
        _server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![Response::bytes(200, "application/json", body)]).await;
    let values = all(client.repositories(None, None), &deadline)
        .await
        .unwrap();
    let expected = [
        json!({"uuid": "{1}", "description": "cut \u{fffd}"}),
        json!({"uuid": "{2}", "description": "raw \u{fffd}"}),
    ];
    assert_eq!(values, expected);
}
