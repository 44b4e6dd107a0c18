//! Webhooks from Bitbucket: what each does to the catalogue, and what every kind of request is answered.

use sandbox::bitbucket::{NewPullRequest, PullRequestChange};
use sandbox::server::{Fault, tally};
use serde_json::{Value, json};

use crate::support::{World, event};

/// A world after its first resync.
pub(crate) async fn synced() -> World {
    let world = World::demo().await;
    world.resync().await;
    world.take_requests();
    world.port.take_writes();
    world
}

pub(crate) fn new_pull_request() -> NewPullRequest {
    NewPullRequest::new("Round totals", "Luis Ferro")
        .reviewed_by("Dana Okafor")
        .reviewed_by("Mina Sato")
}

#[tokio::test]
async fn a_pull_request_lives_and_ends() {
    let world = synced().await;
    let before = world.port.catalogue();
    let (id, opened) = world
        .bitbucket
        .open_pull_request("monorepo", new_pull_request())
        .unwrap();
    world.accept(&opened).await;
    assert_ne!(world.port.catalogue(), before);
    world
        .accept(
            &world
                .bitbucket
                .approve("monorepo", id, "Dana Okafor")
                .unwrap(),
        )
        .await;
    let title = PullRequestChange {
        title: Some("Round totals to cents".to_owned()),
        ..PullRequestChange::default()
    };
    world
        .accept(
            &world
                .bitbucket
                .update_pull_request("monorepo", id, title)
                .unwrap(),
        )
        .await;
    let stored = world.port.catalogue()["bitbucketPullRequest"].clone();
    let titles: Vec<&Value> = stored
        .as_object()
        .unwrap()
        .values()
        .map(|entity| &entity["title"])
        .collect();
    assert!(
        titles.contains(&&json!("Round totals to cents")),
        "{titles:?}"
    );

    world
        .accept(&world.bitbucket.merge("monorepo", id, "Mina Sato").unwrap())
        .await;
    assert_eq!(
        world.port.catalogue()["bitbucketPullRequest"],
        before["bitbucketPullRequest"],
        "merged is not OPEN"
    );
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn a_pull_request_event_costs_one_request_to_bitbucket() {
    let world = synced().await;
    let (_, opened) = world
        .bitbucket
        .open_pull_request("monorepo", new_pull_request())
        .unwrap();
    for delivery in opened
        .iter()
        .filter(|delivery| delivery.event_key.starts_with("pullrequest:"))
    {
        world.accept(std::slice::from_ref(delivery)).await;
        let (bitbucket, port) = world.take_requests();
        assert_eq!(bitbucket.len(), 1, "{}", tally(&bitbucket).join("\n"));
        insta::assert_snapshot!(tally(&port).join("\n"), @"
        POST /v1/blueprints/bitbucketPullRequest/entities/bulk?upsert=true&merge=true&create_missing_related_entities=true&validation_only=false&ocean_info_event_type=http_request
        ");
    }
    world.finish();
}

#[tokio::test]
async fn a_renamed_repository_takes_its_pull_requests_along() {
    let world = synced().await;
    let renamed = world
        .bitbucket
        .rename_repository("payments-api", "Money API")
        .unwrap();
    world.accept(&renamed).await;
    let repositories = world.identifiers().remove("bitbucketRepository").unwrap();
    assert!(
        repositories.contains(&"money-api".to_owned())
            && !repositories.contains(&"payments-api".to_owned())
    );
    world.assert_converged().await;
    // Late and twice: nothing changes.
    let before = world.port.catalogue();
    world.accept(&renamed).await;
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}

#[tokio::test]
async fn repositories_come_change_and_go() {
    let world = synced().await;
    let (_, created) = world
        .bitbucket
        .create_repository("PLAT", "Brand New")
        .unwrap();
    world.accept(&created).await;
    assert!(
        world
            .port
            .entity("bitbucketRepository", "brand-new")
            .is_some()
    );
    world
        .accept(
            &world
                .bitbucket
                .describe_repository("brand-new", "Shiny")
                .unwrap(),
        )
        .await;
    world
        .accept(
            &world
                .bitbucket
                .push("brand-new", "main", &[("README.md", Some("# New\n"))])
                .unwrap()
                .1,
        )
        .await;
    world.assert_converged().await;

    world
        .accept(&world.bitbucket.delete_repository("payments-api").unwrap())
        .await;
    world
        .accept(
            &world
                .bitbucket
                .transfer_out("checkout-service", "elsewhere")
                .unwrap(),
        )
        .await;
    let repositories = world.identifiers().remove("bitbucketRepository").unwrap();
    for gone in ["payments-api", "checkout-service"] {
        assert!(
            !repositories.contains(&gone.to_owned()),
            "{gone} is still there"
        );
    }
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn a_project_is_renamed() {
    let world = synced().await;
    world
        .accept(&world.bitbucket.rename_project("PAY", "Money").unwrap())
        .await;
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn what_cannot_be_done_at_once_is_remembered() {
    for of_port in [true, false] {
        let world = synced().await;
        let (server, part) = match of_port {
            true => (world.port.server(), "/v1/"),
            false => (world.bitbucket.server(), "/2.0/"),
        };
        server.misbehave(Fault::status(part, 503).always());
        let (_, opened) = world
            .bitbucket
            .open_pull_request("monorepo", new_pull_request())
            .unwrap();
        let opened: Vec<_> = opened
            .into_iter()
            .filter(|delivery| delivery.event_key == "pullrequest:created")
            .collect();
        assert_eq!(world.deliver(&opened).await, [202]);
        server.behave();
        world.settle().await;
        world.assert_converged().await;
        world.finish();
    }
}

#[tokio::test]
async fn an_event_before_the_first_resync_waits_for_it() {
    let world = World::demo().await;
    let (_, opened) = world
        .bitbucket
        .open_pull_request("monorepo", new_pull_request())
        .unwrap();
    world.accept(&opened).await;
    assert!(world.port.entities().is_empty());
    world.resync().await;
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn a_message_that_fails_for_the_moment_holds_up_its_object_only() {
    let world = synced().await;
    let mut batch = event("sqs-batch");
    let uuid = world.bitbucket.repository_uuid("monorepo").unwrap();
    let other = world.bitbucket.repository_uuid("payments-api").unwrap();
    let records = batch["Records"].as_array_mut().unwrap();
    records.push(records[0].clone());
    for (index, uuid) in [&uuid, &uuid, &other].into_iter().enumerate() {
        records[index]["messageId"] = json!(format!("message-{index}"));
        records[index]["attributes"]["MessageGroupId"] = json!(uuid);
        let mut body: Value =
            serde_json::from_str(records[index]["body"].as_str().unwrap()).unwrap();
        body["change"]["repository"]["uuid"] = json!(uuid);
        records[index]["body"] = json!(body.to_string());
    }
    let part = uuid.trim_matches(['{', '}']).to_owned();
    world
        .bitbucket
        .server()
        .misbehave(Fault::status(part, 503).always());
    let answer = world.invoke(batch).await.unwrap();
    let failed = json!({"batchItemFailures": [{"itemIdentifier": "message-0"}, {"itemIdentifier": "message-1"}]});
    assert_eq!(answer, failed);
    world.bitbucket.server().behave();

    let mut poison = event("sqs-batch");
    poison["Records"][0]["body"] = json!("not ours");
    let answer = world.invoke(poison).await.unwrap();
    assert_eq!(
        answer["batchItemFailures"].as_array().unwrap().len(),
        1,
        "the dead-letter queue gets it, and not its neighbour: {answer}"
    );
    world.finish();
}

#[tokio::test]
async fn a_repository_filter_costs_one_more_request_and_a_push_one_at_all() {
    let world = World::demo().await;
    let resource = |kind: &str, identifier: &str, blueprint: &str| {
        json!({"kind": kind, "selector": {"query": "true", "repoQuery": "name ~ \"mono\""}, "port": {"entity":
            {"mappings": {"identifier": identifier, "blueprint": blueprint}}}})
    };
    world.resync().await;
    let config = json!({"resources": [
        resource("repository", ".slug", "'bitbucketRepository'"),
        resource(
            "pull-request",
            ".destination.repository.name + '/' + (.id | tostring)",
            "'bitbucketPullRequest'",
        ),
    ]});
    world.port.set_config(config);
    // More would go than the threshold allows.
    world.resync_with_losses().await;
    world.take_requests();
    let (_, opened) = world
        .bitbucket
        .open_pull_request("monorepo", new_pull_request())
        .unwrap();
    let created: Vec<_> = opened
        .into_iter()
        .filter(|delivery| delivery.event_key == "pullrequest:created")
        .collect();
    world.accept(&created).await;
    let (bitbucket, _) = world.take_requests();
    assert_eq!(bitbucket.len(), 2, "{}", tally(&bitbucket).join("\n"));
    let files = [("README.md", Some("# Mono\n"))];
    let (_, pushed) = world.bitbucket.push("monorepo", "main", &files).unwrap();
    world.accept(&pushed).await;
    let (bitbucket, _) = world.take_requests();
    assert_eq!(bitbucket.len(), 1, "{}", tally(&bitbucket).join("\n"));
    world.finish();
}
