//! Secrets Manager: `GetSecretValue` and `PutSecretValue` in the JSON 1.1 protocol, with the stages that a rotation moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::machine_now;
use crate::server::{FaultKind, Request, Response, Server};

const TARGET: &str = "secretsmanager.GetSecretValue";
const PUT: &str = "secretsmanager.PutSecretValue";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// A running Secrets Manager. Clones are handles to the same secrets.
#[derive(Clone)]
pub struct SecretsManager {
    server: Server,
    secrets: Secrets,
}

/// By name.
type Secrets = Arc<Mutex<BTreeMap<String, Secret>>>;

#[derive(Default)]
struct Secret {
    /// Oldest first; the last is current, the one before it previous.
    versions: Vec<Version>,
}

struct Version {
    value: String,
    created: Timestamp,
}

impl SecretsManager {
    pub async fn start() -> anyhow::Result<SecretsManager> {
        let secrets = Secrets::default();
        let model = Arc::clone(&secrets);
        let server = Server::start(move |request| answer(&mut lock(&model), request)).await?;
        Ok(SecretsManager { server, secrets })
    }

    /// The value of `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub fn url(&self) -> String {
        self.server.url().to_owned()
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Creates a secret, or rotates it: what was current becomes previous.
    pub fn put(&self, name: &str, value: &str) {
        self.put_at(name, value, machine_now());
    }

    /// Creates a secret without a value, as a template does.
    pub fn create(&self, name: &str) {
        lock(&self.secrets).entry(name.to_owned()).or_default();
    }

    /// The current value.
    pub fn value(&self, name: &str) -> Option<String> {
        let secrets = lock(&self.secrets);
        Some(secrets.get(name)?.versions.last()?.value.clone())
    }

    /// As [`put`](SecretsManager::put), at another time than the machine's.
    pub fn put_at(&self, name: &str, value: &str, created: Timestamp) {
        let mut secrets = lock(&self.secrets);
        let secret = secrets.entry(name.to_owned()).or_default();
        let value = value.to_owned();
        secret.versions.push(Version { value, created });
    }

    /// The ARN under which a secret of this name is also found.
    pub fn arn(name: &str) -> String {
        format!("arn:aws:secretsmanager:eu-central-1:000000000000:secret:{name}-AbCdEf")
    }

    /// Requests so far, refused ones included.
    pub fn count(&self) -> usize {
        self.server.requests().len()
    }

    /// For a [`Fault`](crate::server::Fault) on `/`: the caller's role may not read the secret.
    pub fn access_denied() -> FaultKind {
        FaultKind::Answer(refuse(
            "AccessDeniedException",
            "not authorized to perform: secretsmanager:GetSecretValue",
        ))
    }
}

fn lock(secrets: &Mutex<BTreeMap<String, Secret>>) -> MutexGuard<'_, BTreeMap<String, Secret>> {
    secrets.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(secrets: &mut BTreeMap<String, Secret>, request: &Request) -> Response {
    if request.header("authorization").is_none() {
        return refuse(
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        );
    }
    let target = request.header("x-amz-target");
    if target != Some(TARGET) && target != Some(PUT) {
        return refuse(
            "UnknownOperationException",
            "only GetSecretValue and PutSecretValue are simulated",
        );
    }
    let body = request.json();
    let Some(id) = body["SecretId"].as_str() else {
        return refuse("ValidationException", "SecretId must be a text");
    };
    let missing = |what: &str| {
        refuse(
            "ResourceNotFoundException",
            &format!("Secrets Manager can't find the specified secret{what}."),
        )
    };
    let found = secrets
        .iter_mut()
        .find(|(name, _)| *name == id || SecretsManager::arn(name) == id);
    let Some((name, secret)) = found else {
        return missing("");
    };
    if target == Some(PUT) {
        return put(secret, name, &body);
    }
    let version = body["VersionId"].as_str();
    let stage = body["VersionStage"].as_str();
    let index = (0..secret.versions.len()).rev().find(|&index| {
        let stages = secret.stages(index);
        match (version, stage) {
            (None, None) => stages.contains(&CURRENT),
            (version, stage) => {
                version.is_none_or(|version| version_id(index) == version)
                    && stage.is_none_or(|stage| stages.contains(&stage))
            }
        }
    });
    let Some((index, found)) = index.and_then(|index| Some((index, secret.versions.get(index)?)))
    else {
        let stage = stage.unwrap_or(CURRENT);
        return missing(&format!(" value for staging label: {stage}"));
    };
    let body = json!({
        "ARN": SecretsManager::arn(name),
        "Name": name,
        "VersionId": version_id(index),
        "SecretString": found.value,
        "VersionStages": secret.stages(index),
        // Seconds since 1970, as the protocol writes times.
        "CreatedDate": found.created.as_duration().as_secs_f64(),
    });
    Response::bytes(200, CONTENT_TYPE, body.to_string().into_bytes())
}

