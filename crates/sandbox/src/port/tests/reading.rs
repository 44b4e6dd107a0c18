//! Finding entities.

use serde_json::{Value, json};

use super::Client;

#[tokio::test]
async fn own_entities_are_found_by_user_agent() {
    let mut client = Client::start().await;
    client
        .bulk("repository", "", json!([{"identifier": "mine"}]))
        .await;
    client.agent = "port-ocean/github/1.0.0/x/exporter";
    client
        .bulk("repository", "", json!([{"identifier": "other"}]))
        .await;
    client
        .port
        .put_entity("repository", &json!({"identifier": "hand"}), "ui")
        .unwrap();
    let own = |property: &str| {
        json!({"combinator": "and", "rules": [
            {"property": property, "operator": "contains", "value": "port-ocean/bitbucket-cloud/"},
            {"property": property, "operator": "contains", "value": "/x/exporter"},
        ]})
    };
    let (_, answer) = client
        .post(
            "/v1/entities/search?include=identifier&include=properties.stars",
            own("$datasource"),
        )
        .await;
    assert_eq!(
        answer["entities"],
        json!([{"identifier": "mine", "properties": {"stars": null}}])
    );
    assert_eq!(answer["matchingBlueprints"], json!(["repository"]));
    assert_eq!(
        client.post("/v1/entities/search", own("$owner")).await.0,
        422
    );
}

#[tokio::test]
async fn searches_are_paged_and_bounded() {
    let client = Client::start().await;
    client
        .bulk(
            "repository",
            "",
            json!([{"identifier": "a"}, {"identifier": "b"}, {"identifier": "c"}]),
        )
        .await;
    let path = "/v1/blueprints/repository/entities/search";
    let page = |from: Value| json!({"limit": 2, "include": ["$identifier"], "from": from});
    let (_, first) = client.post(path, page(Value::Null)).await;
    assert_eq!(
        first["entities"],
        json!([{"identifier": "a"}, {"identifier": "b"}])
    );
    let (_, second) = client.post(path, page(first["next"].clone())).await;
    assert_eq!(
        second,
        json!({"ok": true, "entities": [{"identifier": "c"}]})
    );
    for bad in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"from": "?"}),
        json!({"pageSize": 5}),
    ] {
        assert_eq!(client.post(path, bad).await.0, 422);
    }
}

#[tokio::test]
async fn a_data_source_lists_its_old_entities_in_pages() {
    let client = Client::start().await;
    client.port.configure(|port| port.page_size = 1);
    client
        .bulk("project", "", json!([{"identifier": "P"}]))
        .await;
    client
        .bulk("repository", "", json!([{"identifier": "a"}]))
        .await;
    let middle = client.port.entity("repository", "a").unwrap().updated_at
        + jiff::SignedDuration::from_nanos(1);
    client
        .bulk("repository", "", json!([{"identifier": "b"}]))
        .await;
    let path = "/v1/blueprints/entities/datasource-entities";
    let mut found = Vec::new();
    let mut from = Value::Null;
    loop {
        let (status, page) = client
            .post(path, json!({
                "datasource_prefix": "port-ocean/bitbucket-cloud/", "datasource_suffix": "/x/exporter",
                "limit": 5000, "before": middle.to_string(), "from": from,
            }))
            .await;
        assert_eq!(status, 200);
        for entity in page["entities"].as_array().unwrap() {
            found.push(format!("{} {}", entity["blueprint"], entity["identifier"]));
        }
        from = page["next"].clone();
        if from.is_null() {
            break;
        }
    }
    assert_eq!(found, [r#""project" "P""#, r#""repository" "a""#]);
    assert_eq!(
        client.post(path, json!({"datasource_prefix": "x"})).await.0,
        422
    );
}
