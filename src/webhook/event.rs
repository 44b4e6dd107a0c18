//! A webhook's event key and body, parsed at the edge into what is to be looked at.
//!
//! Pure. Owns the table of event keys. What leaves here names an object; its state is read from Bitbucket. Of the body
//! only `updated_on` is taken along: Bitbucket must not answer with less.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::identity::RepositoryId;
use crate::lenient_json;
use crate::live::Wanted;
use crate::look::{Look, News};

/// What an event is about, and so which parts of its body count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    PullRequest,
    Push,
    /// A repository that was not there, or not as it is.
    Arrival,
    Update,
    Transfer,
    Deletion,
    Fork,
    Project,
}

/// Whether the webhook that Ferry makes tells of an event. One made by hand may tell of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    Made,
    /// Comes with another that is subscribed to, or changes nothing that a pull request shows: Bitbucket counts the
    /// comments there are.
    ByHand,
}

/// Every event that says something to us (Bitbucket Cloud, event payloads).
const EVENTS: [(&str, About, Subscription); 22] = {
    use About::*;
    use Subscription::*;
    [
        ("pullrequest:created", PullRequest, Made),
        ("pullrequest:updated", PullRequest, Made),
        ("pullrequest:push", PullRequest, ByHand),
        ("pullrequest:approved", PullRequest, Made),
        ("pullrequest:unapproved", PullRequest, Made),
        ("pullrequest:changes_request_created", PullRequest, Made),
        ("pullrequest:changes_request_removed", PullRequest, Made),
        ("pullrequest:fulfilled", PullRequest, Made),
        ("pullrequest:rejected", PullRequest, Made),
        ("pullrequest:comment_created", PullRequest, Made),
        ("pullrequest:comment_updated", PullRequest, ByHand),
        ("pullrequest:comment_deleted", PullRequest, Made),
        ("pullrequest:comment_resolved", PullRequest, ByHand),
        ("pullrequest:comment_reopened", PullRequest, ByHand),
        ("repo:push", Push, Made),
        ("repo:created", Arrival, Made),
        ("repo:imported", Arrival, Made),
        ("repo:updated", Update, Made),
        ("repo:transfer", Transfer, Made),
        ("repo:deleted", Deletion, Made),
        ("repo:fork", Fork, Made),
        ("project:updated", Project, Made),
    ]
};

/// The keys of the events that the webhook is to tell of.
pub fn subscribed_events() -> Vec<&'static str> {
    let made = EVENTS
        .iter()
        .filter(|(_, _, subscription)| *subscription == Subscription::Made);
    made.map(|(key, _, _)| *key).collect()
}

/// What a valid body leads to.
#[derive(Clone, Debug)]
pub enum Parsed {
    Look(Wanted),
    Ignored(Ignored),
}

/// Why there is nothing to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// The table of events does not know the key.
    #[error("nothing is known of such events")]
    UnknownEvent,
    #[error("the object belongs to another workspace")]
    Elsewhere,
}

/// A body that does not hold what its event key promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is not JSON")]
    NotJson,
    #[error("`{field}` is missing or not of the expected type")]
    Field { field: &'static str },
}

/// Reads `body` as the event `key`. `workspace` is the slug or the uuid of ours, as far as it is known.
pub fn parse(key: &str, body: &[u8], workspace: Option<&str>) -> Result<Parsed, Malformed> {
    let Some((_, about, _)) = EVENTS.iter().find(|(known, ..)| *known == key) else {
        return Ok(Parsed::Ignored(Ignored::UnknownEvent));
    };
    let body = lenient_json::from_slice(body).map_err(|_| Malformed::NotJson)?;
    let (place, look) = match about {
        About::PullRequest => ("repository", pull_request(&body)?),
        About::Push => ("repository", repository(&body, pushed(&body)?)?),
        About::Arrival => ("repository", repository(&body, arrived())?),
        About::Update => ("repository", repository(&body, updated(&body))?),
        About::Transfer => ("repository", repository(&body, transferred())?),
        About::Deletion => ("repository", repository(&body, left())?),
        About::Fork => ("fork", fork(&body)?),
        About::Project => ("project", project(&body)),
    };
    // One that is transferred away names its new workspace, and was ours.
    let may_be_elsewhere = *about != About::Transfer;
    if may_be_elsewhere && is_elsewhere(body.get(place), workspace) {
        return Ok(Parsed::Ignored(Ignored::Elsewhere));
    }
    Ok(Parsed::Look(Wanted {
        look,
        not_older_than: updated_on(&body),
        // Who has received it knows its delivery.
        causes: BTreeSet::new(),
        accepted_at: None,
    }))
}

