//! One call to Port: address, headers, token, repetitions, and the first reading of the answer.
//!
//! Knows no route beyond that of the token. Bodies, tokens and answers are never logged.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;

use super::batch::MAX_BULK;
use super::blueprint::Cached;
use super::error::{Error, TraceId};
use super::rehearsal::Rehearsal;
use crate::deadline::{Deadline, later};
use crate::http::{Answer, Http, RetryPolicy};

/// The type under which Port lists this integration: that of the product Ferry replaces, so that an existing
/// installation keeps its entities.
pub(super) const INTEGRATION_TYPE: &str = "bitbucket-cloud";

/// A token is renewed this long before it expires: a frozen execution environment may wake up in between.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// Longest answer that is read. Searches ask for smaller pages when one is longer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Bulk calls under way at once, whoever makes them. Port's limits (35,000 in five minutes) are far away; this is
/// for its sake and for memory.
const WRITES_AT_ONCE: usize = 32;

/// For calls that may be repeated: Ocean's waits and statuses, so Port sees the load it is used to. 500 is not
/// among them; it stands for a defect that a repetition meets again.
pub(super) const REPEATABLE: RetryPolicy = RetryPolicy {
    max_retries: 10,
    base_delay: Duration::from_millis(300),
    max_delay: Duration::from_secs(300),
    timeout: Duration::from_secs(60),
    max_body: MAX_ANSWER_BYTES,
    statuses: &[408, 429, 502, 503, 504],
};

/// For calls that could act twice: PATCH, and POSTs that create.
pub(super) const ONCE: RetryPolicy = RetryPolicy {
    max_retries: 0,
    statuses: &[],
    ..REPEATABLE
};

/// Where Port is, and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://api.getport.io`, `https://api.us.getport.io`, or any host in front of them; a path is kept.
    pub base_url: Url,
    pub client_id: String,
    pub client_secret: SecretString,
    /// Identifier of the integration. With the type it decides which entities are ours, so no two installations
    /// of an organisation may share it.
    pub identifier: String,
}

/// A Port organisation, seen by one integration. Clones share the token, the caches and the connections.
#[derive(Clone)]
pub struct PortClient {
    pub(super) inner: Arc<Inner>,
    /// Where writes are noted instead of made.
    pub(super) rehearsal: Option<Rehearsal>,
}

pub(super) struct Inner {
    pub(super) http: Http,
    base_url: Url,
    pub(super) identifier: String,
    credentials: Mutex<Credentials>,
    /// Held while a token is fetched, so that concurrent callers fetch one.
    token: tokio::sync::Mutex<Option<Token>>,
    /// Entities per bulk call, as low as Port has asked for.
    pub(super) max_bulk: AtomicUsize,
    /// As many permits as bulk calls may be under way.
    pub(super) writes: Semaphore,
    pub(super) blueprints: Mutex<HashMap<String, Cached>>,
}

struct Credentials {
    client_id: String,
    client_secret: SecretString,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// When to ask for the next one.
    renew_at: Timestamp,
}

/// Which user agent a call carries. Port takes the one of the writer as the entity's data source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    Plain,
    /// Entity and blueprint writes and searches.
    Exporter,
}

/// A request in the making.
pub(super) struct Call {
    method: Method,
    target: Target,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<Vec<u8>>,
    agent: Agent,
    policy: &'static RetryPolicy,
}

enum Target {
    /// Segments below `/v1`, not yet encoded.
    Route(Vec<String>),
    /// An absolute address that Port handed out.
    Elsewhere(Url),
}

impl PortClient {
    pub fn new(http: Http, settings: Settings) -> PortClient {
        let Settings {
            base_url,
            client_id,
            client_secret,
            identifier,
        } = settings;
        PortClient {
            inner: Arc::new(Inner {
                http,
                base_url,
                identifier,
                credentials: Mutex::new(Credentials {
                    client_id,
                    client_secret,
                }),
                token: tokio::sync::Mutex::default(),
                max_bulk: AtomicUsize::new(MAX_BULK),
                writes: Semaphore::new(WRITES_AT_ONCE),
                blueprints: Mutex::default(),
            }),
            rehearsal: None,
        }
    }

