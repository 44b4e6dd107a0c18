//! A webhook's event key and body, parsed at the edge into what has changed.
//!
//! Pure. What leaves here says which object to look at; its state is read from Bitbucket. Only what can no longer
//! be read there is taken along: how a deleted object was called, and what a renamed one was called before.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a webhook makes us look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    PullRequest {
        repository: RepositoryRef,
        id: u64,
        /// As the event saw it: says which entity goes when it is no longer selected.
        last_seen: Value,
    },
    Repository {
        repository: RepositoryRef,
        /// What it was called before, when it was renamed.
        former: Option<FormerName>,
        /// The branches that were pushed to; `None` when the event was no push.
        #[serde(default)]
        pushed: Option<Vec<String>>,
        last_seen: Value,
    },
    RepositoryGone {
        repository: RepositoryRef,
        last_seen: Value,
    },
    /// Projects are few: all of them are looked at.
    Projects {
        /// The project that changed, if the event says which.
        key: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// With braces, as Bitbucket writes it.
    pub uuid: String,
    /// `workspace/slug`
    pub full_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerName {
    pub name: Option<String>,
    pub full_name: Option<String>,
}

/// The three outcomes of parsing; the third is the error.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    Change(Box<Change>),
    /// Valid, and nothing to us.
    Ignored,
}

/// A body that does not hold what its event key promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is not JSON")]
    NotJson,
    #[error("`{field}` is missing or not of the expected type")]
    Field { field: &'static str },
}

/// Reads `body` as the event `key` (Bitbucket Cloud, event payloads).
pub fn parse(key: &str, body: &[u8]) -> Result<Parsed, Malformed> {
    let body = || serde_json::from_slice::<Value>(body).map_err(|_| Malformed::NotJson);
    let change = match key {
        "pullrequest:created"
        | "pullrequest:updated"
        | "pullrequest:approved"
        | "pullrequest:unapproved"
        | "pullrequest:changes_request_created"
        | "pullrequest:changes_request_removed"
        | "pullrequest:fulfilled"
        | "pullrequest:rejected"
        | "pullrequest:comment_created"
        | "pullrequest:comment_deleted" => pull_request(&body()?)?,
        "repo:push" | "repo:created" | "repo:imported" | "repo:updated" => repository(body()?)?,
        "repo:deleted" => {
            let mut body = body()?;
            let repository = reference(body.get("repository"), "repository")?;
            Change::RepositoryGone {
                repository,
                last_seen: take(&mut body, "repository"),
            }
        }
        // Leaving or arriving: reading it back tells which.
        "repo:transfer" => repository(body()?)?,
        "repo:fork" => {
            let mut body = body()?;
            let repository = reference(body.get("fork"), "fork")?;
            Change::Repository {
                repository,
                former: None,
                pushed: None,
                last_seen: take(&mut body, "fork"),
            }
        }
        "project:updated" => {
            // Bitbucket documents the event, not its body.
            let key = body()?
                .pointer("/project/key")
                .and_then(Value::as_str)
                .map(str::to_owned);
            Change::Projects { key }
        }
        _ => return Ok(Parsed::Ignored),
    };
    Ok(Parsed::Change(Box::new(change)))
}

fn pull_request(body: &Value) -> Result<Change, Malformed> {
    let repository = reference(body.get("repository"), "repository")?;
    let last_seen = body.get("pullrequest").cloned().unwrap_or_default();
    let id = last_seen
        .get("id")
        .and_then(Value::as_u64)
        .ok_or(Malformed::Field {
            field: "pullrequest.id",
        })?;
    Ok(Change::PullRequest {
        repository,
        id,
        last_seen,
    })
}

fn repository(mut body: Value) -> Result<Change, Malformed> {
    let repository = reference(body.get("repository"), "repository")?;
    let old = |name: &str| {
        let old = body.get("changes")?.get(name)?.get("old")?.as_str()?;
        Some(old.to_owned())
    };
    let former = FormerName {
        name: old("name"),
        full_name: old("full_name"),
    };
    let former = (former.name.is_some() || former.full_name.is_some()).then_some(former);
    Ok(Change::Repository {
        repository,
        former,
        pushed: pushed_branches(&body),
        last_seen: take(&mut body, "repository"),
    })
}

/// A branch that is gone has `new: null`, one that is new `old: null`.
fn pushed_branches(body: &Value) -> Option<Vec<String>> {
    let push = body.get("push")?;
    let changes = push.get("changes").and_then(Value::as_array);
    let mut branches = Vec::new();
    for change in changes.into_iter().flatten() {
        for side in ["new", "old"].iter().filter_map(|side| change.get(side)) {
            let is_branch = side.get("type").and_then(Value::as_str) == Some("branch");
            if let Some(name) = side
                .get("name")
                .and_then(Value::as_str)
                .filter(|_| is_branch)
                && !branches.iter().any(|branch| branch == name)
            {
                branches.push(name.to_owned());
            }
        }
    }
    Some(branches)
}

fn reference(value: Option<&Value>, field: &'static str) -> Result<RepositoryRef, Malformed> {
    let malformed = Malformed::Field { field };
    let value = value
        .filter(|value| value.is_object())
        .ok_or_else(|| malformed.clone())?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let uuid = text("uuid")
        .filter(|uuid| !uuid.is_empty())
        .ok_or(malformed)?;
    Ok(RepositoryRef {
        uuid,
        full_name: text("full_name").unwrap_or_default(),
    })
}

fn take(body: &mut Value, field: &str) -> Value {
    body.get_mut(field).map(Value::take).unwrap_or_default()
}