fn pull_request(body: &Value) -> Result<Look, Malformed> {
    let repository = repository_id(body, "/repository/uuid", "repository.uuid")?;
    let id = body.pointer("/pullrequest/id").and_then(Value::as_u64);
    let field = "pullrequest.id";
    let id = id.ok_or(Malformed::Field { field })?;
    let state = body.pointer("/pullrequest/state").and_then(Value::as_str);
    let closed = state.is_some_and(|state| state != "OPEN");
    Ok(Look::PullRequest {
        repository,
        id,
        closed,
    })
}

fn repository(body: &Value, news: News) -> Result<Look, Malformed> {
    let repository = repository_id(body, "/repository/uuid", "repository.uuid")?;
    Ok(Look::Repository { repository, news })
}

fn fork(body: &Value) -> Result<Look, Malformed> {
    let repository = repository_id(body, "/fork/uuid", "fork.uuid")?;
    let news = arrived();
    Ok(Look::Repository { repository, news })
}

/// Bitbucket documents the event, not its body.
fn project(body: &Value) -> Look {
    let key = body.pointer("/project/key").and_then(Value::as_str);
    Look::Projects {
        keys: key.into_iter().map(str::to_owned).collect(),
        cursor: None,
    }
}

fn repository_id(
    body: &Value,
    pointer: &str,
    field: &'static str,
) -> Result<RepositoryId, Malformed> {
    let uuid = body.pointer(pointer).and_then(Value::as_str);
    let uuid = uuid.map(str::trim).filter(|uuid| !uuid.is_empty());
    let uuid = uuid.ok_or(Malformed::Field { field })?;
    Ok(RepositoryId::new(match uuid.starts_with('{') {
        true => uuid.to_owned(),
        false => format!("{{{uuid}}}"),
    }))
}

fn arrived() -> News {
    News {
        all: true,
        ..News::default()
    }
}

fn left() -> News {
    News {
        left: true,
        ..News::default()
    }
}

/// Here or away: reading it back tells which.
fn transferred() -> News {
    News {
        left: true,
        all: true,
        ..News::default()
    }
}

/// A new name shows in everything that the repository holds.
fn updated(body: &Value) -> News {
    let changes = body.get("changes").and_then(Value::as_object);
    let renames = |changes: &serde_json::Map<String, Value>| {
        ["name", "full_name", "slug"]
            .iter()
            .any(|name| changes.contains_key(*name))
    };
    News {
        all: changes.is_none_or(renames),
        changed: true,
        ..News::default()
    }
}

/// A branch or tag that is gone has `new: null`, one that is new `old: null`.
fn pushed(body: &Value) -> Result<News, Malformed> {
    let field = "push.changes";
    let changes = body.pointer("/push/changes").and_then(Value::as_array);
    let changes = changes.ok_or(Malformed::Field { field })?;
    let sides = changes.iter().flat_map(|change| {
        let sides = [change.get("new"), change.get("old")];
        sides.into_iter().flatten().filter(|side| !side.is_null())
    });
    let (mut pushed, mut changed) = (BTreeSet::new(), changes.is_empty());
    for side in sides {
        let text = |name: &str| side.get(name).and_then(Value::as_str);
        match (text("type"), text("name")) {
            (Some("branch" | "named_branch" | "tag" | "annotated_tag"), Some(name)) => {
                pushed.insert(name.to_owned());
            }
            // Whatever was pushed, it is not said what.
            _ => changed = true,
        }
    }
    Ok(News {
        pushed,
        changed,
        ..News::default()
    })
}

fn updated_on(body: &Value) -> Option<Timestamp> {
    let text = body.pointer("/pullrequest/updated_on")?.as_str()?;
    text.parse().ok()
}

/// Whether `place`, a repository or a project, says that it belongs to another workspace. One that does not say is ours.
fn is_elsewhere(place: Option<&Value>, workspace: Option<&str>) -> bool {
    let (Some(place), Some(workspace)) = (place, workspace) else {
        return false;
    };
    let text = |pointer: &str| place.pointer(pointer).and_then(Value::as_str);
    let bare = |uuid: &str| uuid.trim_matches(['{', '}']).to_lowercase();
    let (uuid, slug) = (text("/workspace/uuid"), text("/workspace/slug"));
    let slug = slug.or_else(|| Some(text("/full_name")?.split_once('/')?.0));
    let is_ours = |name: &str| bare(name) == bare(workspace);
    let known = match workspace.starts_with('{') {
        true => uuid,
        false => slug,
    };
    // Both are asked: a workspace may be configured by its uuid without braces.
    known.is_some() && !uuid.is_some_and(is_ours) && !slug.is_some_and(is_ours)
}

#[cfg(test)]
mod tests;
