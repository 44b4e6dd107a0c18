//! Lists that shift, answers that are old, and objects that look wrong.

use super::*;
use crate::fault::{Fault, FaultKind};

const REPOSITORIES: &str = "/repositories/acme-platform?pagelen=3";

impl Client {
    fn server(&self) -> &Server {
        self.bitbucket.server()
    }

    /// What `all` reads with `fault` on the second page of the repositories.
    async fn with_second_page(&self, path: &str, kind: FaultKind) -> Vec<String> {
        let second = Fault::new("/repositories/acme-platform", kind).with_query("page", "2");
        self.server().misbehave(second);
        let slugs = column(&self.all(path).await, "slug");
        assert_eq!(self.server().unused_faults(), Vec::<String>::new());
        slugs
    }
}

#[tokio::test]
async fn what_leaves_a_list_between_two_pages_hides_another() {
    let client = Client::demo().await;
    let before = column(&client.all(REPOSITORIES).await, "slug");
    let leave = client.bitbucket.before(|bitbucket| {
        bitbucket.delete_repository("checkout-service").unwrap();
    });
    let read = client.with_second_page(REPOSITORIES, leave).await;
    let mut expected = before.clone();
    // The first of the second page has moved to the first, which was read before.
    expected.remove(3);
    assert_eq!(read, expected);
    let now = column(&client.all(REPOSITORIES).await, "slug");
    assert_eq!(now.len(), before.len() - 1);
    assert!(now.contains(&before[3]));
}

#[tokio::test]
async fn what_is_sorted_anew_between_two_pages_comes_twice_or_never() {
    let newest_first = &format!("{REPOSITORIES}&sort=-updated_on");
    let client = Client::demo().await;
    let before = column(&client.all(newest_first).await, "slug");
    let (last, pushed) = (before[8].clone(), before[8].clone());
    let to_the_top = client.bitbucket.before(move |bitbucket| {
        bitbucket.describe_repository(&pushed, "New").unwrap();
    });
    let read = client.with_second_page(newest_first, to_the_top).await;
    assert_eq!(read.len(), 9);
    assert!(!read.contains(&last), "{last} is never listed: {read:?}");
    assert_eq!(read[2], read[3], "and another twice");
}

#[tokio::test]
async fn an_old_answer_is_that_of_another_moment() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let base = "/repositories/acme-platform/payments-api";
    let (one, list) = (
        format!("{base}/pullrequests/1"),
        format!("{base}/pullrequests"),
    );
    let retitle = |title: &str| {
        let title = Some(title.to_owned());
        let change = PullRequestChange {
            title,
            ..PullRequestChange::default()
        };
        bitbucket.update_pull_request("payments-api", 1, change)
    };
    let then = bitbucket.moment();
    let old = client.ok(&one).await;
    retitle("New").unwrap();
    bitbucket
        .describe_repository("payments-api", "New")
        .unwrap();
    let create = bitbucket.create_repository("PAY", "Younger");
    let (younger, _) = create.unwrap();

    client
        .server()
        .misbehave(Fault::new("/pullrequests/1", bitbucket.as_of(&then)).times(1));
    assert_eq!(client.ok(&one).await, old);
    assert_eq!(client.ok(&one).await["title"], "New");

    // One object lags, in its list as by its id; all else is new.
    let only = then.of_pull_request("payments-api", 1).unwrap();
    client
        .server()
        .misbehave(Fault::new("", bitbucket.as_of(&only)).always());
    assert_eq!(client.ok(&one).await["title"], old["title"]);
    let listed = client.ok(&list).await;
    let listed = listed["values"].as_array().unwrap().iter();
    let titles: Vec<&Value> = listed
        .filter(|it| it["id"] == 1)
        .map(|it| &it["title"])
        .collect();
    assert_eq!(titles, [&old["title"]]);
    assert_eq!(client.ok(base).await["description"], "New");
    client.server().behave();

    // What did not exist is missing, and what is gone exists.
    let path = format!("/repositories/acme-platform/{younger}");
    client
        .server()
        .misbehave(Fault::new("", bitbucket.as_of(&then)));
    assert_eq!(client.get(&path).await.0, 404);
    assert_eq!(client.get(&path).await.0, 200);
    let alive = bitbucket.moment().of_repository("monorepo").unwrap();
    bitbucket.delete_repository("monorepo").unwrap();
    client
        .server()
        .misbehave(Fault::new("", bitbucket.as_of(&alive)).times(2));
    assert_eq!(
        client.get("/repositories/acme-platform/monorepo").await.0,
        200
    );
    assert_eq!(client.ok(base).await["description"], "New");
    assert_eq!(
        client.get("/repositories/acme-platform/monorepo").await.0,
        404
    );
}

