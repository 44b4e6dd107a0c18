//! Who may see what, how often, and how the service misbehaves.
//!
//! Set by tests, read by the routes. Knows no routes.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::{Request, Response};

use super::refusal::{lacks_scope, refuse, removed};

/// Legal but inconvenient behaviour, all off by default.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// Lists come in the opposite order.
    pub reversed_lists: bool,
    /// The last item of a page comes again as the first of the next.
    pub duplicates: bool,
    /// An empty page, with `next`, before the second.
    pub empty_pages: bool,
    /// The first page comes again as the second, as when as many items have appeared meanwhile.
    pub repeated_page: bool,
    /// A page holds one item more than its `pagelen` says.
    pub longer_pages: bool,
    /// The last page has `"next": ""`.
    pub empty_next: bool,
    /// No page is longer, whatever was asked for, so that a few objects already need several.
    pub longest_page: usize,
    /// The pipelines list names no next page, though its `size` says that there is more.
    pub pipelines_without_next: bool,
    /// `next` names another scheme, host and port, as behind a proxy.
    pub next_elsewhere: bool,
    /// One of so many requests fails in passing, by turns: 401, HTML under 200, half of the body.
    pub trouble_every: Option<usize>,
    /// A forced push removes the commits it replaced.
    pub forget_forced_commits: bool,
    /// Directory listings with more entries than this time out (HTTP 555).
    pub listing_limit: usize,
    /// Nobody answers where git is spoken elsewhere.
    pub without_git: bool,
    /// Git leaves nothing out of what it sends.
    pub git_without_filters: bool,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            reversed_lists: false,
            duplicates: false,
            empty_pages: false,
            repeated_page: false,
            longer_pages: false,
            empty_next: false,
            longest_page: usize::MAX,
            pipelines_without_next: false,
            next_elsewhere: false,
            trouble_every: None,
            forget_forced_commits: false,
            listing_limit: 10_000,
            without_git: false,
            git_without_filters: false,
        }
    }
}

impl Quirks {
    /// All at once: the worst lists that a client has to read to their end.
    pub fn worst() -> Quirks {
        Quirks {
            reversed_lists: true,
            duplicates: true,
            empty_pages: true,
            repeated_page: true,
            longer_pages: true,
            empty_next: true,
            longest_page: 3,
            pipelines_without_next: true,
            next_elsewhere: true,
            trouble_every: Some(7),
            forget_forced_commits: true,
            ..Quirks::default()
        }
    }
}

/// How a repository is closed to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// As if it did not exist: missing from lists, 404 for everything below it.
    NotFound,
    /// Listed, but everything below it answers 403.
    Forbidden,
}

/// The hourly allowance of a token.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// API requests an hour.
    pub requests: usize,
    /// Raw file reads an hour, where they are a group of their own; without it they are counted with everything else.
    pub raw_files: Option<usize>,
    /// `Retry-After` of a 429, in seconds. Bitbucket usually sends none.
    pub retry_after: Option<u64>,
    /// Whether answers carry the `X-RateLimit-*` headers, as for scaled access tokens.
    pub headers: bool,
}

impl From<usize> for RateLimit {
    fn from(requests: usize) -> RateLimit {
        RateLimit {
            requests,
            raw_files: Some(5_000),
            retry_after: None,
            headers: false,
        }
    }
}

/// The credentials that are accepted, by token or `user:secret`.
#[derive(Clone, Default)]
pub(super) struct Access {
    credentials: BTreeMap<String, Credential>,
}

#[derive(Clone, Default)]
pub(super) struct Credential {
    /// None: every scope.
    pub(super) scopes: Option<BTreeSet<String>>,
    /// By repository uuid.
    pub(super) hidden: BTreeMap<String, Hidden>,
    limit: Option<RateLimit>,
    requests: usize,
    raw_files: usize,
}

impl Access {
    pub(super) fn accept(&mut self, credential: &str) {
        self.credentials.entry(credential.to_owned()).or_default();
    }

    pub(super) fn revoke(&mut self, credential: &str) {
        self.credentials.remove(credential);
    }

