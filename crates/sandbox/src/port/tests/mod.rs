//! The simulated Port over real HTTP, as a client meets it.

use reqwest::Method;
use serde_json::{Value, json};

use super::Port;

mod access;
mod entities;
mod ingest;
mod integration;
mod reading;
mod trouble;

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
            http: crate::loopback::fixture::client().build().unwrap(),
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
