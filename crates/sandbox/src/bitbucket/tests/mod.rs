//! The simulated workspace against a plain HTTP client.

mod access;
mod changes;
mod git;
mod known;
mod lists;
mod random;
mod source;
mod trouble;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

struct Client {
    bitbucket: Bitbucket,
    http: reqwest::Client,
}

impl Client {
    async fn demo() -> Client {
        Client::of(Workspace::demo().unwrap()).await
    }

    async fn of(workspace: Workspace) -> Client {
        let redirect = reqwest::redirect::Policy::none();
        Client {
            bitbucket: Bitbucket::start(workspace).await.unwrap(),
            http: crate::loopback::fixture::client()
                .redirect(redirect)
                .build()
                .unwrap(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> reqwest::Response {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.bitbucket.url())
        };
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth(Bitbucket::TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send("GET", path, None).await;
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn message(&self, path: &str) -> (u16, String) {
        let (status, body) = self.get(path).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        (status, message.to_owned())
    }

    /// All values, following `next`.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut values = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let mut page = self.ok(&path).await;
            values.append(page["values"].as_array_mut().unwrap());
            next = page["next"]
                .as_str()
                .filter(|next| !next.is_empty())
                .map(str::to_owned);
        }
        values
    }
}

fn column(values: &[Value], name: &str) -> Vec<String> {
    values
        .iter()
        .map(|value| match &value[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn q(text: &str) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    format!("q={}", percent_encoding::utf8_percent_encode(text, all))
}
