//! A resync that writes nothing: the same steps over the same data, with Port's answers to writes left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::begin::begin_rehearsal;
use super::slice::{Slice, Step};
use crate::app::{App, Session};
use crate::bitbucket::Purpose;
use crate::counts::Counts;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey, Identifier};
use crate::failure::Failure;
use crate::mapping::{Mapping, defaults};
use crate::port::PortClient;
use crate::store::{Asker, LeaseName, Store};
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
    pub deleted: Vec<EntityKey>,
    /// Why stale entities would stay, if they would.
    pub kept: Option<String>,
    /// Filters that do not compile, and what the mapping could not do, with the number of items it costs.
    pub problems: Vec<String>,
    /// Parts of the workspace that cannot be read, each with its reason.
    pub failed_partitions: Vec<String>,
    pub counts: Counts,
}

/// An entity that would be written over, field by field.
#[derive(Debug)]
pub struct PreviewedChange {
    pub key: EntityKey,
    pub fields: Vec<FieldChange>,
}

#[derive(Debug, PartialEq)]
pub struct FieldChange {
    /// `title`, `properties.url`, ..
    pub name: String,
    pub before: Value,
    pub after: Value,
}

/// Says what a resync would do, and does none of it. What `app` has stored is neither read nor changed: a part that
/// cannot be read protects nothing here, it stops deletion.
pub async fn preview(app: &App, scope: &Scope, deadline: &Deadline) -> Result<Preview, Failure> {
    let session = app.session(deadline).await?;
    let session = Session {
        credentials: Arc::clone(&session.credentials),
        bitbucket: session.bitbucket.clone(),
        port: session.port.rehearsing(),
    };
    let config = match &app.mapping_override {
        Some(config) => config.clone(),
        None => match session.port.integration(deadline).await? {
            Some(integration) => integration.mapping().ok_or(Failure::NoMapping)?,
            None => defaults::mapping(),
        },
    };
    let config = narrowed(config, scope);
    let problems = Mapping::from_config(&config)?;
    let problems: Vec<String> = problems
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    let app = &app.rehearsing(config);
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let begun = begin_rehearsal(app, &session, deadline).await?;
    let lease = app
        .leases
        .take(LeaseName::Run, Asker::Run, deadline)
        .await?;
    let lease = tokio::sync::Mutex::new(lease.ok_or(Failure::PenIsBusy)?);
    let slice = Slice::new(app, &session, &bitbucket, begun, &lease, deadline);
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
    let mut found = slice.unmet_names();
    found.extend(slice.run().problems.iter().map(ToString::to_string));
    let rehearsed = session.port.rehearsed();
    let (created, changed) = compare(&session.port, rehearsed.written, deadline).await?;
    let run = slice.run().clone();
    let kept = match &scope.kind {
        None => run.kept.iter().next().cloned(),
        Some(kind) => Some(format!("only {kind} was looked at")),
    };
    Ok(Preview {
        created,
        changed,
        deleted: rehearsed.deleted,
        kept,
        problems: problems
            .into_iter()
            .chain(found)
            .chain(run.clashes.into_values())
            .collect(),
        failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
        counts: run.counts,
    })
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
            changed.push(PreviewedChange { key, fields });
        }
    }
    for entity in searched {
        let identifier = match &entity.identifier {
            Identifier::Search(query) => query.to_string(),
            Identifier::Text(text) => text.clone(),
        };
        let fields = differences(&Value::Null, &entity);
        let key = EntityKey::new(&entity.blueprint, identifier);
        changed.push(PreviewedChange { key, fields });
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
    /// The same connections, with `mapping`, a memory of its own, and nothing to show to Port.
    fn rehearsing(&self, mapping: Value) -> App {
        let mut config = self.config.clone();
        config.send_raw_data_examples = false;
        let secrets = self.secrets.clone_for(&config);
        let mut app = App::new(config, self.http.clone(), secrets, Store::memory());
        app.mapping_override = Some(mapping);
        app.progress = self.progress.clone();
        app
    }
}
