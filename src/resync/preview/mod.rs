//! A resync that writes nothing: the same steps over the same data, with Port's answers to writes foretold.

mod changes;
mod refusals;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::begin::begin_rehearsal;
use super::slice::{Slice, Step};
use crate::app::{App, Session};
use crate::bitbucket::Purpose;
use crate::counts::Counts;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey};
use crate::failure::Failure;
use crate::mapping::{FieldFigures, Mapping, Resource, defaults};
use crate::port::ForeseenIntegration;
use crate::store::documents::{agains, completed};
use crate::store::{Asker, Found, LeaseName, Leases, Store};
use crate::telemetry::chain;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only resources of this kind. Nothing can be said about deletions then.
    pub kind: Option<String>,
}

pub use refusals::{ForeseenRefusal, RefusalCost};

use refusals::foreseen;

/// What a resync would do now.
#[derive(Debug, Default)]
pub struct Preview {
    pub created: Vec<Entity>,
    /// Those of them that are created empty, because a relation leads there.
    pub stubs: BTreeSet<EntityKey>,
    pub changed: Vec<PreviewedChange>,
    pub deleted: Vec<PreviewedDeletion>,
    /// What a first resync makes before it comes to entities: the installation, blueprints.
    pub set_up: Vec<String>,
    /// What Port would refuse of all that.
    pub refused: Vec<ForeseenRefusal>,
    /// Why stale entities would stay, if they would.
    pub kept: Option<String>,
    /// Filters that do not compile, and what the mapping could not do, with the number of items it costs; values that Port
    /// would refuse, too.
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
    let (initialize, defaults) = (app.config.initialize_port_resources, defaults::mapping());
    let found = session
        .port
        .foresee_integration(&defaults, initialize, deadline);
    let found = found.await?;
    let set_up = set_up(app, &found);
    let last_start = found.integration.last_resync_start;
    let config = match &app.mapping_override {
        Some(config) => config.clone(),
        None => found.integration.mapping().ok_or(Failure::NoMapping)?,
    };
    let (port, rehearsal) = session.port.rehearsing(found.blueprints);
    let session = Session {
        credentials: Arc::clone(&session.credentials),
        bitbucket: session.bitbucket.clone(),
        port,
    };
    let (followed, places) = narrowed(config.clone(), scope);
    let mapping = Mapping::from_config(&followed)?;
    let (store, unknown) = what_is_stored(app).await;
    let app = &app.rehearsing(followed, store);
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let begun = begin_rehearsal(app, &session, last_start, deadline).await?;
    let lease = app
        .leases
        .take(LeaseName::Run, Asker::Run, deadline)
        .await?;
    let lease = tokio::sync::Mutex::new(lease.ok_or(Failure::PenIsBusy)?);
    let slice = Slice::new(app, &session, &bitbucket, begun, &lease, deadline);
    rehearse(app, &slice, scope).await?;
    let looks = stored_looks(app).await?;
    let run = slice.run().clone();
    let rehearsed = rehearsal.end();
    let problems = mapping.problems().iter().map(ToString::to_string);
    let mut preview = Preview {
        refused: foreseen(&run.problems, rehearsed.refused, &mapping),
        kept: match &scope.kind {
            None => Some(Vec::from_iter(run.kept).join("; ")).filter(|kept| !kept.is_empty()),
            Some(kind) => Some(format!("only {kind} was looked at")),
        },
        problems: problems
            .chain(slice.unmet_names())
            .chain(lines(&slice.of_each(Resource::slips)))
            .chain(lines(&run.problems))
            .chain(run.clashes.into_values())
            .collect(),
        notes: lines(&slice.of_each(Resource::notes)),
        nulls: slice.of_each(Resource::null_fields),
        failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
        unknown: unknown.into_iter().collect(),
        set_up,
        mapping: config,
        counts: run.counts,
        ..Preview::default()
    };
    preview.take_entities(rehearsed.entities, &slice.audit.take_reasons());
    preview.take_unresolved(&rehearsed.unresolved);
    preview.take_unanswered(rehearsed.unanswered);
    preview.take_looks(looks);
    preview.name_places(&places);
    Ok(preview)
}

fn lines(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Looks that are taken once the run is over: what was stored before, and what the run leaves.
async fn stored_looks(app: &App) -> Result<usize, Failure> {
    let mut count = 0;
    let each = |_: &str, found: Found<_>| {
        count += usize::from(found.value.is_some());
        ControlFlow::Continue(())
    };
    app.store.list(&agains(), "", each).await?;
    Ok(count)
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

/// What a first resync makes in Port before it comes to entities, in words.
fn set_up(app: &App, found: &ForeseenIntegration) -> Vec<String> {
    let identifier = &app.config.identifier;
    let installation = found
        .is_new
        .then(|| format!("the installation `{identifier}`, with the default mapping"));
    let blueprints = found.blueprints.iter();
    let blueprints = blueprints.map(|(identifier, _)| format!("the blueprint `{identifier}`"));
    installation.into_iter().chain(blueprints).collect()
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

async fn sit_out(app: &App, failure: &Failure) {
    let wait = failure.wait().unwrap_or(Duration::from_secs(60));
    let (reason, seconds) = (chain(failure), wait.as_secs());
    tracing::info!(reason, seconds, "waiting");
    app.clock.sleep(wait).await;
}

/// The mapping with the resources that are looked at, and the positions that they have in the whole mapping.
fn narrowed(mut config: Value, scope: &Scope) -> (Value, Vec<usize>) {
    let mut places = Vec::new();
    if let Some(resources) = config.get_mut("resources").and_then(Value::as_array_mut) {
        let is_wanted = |resource: &Value| {
            let kind = resource.get("kind").and_then(Value::as_str);
            scope.kind.is_none() || kind == scope.kind.as_deref()
        };
        let all = std::mem::take(resources).into_iter().enumerate();
        for (place, resource) in all.filter(|(_, resource)| is_wanted(resource)) {
            places.push(place);
            resources.push(resource);
        }
    }
    (config, places)
}

impl Preview {
    /// Has texts name resources by their `places` in the whole mapping.
    fn name_places(&mut self, places: &[usize]) {
        let refused = self.refused.iter_mut();
        let texts = refused.flat_map(|it| it.resources.iter_mut().chain([&mut it.place]));
        let nulls = self.nulls.iter_mut().map(|field| &mut field.path);
        for text in texts
            .chain(&mut self.problems)
            .chain(&mut self.notes)
            .chain(nulls)
        {
            if let Some(renamed) = renamed(text, places) {
                *text = renamed;
            }
        }
    }
}

/// `resources[1].port: ..` as it is called where its resource is at `places[1]`.
fn renamed(text: &str, places: &[usize]) -> Option<String> {
    let (place, rest) = text.strip_prefix("resources[")?.split_once(']')?;
    let place = places.get(place.parse::<usize>().ok()?)?;
    Some(format!("resources[{place}]{rest}"))
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
