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
async fn a_list_that_promises_more_than_it_has_ends_where_it_stays_empty() {
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![
        page(json!({"values": [1, 2], "size": 200, "page": 1, "pagelen": 2})),
        page(json!({"values": [], "size": 200, "page": 2, "pagelen": 2})),
        page(json!({"values": [], "size": 200, "page": 3, "pagelen": 2})),
    ])
    .await;
    assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 2);
    assert_eq!(server.requests().len(), 3);
}

/// A list that does not say its number may be numbered.
#[tokio::test]
async fn a_list_that_says_its_size_alone_is_asked_for_the_next_number() {
    let more = page(json!({"values": [1, 2], "size": 3}));
    for (second, expected) in [
        (page(json!({"values": [3], "size": 3})), vec![1, 2, 3]),
        // It knows no numbers.
        (more.clone(), vec![1, 2, 1, 2]),
        (Response::json(400, &json!({})), vec![1, 2]),
        (Response::json(404, &json!({})), vec![1, 2]),
        (page(json!({"values": [], "size": 3})), vec![1, 2]),
    ] {
        let (server, setup) = scripted(vec![more.clone(), second]).await;
        let values = all(setup.client.projects(), &setup.deadline).await.unwrap();
        assert_eq!(
            values,
            expected.into_iter().map(Value::from).collect::<Vec<_>>()
        );
        assert_eq!(server.requests().len(), 2);
        assert_eq!(server.requests()[1].query("page"), Some("2"));
    }
}

/// A server of `count` objects on pages of three by number, as `shape` has them; returns what a client finds, and after how
/// many requests. `shape` is given the number of the page and its objects, and what is below it.
async fn read_from(
    shape: impl Fn(u64, &mut serde_json::Map<String, Value>) + Send + Sync + 'static,
) -> (Result<Vec<Value>, Error>, usize) {
    let server = Server::start(move |request| {
        let number: u64 = request
            .query("page")
            .map_or(1, |page| page.parse().unwrap());
        let first = 3 * (number - 1) + 1;
        let values: Vec<u64> = (first..(first + 3).min(9)).collect();
        let mut page = serde_json::Map::from_iter([("values".to_owned(), json!(values))]);
        if number < 3 {
            let next = format!("/2.0/workspaces/acme/projects?page={}", number + 1);
            page.insert("next".to_owned(), json!(next));
        }
        shape(number, &mut page);
        Response::json(200, &Value::Object(page))
    });
    let server = server.await.unwrap();
    let url = format!("{}/2.0", server.url());
    let Setup {
        client, deadline, ..
    } = setup(&url, "acme", vec![token("only")]);
    let found = all(client.projects(), &deadline).await;
    let found = found.map(|mut values| {
        values.sort_by_key(Value::as_u64);
        values.dedup();
        values
    });
    (found, server.requests().len())
}

#[tokio::test]
async fn whatever_pages_repeat_the_list_ends_and_nothing_is_lost() {
    let everything: Vec<Value> = (1..=8).map(Value::from).collect();
    let values = |page: &mut serde_json::Map<String, Value>, values: Vec<u64>| {
        page.insert("values".to_owned(), json!(values));
    };
    // Each page once more shows half of what the one before did, and is longer for it.
    let (found, _) = read_from(move |number, page| {
        let first = (3 * number).saturating_sub(4).max(1);
        values(page, (first..=(3 * number).min(8)).collect());
    })
    .await;
    assert_eq!(found.unwrap(), everything);
    // By number alone, with an empty page between the others and doubles.
    let (found, requests) = read_from(move |number, page| {
        page.remove("next");
        let first = 2 * number.saturating_sub(1);
        let shown = match number {
            1 => vec![1, 2, 3],
            2 => vec![],
            _ => (first - 1..=(first + 1).min(8)).collect(),
        };
        values(page, shown);
        for (name, value) in [("size", 8), ("page", number), ("pagelen", 3)] {
            page.insert(name.to_owned(), json!(value));
        }
    })
    .await;
    assert_eq!((found.unwrap(), requests), (everything.clone(), 5));
    // The second page comes twice, and the list goes on.
    let (found, _) = read_from(move |number, page| {
        let content = if number == 1 { 1 } else { number - 1 };
        let first = 3 * content - 2;
        values(page, (first..=(first + 2).min(8)).collect());
        match number {
            4 => page.remove("next"),
            _ => page.insert(
                "next".to_owned(),
                json!(format!("/2.0/workspaces/acme/projects?page={}", number + 1)),
            ),
        };
    })
    .await;
    assert_eq!(found.unwrap(), everything);
}

#[tokio::test]
async fn a_page_that_grows_for_ever_ends_after_a_few() {
    for says_size in [true, false] {
        // All there is on every page, one more each time, and ever another address of the next.
        let (found, requests) = read_from(move |number, page| {
            let count = 20 + number;
            let next = format!("/2.0/workspaces/acme/projects?page={}", number + 1);
            page.insert(
                "values".to_owned(),
                json!((1..=count).collect::<Vec<u64>>()),
            );
            page.insert("next".to_owned(), json!(next));
            if says_size {
                page.insert("size".to_owned(), json!(count));
            }
        })
        .await;
        assert_eq!(requests, 4);
        match found {
            Ok(values) => assert!(says_size && values.len() == 24),
            Err(error) => assert!(!says_size && error.class() == Class::Later),
        }
    }
    // Nothing, and ever more of it.
    let (found, requests) = read_from(|number, page| {
        let next = format!("/2.0/workspaces/acme/projects?page={}", number + 1);
        page.insert("values".to_owned(), json!([]));
        page.insert("next".to_owned(), json!(next));
    })
    .await;
    assert_eq!(found.unwrap_err().class(), Class::Later);
    assert_eq!(requests, 100);
}

/// The second page comes under ever new addresses.
#[tokio::test]
async fn a_page_that_comes_again_for_ever_ends_when_all_was_seen() {
    for (size, whole, requests) in [(4, true, 3), (9, false, 5)] {
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
        assert_eq!(server.requests().len(), requests);
    }
}

/// Git allows them all.
#[tokio::test]
async fn any_name_of_a_file_is_asked_for_as_it_is() {
    for name in [
        "tab\tand\nline\r.txt",
        "a b/ü #1?.md",
        "100%.txt",
        "back\\slash",
        "quote\"'`.txt",
        "%2e%2e/x",
        "a;b=c&d+e:@,.txt",
        "...",
    ] {
        let (server, setup) = scripted(vec![Response::text(200, "content")]).await;
        let file = setup.client.file("{r}", "abc", name, &setup.deadline).await;
        assert_eq!(file.unwrap().as_deref(), Some(&b"content"[..]));
        let asked = server.requests().pop().unwrap();
        let segments = asked.segments();
        assert_eq!(segments[6..].join("/"), name);
        assert!(asked.query.is_empty(), "{name:?}");
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
