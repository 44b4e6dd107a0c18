//! The head commit of a repository's main branch: asked for along with the repository, and left away where Bitbucket does
//! not answer to that.
//!
//! Bitbucket shows it in a list and in an object only where `fields` asks for it (Bitbucket REST API, partial responses).
//! What it costs Bitbucket is not documented: a request that fails with it is made again without it, and from then on
//! nobody asks for it until the next run begins. Knows nothing of what a head is good for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Map, Value};
use url::Url;

use super::client::{BitbucketClient, JSON};
use super::error::Error;
use crate::deadline::Deadline;
use crate::http::{Answer, RetryPolicy};
use crate::telemetry::chain;

/// What is shown of a commit. More of it would make a page of a hundred repositories long.
const SHOWN: [&str; 4] = ["hash", "date", "message", "author"];

/// The parameter that asks for more than Bitbucket shows by itself.
const PARAMETER: &str = "fields";

/// What does not come soon is not worth waiting for: the same answer without it is.
const BRIEFLY: RetryPolicy = RetryPolicy {
    max_retries: 1,
    timeout: Duration::from_secs(20),
    ..JSON
};

/// Whether heads are asked for.
#[derive(Default)]
pub(super) struct Heads {
    are_refused: AtomicBool,
}

impl BitbucketClient {
    /// The `fields` that ask for heads of what is found under `prefix`; `None` where nobody asks any more.
    pub(super) fn head_fields(&self, prefix: &str) -> Option<String> {
        let fields = SHOWN.map(|name| format!("+{prefix}mainbranch.target.{name}"));
        (!self.refuses_heads()).then(|| fields.join(","))
    }

    /// Whether Bitbucket has failed to show heads since [`ask_for_heads`](Self::ask_for_heads).
    pub fn refuses_heads(&self) -> bool {
        self.shared.heads.are_refused.load(Ordering::Relaxed)
    }

    /// Heads are asked for from now on, or not.
    pub fn ask_for_heads(&self, wanted: bool) {
        let refused = &self.shared.heads.are_refused;
        refused.store(!wanted, Ordering::Relaxed);
    }

    /// An object. Any other JSON is no answer.
    pub(super) async fn get(&self, url: Url, deadline: &Deadline) -> Result<Value, Error> {
        let object = |answer: &Answer| {
            let value = answer.value()?;
            ensure!(value.is_object(), "no object: {}", answer.excerpt());
            Ok(value)
        };
        Ok(self.read_with_heads(&JSON, url, deadline, object).await?.1)
    }

    /// Reads what is at `url`, which may ask for heads; without them where it fails for that. Returns the address that
    /// was answered.
    pub(super) async fn read_with_heads<T>(
        &self,
        policy: &RetryPolicy,
        url: Url,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<(Url, T), Error> {
        let plain = without_heads(&url);
        let (mut url, mut patience) = match &plain {
            Some(plain) if self.refuses_heads() => (plain.clone(), policy),
            Some(_) => (url, &BRIEFLY),
            None => (url, policy),
        };
        let mut refused = None;
        loop {
            // The future is large, and this is the bottom of deep stacks.
            let found = Box::pin(self.read_as(patience, &url, deadline, &read)).await;
            match (found, &plain) {
                (Err(error), Some(plain)) if may_be_for_heads(&error) && url != *plain => {
                    (url, patience) = (plain.clone(), policy);
                    refused = Some(error);
                }
                (found, _) => {
                    let found = found?;
                    if let Some(error) = refused {
                        let error = chain(&error);
                        tracing::warn!(
                            error,
                            "Bitbucket shows no heads: they are not asked for any more"
                        );
                        self.ask_for_heads(false);
                    }
                    return Ok((url, found));
                }
            }
        }
    }

    /// A repository whose main branch shows the head that Bitbucket gives at the branch's own address.
    pub async fn with_head(&self, mut raw: Value, deadline: &Deadline) -> Result<Value, Error> {
        let text = |pointer: &str| raw.pointer(pointer).and_then(Value::as_str);
        let (Some(uuid), Some(branch)) = (text("/uuid"), text("/mainbranch/name")) else {
            return Ok(raw);
        };
        let branch = self.branch(uuid, branch, deadline).await?;
        let target = branch.as_ref().and_then(|branch| branch.get("target"));
        let target = target.map(|target| {
            let shown = SHOWN.iter().filter_map(|name| {
                let value = target.get(name)?;
                Some(((*name).to_owned(), value.clone()))
            });
            Value::Object(shown.collect::<Map<String, Value>>())
        });
        if let Some(Value::Object(main)) = raw.get_mut("mainbranch") {
            match target {
                Some(target) => main.insert("target".to_owned(), target),
                None => main.shift_remove("target"),
            };
        }
        Ok(raw)
    }
}

/// The same address without what asks for heads; `None` where nothing does.
fn without_heads(url: &Url) -> Option<Url> {
    let mut pairs = url.query_pairs();
    pairs.find(|(name, value)| name == PARAMETER && value.contains("mainbranch.target"))?;
    let query = url.query().unwrap_or_default().split('&');
    let others = query.filter(|pair| !pair.starts_with("fields="));
    let others: Vec<&str> = others.collect();
    let mut plain = url.clone();
    plain.set_query((!others.is_empty()).then(|| others.join("&")).as_deref());
    Some(plain)
}

/// Whether the same request may succeed without asking for heads. Rights and addresses have nothing to do with them.
fn may_be_for_heads(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused { .. }
            | Error::TooLarge { .. }
            | Error::Unavailable { .. }
            | Error::Unexpected { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_for_heads_is_left_away() {
        for (asked, plain) in [
            (
                "http://x/r?pagelen=100&fields=%2Bvalues.mainbranch.target.hash&q=a%26b",
                Some("http://x/r?pagelen=100&q=a%26b"),
            ),
            (
                "http://x/r?fields=%2Bmainbranch.target.hash",
                Some("http://x/r"),
            ),
            ("http://x/r?fields=%2Bvalues.reviewers", None),
            ("http://x/r", None),
        ] {
            let found = without_heads(&Url::parse(asked).unwrap());
            assert_eq!(found.as_ref().map(Url::as_str), plain, "{asked}");
        }
    }
}
