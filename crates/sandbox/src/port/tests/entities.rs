//! Writing and deleting entities.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, OURS};
use crate::port::WriteKind;

fn codes(answer: &Value) -> Vec<(u64, String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = answer["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| {
            (
                error["index"].as_u64().unwrap(),
                text(&error["identifier"]),
                error["statusCode"].as_u64().unwrap(),
                text(&error["error"]),
            )
        })
        .collect()
}

#[tokio::test]
async fn bulk_answers_207_by_index() {
    let client = Client::start().await;
    let (status, answer) = client
        .bulk(
            "repository",
            "merge=true",
            json!([
                {"identifier": "good", "title": "Good", "properties": {"stars": 1}},
                {"identifier": "orphan", "relations": {"project": "nowhere"}},
                {"identifier": "typed", "properties": {"stars": "many"}},
                {"identifier": "enum", "properties": {"language": "perl"}},
                {"identifier": "prop", "properties": {"colour": "red"}},
                {"identifier": "rel", "relations": {"parent": "x"}},
                {"identifier": "list", "relations": {"project": ["x"]}},
                {"identifier": "text", "relations": {"friends": "good"}},
                {"identifier": "friend", "relations": {"friends": ["good", "friend"]}},
                {"identifier": {"combinator": "and", "rules": [{"property": "$title", "operator": "=", "value": "None"}]}},
            ]),
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!(
        answer["entities"],
        json!([
            {"created": true, "identifier": "good", "index": 0},
            {"created": true, "identifier": "friend", "index": 8},
        ])
    );
    let error = |index, identifier: &str, status, code: &str| {
        (index, identifier.to_owned(), status, code.to_owned())
    };
    assert_eq!(
        codes(&answer),
        [
            error(1, "orphan", 404, "not_found"),
            error(2, "typed", 422, "blueprint_schema_mismatch"),
            error(3, "enum", 422, "blueprint_schema_mismatch"),
            error(4, "prop", 422, "blueprint_schema_mismatch"),
            error(5, "rel", 422, "blueprint_schema_mismatch"),
            error(6, "list", 422, "relation_many_violation"),
            error(7, "text", 422, "relation_many_violation"),
            error(9, "unknown", 404, "not_found"),
        ]
    );
    assert_eq!(
        client.writes(),
        ["create repository good", "create repository friend"]
    );
}

#[tokio::test]
async fn required_properties_and_relations_are_required() {
    let client = Client::start().await;
    let (_, answer) = client
        .bulk(
            "pr",
            "create_missing_related_entities=true",
            json!([
                {"identifier": "a", "relations": {"repository": "r"}},
                {"identifier": "b", "properties": {"status": "OPEN"}},
                {"identifier": "c", "properties": {"status": "OPEN"}, "relations": {"repository": "r"}},
            ]),
        )
        .await;
    let errors: Vec<String> = codes(&answer).into_iter().map(|error| error.3).collect();
    assert_eq!(errors, ["blueprint_schema_mismatch", "required_relation"]);
    assert_eq!(client.writes(), ["stub repository r", "create pr c"]);
    let stub = client.port.entity("repository", "r").unwrap();
    assert_eq!((stub.datasource.as_str(), stub.title), (OURS, None));
}

#[tokio::test]
async fn stubs_are_never_users() {
    let client = Client::start().await;
    let entity = json!([{"identifier": "a", "relations": {"owners": ["jane"]}}]);
    let query = "create_missing_related_entities=true";
    let (status, _) = client.bulk("repository", query, entity.clone()).await;
    assert_eq!(status, 207);
    client
        .port
        .put_entity("_user", &json!({"identifier": "jane"}), "")
        .unwrap();
    assert_eq!(client.bulk("repository", query, entity).await.0, 200);
}

#[tokio::test]
async fn requests_beyond_the_limits_are_refused_whole() {
    let client = Client::start().await;
    let good = json!({"identifier": "good"});
    let many: Vec<Value> = (0..21)
        .map(|n| json!({"identifier": n.to_string()}))
        .collect();
    assert_eq!(client.bulk("repository", "", json!(many)).await.0, 422);
    assert_eq!(client.bulk("repository", "", json!([])).await.0, 422);
    assert_eq!(client.bulk("nothing", "", json!([good])).await.0, 404);
    for bad in [
        json!({"identifier": "a b"}),
        json!({"identifier": 7}),
        json!({"identifier": "a", "title": 7}),
        json!({"identifier": "a", "relations": {"project": "a b"}}),
        json!({"identifier": "a", "colour": "red"}),
    ] {
        let (status, answer) = client.bulk("repository", "", json!([good, bad])).await;
        assert_eq!((status, &answer["error"]), (422, &json!("invalid_request")));
    }
    let large = json!([{"identifier": "a", "title": "x".repeat(1024 * 1024)}]);
    assert_eq!(client.bulk("repository", "", large).await.0, 413);
    let no_flag = "/v1/blueprints/repository/entities/bulk";
    assert_eq!(
        client.post(no_flag, json!({"entities": [good]})).await.0,
        422
    );
    assert!(client.writes().is_empty());
    client
        .port
        .configure(|port| port.malformed_fails_batch = false);
    let (status, _) = client
        .bulk("repository", "", json!([good, {"identifier": "a b"}]))
        .await;
    assert_eq!(
        (status, client.writes()),
        (207, vec!["create repository good".to_owned()])
    );
}

#[tokio::test]
async fn merge_keeps_what_is_not_sent_and_replace_clears_it() {
    let client = Client::start().await;
    let full = json!([{"identifier": "a", "title": "A", "team": "core", "properties": {"stars": 1, "language": "go"}}]);
    client.bulk("repository", "merge=true", full).await;
    client
        .bulk(
            "repository",
            "merge=true",
            json!([{"identifier": "a", "properties": {"stars": 2, "language": null}}]),
        )
        .await;
    assert_eq!(
        client.port.catalogue(),
        json!({"repository": {"a": {"title": "A", "team": ["core"], "properties": {"stars": 2}}}})
    );
    let (status, answer) = client
        .bulk(
            "repository",
            "merge=false",
            json!([{"identifier": "a", "properties": {"language": "rust"}}]),
        )
        .await;
    assert_eq!(
        (status, &answer["entities"][0]["created"]),
        (200, &json!(false))
    );
    assert_eq!(
        client.port.catalogue(),
        json!({"repository": {"a": {"properties": {"language": "rust"}}}})
    );
}

#[tokio::test]
async fn rewriting_moves_updated_at_unless_told_otherwise() {
    let client = Client::start().await;
    let entity = json!([{"identifier": "a", "title": "A"}]);
    let times = || {
        let entity = client.port.entity("repository", "a").unwrap();
        (entity.created_at, entity.updated_at)
    };
    client
        .bulk("repository", "merge=true", entity.clone())
        .await;
    let first = times();
    assert_eq!(first.0, first.1);
    client
        .bulk("repository", "merge=true", entity.clone())
        .await;
    let second = times();
    assert_eq!(second.0, first.0);
    assert!(first.1 < second.1);
    client
        .port
        .configure(|port| port.rewriting_moves_updated_at = false);
    client.bulk("repository", "merge=true", entity).await;
    assert_eq!(times(), second);
    let kinds: Vec<WriteKind> = client
        .port
        .writes()
        .iter()
        .map(|write| write.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            WriteKind::Created,
            WriteKind::Unchanged,
            WriteKind::Unchanged
        ]
    );
}

