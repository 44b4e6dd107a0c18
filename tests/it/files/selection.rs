//! Which repositories and folders selectors mean.

use ferry::deadline::Deadline;
use ferry::resync::{Scope, preview};
use serde_json::{Value, json};

use super::{FILE_ID, follow, open_pull_request, property, resource, world};

#[tokio::test]
async fn folders_and_names_select_as_in_ocean() {
    let selector = |path: &str, repos: Value| json!({"files": {"path": path, "filenames": ["catalog.yml"], "repos": repos}});
    let world = world(vec![
        resource(
            "file",
            selector("*", json!([])),
            "'all/' + .repo.slug + '/' + .metadata.path",
            json!({"content": ".content"}),
        ),
        resource(
            "file",
            selector("/", json!(["payments", "Checkout-Service"])),
            "'root/' + .repo.slug",
            json!({}),
        ),
        resource(
            "file",
            selector("apps/*/", json!(["Chekout Service"])),
            "'none/' + .repo.slug",
            json!({}),
        ),
    ])
    .await;
    let outcome = world.resync().await;
    let found = &world.identifiers()["file"];
    assert_eq!(
        found,
        &[
            "all/checkout-service/apps/web/deploy/catalog.yml",
            "all/checkout-service/catalog.yml",
            "all/payments/catalog.yml",
            "root/checkout-service",
            "root/payments",
        ]
    );
    let catalogue = world.port.catalogue();
    for (path, content) in [
        (
            "checkout-service/apps/web/deploy/catalog.yml",
            json!({"tier": true, "mode": 493}),
        ),
        (
            "checkout-service/catalog.yml",
            json!({"tier": false, "team": "b"}),
        ),
        ("payments/catalog.yml", json!({"tier": false})),
    ] {
        let identifier = format!("all/{path}");
        assert_eq!(
            property(&catalogue, "file", &identifier, "content"),
            &content
        );
    }
    let told = "resources[2].selector.files.repos[0]: \"Chekout Service\" is no repository that the credentials see, so it \
                selects nothing: the nearest name is \"Checkout Service\"";
    assert_eq!(outcome["mapping_problems"], json!([told]));
    world.finish();
}

#[tokio::test]
async fn another_name_is_another_choice() {
    let selector =
        json!({"files": {"filenames": ["catalog.yml"], "repos": ["PAYMENTS", "checkout-service"]}});
    let identifier = "'root/' + .repo.slug";
    let world = world(vec![resource("file", selector, identifier, json!({}))]).await;
    world.resync().await;
    let renamed = world
        .bitbucket
        .rename_repository("payments", "Pay Ments")
        .unwrap();
    let catalogue = follow(&world, &renamed).await;
    assert!(catalogue["file"]["root/pay-ments"].is_null(), "{catalogue}");
    let back = world
        .bitbucket
        .rename_repository("pay-ments", "Payments")
        .unwrap();
    let catalogue = follow(&world, &back).await;
    assert!(
        catalogue["file"]["root/payments"].is_object(),
        "{catalogue}"
    );
    world.finish();
}

/// Ocean's code search leaves forks out.
#[tokio::test]
async fn files_of_forks_are_included() {
    let selector = json!({"files": {"filenames": ["catalog.yml"], "path": "/"}});
    let world = world(vec![resource(
        "file",
        selector,
        FILE_ID,
        json!({"content": ".content"}),
    )])
    .await;
    world.resync().await;
    let (_, deliveries) = world
        .bitbucket
        .fork_repository("payments", "SHOP", "Payments Fork")
        .unwrap();
    let catalogue = follow(&world, &deliveries).await;
    assert_eq!(
        property(&catalogue, "file", "payments-fork/catalog.yml", "content"),
        &json!({"tier": false})
    );
    world.finish();
}

/// A blank query is none, for events as for resyncs.
#[tokio::test]
async fn blank_queries_select_what_no_query_selects() {
    let selector = json!({"pullRequestQuery": " \n", "repoQuery": "", "userRole": " "});
    let world = world(vec![resource(
        "pull-request",
        selector,
        "(.id | tostring)",
        json!({}),
    )])
    .await;
    let dana = world.bitbucket.users()[0].clone();
    world.resync().await;
    for branch in ["one", "two", "three"] {
        let opened = open_pull_request(&world, "payments", branch);
        follow(&world, &opened).await;
    }
    assert_eq!(world.identifiers()["pull-request"], ["1", "2", "3"]);
    let merged = world.bitbucket.merge("payments", 2, &dana).unwrap();
    follow(&world, &merged).await;
    assert_eq!(world.identifiers()["pull-request"], ["1", "3"]);
    world.finish();
}

#[tokio::test]
async fn a_preview_tells_names_that_mean_nothing() {
    let selector = json!({
        "files": {"filenames": ["catalog.yml"], "repos": ["Paymens"], "repo": "x"},
    });
    let world = world(vec![resource("file", selector, FILE_ID, json!({}))]).await;
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    let found = preview(world.app(), &Scope::default(), &deadline)
        .await
        .unwrap();
    insta::assert_snapshot!(found.problems.join("\n"), @r#"
    resources[0].selector.files.repo: is not known and does nothing: write repos: ["x"]
    resources[0].selector.files.repos[0]: "Paymens" is no repository that the credentials see, so it selects nothing: the nearest name is "payments"
    "#);
    world.finish();
}
