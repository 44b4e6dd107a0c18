//! Trees and files of a repository over git, which has an allowance of its own, sixty times the API's.
//!
//! One request for the trees of any number of commits, one for any number of files. Nothing here is an error to the caller: where
//! git gives nothing, REST has to be asked, and that is counted; `standing` decides when git is left alone. What answers
//! hold is read by `git_contents`.

mod standing;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use git_contents::{Capabilities, Limits, ObjectKind, Objects, Tree, Unusable, fetch};
pub use git_contents::{Mode, Node, ObjectId};
use reqwest::StatusCode;
use url::Url;

use super::accounts::Choice;
use super::client::{BitbucketClient, MAX_FILE_BYTES};
use super::error::Error;
use super::rate_limit::RateGroup;
use super::sending::{Body, Sending};
use crate::config::ContentsOver;
use crate::deadline::{Deadline, later};
use crate::http::{Answer, RetryPolicy};
use crate::locked::locked;
use crate::telemetry::chain;
use standing::{Course, FailureScope, GitFailure, GitStanding};

/// Longest answer that is read. With [`Limits`] it bounds what a repository takes in memory.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What the files of one repository may take in memory, for as long as items are made of them.
const MAX_KEPT_BYTES: usize = 16 << 20;

/// How far git looks for a zero, which no text has (git, `buffer_is_binary`).
const LOOKED_AT_BYTES: usize = 8_000;

/// Files asked for at once: as many as half a megabyte of request names.
const MOST_FILES: usize = 10_000;

/// One more try: REST gives the same, and does not wait.
const FETCH: RetryPolicy = RetryPolicy {
    max_retries: 1,
    base_delay: Duration::from_millis(500),
    max_delay: Duration::from_secs(2),
    timeout: Duration::from_secs(30),
    max_body: MAX_ANSWER_BYTES,
    statuses: &[408, 500, 502, 503, 504],
    max_defects: 0,
};

/// Waits up to this long, and this long together, are sat out where requests have to go some time apart; REST takes longer.
const SHORT_WAIT: Duration = Duration::from_secs(2);
const ALL_WAITS: Duration = Duration::from_secs(10);

/// How long git is not asked with a credential that it has refused.
const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// Where git is, and how it stands there.
pub(super) struct Git {
    base_url: Url,
    standing: Mutex<GitStanding>,
    /// Held while the server is asked what it can do, so that several repositories ask once.
    probing: tokio::sync::Mutex<()>,
}

/// The trees of some commits of one repository, complete.
pub struct CommitTrees {
    objects: Objects,
}

/// A file as git has it.
#[derive(Clone, Debug)]
pub struct GitFile {
    /// In bytes.
    pub size: usize,
    /// `None` where that is more than is read.
    pub content: Option<Arc<[u8]>>,
    /// Whether git takes it for no text.
    pub is_binary: bool,
}

impl Git {
    /// Of the API at `api`: on the same host without `api.`, which is where Bitbucket has it. A proxy of the API that is
    /// named otherwise is asked itself.
    pub(super) fn beside(api: &Url, over: ContentsOver) -> Git {
        let mut base_url = api.clone();
        base_url.set_path("/");
        let host = api.host_str().and_then(|host| host.strip_prefix("api."));
        if let Some(host) = host {
            // A host without its first label is a host.
            base_url.set_host(Some(host)).ok();
        }
        Git {
            base_url,
            standing: Mutex::new(GitStanding::new(over)),
            probing: tokio::sync::Mutex::default(),
        }
    }
}

impl CommitTrees {
    /// Reports every entry of `commit` down to `depth` levels (all without it), in no order.
    pub fn walk(
        &self,
        commit: ObjectId,
        depth: Option<usize>,
        report: &mut dyn FnMut(&str, Node),
    ) -> Result<(), Unusable> {
        let tree = Tree::of_commit(&self.objects, commit)?;
        tree.walk(depth, &Limits::default(), report)
    }

    /// What is at `path` in `commit`; `None` where nothing is.
    pub fn find(&self, commit: ObjectId, path: &str) -> Option<Node> {
        let tree = Tree::of_commit(&self.objects, commit).ok()?;
        // All of it was walked before, so nothing is missing and nothing malformed.
        tree.find(path).ok().flatten()
    }
}

