//! What changes mean for the catalogue: which objects are to be looked at again, each once, however many events are
//! about it.
//!
//! An event never says what to write, only what to look at; looking is `refresh`'s.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::event::{Change, FormerName};
use super::shown;
use crate::app::App;
use crate::deadline::Deadline;
use crate::extract;
use crate::failure::Failure;
use crate::metrics::Figure;
use crate::refresh::{Refresh, RepositoryNews, Strays};
use crate::state::StateError;

/// How often a batch is done once more because somebody else was at the same objects.
const ATTEMPTS: usize = 5;

/// A change and its line: within a line, no change may overtake an earlier one that is to be tried again.
pub(super) type InLine<'a> = (&'a str, &'a Change);

/// What became of one change. Several may share a failure.
pub(super) type Outcome = Result<(), Arc<Failure>>;

/// Brings the catalogue up to date with `changes`; the outcome of each, in their order. Doing so twice, or late,
/// changes nothing.
pub(super) async fn apply(app: &App, changes: &[InLine<'_>], deadline: &Deadline) -> Vec<Outcome> {
    let outcomes = apply_once(app, changes, deadline).await;
    let refused = |outcome: &Outcome| matches!(outcome, Err(failure) if failure.is_unauthorized());
    if outcomes.iter().any(refused) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        return apply_once(app, changes, deadline).await;
    }
    outcomes
}

async fn apply_once(app: &App, changes: &[InLine<'_>], deadline: &Deadline) -> Vec<Outcome> {
    match try_to_apply(app, changes, deadline).await {
        Ok(outcomes) => outcomes,
        Err(failure) => vec![Err(Arc::new(failure)); changes.len()],
    }
}

/// Fails where that concerns all of the changes.
async fn try_to_apply(
    app: &App,
    changes: &[InLine<'_>],
    deadline: &Deadline,
) -> Result<Vec<Outcome>, Failure> {
    let session = app.session(deadline).await?;
    let Some(mapping) = app.live_mapping(&session, deadline).await? else {
        tracing::warn!(
            "event skipped: Port does not know this installation yet, the first resync will tell it"
        );
        return Ok(vec![Ok(()); changes.len()]);
    };
    let groups = extract::groups(&mapping);
    let objects = objects(changes);
    let mut attempt = 0;
    let mut strays = Strays::default();
    loop {
        attempt += 1;
        let refresh = Refresh::new(app, &session, &mapping, &groups, deadline);
        let mut refresh = refresh.after(strays);
        let mut outcomes = look_again(&mut refresh, &objects, changes.len()).await;
        let committed = match outcomes.iter().any(Result::is_ok) {
            true => refresh.commit().await,
            false => Ok(()),
        };
        match committed {
            Err(Failure::State(StateError::Conflict { .. })) if attempt < ATTEMPTS => {
                strays = refresh.into_strays();
                continue;
            }
            Err(failure) => {
                let failure = Arc::new(failure);
                for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
                    *outcome = Err(Arc::clone(&failure));
                }
            }
            Ok(()) => log(app, &refresh, &objects),
        }
        return Ok(outcomes);
    }
}

async fn look_again(
    refresh: &mut Refresh<'_>,
    objects: &[Object<'_>],
    changes: usize,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = vec![Ok(()); changes];
    let mut stopped: HashMap<&str, Arc<Failure>> = HashMap::new();
    for object in objects {
        let failure = match stopped.get(object.line) {
            Some(failure) => Arc::clone(failure),
            None => {
                let mark = refresh.mark();
                match Box::pin(object.look(refresh)).await {
                    Ok(()) => continue,
                    Err(failure) => {
                        refresh.rewind(mark);
                        Arc::new(failure)
                    }
                }
            }
        };
        for &position in &object.positions {
            if let Some(outcome) = outcomes.get_mut(position) {
                *outcome = Err(Arc::clone(&failure));
            }
        }
        if failure.is_retryable() {
            stopped.insert(object.line, failure);
        }
    }
    outcomes
}

/// An object, with everything that has happened to it.
struct Object<'a> {
    line: &'a str,
    name: Name<'a>,
    changes: Vec<&'a Change>,
    /// Of its changes among all.
    positions: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Name<'a> {
    PullRequest { repository: &'a str, id: u64 },
    Repository(&'a str),
    GoneRepository(&'a str),
    Projects,
}

impl<'a> Name<'a> {
    fn of(change: &'a Change) -> Name<'a> {
        match change {
            Change::PullRequest { repository, id, .. } => Name::PullRequest {
                repository: &repository.uuid,
                id: *id,
            },
            Change::Repository { repository, .. } => Name::Repository(&repository.uuid),
            Change::RepositoryGone { repository, .. } => Name::GoneRepository(&repository.uuid),
            Change::Projects { .. } => Name::Projects,
        }
    }
}

/// The objects that `changes` are about, in the order in which they first occur.
fn objects<'a>(changes: &[InLine<'a>]) -> Vec<Object<'a>> {
    let mut objects: Vec<Object<'a>> = Vec::new();
    for (position, &(line, change)) in changes.iter().enumerate() {
        let name = Name::of(change);
        let known = objects
            .iter_mut()
            .find(|object| object.name == name && object.line == line);
        match known {
            Some(object) => {
                object.changes.push(change);
                object.positions.push(position);
            }
            None => objects.push(Object {
                line,
                name,
                changes: vec![change],
                positions: vec![position],
            }),
        }
    }
    objects
}

impl Object<'_> {
    async fn look(&self, refresh: &mut Refresh<'_>) -> Result<(), Failure> {
        match self.name {
            Name::PullRequest { repository, id } => {
                let seen: Vec<&Value> = self.changes.iter().filter_map(last_seen).collect();
                refresh.pull_request(repository, id, &seen).await
            }
            Name::Repository(uuid) => refresh.repository(&self.news(uuid)).await,
            Name::GoneRepository(uuid) => {
                refresh.repository_gone(uuid, &self.news(uuid).seen).await
            }
            Name::Projects => {
                let keys = self.changes.iter().filter_map(|change| match change {
                    Change::Projects { key } => key.as_deref(),
                    _ => None,
                });
                let mut keys: Vec<&str> = keys.collect();
                keys.sort_unstable();
                keys.dedup();
                refresh.projects(&keys).await
            }
        }
    }

    fn news<'a>(&'a self, uuid: &'a str) -> RepositoryNews<'a> {
        let mut news = RepositoryNews {
            uuid,
            renamed: false,
            pushed: Some(Vec::new()),
            seen: Vec::new(),
        };
        for change in &self.changes {
            news.seen.extend(last_seen(change).cloned().map(with_slug));
            if let Change::Repository { former, pushed, .. } = change {
                if let (Some(former), Some(seen)) = (former, last_seen(change)) {
                    news.renamed = true;
                    news.seen.push(renamed_back(seen, uuid, former));
                }
                match (&mut news.pushed, pushed) {
                    (Some(all), Some(pushed)) => all.extend(pushed.iter().map(String::as_str)),
                    (all, None) => *all = None,
                    (None, _) => {}
                }
            }
        }
        news
    }
}

fn last_seen<'a>(change: &&'a Change) -> Option<&'a Value> {
    match change {
        Change::PullRequest { last_seen, .. }
        | Change::Repository { last_seen, .. }
        | Change::RepositoryGone { last_seen, .. } => Some(last_seen),
        Change::Projects { .. } => None,
    }
}

