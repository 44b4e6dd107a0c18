//! Blueprints, the integration object, and how an install registers itself.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;

const ID: &str = "/v1/integration/x";

async fn get(client: &Client, path: &str) -> (u16, Value) {
    client.call(Method::GET, path, &Value::Null).await
}

async fn patch(client: &Client, path: &str, body: Value) -> u16 {
    client.call(Method::PATCH, path, &body).await.0
}

fn registration() -> Value {
    json!({
        "installationId": "x", "installationAppType": "bitbucket-cloud", "version": "1.0.0",
        "changelogDestination": {}, "config": {"resources": []}, "actionsProcessingEnabled": false,
    })
}

async fn requested(client: &Client) -> Value {
    get(client, &format!("{ID}/resync-request")).await.1["request"].clone()
}

#[tokio::test]
async fn an_integration_is_registered_once() {
    let client = Client::start().await;
    assert_eq!(get(&client, ID).await.0, 404);
    assert_eq!(patch(&client, ID, json!({})).await, 404);
    let (status, answer) = client.post("/v1/integration", registration()).await;
    assert_eq!(
        (status, &answer["integration"]["identifier"]),
        (201, &json!("x"))
    );
    assert_eq!(client.post("/v1/integration", registration()).await.0, 409);
    let (_, answer) = get(
        &client,
        &format!("{ID}?oceanCoreVersion=0.48.12&isPolling=false"),
    )
    .await;
    let integration = &answer["integration"];
    assert_eq!(integration["config"], json!({"resources": []}));
    let logs = integration["logAttributes"]["ingestUrl"].as_str().unwrap();
    assert!(logs.starts_with(&client.port.url()), "{logs}");
    assert_eq!(client.port.integration().as_ref(), Some(integration));
}

#[tokio::test]
async fn saving_a_mapping_asks_for_a_resync_unless_told_not_to() {
    let client = Client::start().await;
    client.post("/v1/integration", registration()).await;
    assert_eq!(requested(&client).await, Value::Null);
    let path = format!("{}{ID}/config", client.port.url());
    let quiet = client
        .http
        .patch(path)
        .bearer_auth(&client.token)
        .header("x-skip-resync", "true")
        .json(&json!({"config": {"resources": [1]}}));
    assert_eq!(quiet.send().await.unwrap().status(), 200);
    assert_eq!(requested(&client).await, Value::Null);
    assert_eq!(
        patch(
            &client,
            &format!("{ID}/config"),
            json!({"config": {"resources": [2]}})
        )
        .await,
        200
    );
    let first = requested(&client).await;
    assert!(first["updatedAt"].is_string());
    assert_eq!(
        patch(&client, &format!("{ID}/config"), json!({"resources": []})).await,
        422
    );
    client.port.set_config(json!({"resources": [3]}));
    assert_eq!(
        client.port.integration().unwrap()["config"],
        json!({"resources": [3]})
    );
}

#[tokio::test]
async fn resync_requests_carry_the_time_of_the_last_one() {
    let client = Client::start().await;
    client.port.install("x", json!({}));
    client.port.set_now("2026-08-20T10:00:00Z".parse().unwrap());
    client.port.request_resync();
    assert_eq!(
        requested(&client).await,
        json!({"updatedAt": "2026-08-20T10:00:00.000Z"})
    );
    client.port.set_now("2026-08-20T10:05:00Z".parse().unwrap());
    assert_eq!(patch(&client, ID, json!({})).await, 200);
    assert_eq!(
        requested(&client).await,
        json!({"updatedAt": "2026-08-20T10:05:00.000Z"})
    );
    assert_eq!(
        patch(&client, ID, json!({"processingMode": "ocean-core"})).await,
        200
    );
    assert_eq!(
        requested(&client).await,
        json!({"updatedAt": "2026-08-20T10:05:00.000Z"})
    );
    assert_eq!(patch(&client, ID, json!({"colour": "red"})).await, 422);
}

#[tokio::test]
async fn resync_states_are_checked_and_remembered() {
    let client = Client::start().await;
    client.port.install("x", json!({}));
    let path = format!("{ID}/resync-state");
    let running = json!({"status": "running", "lastResyncEnd": null, "lastResyncStart": "2026-08-20T10:00:00+00:00", "nextResync": null, "intervalInMinuets": 60});
    let (status, answer) = client.call(Method::PATCH, &path, &running).await;
    assert_eq!(status, 200);
    assert!(answer["integration"]["resyncState"]["updatedAt"].is_string());
    for bad in [
        json!({"status": "done"}),
        json!({"lastResyncStart": "now"}),
        json!({"intervalInMinutes": 60}),
    ] {
        assert_eq!(patch(&client, &path, bad).await, 422);
    }
    assert_eq!(
        patch(&client, &path, json!({"status": "completed"})).await,
        200
    );
    assert_eq!(
        client.port.resync_states(),
        [running, json!({"status": "completed"})]
    );
    let state = &client.port.integration().unwrap()["resyncState"];
    assert_eq!(
        (&state["status"], &state["lastResyncStart"]),
        (&json!("completed"), &json!("2026-08-20T10:00:00+00:00"))
    );
}

#[tokio::test]
async fn blueprints_are_created_bare_and_then_completed() {
    let client = Client::start().await;
    let bare = |id: &str| json!({"identifier": id, "title": id, "schema": {"properties": {}, "required": []}, "relations": {}});
    let path = "/v1/blueprints?create_catalog_page=false";
    assert_eq!(client.post(path, bare("folder")).await.0, 201);
    assert_eq!(client.post(path, bare("folder")).await.0, 409);
    let relation = |target: &str| json!({"relations": {"parent": {"title": "Parent", "target": target, "required": false, "many": false}}});
    assert_eq!(
        patch(&client, "/v1/blueprints/folder", relation("nothing")).await,
        404
    );
    assert_eq!(
        patch(&client, "/v1/blueprints/folder", relation("repository")).await,
        200
    );
    let mirror = |path: &str| json!({"mirrorProperties": {"m": {"title": "M", "path": path}}});
    assert_eq!(
        patch(&client, "/v1/blueprints/folder", mirror("owner.stars")).await,
        422
    );
    assert_eq!(
        patch(&client, "/v1/blueprints/folder", mirror("parent.stars")).await,
        200
    );
    let (_, read) = get(&client, "/v1/blueprints/folder").await;
    assert_eq!(
        read["blueprint"]["relations"]["parent"]["target"],
        "repository"
    );
    assert_eq!(
        client
            .call(Method::DELETE, "/v1/blueprints/repository", &Value::Null)
            .await
            .0,
        403
    );
    assert_eq!(
        client
            .call(Method::DELETE, "/v1/blueprints/folder", &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(get(&client, "/v1/blueprints/folder").await.0, 404);
}

#[tokio::test]
async fn impossible_blueprints_are_refused() {
    let client = Client::start().await;
    let whole = json!({
        "identifier": "b", "title": "B", "schema": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        "relations": {"r": {"target": "b", "required": true, "many": false}},
    });
    for (pointer, value) in [
        ("/identifier", json!("a b")),
        ("/title", json!("")),
        ("/schema/properties", json!([])),
        ("/schema/properties/a/type", json!("text")),
        ("/schema/required", json!(["z"])),
        ("/relations/r/many", json!(true)),
    ] {
        let mut bad = whole.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(client.post("/v1/blueprints", bad).await.0, 422, "{pointer}");
    }
    assert_eq!(client.post("/v1/blueprints", whole).await.0, 201);
}
