//! Webhooks from Bitbucket: what each does to the catalogue, and what every kind of request is answered.

use sandbox::bitbucket::{NewPullRequest, PullRequestChange};
use sandbox::server::{Fault, tally};
use sandbox::webhook::sign;
use serde_json::{Value, json};

use crate::support::{WEBHOOK_SECRET, World, event};

/// A world after its first resync.
async fn synced() -> World {
    let world = World::demo().await;
    world.resync().await;
    world.take_requests();
    world.port.take_writes();
    world
}

fn new_pull_request() -> NewPullRequest {
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
async fn a_wrong_signature_is_refused_without_asking_anybody() {
    let world = synced().await;
    let delivery = world
        .bitbucket
        .describe_repository("monorepo", "Forged")
        .unwrap()
        .remove(0);
    assert_eq!(world.post(&delivery, "a guess").await, 401);
    let unsigned = delivery.unsigned_headers();
    assert_eq!(
        world
            .send("POST", "/webhook", &unsigned, &delivery.body)
            .await["statusCode"],
        401
    );
    let mut changed = delivery.clone();
    changed.body.push(b' ');
    let answer = world
        .send(
            "POST",
            "/webhook",
            &delivery.headers(WEBHOOK_SECRET),
            &changed.body,
        )
        .await;
    assert_eq!(answer["statusCode"], 401);
    assert_eq!(
        answer["body"],
        json!({"message": "unauthorized"}).to_string()
    );
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    world.finish();
}

#[tokio::test]
async fn without_a_secret_every_webhook_is_refused() {
    let mut world = synced().await;
    let blank = ("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", String::new());
    world.replace_function([blank].into());
    let delivery = world
        .bitbucket
        .describe_repository("monorepo", "Text")
        .unwrap()
        .remove(0);
    assert_eq!(world.post(&delivery, WEBHOOK_SECRET).await, 401);
    assert_eq!(world.post(&delivery, "").await, 401);
    world.finish();
}

#[tokio::test]
async fn what_is_not_an_event_for_us_is_told_so() {
    let world = synced().await;
    let send = async |key: Option<&str>, body: &[u8]| {
        let mut headers = vec![("X-Hub-Signature".to_owned(), sign(WEBHOOK_SECRET, body))];
        headers.extend(key.map(|key| ("X-Event-Key".to_owned(), key.to_owned())));
        let answer = world.send("POST", "/webhook", &headers, body).await;
        (
            answer["statusCode"].as_u64().unwrap(),
            answer["body"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20));
    let mut answers = Vec::new();
    for (key, body) in [
        (Some("repo:commit_status_created"), "{}"),
        (Some("diagnostics:ping"), "not even JSON"),
        (Some("repo:push"), "not JSON"),
        (Some("repo:push"), "{}"),
        (Some("repo:push"), "{\"repository\":{}}"),
        (Some("repo:push"), "[]"),
        (
            Some("pullrequest:created"),
            "{\"repository\":{\"uuid\":\"{a}\"}}",
        ),
        (
            Some("pullrequest:created"),
            "{\"repository\":{\"uuid\":\"{a}\"},\"pullrequest\":{\"id\":\"7\"}}",
        ),
        (None, "{}"),
        (Some("repo:push"), long.as_str()),
    ] {
        let (status, message) = send(key, body.as_bytes()).await;
        let shown: String = body.chars().take(60).collect();
        answers.push(format!(
            "{} {shown} → {status} {message}",
            key.unwrap_or("-")
        ));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    repo:commit_status_created {} → 202 {"message":"ignored: nothing is known of such events"}
    diagnostics:ping not even JSON → 202 {"message":"ignored: nothing is known of such events"}
    repo:push not JSON → 400 {"message":"the body is not JSON"}
    repo:push {} → 400 {"message":"`push.changes` is missing or not of the expected type"}
    repo:push {"repository":{}} → 400 {"message":"`push.changes` is missing or not of the expected type"}
    repo:push [] → 400 {"message":"`push.changes` is missing or not of the expected type"}
    pullrequest:created {"repository":{"uuid":"{a}"}} → 400 {"message":"`pullrequest.id` is missing or not of the expected type"}
    pullrequest:created {"repository":{"uuid":"{a}"},"pullrequest":{"id":"7"}} → 400 {"message":"`pullrequest.id` is missing or not of the expected type"}
    - {} → 400 {"message":"the header `X-Event-Key` is missing"}
    repo:push {"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx → 413 {"message":"the body is larger than 1 MiB"}
    "#);
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
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

/// Bodies as they come through API Gateway, from old captures, from deleted accounts, and a second time.
#[tokio::test]
async fn awkward_bodies_are_signed_and_taken_as_well() {
    use base64::Engine as _;

    let world = synced().await;
    let (_, opened) = world
        .bitbucket
        .open_pull_request("monorepo", new_pull_request())
        .unwrap();
    for (index, delivery) in opened.iter().enumerate() {
        let mut body = delivery.json();
        body["actor"] = Value::Null;
        if let Some(repository) = body["repository"].as_object_mut() {
            repository.remove("workspace");
        }
        let body = serde_json::to_vec(&body).unwrap();
        let headers = sandbox::webhook::Delivery {
            body: body.clone(),
            ..delivery.clone()
        }
        .headers(WEBHOOK_SECRET);
        let mut event = sandbox::aws::function_url_event("POST", "/webhook", &headers, &body);
        if index % 2 == 0 {
            event["body"] = json!(base64::engine::general_purpose::STANDARD.encode(&body));
            event["isBase64Encoded"] = json!(true);
        }
        let answer = world.invoke(event.clone()).await.unwrap();
        assert_eq!(answer["statusCode"], 202, "{}", delivery.event_key);
        let after = world.port.catalogue();
        assert_eq!(world.invoke(event).await.unwrap()["statusCode"], 202);
        assert_eq!(world.port.catalogue(), after, "a replay changes nothing");
    }
    world.assert_converged().await;
    world.finish();
}
