//! HTTP as both outside systems need it: one connection pool, one decision what is repeated in place.
//!
//! `repetition` decides about repetitions, `repeats` tells of them, `unreachable` says why no connection comes about; `wait`
//! reads `Retry-After`, `proxy` `NO_PROXY`, `redirect` where an answer leads, `answer` what it holds. Knows no endpoint
//! and no JSON shape. Credentials it knows only as what no answer may show: what is said of an answer, by
//! whomever, is said without them. Requests and bodies are never logged.

mod answer;
mod proxy;
mod redirect;
mod repeats;
mod repetition;
mod unreachable;
mod wait;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::RequestBuilder;

pub use answer::{Answer, Reply};
pub use proxy::Proxies;
pub use redirect::{is_same_place, redirect_target, shown_redirect};
pub use repeats::{Repeat, Repeats};
pub use unreachable::NoConnection;
pub use wait::retry_after;

use repetition::Repetition;

use crate::deadline::{Clock, Deadline};
use crate::locked::locked;
use crate::own_secrets::OwnSecrets;

/// Both APIs answer small requests within a second; a connection that takes longer will not come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest single wait in place, unless [`Http::patient`] says more: on Lambda sleeping costs as much as working.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection pool, shared by all clients of a process.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    clock: Clock,
    sent: Arc<AtomicU64>,
    /// Takes the place of what a policy says about one answer.
    timeout: Option<Duration>,
    /// No single wait in place is longer.
    patience: Duration,
    own: OwnSecrets,
    repeats: Arc<Repeats>,
    /// Hosts that have answered; `None` where every host is asked again.
    answered: Option<Arc<Mutex<BTreeSet<String>>>>,
}

/// What is worth repeating, how often and how patiently.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Repetitions after the first try.
    pub max_retries: usize,
    /// The first wait; each next one doubles.
    pub base_delay: Duration,
    /// No single wait is longer, whatever the server asks for.
    pub max_delay: Duration,
    /// Longest time for one try, connection and body included.
    pub timeout: Duration,
    /// Bytes of body that are read at most; a longer one is [`HttpError::TooLarge`].
    pub max_body: usize,
    /// Answers that a repetition may mend. Failures without an answer are always repeated.
    pub statuses: &'static [u16],
    /// Repetitions after a 500, or after a success that could not be read: some stand for a defect that each
    /// repetition meets again.
    pub max_defects: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No answer: refused, reset, timed out, cut short.
    #[error("no complete answer to {request}")]
    Transport {
        request: String,
        source: reqwest::Error,
    },
    /// No connection to a host that has never answered, for people who wait: see [`Http::failing_fast`].
    #[error("no connection to {host}: {why}")]
    Unreachable {
        host: String,
        why: NoConnection,
        source: reqwest::Error,
    },
    #[error("the answer to {request} is larger than {limit} bytes")]
    TooLarge { request: String, limit: usize },
    #[error("no time left for {request}")]
    OutOfTime { request: String },
    /// Nothing was sent.
    #[error("{request} cannot be sent")]
    Invalid {
        request: String,
        source: reqwest::Error,
    },
}

impl Http {
    pub fn new(clock: Clock) -> anyhow::Result<Http> {
        Http::behind(None, clock)
    }

    /// With connections that lead over `proxies`; without them over those that the machine names.
    pub fn behind(proxies: Option<Proxies>, clock: Clock) -> anyhow::Result<Http> {
        // The first one stays; there is no other to be displaced.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("ferry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect decides who is told our credentials, and whose word is believed: the clients see to it.
            .redirect(reqwest::redirect::Policy::none());
        let builder = match proxies {
            Some(proxies) => builder.proxy(proxies.into_proxy()),
            None => builder,
        };
        let client = builder.build().context("cannot set up the HTTP client")?;
        Ok(Http {
            client,
            repeats: Arc::new(Repeats::new(clock.clone())),
            answered: None,
            clock,
            sent: Arc::default(),
            timeout: None,
            patience: PATIENCE,
            own: OwnSecrets::default(),
        })
    }