    /// Takes rotated credentials for the next token. A token in use stays in use until it expires or is refused.
    pub fn replace_credentials(&self, client_id: String, client_secret: SecretString) {
        *locked(&self.inner.credentials) = Credentials {
            client_id,
            client_secret,
        };
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.http.clock().now()
    }

    /// Sends `call` and returns its answer if that is a success.
    ///
    /// A 401 fetches a new token and repeats the call once, whatever its method: it was not carried out.
    pub(super) async fn call(&self, call: Call, deadline: &Deadline) -> Result<Answer, Error> {
        let url = call.url(&self.inner.base_url)?;
        let request = format!("{} {}", call.method, url.path());
        let mut refused = None;
        loop {
            let token = self.token(refused.as_ref(), deadline).await?;
            let answer = self
                .send(&call, &url, Some(&token.header), deadline)
                .await
                .map_err(|error| Error::from_http(request.clone(), error, deadline))?;
            tracing::debug!(
                method = %call.method,
                path = url.path(),
                status = answer.status.as_u16(),
                "Port answered"
            );
            if answer.status.is_success() {
                return Ok(answer);
            }
            if answer.status.as_u16() != 401 || refused.is_some() {
                return Err(Error::from_answer(request, &answer, self.now()));
            }
            refused = Some(token);
        }
    }

    /// [`call`](PortClient::call), with the body decoded.
    pub(super) async fn call_json<T: DeserializeOwned>(
        &self,
        call: Call,
        deadline: &Deadline,
    ) -> Result<T, Error> {
        let request = call.shown();
        let answer = self.call(call, deadline).await?;
        answer.json().map_err(|source| Error::Unexpected {
            request,
            trace_id: TraceId::of(&answer),
            source,
        })
    }

    async fn send(
        &self,
        call: &Call,
        url: &Url,
        token: Option<&HeaderValue>,
        deadline: &Deadline,
    ) -> Result<Answer, crate::http::HttpError> {
        let http = &self.inner.http;
        let agent = self.user_agent(call.agent);
        http.send(call.policy, deadline, || {
            let mut request = http
                .client()
                .request(call.method.clone(), url.clone())
                .header(USER_AGENT, &agent);
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, token);
            }
            for (name, value) in &call.headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &call.body {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone());
            }
            request
        })
        .await
    }

    /// The form by which Port tells whose an entity is: prefix and suffix count, the version in between may change.
    pub(super) fn user_agent(&self, agent: Agent) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let identifier = &self.inner.identifier;
        let suffix = match agent {
            Agent::Plain => "",
            Agent::Exporter => "/exporter",
        };
        format!("port-ocean/{INTEGRATION_TYPE}/{version}/{identifier}{suffix}")
    }

    /// The cached token, or a new one when it is old or is the one that was `refused`.
    async fn token(&self, refused: Option<&Token>, deadline: &Deadline) -> Result<Token, Error> {
        let mut cached = self.inner.token.lock().await;
        if let Some(token) = &*cached
            && self.now() < token.renew_at
            && refused.is_none_or(|refused| refused.header != token.header)
        {
            return Ok(token.clone());
        }
        *cached = None;
        let token = self.fetch_token(deadline).await?;
        *cached = Some(token.clone());
        Ok(token)
    }

    async fn fetch_token(&self, deadline: &Deadline) -> Result<Token, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            access_token: String,
            expires_in: u64,
            token_type: Option<String>,
        }
        let body = {
            let credentials = locked(&self.inner.credentials);
            json!({
                "clientId": credentials.client_id,
                "clientSecret": credentials.client_secret.expose_secret(),
            })
        };
        let call = Call::post(["auth", "access_token"], &body).repeatable();
        let url = call.url(&self.inner.base_url)?;
        let request = call.shown();
        let asked_at = self.now();
        let answer = self
            .send(&call, &url, None, deadline)
            .await
            .map_err(|error| Error::from_http(request.clone(), error, deadline))?;
        match answer.status.as_u16() {
            200..300 => {}
            // Not to be taken for an absent entity by whoever needed the token.
            404 => {
                return Err(Error::Unexpected {
                    request,
                    trace_id: TraceId::of(&answer),
                    source: anyhow!("there is no Port API at OCEAN__PORT__BASE_URL"),
                });
            }
            _ => return Err(Error::from_answer(request, &answer, self.now())),
        }
        // What is wrong is not shown: the body may hold the token.
        let unreadable = || Error::Unexpected {
            request: request.clone(),
            trace_id: TraceId::of(&answer),
            source: anyhow!("the answer holds no usable access token"),
        };
        let wire: Wire = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        let scheme = wire.token_type.as_deref().unwrap_or("Bearer");
        let mut header = HeaderValue::from_str(&format!("{scheme} {}", wire.access_token))
            .map_err(|_| unreadable())?;
        header.set_sensitive(true);
        // Port hands out the same token until it expires, so its rest of life may be shorter than the margin.
        let life = Duration::from_secs(wire.expires_in);
        let renew_at = later(asked_at, life.saturating_sub(TOKEN_MARGIN).max(life / 2));
        Ok(Token { header, renew_at })
    }
}

