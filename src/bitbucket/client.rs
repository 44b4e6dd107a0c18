//! The client: where Bitbucket is, how an address is written, and what is asked with which patience.
//!
//! `sending` sends; `resources` and `by_id` know what there is to ask for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::accounts::Accounts;
use super::auth::Credential;
use super::error::Error;
use super::git::Git;
use super::heads::Heads;
use super::pages::Pages;
use super::rate_limit::{Allowance, Purpose, RateGroup};
use super::sending::{Body, Sending};
use super::slots::{self, Slots};
use super::tree::TreeQueries;
use crate::config::ContentsOver;
use crate::deadline::Deadline;
use crate::http::{Answer, Http, RetryPolicy};
use crate::locked::locked;
use crate::own_secrets::{OwnSecrets, SecretOwner};

/// Longest page that is read: fifty pull requests with descriptions of the greatest length fit in well.
const MAX_JSON_BYTES: usize = 32 << 20;

/// Longest file that is read. Port takes bodies of up to 1 MiB, so a longer text could not be stored anyway.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;

pub(super) const JSON: RetryPolicy = RetryPolicy {
    max_retries: 4,
    base_delay: Duration::from_millis(500),
    max_delay: Duration::from_secs(10),
    timeout: Duration::from_secs(60),
    max_body: MAX_JSON_BYTES,
    // 429 is not among them: another credential may go at once. 555 neither: the same list would take as long again.
    statuses: &[408, 500, 502, 503, 504],
    max_defects: 4,
};

const RAW_FILE: RetryPolicy = RetryPolicy {
    max_body: MAX_FILE_BYTES,
    ..JSON
};

const WRITE: RetryPolicy = RetryPolicy {
    max_retries: 0,
    ..JSON
};

/// Segments of a path and values of a query: everything that is not plain is encoded, the plus of `fields` above all, and
/// the tabs and line breaks that names of files may hold and addresses on the web lose.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Where Bitbucket is, and who we are there.
#[derive(Clone, Debug)]
pub struct BitbucketSettings {
    /// With the version: `https://api.bitbucket.org/2.0`.
    pub base_url: Url,
    /// Slug or uuid.
    pub workspace: String,
    /// All are used; each has its own allowance.
    pub credentials: Vec<Credential>,
    /// The share of each allowance that a resync leaves to live events, 0 to 1.
    pub live_reserve: f64,
    /// How contents of repositories are read.
    pub contents_over: ContentsOver,
}

/// Clones share credentials, allowances and connections.
#[derive(Clone)]
pub struct BitbucketClient {
    pub(super) shared: Arc<Shared>,
    purpose: Purpose,
}

pub(super) struct Shared {
    pub(super) http: Http,
    base_url: Url,
    workspace: String,
    live_reserve: f64,
    pub(super) git: Git,
    pub(super) accounts: Accounts,
    /// Held while a credential is probed, so that several refusals ask once.
    pub(super) probing: tokio::sync::Mutex<()>,
    pub(super) slots: Mutex<Slots>,
    pub(super) tree_queries: TreeQueries,
    pub(super) heads: Heads,
}