#[tokio::test]
async fn validation_only_writes_nothing() {
    let client = Client::start().await;
    let (status, _) = client
        .bulk(
            "repository",
            "validation_only=true",
            json!([{"identifier": "a"}]),
        )
        .await;
    assert_eq!(
        (status, client.port.entities().len(), client.writes().len()),
        (200, 0, 0)
    );
}

#[tokio::test]
async fn search_queries_stand_for_identifiers() {
    let client = Client::start().await;
    let by = |title: &str| json!({"combinator": "and", "rules": [{"property": "$title", "operator": "=", "value": title}]});
    client.bulk("project", "", json!([{"identifier": "P", "title": "Pay"}, {"identifier": "Q", "title": "Twin"}, {"identifier": "R", "title": "Twin"}])).await;
    let (_, answer) = client
        .bulk(
            "repository",
            "merge=true",
            json!([
                {"identifier": "a", "relations": {"project": by("Pay")}},
                {"identifier": "b", "relations": {"project": by("None")}},
                {"identifier": "c", "relations": {"project": by("Twin")}},
                {"identifier": "d", "title": "D"},
                {"identifier": by("D"), "properties": {"stars": 5}},
            ]),
        )
        .await;
    let errors: Vec<(u64, u64)> = codes(&answer)
        .iter()
        .map(|error| (error.0, error.2))
        .collect();
    assert_eq!(errors, [(1, 404), (2, 422)]);
    assert_eq!(
        client.port.catalogue()["repository"],
        json!({"a": {"relations": {"project": "P"}}, "d": {"title": "D", "properties": {"stars": 5}}})
    );
}