    pub(super) fn get_mut(&mut self, credential: &str) -> anyhow::Result<&mut Credential> {
        self.credentials
            .get_mut(credential)
            .ok_or_else(|| anyhow::anyhow!("no such credential"))
    }

    /// All allowances are full again.
    pub(super) fn start_next_hour(&mut self) {
        for credential in self.credentials.values_mut() {
            credential.requests = 0;
            credential.raw_files = 0;
        }
    }

    /// Who sends the request: a Bearer token, or a Basic pair with an e-mail address and an API token.
    pub(super) fn authenticate(&mut self, request: &Request) -> Result<&mut Credential, Response> {
        let denied = || {
            refuse(
                401,
                "Token is invalid, expired, or not supported for this endpoint.",
            )
        };
        let header = request.header("authorization").ok_or_else(denied)?;
        let key = match header.split_once(' ') {
            // A pair sent as a token must not pass for one.
            Some(("Bearer", token)) if !token.contains(':') => token.to_owned(),
            Some(("Basic", encoded)) => {
                let pair = STANDARD.decode(encoded).ok();
                let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
                let pair = pair.ok_or_else(denied)?;
                let user = pair.split_once(':').ok_or_else(denied)?.0;
                if !user.contains('@') {
                    return Err(removed(
                        "CHANGE-3222",
                        "App passwords have been removed; see the announcement.",
                    ));
                }
                pair
            }
            _ => return Err(denied()),
        };
        self.credentials.get_mut(&key).ok_or_else(denied)
    }
}

impl Access {
    /// Who speaks git: there the kind of a token is its user name.
    pub(super) fn authenticate_git(&self, request: &Request) -> Option<&Credential> {
        let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        match pair.split_once(':')? {
            ("x-token-auth", token) => self.credentials.get(token),
            ("x-bitbucket-api-token-auth", token) => {
                let mut pairs = self.credentials.iter();
                let of_user =
                    |key: &str| key.split_once(':').is_some_and(|(_, known)| known == token);
                pairs.find_map(|(key, known)| of_user(key).then_some(known))
            }
            _ => None,
        }
    }
}

impl Credential {
    /// Refuses a call whose scope was not granted.
    pub(super) fn requires(&self, scope: &str) -> Result<(), Response> {
        match &self.scopes {
            Some(granted) if !granted.contains(scope) => Err(lacks_scope(scope, granted)),
            _ => Ok(()),
        }
    }

    pub(super) fn set_limit(&mut self, limit: Option<RateLimit>) {
        self.limit = limit;
        self.requests = 0;
        self.raw_files = 0;
    }

    /// Counts a request; an error when its group is used up.
    pub(super) fn spend(&mut self, raw_file: bool) -> Result<(), Response> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let (used, allowed) = match limit.raw_files.filter(|_| raw_file) {
            Some(raw_files) => (&mut self.raw_files, raw_files),
            None => (&mut self.requests, limit.requests),
        };
        if *used < allowed {
            *used += 1;
            return Ok(());
        }
        let mut response = Response::text(429, "Rate limit for this resource has been exceeded");
        if let Some(seconds) = limit.retry_after {
            response = response.with_header("retry-after", seconds);
        }
        Err(self.with_headers(response, raw_file))
    }

    /// The `X-RateLimit-*` headers, for tokens that get them.
    pub(super) fn with_headers(&self, response: Response, raw_file: bool) -> Response {
        let Some(limit) = self.limit.filter(|limit| limit.headers) else {
            return response;
        };
        let (used, allowed, group) = match limit.raw_files.filter(|_| raw_file) {
            Some(raw_files) => (self.raw_files, raw_files, "api-repositories-src"),
            None => (self.requests, limit.requests, "api-repositories"),
        };
        // "Near" is less than a fifth left.
        let near = allowed.saturating_sub(used) * 5 < allowed;
        response
            .with_header("x-ratelimit-limit", allowed)
            .with_header("x-ratelimit-resource", group)
            .with_header("x-ratelimit-nearlimit", near)
    }
}