    /// The same, sitting out single waits of up to `patience`: where nobody pays for sleep.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Http {
        Http { patience, ..self }
    }

    /// The same, where others know of the secrets, too, that are named to this client.
    #[must_use]
    pub fn hiding(self, own: OwnSecrets) -> Http {
        Http { own, ..self }
    }

    /// The same, where nobody connects a second time to a host that has never answered: a wrong address, a missing proxy
    /// and an unknown certificate are no outage, and somebody waits to hear of them.
    #[must_use]
    pub fn failing_fast(self) -> Http {
        Http {
            answered: Some(Arc::default()),
            ..self
        }
    }

    /// Whoever sends a credential names it here; whoever shows what came from outside hides it.
    pub fn own_secrets(&self) -> &OwnSecrets {
        &self.own
    }

    /// The same, waiting `timeout` for each answer where that is given.
    #[must_use]
    pub fn with_timeout(self, timeout: Option<Duration>) -> Http {
        Http { timeout, ..self }
    }

    /// The same, waiting for an answer no longer than `limit`, whatever was set.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Http {
        Http {
            timeout: Some(self.timeout.map_or(limit, |timeout| timeout.min(limit))),
            ..self.clone()
        }
    }

    /// The longest time that one try under `policy` takes, the deadline aside.
    pub fn timeout(&self, policy: &RetryPolicy) -> Duration {
        self.timeout.unwrap_or(policy.timeout)
    }

    /// For building requests to [`send`](Http::send).
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Tells of what is asked again.
    pub fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// Requests sent so far, repetitions included.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends what `request` builds until an answer comes that `policy` does not repeat, or the retries or the
    /// deadline are used up; then the last answer, whatever its status, or the last failure is returned.
    ///
    /// `read` is given each success. What it cannot read is no answer to what was asked, whatever the status says
    /// (a gateway's HTML, half a body), and is repeated as an outage is.
    ///
    /// How often and after how long it is asked again, `Repetition` says.
    pub async fn send<T>(
        &self,
        policy: &RetryPolicy,
        deadline: &Deadline,
        request: impl Fn() -> RequestBuilder,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<Reply<T>, HttpError> {
        let mut repetition = Repetition::new(self, policy, deadline);
        loop {
            let (client, built) = request().build_split();
            let built = built.map_err(|source| HttpError::Invalid {
                request: "a malformed request".into(),
                source: source.without_url(),
            })?;
            let host = host(built.url());
            let shown = format!("{} {}", built.method(), built.url().path());
            let sent = self.try_once(policy, deadline, (client, built), (&host, &shown));
            let outcome = sent
                .await
                .map(|answer| Reply::read(answer, &self.own, &read));
            match repetition.after((&host, &shown), &outcome) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return outcome,
            }
        }
    }

    async fn try_once(
        &self,
        policy: &RetryPolicy,
        deadline: &Deadline,
        (client, mut request): (reqwest::Client, reqwest::Request),
        (host, shown): (&str, &str),
    ) -> Result<Answer, HttpError> {
        let left = deadline.remaining();
        if left.is_zero() {
            let request = shown.to_owned();
            return Err(HttpError::OutOfTime { request });
        }
        *request.timeout_mut() = Some(self.timeout(policy).min(left));
        self.sent.fetch_add(1, Ordering::Relaxed);
        let transport = |source: reqwest::Error| HttpError::Transport {
            request: shown.to_owned(),
            // The URL may carry a query of any length; `shown` says enough.
            source: source.without_url(),
        };
        let sent = client.execute(request).await;
        let mut response = sent.map_err(|source| match self.no_first_contact(host, &source) {
            Some(why) => HttpError::Unreachable {
                host: host.to_owned(),
                why,
                source: source.without_url(),
            },
            None => transport(source),
        })?;
        if let Some(answered) = &self.answered {
            locked(answered).insert(host.to_owned());
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if policy.max_body < body.len() + chunk.len() {
                return Err(HttpError::TooLarge {
                    request: shown.to_owned(),
                    limit: policy.max_body,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Why there is no connection, where that is final: `host` has never answered.
    fn no_first_contact(&self, host: &str, error: &reqwest::Error) -> Option<NoConnection> {
        let answered = self.answered.as_ref()?;
        let is_known = locked(answered).contains(host);
        NoConnection::of(error).filter(|_| !is_known)
    }
}

/// With its port, where it is not the usual one.
fn host(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl RetryPolicy {
    /// The same without repetitions.
    #[must_use]
    pub fn once(self) -> RetryPolicy {
        RetryPolicy {
            max_retries: 0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OCEAN__CLIENT_TIMEOUT` takes the place of what a policy would wait.
    #[tokio::test]
    async fn an_answer_that_does_not_come_is_waited_for_as_long_as_was_set() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let http = Http::new(Clock::System)
            .unwrap()
            .with_timeout(Some(Duration::from_millis(20)));
        let policy = RetryPolicy {
            max_retries: 0,
            base_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            timeout: Duration::from_secs(3_600),
            max_body: 1,
            statuses: &[],
            max_defects: 0,
        };
        let deadline = Deadline::after(http.clock(), Duration::from_secs(3_600));
        let outcome = http
            .send(&policy, &deadline, || http.client().get(&url), |_| Ok(()))
            .await;
        let Err(HttpError::Transport { source, .. }) = outcome else {
            panic!("an answer from nobody");
        };
        assert!(source.is_timeout(), "{source}");
    }
}
