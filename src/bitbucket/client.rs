//! Requests to Bitbucket: addresses, credentials, repetitions, and the first reading of the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use super::auth::Credential;
use super::error::Error;
use super::pages::Pages;
use super::rate_limit::{Allowance, Group, Purpose, Turn, turn};
use crate::deadline::Deadline;
use crate::http::{Answer, Http, RetryPolicy, retry_after};

/// Requests to the API under way at once, with each credential and with all. Short bursts draw a 429 far below the
/// hourly limit, and answers take memory.
const API_REQUESTS_AT_ONCE: AtOnce = AtOnce { each: 8, all: 32 };

/// The same of files: five times as many may go within an hour, and most are a few KB.
const FILES_AT_ONCE: AtOnce = AtOnce { each: 16, all: 64 };

/// Longest page that is read: fifty pull requests with descriptions of the greatest length fit in well.
const MAX_JSON_BYTES: usize = 32 << 20;

/// Longest file that is read. Port takes bodies of up to 1 MiB, so a longer text could not be stored anyway.
const MAX_FILE_BYTES: usize = 1 << 20;

/// Waits up to this long are sat out; for longer ones the caller has better things to do.
const SHORT_WAIT: Duration = Duration::from_secs(10);

const JSON: RetryPolicy = RetryPolicy {
    max_retries: 4,
    base_delay: Duration::from_millis(500),
    max_delay: Duration::from_secs(10),
    timeout: Duration::from_secs(60),
    max_body: MAX_JSON_BYTES,
    // 429 is not among them: another credential may go at once. 555 neither: the same list would take as long again.
    statuses: &[408, 500, 502, 503, 504],
};

pub(super) const RAW_FILE: RetryPolicy = RetryPolicy {
    max_body: MAX_FILE_BYTES,
    ..JSON
};

const WRITE: RetryPolicy = RetryPolicy {
    max_retries: 0,
    ..JSON
};

/// Values of a query: everything that is not plain is encoded, the plus of `fields` above all.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Where Bitbucket is, and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// With the version: `https://api.bitbucket.org/2.0`.
    pub base_url: Url,
    /// Slug or uuid.
    pub workspace: String,
    /// All are used; each has its own allowance.
    pub credentials: Vec<Credential>,
    /// The share of each allowance that a resync leaves to live events, 0 to 1.
    pub live_reserve: f64,
}

/// Clones share credentials, allowances and connections.
#[derive(Clone)]
pub struct BitbucketClient {
    shared: Arc<Shared>,
    purpose: Purpose,
}

struct Shared {
    http: Http,
    base_url: Url,
    workspace: String,
    live_reserve: f64,
    accounts: Mutex<Vec<Account>>,
    slots: Mutex<Slots>,
    set_aside: Mutex<Vec<String>>,
}

/// How many requests may be under way.
struct AtOnce {
    /// With each credential.
    each: usize,
    /// With all of them.
    all: usize,
}

/// As many permits as requests may be under way.
struct Slots {
    api: Arc<Semaphore>,
    raw_files: Arc<Semaphore>,
}

struct Account {
    credential: Credential,
    allowance: Allowance,
}

impl BitbucketClient {
    pub fn new(http: Http, settings: Settings) -> BitbucketClient {
        let Settings {
            base_url,
            workspace,
            credentials,
            live_reserve,
        } = settings;
        let account = |credential| Account {
            credential,
            allowance: Allowance::new(),
        };
        let shared = Shared {
            http,
            base_url,
            workspace,
            live_reserve,
            slots: Mutex::new(Slots::new(credentials.len())),
            accounts: Mutex::new(credentials.into_iter().map(account).collect()),
            set_aside: Mutex::default(),
        };
        BitbucketClient {
            shared: Arc::new(shared),
            purpose: Purpose::Live,
        }
    }

    /// The same client, spending for `purpose`.
    #[must_use]
    pub fn with_purpose(&self, purpose: Purpose) -> BitbucketClient {
        BitbucketClient {
            shared: Arc::clone(&self.shared),
            purpose,
        }
    }

    /// Goes on with `credentials`. Those that stay keep what they have used; refused ones get another chance.
    pub fn replace_credentials(&self, credentials: Vec<Credential>) {
        let mut accounts = self.accounts();
        if accounts.len() != credentials.len() {
            *lock(&self.shared.slots) = Slots::new(credentials.len());
        }
        let before = std::mem::take(&mut *accounts);
        *accounts = credentials
            .into_iter()
            .map(|credential| {
                let known = before
                    .iter()
                    .find(|account| account.credential.is(&credential));
                let mut allowance =
                    known.map_or_else(Allowance::new, |account| account.allowance.clone());
                allowance.revoked = false;
                Account {
                    credential,
                    allowance,
                }
            })
            .collect();
    }