impl BitbucketClient {
    /// All trees of `commits` of the repository `full_name`, in one request. `None`: REST has to be asked.
    pub async fn trees_over_git(
        &self,
        full_name: &str,
        commits: &[ObjectId],
        deadline: &Deadline,
    ) -> Option<CommitTrees> {
        let read = async {
            if !self.may_ask_git(full_name, deadline).await? {
                return Ok(None);
            }
            let objects = self
                .fetch(full_name, fetch::trees(commits), deadline)
                .await?;
            let trees = CommitTrees { objects };
            for commit in commits {
                trees.walk(*commit, None, &mut |_, _| ())?;
            }
            Ok(Some(trees))
        };
        let read = read.await;
        self.judge(full_name, read)
    }

    /// The files `ids` of the repository `full_name`, in one request. `None`: REST has to be asked.
    pub async fn files_over_git(
        &self,
        full_name: &str,
        ids: &BTreeSet<ObjectId>,
        deadline: &Deadline,
    ) -> Option<HashMap<ObjectId, GitFile>> {
        if ids.is_empty() {
            return Some(HashMap::new());
        }
        let read = async {
            if MOST_FILES < ids.len() {
                return Err(GitFailure::of_repository("too many files", String::new()));
            }
            let ids: Vec<ObjectId> = ids.iter().copied().collect();
            let objects = self.fetch(full_name, fetch::blobs(&ids), deadline).await?;
            files(&objects, &ids).map(Some)
        };
        let read = read.await;
        self.judge(full_name, read)
    }

    /// How many repositories REST has read in the place of git since this was asked last.
    pub fn take_git_fallbacks(&self) -> usize {
        locked(&self.shared.git.standing).take_fallbacks()
    }

    /// What was read, where something was; else it is noted that REST reads it.
    fn judge<T>(&self, full_name: &str, read: Result<Option<T>, GitFailure>) -> Option<T> {
        let mut standing = locked(&self.shared.git.standing);
        match read {
            Ok(Some(read)) => {
                standing.succeeded();
                return Some(read);
            }
            Ok(None) => {}
            Err(failure) => {
                if standing.failed(self.shared.http.clock().now(), &failure) {
                    let GitFailure { cause, detail, .. } = failure;
                    tracing::warn!(
                        repository = full_name,
                        cause,
                        detail,
                        "contents are not read over git: REST is asked"
                    );
                }
            }
        }
        standing.fell_back();
        None
    }

    /// Whether git is to be asked, which the server is asked first where nobody knows.
    async fn may_ask_git(&self, full_name: &str, deadline: &Deadline) -> Result<bool, GitFailure> {
        let git = &self.shared.git;
        let course = || locked(&git.standing).course(self.shared.http.clock().now());
        if course() == Course::Probe {
            let _one_at_a_time = git.probing.lock().await;
            // Another one may have asked meanwhile.
            if course() == Course::Probe {
                let answer = self.ask_git(full_name, None, deadline).await?;
                let known = Capabilities::read(&answer).unwrap_or_default();
                known.trees_alone().map_err(|why| GitFailure {
                    cause: "the server does not do what is needed",
                    detail: why.to_owned(),
                    scope: FailureScope::Server,
                })?;
                locked(&git.standing).speaks(self.shared.http.clock().now());
            }
        }
        Ok(course() == Course::Fetch)
    }

    async fn fetch(
        &self,
        full_name: &str,
        request: Vec<u8>,
        deadline: &Deadline,
    ) -> Result<Objects, GitFailure> {
        let answer = self.ask_git(full_name, Some(&request), deadline).await?;
        Ok(fetch::read(&answer, &Limits::default())?)
    }

