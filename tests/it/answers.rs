//! What a request gets for an answer: signatures, bodies, routes.

use sandbox::webhook::sign;
use serde_json::{Value, json};

use crate::support::WEBHOOK_SECRET;
use crate::webhook::{new_pull_request, synced};

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