    /// Where all credentials are set aside, each gets another chance: a refusal may have been Bitbucket's mistake.
    pub fn try_refused_again(&self) {
        let mut accounts = self.accounts();
        if accounts.iter().all(|account| account.allowance.revoked) {
            for account in accounts.iter_mut() {
                account.allowance.revoked = false;
            }
        }
    }

    /// How many requests to the API may be under way: whoever asks for more at once only waits.
    pub fn requests_at_once(&self) -> usize {
        API_REQUESTS_AT_ONCE.with(self.accounts().len())
    }

    /// How many contents of files may be under way.
    pub fn files_at_once(&self) -> usize {
        FILES_AT_ONCE.with(self.accounts().len())
    }

    /// How many requests to the API may go within this hour, all credentials together.
    pub fn requests_left(&self) -> u32 {
        let now = self.shared.http.clock().now();
        let reserve = self.reserve();
        let mut accounts = self.accounts();
        let allowances = accounts.iter_mut().map(|account| &mut account.allowance);
        allowances
            .filter(|allowance| !allowance.revoked)
            .map(|allowance| allowance.left(Group::Api, reserve, now))
            .sum()
    }

    /// What each credential has used, by a name that does not give it away: for the next process.
    pub fn usage(&self) -> BTreeMap<String, Allowance> {
        let accounts = self.accounts();
        let named = accounts
            .iter()
            .map(|account| (account.credential.name(), account.allowance.clone()));
        named.collect()
    }

    /// Takes in the [`usage`](Self::usage) that another process has left.
    pub fn learn(&self, usage: &BTreeMap<String, Allowance>) {
        for account in self.accounts().iter_mut() {
            if let Some(known) = usage.get(&account.credential.name()) {
                account.allowance.learn(known);
            }
        }
    }

