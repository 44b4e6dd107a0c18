//! A resync that writes nothing: the same steps over the same data, with Port's answers to writes left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::begin::begin_rehearsal;
use super::slice::{Slice, Step};
use crate::app::{App, Session};
use crate::bitbucket::Purpose;
use crate::counts::Counts;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey, Identifier};
use crate::failure::Failure;
use crate::mapping::{FieldFigures, Mapping, Resource, defaults};
use crate::port::PortClient;
use crate::store::documents::completed;
use crate::store::{Asker, LeaseName, Leases, Store};
use crate::sync::audit::Reasons;
use crate::telemetry::chain;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only resources of this kind. Nothing can be said about deletions then.
    pub kind: Option<String>,
}

/// What a resync would do now.
#[derive(Debug)]
pub struct Preview {
    pub created: Vec<Entity>,
    pub changed: Vec<PreviewedChange>,
    pub deleted: Vec<PreviewedDeletion>,
    /// Why stale entities would stay, if they would.
    pub kept: Option<String>,
    /// Filters that do not compile, and what the mapping could not do, with the number of items it costs.
    pub problems: Vec<String>,
    /// What is not wrong by itself, and worth a look: queries that select nothing, fields that are always null.
    pub notes: Vec<String>,
    /// How often which fields are null.
    pub nulls: Vec<FieldFigures>,
    /// Parts of the workspace that cannot be read, each with its reason.
    pub failed_partitions: Vec<String>,
    /// What this preview cannot know, and why.
    pub unknown: Vec<String>,
    /// The mapping that was followed.
    pub mapping: Value,
    pub counts: Counts,
}

/// An entity that would be written over, field by field.
#[derive(Debug)]
pub struct PreviewedChange {
    pub key: EntityKey,
    /// As it would be, if the mapping gives one; else as Port has it.
    pub title: Option<Value>,
    pub fields: Vec<FieldChange>,
}

/// An entity that would go.
#[derive(Debug)]
pub struct PreviewedDeletion {
    pub key: EntityKey,
    /// As Port has it.
    pub title: Option<Value>,
    pub reason: &'static str,
}

#[derive(Debug, PartialEq)]
pub struct FieldChange {
    /// `title`, `properties.url`, ..
    pub name: String,
    pub before: Value,
    pub after: Value,
}

/// Says what a resync would do, and does none of it.
///
/// What `app` has stored is read, so that the guards and the reasons of
/// deletions are those of the resync; it is not changed. Where it cannot be read, the preview says what it cannot know.
pub async fn preview(app: &App, scope: &Scope, deadline: &Deadline) -> Result<Preview, Failure> {
    let session = app.session(deadline).await?;
    let session = Session {
        credentials: Arc::clone(&session.credentials),
        bitbucket: session.bitbucket.clone(),
        port: session.port.rehearsing(),
    };
    let (config, last_start) = followed(app, &session, deadline).await?;
    let config = narrowed(config, scope);
    let problems = Mapping::from_config(&config)?;
    let problems: Vec<String> = problems
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    let (store, unknown) = what_is_stored(app).await;
    let app = &app.rehearsing(config.clone(), store);
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let begun = begin_rehearsal(app, &session, last_start, deadline).await?;
    let lease = app
        .leases
        .take(LeaseName::Run, Asker::Run, deadline)
        .await?;
    let lease = tokio::sync::Mutex::new(lease.ok_or(Failure::PenIsBusy)?);
    let slice = Slice::new(app, &session, &bitbucket, begun, &lease, deadline);
    rehearse(app, &slice, scope).await?;
    let mut found = slice.unmet_names();
    found.extend(
        slice
            .of_each(Resource::slips)
            .iter()
            .map(ToString::to_string),
    );
    found.extend(slice.run().problems.iter().map(ToString::to_string));
    let rehearsed = session.port.rehearsed();
    let (created, changed) = compare(&session.port, rehearsed.written, deadline).await?;
    let deleted = titled(
        &session.port,
        rehearsed.deleted,
        &slice.audit.take_reasons(),
        deadline,
    )
    .await?;
    let run = slice.run().clone();
    let kept = match &scope.kind {
        None => run.kept.iter().next().cloned(),
        Some(kind) => Some(format!("only {kind} was looked at")),
    };
    Ok(Preview {
        created,
        changed,
        deleted,
        kept,
        problems: problems
            .into_iter()
            .chain(found)
            .chain(run.clashes.into_values())
            .collect(),
        notes: slice
            .of_each(Resource::notes)
            .iter()
            .map(ToString::to_string)
            .collect(),
        nulls: slice.of_each(Resource::null_fields),
        failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
        unknown: unknown.into_iter().collect(),
        mapping: config,
        counts: run.counts,
    })
}

/// The whole run.
async fn rehearse(app: &App, slice: &Slice<'_>, scope: &Scope) -> Result<(), Failure> {
    while !slice.run().is_read {
        while let Step::Paused(failure) = slice.read().await? {
            sit_out(app, &failure).await;
        }
        slice.run().is_read = true;
        if scope.kind.is_none() {
            while let Step::Paused(failure) = slice.finish().await? {
                sit_out(app, &failure).await;
            }
        }
    }
    slice.count();
    Ok(())
}