fn log(app: &App, refresh: &Refresh<'_>, objects: &[Object<'_>]) {
    refresh.log_problems();
    for object in objects {
        let (kind, repository) = match object.changes.first() {
            Some(Change::PullRequest { id, repository, .. }) => {
                (format!("pull request {id}"), Some(repository))
            }
            Some(Change::Repository { repository, .. }) => {
                ("repository".to_owned(), Some(repository))
            }
            Some(Change::RepositoryGone { repository, .. }) => {
                ("deleted repository".to_owned(), Some(repository))
            }
            _ => ("projects".to_owned(), None),
        };
        let repository = repository.map(|repository| shown(&repository.full_name));
        let events = object.changes.len();
        tracing::info!(object = kind, repository, events, "looked at again");
    }
    let counts = refresh.counts;
    tracing::info!(
        written = counts.written,
        deleted = counts.deleted,
        refused = counts.refused,
        not_mapped = counts.not_mapped,
        "events applied"
    );
    let figures = vec![
        Figure::count("WrittenEntities", counts.written),
        Figure::count("DeletedEntities", counts.deleted),
        Figure::count("RefusedEntities", counts.refused),
        Figure::count(
            "Events",
            objects.iter().map(|object| object.changes.len()).sum(),
        ),
    ];
    app.metrics.put(app.clock.now(), figures);
}

/// The repository as it was before it was renamed, wherever its identity appears.
fn renamed_back(last_seen: &Value, uuid: &str, former: &FormerName) -> Value {
    let mut repository = with_slug(last_seen.clone());
    let is_it = repository.get("uuid").and_then(Value::as_str) == Some(uuid);
    if let (true, Value::Object(fields)) = (is_it, &mut repository) {
        if let Some(name) = &former.name {
            fields.insert("name".to_owned(), name.clone().into());
        }
        if let Some(full_name) = &former.full_name {
            fields.insert("full_name".to_owned(), full_name.clone().into());
            fields.remove("slug");
        }
    }
    with_slug(repository)
}

/// Bodies of events leave the slug out; the API does not.
fn with_slug(mut repository: Value) -> Value {
    let full_name = repository.get("full_name").and_then(Value::as_str);
    let slug = full_name
        .and_then(|full_name| full_name.split_once('/'))
        .map(|(_, slug)| slug.to_owned());
    if let (Some(slug), Value::Object(fields)) = (slug, &mut repository)
        && !fields.contains_key("slug")
    {
        fields.insert("slug".to_owned(), slug.into());
    }
    repository
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_renamed_repository_is_known_by_its_old_identity() {
        let seen = json!({"uuid": "{a}", "name": "New Name", "full_name": "acme/new-name", "slug": "new-name"});
        let former = FormerName {
            name: Some("Old Name".to_owned()),
            full_name: Some("acme/old-name".to_owned()),
        };
        let before = renamed_back(&seen, "{a}", &former);
        insta::assert_json_snapshot!(before, @r#"
        {
          "uuid": "{a}",
          "name": "Old Name",
          "full_name": "acme/old-name",
          "slug": "old-name"
        }
        "#);
        let only_name = FormerName {
            name: Some("Old Name".to_owned()),
            full_name: None,
        };
        assert_eq!(renamed_back(&seen, "{a}", &only_name)["slug"], "new-name");
        assert_eq!(renamed_back(&seen, "{b}", &former)["slug"], "new-name");
    }
}