impl fmt::Debug for PortClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortClient")
            .field("base_url", &self.inner.base_url.as_str())
            .field("identifier", &self.inner.identifier)
            .finish_non_exhaustive()
    }
}

impl Call {
    pub(super) fn new<const N: usize>(method: Method, route: [&str; N]) -> Call {
        // The table of repeated methods is Ocean's; POST is decided call by call.
        let policy = match method {
            Method::GET | Method::PUT | Method::DELETE => &REPEATABLE,
            _ => &ONCE,
        };
        Call {
            method,
            target: Target::Route(route.map(str::to_owned).to_vec()),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            agent: Agent::Plain,
            policy,
        }
    }

    pub(super) fn get<const N: usize>(route: [&str; N]) -> Call {
        Call::new(Method::GET, route)
    }

    pub(super) fn post<const N: usize>(route: [&str; N], body: &serde_json::Value) -> Call {
        Call::new(Method::POST, route).json(body)
    }

    pub(super) fn patch<const N: usize>(route: [&str; N], body: &serde_json::Value) -> Call {
        Call::new(Method::PATCH, route).json(body)
    }

    /// A POST to an address that Port handed out.
    pub(super) fn post_to(url: Url, body: &serde_json::Value) -> Call {
        let mut call = Call::post([], body);
        call.target = Target::Elsewhere(url);
        call
    }

    pub(super) fn json(self, body: &serde_json::Value) -> Call {
        self.bytes(body.to_string().into_bytes())
    }

    /// A body that is JSON already.
    pub(super) fn bytes(mut self, body: Vec<u8>) -> Call {
        self.body = Some(body);
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Call {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Call {
        self.headers.push((name, value));
        self
    }

    pub(super) fn exporter(mut self) -> Call {
        self.agent = Agent::Exporter;
        self
    }

    /// Allows repetitions of a POST that does the same when it comes twice.
    pub(super) fn repeatable(mut self) -> Call {
        self.policy = &REPEATABLE;
        self
    }

    /// For errors.
    pub(super) fn shown(&self) -> String {
        match &self.target {
            Target::Route(segments) => format!("{} /v1/{}", self.method, segments.join("/")),
            Target::Elsewhere(url) => format!("{} {}", self.method, url.path()),
        }
    }

    fn url(&self, base: &Url) -> Result<Url, Error> {
        let mut url = match &self.target {
            Target::Elsewhere(url) => url.clone(),
            Target::Route(segments) => {
                // Port allows no such identifier, and the address would resolve to another route.
                let is_no_name = |segment: &&String| matches!(segment.as_str(), "" | "." | "..");
                if let Some(segment) = segments.iter().find(is_no_name) {
                    return Err(Error::NotFound {
                        what: format!("`{segment}` (in {})", self.shown()),
                        trace_id: TraceId::default(),
                    });
                }
                let mut url = base.clone();
                url.path_segments_mut()
                    .map_err(|()| Error::Unexpected {
                        request: self.shown(),
                        trace_id: TraceId::default(),
                        source: anyhow!("OCEAN__PORT__BASE_URL is no http(s) address"),
                    })?
                    .pop_if_empty()
                    .push("v1")
                    .extend(segments);
                url
            }
        };
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
