//! Examples, logs and sync metrics.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;

async fn client() -> (Client, Value) {
    let client = Client::start().await;
    client.port.install("x", json!({}));
    let integration = client.port.integration().unwrap();
    (client, integration)
}

/// The path of an ingest address.
fn path(client: &Client, integration: &Value, attributes: &str) -> String {
    let url = integration[attributes]["ingestUrl"].as_str().unwrap();
    url.strip_prefix(&client.port.url()).unwrap().to_owned()
}

fn metric(name: &str, sync_state: &str) -> Value {
    let kind = name.strip_suffix("-0").unwrap_or(name);
    json!({
        "integrationType": "bitbucket-cloud", "integrationIdentifier": "x", "integrationVersion": "1",
        "kindIdentifier": name, "kind": kind, "kindIndex": 0, "eventId": "e", "syncState": sync_state,
        "metrics": {"phase": {}},
    })
}

#[tokio::test]
async fn a_metric_that_ocean_would_not_send_is_refused() {
    let (client, integration) = client().await;
    let path = format!(
        "{}/syncMetrics",
        path(&client, &integration, "metricAttributes")
    );
    let counted = |count: Value| json!({"object_count_type": {"loaded": {"object_count": count}}});
    let mistakes = [
        ("kindIdentifier", json!("repository-1")),
        ("kindIndex", json!("0")),
        ("eventId", json!("")),
        ("metrics", json!({})),
        ("metrics", json!({"phase": {"load": counted(json!(3))}})),
        ("metrics", json!({"phase": {"eat": {}}})),
        (
            "metrics",
            json!({"phase": {"extract": counted(json!(3.0))}}),
        ),
    ];
    for (name, value) in mistakes {
        let mut record = metric("repository-0", "completed");
        record[name] = value.clone();
        let body = json!({"syncKindsMetrics": [record]});
        assert_eq!(client.post(&path, body).await.0, 422, "{name}: {value}");
    }
    let mut record = metric("repository-0", "completed");
    record["metrics"] = json!({"phase": {"load": counted(json!(3.0))}});
    let body = json!({"syncKindsMetrics": [record]});
    assert_eq!(client.post(&path, body).await.0, 200);
}

#[tokio::test]
async fn examples_are_kept_by_kind() {
    let (client, _) = client().await;
    let path = "/v1/integration/x/kinds/pull-request/examples";
    assert_eq!(
        client.post(path, json!({"examples": [{"id": 1}]})).await.0,
        200
    );
    assert_eq!(
        client
            .post(path, json!({"examples": [1, 2, 3, 4, 5, 6]}))
            .await
            .0,
        422
    );
    assert_eq!(client.port.examples()["pull-request"], [json!({"id": 1})]);
}

#[tokio::test]
async fn logs_need_message_level_and_time() {
    let (client, integration) = client().await;
    let path = path(&client, &integration, "logAttributes");
    let log = json!({"message": "hello", "level": "INFO", "timestamp": "2026-08-20T10:00:00.123456Z", "extra": {}});
    assert_eq!(client.post(&path, json!({"logs": [log]})).await.0, 200);
    assert_eq!(
        client
            .post(&path, json!({"logs": [{"message": "x"}]}))
            .await
            .0,
        422
    );
    assert_eq!(client.port.logs(), [log]);
}

#[tokio::test]
async fn a_sync_is_announced_before_it_is_changed() {
    let (client, integration) = client().await;
    let base = path(&client, &integration, "metricAttributes");
    let put = async |kind: &str, body: Value| {
        let path = format!("{base}/syncMetrics/resync/e/kind/{kind}");
        client
            .call(Method::PUT, &path, &json!({"syncKindMetrics": body}))
            .await
            .0
    };
    assert_eq!(
        put("repository-0", metric("repository-0", "syncing")).await,
        404
    );
    let all = json!({"syncKindsMetrics": [metric("repository-0", "pending"), metric("__runtime__", "syncing")]});
    assert_eq!(
        client.post(&format!("{base}/syncMetrics"), all).await.0,
        200
    );
    assert_eq!(
        put("repository-0", metric("repository-0", "completed")).await,
        200
    );
    assert_eq!(
        put("repository-0", metric("repository-0", "done")).await,
        422
    );
    assert_eq!(put("repository-0", metric("other", "completed")).await, 422);
    assert_eq!(
        client
            .post(&format!("{base}/heartbeat"), json!({"eventId": ""}))
            .await
            .0,
        422
    );
    assert_eq!(
        client
            .post(&format!("{base}/heartbeat"), json!({"eventId": "e"}))
            .await
            .0,
        200
    );
    let states: Vec<(String, String)> = client
        .port
        .metrics()
        .into_iter()
        .map(|metric| (metric.kind_identifier, metric.sync_state))
        .collect();
    let state = |kind: &str, state: &str| (kind.to_owned(), state.to_owned());
    assert_eq!(
        states,
        [
            state("repository-0", "pending"),
            state("__runtime__", "syncing"),
            state("repository-0", "completed")
        ]
    );
    assert_eq!(client.port.heartbeats(), ["e"]);
}