#[tokio::test]
async fn a_replica_lags_by_so_many_changes() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    bitbucket.remember();
    for text in ["one", "two", "three"] {
        bitbucket.describe_repository("monorepo", text).unwrap();
    }
    let mut seen = Vec::new();
    for changes in [0, 1, 2, 9] {
        client
            .server()
            .misbehave(Fault::new("", bitbucket.changes_ago(changes)));
        let answer = client.ok("/repositories/acme-platform/monorepo").await;
        seen.push(answer["description"].as_str().unwrap().to_owned());
    }
    let first = client.server().met_faults()[0].clone();
    assert_eq!(seen, ["three", "two", "one", ""]);
    assert!(first.ends_with("the answer of 0 changes ago"), "{first}");
}

#[tokio::test]
async fn pages_lead_nowhere_elsewhere_and_back() {
    let client = Client::demo().await;
    let page = |kind| {
        client.server().misbehave(Fault::new("acme-platform", kind));
        client.ok(REPOSITORIES)
    };
    let whole = client.ok(REPOSITORIES).await;
    let cut = page(FaultKind::without_next()).await;
    assert_eq!((cut.get("next"), &cut["size"]), (None, &json!(9)));
    let elsewhere = page(FaultKind::next_at("https://proxy.example:8443")).await;
    let next = elsewhere["next"].as_str().unwrap();
    assert!(
        next.starts_with("https://proxy.example:8443/2.0/repositories/"),
        "{next}"
    );
    let again = page(FaultKind::next_is_this()).await;
    assert_eq!(client.ok(again["next"].as_str().unwrap()).await, whole);
    let twice = page(FaultKind::items_twice()).await;
    assert_eq!(twice["values"].as_array().unwrap().len(), 6);
    let holes = page(FaultKind::null_items()).await;
    assert_eq!(
        column(holes["values"].as_array().unwrap(), "slug")[1],
        "null"
    );
    let uuid = client
        .bitbucket
        .repository_uuid("checkout-service")
        .unwrap();
    let without = page(FaultKind::without_item(&uuid)).await;
    assert_eq!(
        column(without["values"].as_array().unwrap(), "slug"),
        ["payments-api", "zurich-unicode"]
    );
}

#[tokio::test]
async fn pages_may_be_shorter_than_asked_for() {
    let client = Client::demo().await;
    let path = "/repositories/acme-platform?pagelen=100";
    let whole = client.all(path).await;
    client.bitbucket.set_quirks(Quirks {
        longest_page: 2,
        ..Quirks::default()
    });
    let first = client.ok(path).await;
    assert_eq!(first["values"].as_array().unwrap().len(), 2);
    assert_eq!((&first["pagelen"], &first["size"]), (&json!(2), &json!(9)));
    assert_eq!(client.all(path).await, whole);
}