/// The mapping that a resync would follow, and when the last one began of which Port has heard.
async fn followed(
    app: &App,
    session: &Session,
    deadline: &Deadline,
) -> Result<(Value, Option<Timestamp>), Failure> {
    let integration = session.port.integration(deadline).await?;
    let last_start = integration
        .as_ref()
        .and_then(|found| found.last_resync_start);
    let config = match (&app.mapping_override, integration) {
        (Some(config), _) => config.clone(),
        (None, Some(integration)) => integration.mapping().ok_or(Failure::NoMapping)?,
        (None, None) => defaults::mapping(),
    };
    Ok((config, last_start))
}

/// What the installation remembers, or nothing and what is not known therefore.
async fn what_is_stored(app: &App) -> (Store, Option<String>) {
    const CONSEQUENCE: &str = "so nobody can tell which item an entity stood for: whatever Port calls ours and no item \
                               stands for now is taken for stale";
    match app.store.load(&completed()).await {
        Ok(found) => {
            let unknown = found.value.is_none().then(|| {
                format!(
                    "no resync is recorded where this preview may look (FERRY__STATE_TABLE, FERRY__STATE_DIR), {CONSEQUENCE}"
                )
            });
            (app.store.rehearsing(), unknown)
        }
        Err(error) => {
            let reason = chain(&error);
            let unknown =
                format!("the installation's store cannot be read ({reason}), {CONSEQUENCE}");
            (Store::memory(), Some(unknown))
        }
    }
}

async fn titled(
    port: &PortClient,
    deleted: Vec<EntityKey>,
    reasons: &Reasons,
    deadline: &Deadline,
) -> Result<Vec<PreviewedDeletion>, Failure> {
    let present = port.present(&deleted, deadline).await?;
    let deleted = deleted.into_iter().map(|key| PreviewedDeletion {
        title: present
            .get(&key)
            .and_then(|entity| entity.get("title"))
            .cloned(),
        // What goes along with another entity has no line of its own in the audit.
        reason: reasons
            .get(&key)
            .copied()
            .unwrap_or("it goes along with what it requires"),
        key,
    });
    Ok(deleted.collect())
}

async fn sit_out(app: &App, failure: &Failure) {
    let wait = failure.wait().unwrap_or(Duration::from_secs(60));
    let (reason, seconds) = (chain(failure), wait.as_secs());
    tracing::info!(reason, seconds, "waiting");
    app.clock.sleep(wait).await;
}

fn narrowed(mut config: Value, scope: &Scope) -> Value {
    if let (Some(kind), Some(resources)) = (
        &scope.kind,
        config.get_mut("resources").and_then(Value::as_array_mut),
    ) {
        resources
            .retain(|resource| resource.get("kind").and_then(Value::as_str) == Some(kind.as_str()));
    }
    config
}

/// Tells what is new from what is different.
async fn compare(
    port: &PortClient,
    written: Vec<Entity>,
    deadline: &Deadline,
) -> Result<(Vec<Entity>, Vec<PreviewedChange>), Failure> {
    // The last write of an entity wins, as it would in Port.
    let mut last: BTreeMap<EntityKey, Entity> = BTreeMap::new();
    let mut searched = Vec::new();
    for entity in written {
        match entity.key() {
            Some(key) => {
                last.insert(key, entity);
            }
            None => searched.push(entity),
        }
    }
    let keys: Vec<EntityKey> = last.keys().cloned().collect();
    let present = port.present(&keys, deadline).await?;
    let (mut created, mut changed) = (Vec::new(), Vec::new());
    for (key, entity) in last {
        let Some(before) = present.get(&key) else {
            created.push(entity);
            continue;
        };
        let fields = differences(before, &entity);
        // Written all the same where Port has to resolve a search, or another source wrote last; nothing to see.
        if !fields.is_empty() {
            let title = entity.title.clone();
            let title = title.or_else(|| before.get("title").cloned());
            changed.push(PreviewedChange { key, title, fields });
        }
    }
    for entity in searched {
        let identifier = match &entity.identifier {
            Identifier::Search(query) => query.to_string(),
            Identifier::Text(text) => text.clone(),
        };
        let fields = differences(&Value::Null, &entity);
        let key = EntityKey::new(&entity.blueprint, identifier);
        let title = entity.title.clone();
        changed.push(PreviewedChange { key, title, fields });
    }
    Ok((created, changed))
}

fn differences(before: &Value, after: &Entity) -> Vec<FieldChange> {
    let Entity {
        title,
        icon: _,
        team,
        properties,
        relations,
        ..
    } = after;
    let mut fields = Vec::new();
    let mut compare = |name: String, before: Option<&Value>, after: &Value| {
        let before = before.unwrap_or(&Value::Null);
        if before != after {
            fields.push(FieldChange {
                name,
                before: before.clone(),
                after: after.clone(),
            });
        }
    };
    for (name, value) in [("title", title), ("team", team)] {
        if let Some(value) = value {
            compare(name.to_owned(), before.get(name), value);
        }
    }
    for (group, values) in [("properties", properties), ("relations", relations)] {
        for (name, value) in values.iter().flatten() {
            let before = before.get(group).and_then(|before| before.get(name));
            compare(format!("{group}.{name}"), before, value);
        }
    }
    fields
}

impl App {
    /// The same connections, with `mapping`, a store of its own, and nothing to show to Port.
    fn rehearsing(&self, mapping: Value, store: Store) -> App {
        let mut config = self.config.clone();
        config.send_raw_data_examples = false;
        let secrets = self.secrets.clone_for(&config);
        let mut app = App::new(config, self.http.clone(), secrets, store);
        // Who holds the leases of the installation is nothing to this one.
        app.leases = Leases::new(Store::memory(), self.clock.clone());
        app.mapping_override = Some(mapping);
        app.progress = self.progress.clone();
        app
    }
}