    /// The answer to `request`, or without one to what the server can do; with one credential after the other until one is
    /// taken.
    async fn ask_git(
        &self,
        full_name: &str,
        request: Option<&[u8]>,
        deadline: &Deadline,
    ) -> Result<Vec<u8>, GitFailure> {
        let (accounts, clock) = (&self.shared.accounts, self.shared.http.clock());
        let url = self.git_url(full_name, request.is_some());
        let mut sending = Sending::get(RateGroup::Git, &FETCH, &url);
        if let Some(request) = request {
            sending.method = reqwest::Method::POST;
            sending.body = Some(Body::Git(request));
        }
        let mut is_second_try = false;
        let mut waited = Duration::ZERO;
        let _slot = self.slot(&sending).await?;
        loop {
            let choice = accounts.choose(RateGroup::Git, &[], self.reserve(), clock.now());
            let chosen = match choice {
                Choice::Take(chosen) => chosen,
                Choice::Wait(wait)
                    if wait <= SHORT_WAIT && waited + wait <= ALL_WAITS && deadline.has(wait) =>
                {
                    waited += wait;
                    clock.sleep(wait).await;
                    continue;
                }
                Choice::Wait(wait) => {
                    return Err(GitFailure {
                        cause: "git's rate limit is used up",
                        detail: format!("for {} s", wait.as_secs()),
                        scope: FailureScope::Allowance(wait),
                    });
                }
                Choice::Nobody => {
                    return Err(GitFailure {
                        cause: "git takes none of the credentials",
                        detail: String::new(),
                        scope: FailureScope::Credentials,
                    });
                }
            };
            let read = |_: &Answer| Ok(());
            let sent = self.send_as(&chosen, &sending, &url, deadline, read).await;
            let answer = sent?.answer;
            match answer.status {
                StatusCode::OK => return Ok(answer.body),
                // The next choice knows of it.
                StatusCode::TOO_MANY_REQUESTS => {}
                // Refused in passing, it may be let in now.
                StatusCode::UNAUTHORIZED if !is_second_try => is_second_try = true,
                StatusCode::UNAUTHORIZED => {
                    accounts.refuse_git(chosen.id, later(clock.now(), REFUSED_FOR));
                }
                status => {
                    let detail = format!("HTTP {}", status.as_u16());
                    return Err(GitFailure::of_repository("git refuses", detail));
                }
            }
        }
    }

    fn git_url(&self, full_name: &str, is_fetch: bool) -> Url {
        let mut url = self.shared.git.base_url.clone();
        let mut path = String::new();
        for segment in full_name.split('/') {
            // Writing to a text does not fail.
            write!(path, "/{}", super::client::encoded(segment)).ok();
        }
        if is_fetch {
            url.set_path(&format!("{path}.git/git-upload-pack"));
        } else {
            url.set_path(&format!("{path}.git/info/refs"));
            url.set_query(Some("service=git-upload-pack"));
        }
        url
    }
}

/// The contents of `ids`, as far as they are not too large to be read.
fn files(objects: &Objects, ids: &[ObjectId]) -> Result<HashMap<ObjectId, GitFile>, GitFailure> {
    let mut kept = 0;
    let mut files = HashMap::new();
    for id in ids {
        let content = objects.get(*id, ObjectKind::Blob)?;
        let size = content.len();
        let is_binary = content.iter().take(LOOKED_AT_BYTES).any(|byte| *byte == 0);
        let content = (size <= MAX_FILE_BYTES).then(|| Arc::clone(content));
        kept += content.as_ref().map_or(0, |content| content.len());
        let file = GitFile {
            size,
            content,
            is_binary,
        };
        files.insert(*id, file);
    }
    match kept <= MAX_KEPT_BYTES {
        true => Ok(files),
        false => Err(GitFailure::of_repository(
            "its files are too much",
            String::new(),
        )),
    }
}

impl GitFailure {
    fn of_repository(cause: &'static str, detail: String) -> GitFailure {
        GitFailure {
            cause,
            detail,
            scope: FailureScope::Repository,
        }
    }
}

impl From<Unusable> for GitFailure {
    fn from(unusable: Unusable) -> GitFailure {
        let cause = match unusable {
            Unusable::Refused(_) => "git refuses",
            Unusable::Malformed(_) => "git's answer is malformed",
            Unusable::Missing(_) => "git's answer lacks what was asked for",
            Unusable::TooLarge { .. } => "git's answer is too large",
            Unusable::NotText => "a path is no text",
        };
        GitFailure::of_repository(cause, unusable.to_string())
    }
}

impl From<Error> for GitFailure {
    fn from(error: Error) -> GitFailure {
        let cause = match error {
            Error::OutOfTime => {
                return GitFailure {
                    cause: "no time is left",
                    detail: String::new(),
                    scope: FailureScope::Caller,
                };
            }
            Error::TooLarge { .. } => "git's answer is too large",
            _ => "git is not available",
        };
        GitFailure::of_repository(cause, chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_beside_the_api() {
        for (api, git) in [
            ("https://api.bitbucket.org/2.0", "https://bitbucket.org/"),
            (
                "https://proxy.example:8443/bb/2.0",
                "https://proxy.example:8443/",
            ),
            ("http://127.0.0.1:3000/2.0", "http://127.0.0.1:3000/"),
        ] {
            let git_url = Git::beside(&api.parse().unwrap(), ContentsOver::Auto).base_url;
            assert_eq!(git_url.as_str(), git);
        }
    }
}