    /// Which credentials were set aside since this was asked last, and why.
    pub fn take_set_aside(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.set_aside))
    }

    /// Not repeated: whoever keeps something right looks before the next try.
    pub(super) async fn write(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        self.request(Group::Api, &WRITE, (&method, body), url, deadline)
            .await
            .map(|_| ())
    }

    pub(super) fn workspace_name(&self) -> &str {
        &self.shared.workspace
    }

    pub(super) fn list<'a>(
        &self,
        route: impl IntoIterator<Item = &'a str>,
        parameters: &[(&str, &str)],
    ) -> Pages {
        Pages::new(self.clone(), self.url(route, parameters))
    }

    /// Braces of a uuid, slashes and all other special characters of a segment are encoded.
    pub(super) fn url<'a>(
        &self,
        route: impl IntoIterator<Item = &'a str>,
        parameters: &[(&str, &str)],
    ) -> Url {
        let mut url = self.shared.base_url.clone();
        // A base address is http or https, which always have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(route);
        }
        if !parameters.is_empty() {
            let pairs = parameters
                .iter()
                .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY)));
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
        }
        url
    }

    /// An address that Bitbucket gave us. Credentials go nowhere but where the configuration says.
    pub(super) fn own(&self, address: &str) -> Result<Url, Error> {
        let base = &self.shared.base_url;
        let unexpected =
            |reason: String| Error::unexpected("a link to the next page", anyhow!(reason));
        let url = Url::parse(address)
            .map_err(|error| unexpected(format!("it is no address: {error}")))?;
        if url.origin() != base.origin() {
            let (host, own) = (
                url.host_str().unwrap_or_default(),
                base.host_str().unwrap_or_default(),
            );
            return Err(unexpected(format!(
                "it leads to the host {host} instead of {own}"
            )));
        }
        Ok(url)
    }

    pub(super) async fn get(&self, url: Url, deadline: &Deadline) -> Result<Value, Error> {
        let answer = self.send(Group::Api, &JSON, &url, deadline).await?;
        answer
            .json()
            .map_err(|source| Error::unexpected(url.path(), source))
    }

    pub(super) async fn send(
        &self,
        group: Group,
        policy: &RetryPolicy,
        url: &Url,
        deadline: &Deadline,
    ) -> Result<Answer, Error> {
        self.request(group, policy, (&Method::GET, None), url, deadline)
            .await
    }

    /// Sends with one credential after the other until one is neither refused nor out of allowance.
    async fn request(
        &self,
        group: Group,
        policy: &RetryPolicy,
        (method, body): (&Method, Option<&Value>),
        url: &Url,
        deadline: &Deadline,
    ) -> Result<Answer, Error> {
        let request = url.path();
        let mut refusal = String::new();
        let slots = lock(&self.shared.slots).of(group);
        // Closed only when it is dropped.
        let _slot = slots
            .acquire()
            .await
            .map_err(|error| Error::unexpected(request, error.into()))?;
        loop {
            let (index, header) = match self.choose(group) {
                Turn::Take(index) => match self.header(index) {
                    Some(header) => (index, header),
                    None => continue,
                },
                Turn::Wait(wait) if wait <= SHORT_WAIT && deadline.has(wait) => {
                    self.shared.http.clock().sleep(wait).await;
                    continue;
                }
                Turn::Wait(retry_after) => return Err(Error::RateLimited { retry_after }),
                Turn::Nobody => return Err(Error::Unauthorized { message: refusal }),
            };
            let outcome = self.shared.http.send(policy, deadline, || {
                self.with_allowance(index, |allowance| {
                    allowance.count(group, self.shared.http.clock().now())
                });
                let client = self.shared.http.client();
                let builder = client.request(method.clone(), url.clone());
                let builder = match body {
                    Some(body) => builder.json(body),
                    None => builder,
                };
                builder
                    .header(AUTHORIZATION, header.clone())
                    .header(ACCEPT, "application/json, */*;q=0.5")
            });
            let answer = outcome
                .await
                .map_err(|error| Error::from_http(request, error, deadline))?;
            let now = self.shared.http.clock().now();
            if answer.status.as_u16() == 429 {
                let wait = retry_after(&answer.headers, now);
                self.with_allowance(index, |allowance| allowance.refuse(group, wait, now));
                continue;
            }
            let limit = answer
                .header("x-ratelimit-limit")
                .and_then(|limit| limit.trim().parse().ok());
            let near_limit = answer
                .header("x-ratelimit-nearlimit")
                .is_some_and(|near| near.trim() == "true");
            self.with_allowance(index, |allowance| {
                allowance.accept(group, limit, near_limit, now)
            });
            if answer.status.is_success() {
                return Ok(answer);
            }
            match Error::from_answer(request, &answer) {
                Error::Unauthorized { message } => {
                    refusal = message;
                    self.set_aside(index, "Bitbucket refuses it");
                }
                error => return Err(error),
            }
        }
    }

    fn choose(&self, group: Group) -> Turn {
        let reserve = self.reserve();
        let now = self.shared.http.clock().now();
        turn(
            self.accounts()
                .iter_mut()
                .map(|account| &mut account.allowance),
            group,
            reserve,
            now,
        )
    }

    fn reserve(&self) -> f64 {
        match self.purpose {
            Purpose::Resync => self.shared.live_reserve,
            Purpose::Live => 0.0,
        }
    }

    fn header(&self, index: usize) -> Option<HeaderValue> {
        let header = self
            .accounts()
            .get(index)
            .map(|account| account.credential.header())?;
        if header.is_none() {
            self.set_aside(index, "it holds characters that no header may hold");
        }
        header
    }

    fn set_aside(&self, index: usize, reason: &str) {
        let mut accounts = self.accounts();
        let all = accounts.len();
        if let Some(account) = accounts.get_mut(index)
            && !account.allowance.revoked
        {
            account.allowance.revoked = true;
            tracing::warn!(
                credential = index + 1,
                of = all,
                reason,
                "Bitbucket credential set aside"
            );
            let line = format!(
                "Bitbucket credential {} of {all} set aside: {reason}",
                index + 1
            );
            lock(&self.shared.set_aside).push(line);
        }
    }

    fn with_allowance(&self, index: usize, change: impl FnOnce(&mut Allowance)) {
        if let Some(account) = self.accounts().get_mut(index) {
            change(&mut account.allowance);
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Vec<Account>> {
        lock(&self.shared.accounts)
    }
}

impl AtOnce {
    /// Credentials share the work, so each adds to what may be under way.
    fn with(&self, credentials: usize) -> usize {
        (self.each * credentials.max(1)).min(self.all)
    }
}

impl Slots {
    fn new(credentials: usize) -> Slots {
        let permits = |limit: AtOnce| Arc::new(Semaphore::new(limit.with(credentials)));
        Slots {
            api: permits(API_REQUESTS_AT_ONCE),
            raw_files: permits(FILES_AT_ONCE),
        }
    }

    fn of(&self, group: Group) -> Arc<Semaphore> {
        Arc::clone(match group {
            Group::Api => &self.api,
            Group::RawFiles => &self.raw_files,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