#[tokio::test]
async fn single_upsert_answers_the_whole_entity() {
    let client = Client::start().await;
    client.port.set_now("2026-08-20T10:00:00Z".parse().unwrap());
    let path = "/v1/blueprints/repository/entities";
    let (status, answer) = client
        .post(
            &format!("{path}?upsert=true&merge=true"),
            json!({"identifier": "a", "blueprint": "repository"}),
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(
        answer["entity"],
        json!({
            "identifier": "a", "title": null, "icon": null, "blueprint": "repository", "team": [],
            "properties": {"stars": null, "language": null},
            "relations": {"friends": [], "owners": [], "project": null},
            "createdAt": "2026-08-20T10:00:00.000Z", "updatedAt": "2026-08-20T10:00:00.000Z",
        })
    );
    let (status, answer) = client
        .post(&format!("{path}?upsert=false"), json!({"identifier": "a"}))
        .await;
    assert_eq!(
        (status, &answer["error"]),
        (409, &json!("identifier_taken"))
    );
}

#[tokio::test]
async fn deletion_follows_required_relations() {
    let client = Client::start().await;
    let missing = "create_missing_related_entities=true";
    client
        .bulk(
            "repository",
            "",
            json!([{"identifier": "a"}, {"identifier": "b", "relations": {"friends": ["a"]}}]),
        )
        .await;
    client.bulk("pr", missing, json!([{"identifier": "a/1", "properties": {"status": "OPEN"}, "relations": {"repository": "a"}}])).await;
    client.writes();
    let path = "/v1/blueprints/repository/bulk/entities/delete";
    let body = json!({"entities": ["a", "gone"]});
    let (status, answer) = client
        .post(&format!("{path}?delete_dependents=false"), body.clone())
        .await;
    assert_eq!((status, &answer["error"]), (403, &json!("has_dependents")));
    assert!(client.writes().is_empty());
    let (status, answer) = client
        .post(&format!("{path}?delete_dependents=true"), body)
        .await;
    assert_eq!((status, &answer["deletedEntities"]), (200, &json!(["a"])));
    assert_eq!(
        client.writes(),
        ["delete dependent pr a/1", "delete repository a"]
    );
    assert_eq!(client.port.catalogue(), json!({"repository": {"b": {}}}));
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    assert_eq!(client.post(path, json!({"entities": many})).await.0, 422);
}

#[tokio::test]
async fn deleting_one_missing_entity_is_404() {
    let client = Client::start().await;
    client
        .bulk("repository", "", json!([{"identifier": "a/b"}]))
        .await;
    let path = "/v1/blueprints/repository/entities/a%2Fb?delete_dependents=true";
    assert_eq!(client.call(Method::DELETE, path, &Value::Null).await.0, 200);
    assert_eq!(client.call(Method::DELETE, path, &Value::Null).await.0, 404);
}