#[tokio::test]
async fn the_worst_lists_still_show_everything() {
    let client = Client::demo().await;
    let expected: BTreeSet<String> = column(&client.all(REPOSITORIES).await, "slug")
        .into_iter()
        .collect();
    client.bitbucket.set_quirks(Quirks {
        trouble_every: None,
        ..Quirks::worst()
    });
    let mut found = BTreeSet::new();
    let mut next = REPOSITORIES.to_owned();
    while !next.is_empty() {
        let page = client.ok(&next).await;
        found.extend(column(page["values"].as_array().unwrap(), "slug"));
        let elsewhere = page["next"].as_str().unwrap();
        let path = elsewhere.strip_prefix("https://proxy.invalid:8443/2.0");
        assert!(elsewhere.is_empty() || path.is_some(), "{elsewhere}");
        next = path.unwrap_or_default().to_owned();
    }
    assert_eq!(found, expected);
    let pipelines = "/repositories/acme-platform/payments-api/pipelines/?pagelen=2";
    let first = client.ok(pipelines).await;
    assert_eq!((first.get("next"), &first["size"]), (None, &json!(3)));
    // An empty page and the first again come between.
    let fourth = client.ok(&format!("{pipelines}&page=4")).await;
    assert_eq!(fourth["values"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_of_so_many_requests_fails_in_passing() {
    let client = Client::demo().await;
    client.bitbucket.set_quirks(Quirks {
        trouble_every: Some(3),
        ..Quirks::default()
    });
    let mut seen = Vec::new();
    for _ in 0..9 {
        let answer = client.send("GET", REPOSITORIES, None).await;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        seen.push((status, serde_json::from_slice::<Value>(&body).is_ok()));
    }
    let fine = (200, true);
    let broken = (200, false);
    assert_eq!(
        seen,
        [
            fine,
            fine,
            broken,
            fine,
            fine,
            broken,
            fine,
            fine,
            (401, true)
        ]
    );
}

#[tokio::test]
async fn one_endpoint_refuses_what_the_others_answer() {
    let client = Client::demo().await;
    client
        .server()
        .misbehave(Fault::refused("/members", 401).always());
    client
        .server()
        .misbehave(Fault::refused("/pullrequests", 404).at_end().always());
    for (path, status) in [
        ("/workspaces/acme-platform/members", 401),
        ("/workspaces/acme-platform", 200),
        ("/repositories/acme-platform/payments-api/pullrequests", 404),
        (
            "/repositories/acme-platform/payments-api/pullrequests/1",
            200,
        ),
        ("/repositories/acme-platform/payments-api", 200),
    ] {
        assert_eq!(client.get(path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn half_a_surrogate_is_written_as_it_is() {
    let client = Client::demo().await;
    let description = format!("ship {HALF_SURROGATE} it");
    let described = client
        .bitbucket
        .describe_repository("monorepo", &description);
    let deliveries = described.unwrap();
    let path = "/repositories/acme-platform/monorepo";
    let body = client.send("GET", path, None).await.bytes().await.unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains(r#""description":"ship \ud83d it""#), "{text}");
    assert!(serde_json::from_slice::<Value>(&body).is_err());
    let list = client.send("GET", REPOSITORIES, None).await.bytes().await;
    assert!(
        !std::str::from_utf8(&list.unwrap())
            .unwrap()
            .contains(HALF_SURROGATE)
    );
    let [delivery] = deliveries.as_slice() else {
        panic!("one delivery")
    };
    assert!(
        std::str::from_utf8(&delivery.body)
            .unwrap()
            .contains(r"\ud83d")
    );
    let repository = &delivery.json()["repository"];
    assert_eq!(repository["name"], "monorepo");
}

#[tokio::test]
async fn objects_look_as_they_are_told_to() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let uuid = bitbucket.repository_uuid("payments-api").unwrap();
    let path = "/repositories/acme-platform/payments-api/pullrequests/1";
    let before = client.ok(path).await;
    let author = before["author"]["uuid"].as_str().unwrap();
    bitbucket.distort(Object::Member(author.to_owned()), "/display_name", None);
    let mut nameless = before["author"].clone();
    nameless.as_object_mut().unwrap().remove("display_name");
    assert_eq!(client.ok(path).await["author"], nameless);
    let pull_request = || Object::PullRequest(uuid.clone(), 1);
    bitbucket.distort(pull_request(), "/author", Value::Null);
    bitbucket.distort(pull_request(), "/reviewers/-", Value::Null);
    let list = format!("{}?fields=%2Bvalues.reviewers", path.trim_end_matches("/1"));
    for shown in [
        client.ok(path).await,
        client.ok(&list).await["values"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone(),
    ] {
        assert_eq!(shown["id"], 1);
        assert_eq!(shown["author"], Value::Null);
        assert_eq!(
            shown["reviewers"].as_array().unwrap().last(),
            Some(&Value::Null)
        );
    }
    let approved = bitbucket.approve("payments-api", 1, "Mina Sato").unwrap();
    assert_eq!(approved[0].json()["pullrequest"]["author"], Value::Null);

    let (hash, _) = bitbucket
        .push(
            "monorepo",
            "main",
            &[("a.json", Some(r#"{"n": NaN, "m": 1e400}"#))],
        )
        .unwrap();
    let file = format!("/repositories/acme-platform/monorepo/src/{hash}/a.json");
    let file = client.send("GET", &file, None).await;
    assert_eq!(file.text().await.unwrap(), r#"{"n": NaN, "m": 1e400}"#);
}
