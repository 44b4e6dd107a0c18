//! The client: sending a call with its headers and token, as patiently as the caller can be, and reading the answer.
//!
//! Knows no route. Bodies, tokens and answers are never logged.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use super::batch::MAX_BULK;
use super::blueprint::Cached;
use super::call::{Agent, Call};
use super::error::{Error, TraceId};
use super::rehearsal::StandIn;
use super::token::Token;
use crate::deadline::Deadline;
use crate::http::{Answer, Http, HttpError, Reply};
use crate::locked::locked;
use crate::own_secrets::{OwnSecrets, SecretOwner};

/// The type under which Port lists this integration: that of the product Ferry replaces, so that an existing
/// installation keeps its entities.
pub(super) const INTEGRATION_TYPE: &str = "bitbucket-cloud";

/// Longest time for one call under the pen, whatever the configuration says: others wait meanwhile.
pub(super) const PEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Where Port is, and who we are there.
#[derive(Clone, Debug)]
pub struct PortSettings {
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
    pub(super) pace: Tries,
    /// Who takes writes in Port's place.
    pub(super) stand_in: Option<Arc<dyn StandIn>>,
}

/// How long the caller can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tries {
    /// What may be repeated is, as far as the deadline allows.
    Patient,
    /// Each call is sent once, and only if its answer comes, or is given up, before the deadline.
    Once,
}

pub(super) struct Inner {
    pub(super) http: Http,
    pub(super) base_url: Url,
    pub(super) identifier: String,
    pub(super) credentials: Mutex<ClientCredentials>,
    pub(super) token: Mutex<Option<Token>>,
    /// Held while a token is fetched, so that concurrent callers fetch one.
    pub(super) fetching: tokio::sync::Mutex<()>,
    /// Entities per bulk call, as low as Port has asked for.
    pub(super) max_bulk: AtomicUsize,
    pub(super) blueprints: Mutex<HashMap<String, Cached>>,
}

pub(super) struct ClientCredentials {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
}

impl PortClient {
    pub fn new(http: Http, settings: PortSettings) -> PortClient {
        let PortSettings {
            base_url,
            client_id,
            client_secret,
            identifier,
        } = settings;
        let own = http.own_secrets();
        own.learn(SecretOwner::PortClient, vec![client_secret.clone()]);
        PortClient {
            inner: Arc::new(Inner {
                http,
                base_url,
                identifier,
                credentials: Mutex::new(ClientCredentials {
                    client_id,
                    client_secret,
                }),
                token: Mutex::default(),
                fetching: tokio::sync::Mutex::default(),
                max_bulk: AtomicUsize::new(MAX_BULK),
                blueprints: Mutex::default(),
            }),
            pace: Tries::Patient,
            stand_in: None,
        }
    }

    /// The same client for work under the pen: nothing is repeated and nothing sleeps; each call has at most ten
    /// seconds, and is not begun when those reach past its deadline ([`Error::OutOfTime`]). A refused token is
    /// replaced, as one more such call.
    #[must_use]
    pub fn once(&self) -> PortClient {
        PortClient {
            pace: Tries::Once,
            ..self.clone()
        }
    }

    /// Takes rotated credentials for the next token. A token in use stays in use until it expires or is refused.
    pub fn replace_credentials(&self, client_id: String, client_secret: SecretString) {
        self.own_secrets()
            .learn(SecretOwner::PortClient, vec![client_secret.clone()]);
        *locked(&self.inner.credentials) = ClientCredentials {
            client_id,
            client_secret,
        };
    }

    /// What no text from this client shows.
    pub fn own_secrets(&self) -> &OwnSecrets {
        self.inner.http.own_secrets()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.http.clock().now()
    }

    /// Sends `call` and returns its answer if that is a success, whatever its body.
    pub(super) async fn call(&self, call: Call, deadline: &Deadline) -> Result<(), Error> {
        self.call_reading(call, deadline, |_| Ok(())).await
    }

    /// Sends `call`, and reads the body with `read`; what that cannot read is an outage.
    ///
    /// A 401 fetches a new token and repeats the call once, whatever its method: it was not carried out.
    pub(super) async fn call_reading<T>(
        &self,
        call: Call,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<T, Error> {
        let url = call.url(&self.inner.base_url)?;
        let request = format!("{} {}", call.method, url.path());
        let mut refused = None;
        loop {
            let token = self.token(refused.as_ref(), deadline).await?;
            let Reply { answer, content } = self
                .send(&call, &url, Some(&token.header), deadline, &read)
                .await
                .map_err(|error| Error::from_http(request.clone(), error, deadline))?;
            tracing::debug!(
                method = %call.method,
                path = url.path(),
                status = answer.status.as_u16(),
                "Port answered"
            );
            if let Some(content) = content {
                return content.map_err(|source| Error::Unexpected {
                    request,
                    trace_id: TraceId::of(&answer),
                    source,
                });
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
        self.call_reading(call, deadline, Answer::json).await
    }

    pub(super) async fn send<T>(
        &self,
        call: &Call,
        url: &Url,
        token: Option<&HeaderValue>,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<Reply<T>, HttpError> {
        let (http, policy) = match self.pace {
            Tries::Patient => (self.inner.http.clone(), *call.policy),
            Tries::Once => {
                let (http, policy) = (self.inner.http.at_most(PEN_TIMEOUT), call.policy.once());
                if !deadline.has(http.timeout(&policy)) {
                    let request = call.shown();
                    return Err(HttpError::OutOfTime { request });
                }
                (http, policy)
            }
        };
        let agent = self.user_agent(call.agent);
        let build = || {
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
        };
        http.send(&policy, deadline, build, read).await
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
}

impl fmt::Debug for PortClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortClient")
            .field("base_url", &self.inner.base_url.as_str())
            .field("identifier", &self.inner.identifier)
            .finish_non_exhaustive()
    }
}