impl BitbucketClient {
    pub fn new(http: Http, settings: BitbucketSettings) -> BitbucketClient {
        let BitbucketSettings {
            base_url,
            workspace,
            credentials,
            live_reserve,
            contents_over,
        } = settings;
        tell(http.own_secrets(), &credentials);
        let shared = Shared {
            http,
            git: Git::beside(&base_url, contents_over),
            base_url,
            workspace,
            live_reserve,
            slots: Mutex::new(Slots::new(credentials.len())),
            accounts: Accounts::new(credentials),
            probing: tokio::sync::Mutex::default(),
            tree_queries: TreeQueries::default(),
            heads: Heads::default(),
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
        tell(self.shared.http.own_secrets(), &credentials);
        if self.shared.accounts.len() != credentials.len() {
            *locked(&self.shared.slots) = Slots::new(credentials.len());
        }
        self.shared.accounts.replace(credentials);
    }

    /// Where all credentials are set aside, each gets another chance: a refusal may have been Bitbucket's mistake.
    pub fn try_refused_again(&self) {
        self.shared.accounts.try_refused_again();
    }

    /// Whether Bitbucket has refused all credentials, when they were used last.
    pub fn is_refused(&self) -> bool {
        self.shared.accounts.are_refused()
    }

    /// How many requests to the API may be under way: whoever asks for more at once only waits.
    pub fn requests_at_once(&self) -> usize {
        slots::API.with(self.shared.accounts.len())
    }

    /// How many contents of files may be under way.
    pub fn files_at_once(&self) -> usize {
        slots::RAW_FILES.with(self.shared.accounts.len())
    }

    /// How many requests to the API may go within this hour, all credentials together.
    pub fn requests_left(&self) -> u32 {
        let now = self.shared.http.clock().now();
        self.shared
            .accounts
            .left(RateGroup::Api, self.reserve(), now)
    }

    /// What each credential has used, by a name that does not give it away: for the next process.
    pub fn usage(&self) -> BTreeMap<String, Allowance> {
        self.shared.accounts.usage()
    }

    /// The allowance of each credential, in their order.
    pub fn allowances(&self) -> Vec<Allowance> {
        self.shared.accounts.allowances()
    }

    /// Takes in the [`usage`](Self::usage) that another process has left.
    pub fn learn(&self, usage: &BTreeMap<String, Allowance>) {
        self.shared.accounts.learn_usage(usage);
    }

    /// Which credentials were set aside since this was asked last, and why.
    pub fn take_set_aside(&self) -> Vec<String> {
        self.shared.accounts.take_set_aside()
    }

    /// Numbers of the credentials that are set aside, from 1, and how many there are in all.
    pub fn refused(&self) -> (Vec<usize>, usize) {
        self.shared.accounts.refused()
    }

    /// Not repeated: whoever keeps something right looks before the next try.
    pub(super) async fn write(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let sending = Sending {
            group: RateGroup::Api,
            policy: &WRITE,
            method,
            body: body.map(Body::Json),
            url,
        };
        self.request(&sending, deadline, |_| Ok(())).await
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
        let base = url.path().trim_end_matches('/').to_owned();
        // Nobody is named so, and the address would lead elsewhere.
        let route = route
            .into_iter()
            .filter(|segment| !matches!(*segment, "." | ".."));
        let path = route.fold(base, |path, segment| format!("{path}/{}", encoded(segment)));
        url.set_path(&path);
        if !parameters.is_empty() {
            let pairs = parameters
                .iter()
                .map(|(name, value)| format!("{name}={}", encoded(value)));
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
        }
        url
    }

    /// Our own address for one that Bitbucket gave us: proxies and mirrors name other hosts, schemes and ports than
    /// the configuration does, and credentials go nowhere but there. Path and query stay.
    pub(super) fn own(&self, address: &str) -> Result<Url, Error> {
        let base = &self.shared.base_url;
        let unexpected = |reason: anyhow::Error| {
            Error::unexpected(
                "a link to the next page",
                reason.context("it is no address"),
            )
        };
        let url = Url::parse(address).map_err(|error| unexpected(error.into()))?;
        if url.origin() == base.origin() {
            return Ok(url);
        }
        if url.cannot_be_a_base() {
            return Err(unexpected(anyhow!("{}:", url.scheme())));
        }
        let mut own = base.clone();
        own.set_path(&own_path(base.path(), url.path()));
        own.set_query(url.query());
        Ok(own)
    }

    /// Asks the API as patiently as `policy` says, and reads the answer with `read`; what that cannot read is asked for again.
    pub(super) async fn read_as<T>(
        &self,
        policy: &RetryPolicy,
        url: &Url,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<T, Error> {
        let sending = Sending::get(RateGroup::Api, policy, url);
        self.request(&sending, deadline, read).await
    }

    /// The bytes of the file at `url`; `None` for a folder. Bitbucket guesses a file's type from the name: a page under
    /// any other name is a gateway's.
    pub(super) async fn bytes(
        &self,
        url: &Url,
        deadline: &Deadline,
    ) -> Result<Option<Vec<u8>>, Error> {
        let sending = Sending::get(RateGroup::RawFiles, &RAW_FILE, url);
        let may_be_page = url.path().to_ascii_lowercase().contains("htm");
        let read = |answer: &Answer| {
            let kind = answer.header("content-type").unwrap_or_default();
            let is_page = kind.starts_with("text/html") && !may_be_page;
            ensure!(!is_page, "no file: {}", answer.excerpt());
            Ok((!is_folder(answer)).then(|| answer.body.clone()))
        };
        self.request(&sending, deadline, read).await
    }

    pub(super) fn reserve(&self) -> f64 {
        match self.purpose {
            Purpose::Resync => self.shared.live_reserve,
            Purpose::Live => 0.0,
        }
    }
}

/// A segment of a path, or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Whether Bitbucket has answered with what a folder holds. It sends files as attachments, and the entries of a folder as
/// a page of a list (Bitbucket REST API, source).
fn is_folder(answer: &Answer) -> bool {
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") || answer.header("content-disposition").is_some() {
        return false;
    }
    let is_entry = |entry: &Value| {
        let kind = entry.get("type").and_then(Value::as_str);
        matches!(kind, Some("commit_file" | "commit_directory"))
    };
    let page = answer.value().unwrap_or_default();
    let entries = page.get("values").and_then(Value::as_array);
    entries.is_some_and(|entries| !entries.is_empty() && entries.iter().all(is_entry))
}

/// `path` below our base. A proxy may put the API elsewhere: what follows the version (`2.0`, the last segment of the
/// base) is the same everywhere.
fn own_path(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let version = base.rsplit('/').next().unwrap_or_default();
    let below = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(version))
        .filter(|below| below.starts_with('/') && !version.is_empty());
    match below {
        Some(below) => format!("{base}{below}"),
        None => path.to_owned(),
    }
}

/// What answers must not be shown with.
fn tell(own: &OwnSecrets, credentials: &[Credential]) {
    let forms = credentials.iter().flat_map(Credential::forms);
    own.learn(SecretOwner::Bitbucket, forms.collect());
}