/// Makes a text the current version.
fn put(secret: &mut Secret, name: &str, body: &Value) -> Response {
    let Some(value) = body["SecretString"].as_str() else {
        return refuse("InvalidRequestException", "SecretString must be a text");
    };
    let (value, created) = (value.to_owned(), machine_now());
    secret.versions.push(Version { value, created });
    let id = version_id(secret.versions.len() - 1);
    let body = json!({"ARN": SecretsManager::arn(name), "Name": name, "VersionId": id, "VersionStages": [CURRENT]});
    Response::bytes(200, CONTENT_TYPE, body.to_string().into_bytes())
}

impl Secret {
    fn stages(&self, index: usize) -> Vec<&'static str> {
        match self.versions.len().saturating_sub(index) {
            1 => vec![CURRENT],
            2 => vec![PREVIOUS],
            _ => Vec::new(),
        }
    }
}

/// The API wants 32 to 64 characters.
fn version_id(index: usize) -> String {
    format!("00000000-0000-4000-8000-{index:012}")
}

fn refuse(error_type: &str, message: &str) -> Response {
    let body: Value = json!({"__type": error_type, "Message": message});
    Response::bytes(400, CONTENT_TYPE, body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Fault;

    async fn get(secrets: &SecretsManager, body: Value) -> (u16, Value) {
        let request = crate::loopback::fixture::client()
            .build()
            .unwrap()
            .post(secrets.url())
            .header("x-amz-target", TARGET)
            .header("authorization", "AWS4-HMAC-SHA256 ...")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    #[tokio::test]
    async fn a_rotation_moves_the_stages() {
        let secrets = SecretsManager::start().await.unwrap();
        let created = Timestamp::from_second(1_800_000_000).unwrap();
        secrets.put_at("ferry", "old", created);
        secrets.put("ferry", "new");
        let (_, current) = get(&secrets, json!({"SecretId": "ferry"})).await;
        assert_eq!(
            (&current["SecretString"], &current["VersionStages"]),
            (&json!("new"), &json!(["AWSCURRENT"]))
        );
        let arn = SecretsManager::arn("ferry");
        let (_, previous) = get(
            &secrets,
            json!({"SecretId": arn, "VersionStage": "AWSPREVIOUS"}),
        )
        .await;
        assert_eq!(previous["SecretString"], "old");
        assert_eq!(previous["CreatedDate"], 1_800_000_000.0);
        assert_eq!(secrets.count(), 2);
    }

    #[tokio::test]
    async fn refusals_have_their_type() {
        let secrets = SecretsManager::start().await.unwrap();
        secrets.put("ferry", "x");
        let (status, body) = get(&secrets, json!({"SecretId": "other"})).await;
        assert_eq!(
            (status, &body["__type"]),
            (400, &json!("ResourceNotFoundException"))
        );
        let (_, body) = get(
            &secrets,
            json!({"SecretId": "ferry", "VersionStage": "AWSPREVIOUS"}),
        )
        .await;
        assert_eq!(body["__type"], "ResourceNotFoundException");
        secrets
            .server()
            .misbehave(Fault::new("/", SecretsManager::access_denied()));
        let (_, body) = get(&secrets, json!({"SecretId": "ferry"})).await;
        assert_eq!(body["__type"], "AccessDeniedException");
        let unsigned = crate::loopback::fixture::client()
            .build()
            .unwrap()
            .post(secrets.url())
            .header("x-amz-target", TARGET);
        assert_eq!(unsigned.send().await.unwrap().status(), 400);
    }
}
