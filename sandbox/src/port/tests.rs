//! The simulated Port over real HTTP, as a client meets it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Port, WriteKind};

const OURS: &str = "port-ocean/bitbucket-cloud/1.0.0/x/exporter";

struct Client {
    port: Port,
    http: reqwest::Client,
    token: String,
    agent: &'static str,
}

impl Client {
    /// A Port with three blueprints, and a client that has a token.
    async fn start() -> Client {
        let port = Port::start().await.unwrap();
        port.put_blueprint(&json!({
            "identifier": "project", "title": "Project",
            "schema": {"properties": {"url": {"type": "string", "format": "url"}}},
        }))
        .unwrap();
        port.put_blueprint(&json!({
            "identifier": "repository", "title": "Repository",
            "schema": {
                "properties": {
                    "stars": {"type": "number"},
                    "language": {"type": "string", "enum": ["rust", "go"]},
                },
                "required": [],
            },
            "relations": {
                "project": {"target": "project", "required": false, "many": false},
                "owners": {"target": "_user", "many": true},
                "friends": {"target": "repository", "many": true},
            },
        }))
        .unwrap();
        port.put_blueprint(&json!({
            "identifier": "pr", "title": "Pull request",
            "schema": {"properties": {"status": {"type": "string"}}, "required": ["status"]},
            "relations": {"repository": {"target": "repository", "required": true}},
        }))
        .unwrap();
        let mut client = Client {
            port,
            http: reqwest::Client::builder().build().unwrap(),
            token: String::new(),
            agent: OURS,
        };
        client.sign_in("test-secret").await;
        client
    }

    async fn sign_in(&mut self, secret: &str) -> (u16, Value) {
        let body = json!({"clientId": "test-client", "clientSecret": secret});
        let answer = self
            .call(Method::POST, "/v1/auth/access_token", &body)
            .await;
        if let Some(token) = answer.1["accessToken"].as_str() {
            self.token = token.to_owned();
        }
        answer
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.port.url()))
            .bearer_auth(&self.token)
            .header("user-agent", self.agent);
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("x-trace-id"));
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, &body).await
    }

    async fn bulk(&self, blueprint: &str, query: &str, entities: Value) -> (u16, Value) {
        let path = format!("/v1/blueprints/{blueprint}/entities/bulk?upsert=true&{query}");
        self.post(&path, json!({"entities": entities})).await
    }

    fn writes(&self) -> Vec<String> {
        let writes = self.port.take_writes();
        writes.iter().map(ToString::to_string).collect()
    }
}

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
async fn a_token_stays_the_same_until_it_expires() {
    let mut client = Client::start().await;
    let first = client.token.clone();
    client.sign_in("test-secret").await;
    assert_eq!(client.token, first);
    client.port.expire_tokens();
    let (status, body) = client
        .call(Method::GET, "/v1/organization", &Value::Null)
        .await;
    assert_eq!((status, &body["ok"]), (401, &json!(false)));
    client.sign_in("test-secret").await;
    assert_ne!(client.token, first);
    assert_eq!(
        client
            .call(Method::GET, "/v1/organization", &Value::Null)
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_rotated_secret_ends_the_token_and_the_old_secret() {
    let mut client = Client::start().await;
    client.port.rotate_secret("new");
    assert_eq!(
        client
            .call(Method::GET, "/v1/organization", &Value::Null)
            .await
            .0,
        401
    );
    assert_eq!(client.sign_in("test-secret").await.0, 401);
    assert_eq!(client.sign_in("new").await.0, 200);
}

#[tokio::test]
async fn tokens_expire_by_the_simulated_clock() {
    let mut client = Client::start().await;
    client.port.expire_tokens();
    client.port.set_now("2026-08-20T10:00:00Z".parse().unwrap());
    assert_eq!(client.sign_in("test-secret").await.1["expiresIn"], 10_800);
    client.port.set_now("2026-08-20T12:59:50Z".parse().unwrap());
    assert_eq!(client.sign_in("test-secret").await.1["expiresIn"], 10);
    client.port.set_now("2026-08-20T13:00:00Z".parse().unwrap());
    assert_eq!(
        client
            .call(Method::GET, "/v1/organization", &Value::Null)
            .await
            .0,
        401
    );
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
    client.sign_in_again().await;
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

impl Client {
    /// For tests that set the clock, under which the first token may have no life.
    async fn sign_in_again(&self) {
        let body = json!({"clientId": "test-client", "clientSecret": "test-secret"});
        let (status, answer) = self.post("/v1/auth/access_token", body).await;
        assert_eq!(
            (status, answer["accessToken"].as_str()),
            (200, Some(self.token.as_str()))
        );
    }
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

#[tokio::test]
async fn an_unknown_route_is_noted() {
    let client = Client::start().await;
    assert_eq!(
        client
            .call(Method::GET, "/v1/nowhere", &Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(client.port.unknown_requests(), ["GET /v1/nowhere"]);
}
