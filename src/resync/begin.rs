//! The beginning of a run: the mapping put in force, what is owned counted, and the run stored.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::rival::{look_for_rival, rival_line};
use super::told::report;
use super::unreadable::leave_looks_to_run;
use crate::app::{App, Session};
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::mapping::{Mapping, defaults};
use crate::port::ResyncStatus;
use crate::store::basis::Skipping;
use crate::store::documents::completed;
use crate::store::run::{
    Run, Watermark, failed_repositories, recorded_sources, run, run_request, watermark,
};
use crate::store::{Asker, Revision};
use crate::sync::generation::Current;

/// A run to be worked on.
pub(super) struct Begun {
    pub(super) run: Run,
    pub(super) revision: Revision,
    pub(super) current: Current,
    pub(super) ingest: Ingest,
    /// Nothing of it was done before.
    pub(super) is_new: bool,
}

/// Where Port takes what people are told of a run.
#[derive(Clone, Default)]
pub(super) struct Ingest {
    /// `None`: Port names no address.
    pub(super) logs: Option<Url>,
    pub(super) metrics: Option<Url>,
    /// Who hosts the installation, in Port's words.
    pub(super) installation_type: Option<String>,
}

/// What Port says about this installation.
pub(super) struct PortSetup {
    config: Value,
    ingest: Ingest,
    /// When the run began of which Port has heard last.
    last_start: Option<Timestamp>,
}

/// The mapping as Port has it now, after making sure that Port knows this installation.
pub(super) async fn read_mapping(
    app: &App,
    session: &Session,
    deadline: &Deadline,
) -> Result<PortSetup, Failure> {
    let initialize = app.config.initialize_port_resources;
    let integration = session
        .port
        .ensure_integration(&defaults::mapping(), initialize, deadline)
        .await?;
    let last_start = integration.last_resync_start;
    let ingest = Ingest {
        logs: integration.logs_url.clone(),
        metrics: integration.metrics_url.clone(),
        installation_type: integration.installation_type.clone(),
    };
    let config = match &app.mapping_override {
        Some(mapping) => mapping.clone(),
        None => integration.mapping().ok_or(Failure::NoMapping)?,
    };
    Ok(PortSetup {
        config,
        ingest,
        last_start,
    })
}

/// Takes a run up; `None` where Port has another mapping by now, and the run is over.
pub(super) async fn resume(
    app: &App,
    session: &Session,
    (found, revision): (Run, Revision),
    deadline: &Deadline,
) -> Result<Option<Begun>, Failure> {
    let given = read_mapping(app, session, deadline).await?;
    let fingerprint = Mapping::from_config(&given.config)?
        .fingerprint()
        .to_owned();
    let current = app.generations.current(&app.store).await?;
    let current = current.filter(|current| {
        current.number == found.generation && current.sources.mapping().fingerprint() == fingerprint
    });
    let Some(current) = current else {
        super::abandon(app, session, deadline).await?;
        return Ok(None);
    };
    let (mut found, mut revision) = (found, revision);
    if found.is_interrupted {
        found.is_interrupted = false;
        revision = app.store.save(&run(), &found, revision).await?;
        let started_at = found.started_at;
        report(app, session, ResyncStatus::Running, started_at, deadline).await;
    }
    Ok(Some(Begun {
        run: found,
        revision,
        current,
        ingest: given.ingest,
        is_new: false,
    }))
}

/// Registers with Port where needed, puts the mapping in force, and stores a new run.
pub(super) async fn begin(
    app: &App,
    session: &Session,
    deadline: &Deadline,
) -> Result<Begun, Failure> {
    let started_at = app.clock.now();
    // Whatever Port has asked for until now, this run answers; what it asks for from here on asks for another.
    let asked_at = session.port.resync_request(deadline).await?;
    let given = read_mapping(app, session, deadline).await?;
    let watermark_key = watermark();
    let followed = Watermark(asked_at.unwrap_or(Timestamp::UNIX_EPOCH));
    if app.store.load(&watermark_key).await?.value != Some(followed) {
        app.store
            .save(&watermark_key, &followed, Revision::ANYTHING)
            .await?;
    }
    let has_rival = look_for_rival(app, given.last_start).await?;
    let current = adopt(app, &given.config, deadline).await?;
    let new = Run {
        started_at,
        ..new_run(app, session, &current, has_rival, deadline).await?
    };
    let revision = app.store.save(&run(), &new, Revision::ANYTHING).await?;
    app.store.remove(&run_request()).await?;
    leave_looks_to_run(&app.store).await?;
    tracing::info!(run = new.id, "resync begun");
    report(app, session, ResyncStatus::Running, started_at, deadline).await;
    Ok(Begun {
        run: new,
        revision,
        current,
        ingest: given.ingest,
        is_new: true,
    })
}

/// A run that begins now, with what the runs before have left to it.
async fn new_run(
    app: &App,
    session: &Session,
    current: &Current,
    has_rival: bool,
    deadline: &Deadline,
) -> Result<Run, Failure> {
    let known = app.store.load(&completed()).await?.value;
    let is_first = known.is_none();
    let hidden_before = known.as_ref().map(|known| known.hidden.clone());
    let audits = known.as_ref().map_or(0, |known| known.runs);
    let owned = match known {
        Some(known) => known.owned,
        None => session.port.owned(None, deadline).await?.len(),
    };
    let first = app.store.load(&failed_repositories()).await?.value;
    let id = Uuid::new_v4().to_string();
    let first = first.unwrap_or_default().0;
    Ok(Run {
        is_first,
        has_rival,
        skipping: Skipping {
            audits,
            ..Skipping::default()
        },
        hidden_before: hidden_before.unwrap_or_default(),
        kept: has_rival.then(rival_line).into_iter().collect(),
        ..Run::begin(id, app.clock.now(), current.number, (owned, first))
    })
}

/// Puts the mapping that Port has into force, without a run: where another process makes the runs.
pub(super) async fn follow_mapping(
    app: &App,
    session: &Session,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let given = read_mapping(app, session, deadline).await?;
    let fingerprint = Mapping::from_config(&given.config)?
        .fingerprint()
        .to_owned();
    let current = app.generations.current(&app.store).await?;
    if current.is_none_or(|current| current.sources.mapping().fingerprint() != fingerprint) {
        adopt(app, &given.config, deadline).await?;
        tracing::info!("the mapping is in force");
    }
    Ok(())
}

/// The same for a run that only notes what it would do: Port is told nothing.
pub(super) async fn begin_rehearsal(
    app: &App,
    session: &Session,
    last_start: Option<Timestamp>,
    deadline: &Deadline,
) -> Result<Begun, Failure> {
    let config = app.mapping_override.clone().ok_or(Failure::NoMapping)?;
    let has_rival = look_for_rival(app, last_start).await?;
    let current = adopt(app, &config, deadline).await?;
    let new = new_run(app, session, &current, has_rival, deadline).await?;
    let revision = app.store.save(&run(), &new, Revision::ANYTHING).await?;
    Ok(Begun {
        run: new,
        revision,
        current,
        ingest: Ingest::default(),
        is_new: true,
    })
}

/// Puts the mapping in force under the pen, and remembers its sources before anything is recorded of them.
async fn adopt(app: &App, config: &Value, deadline: &Deadline) -> Result<Current, Failure> {
    let lease = app.take_pen(Asker::Run, deadline).await?;
    let store = app.store.within(&lease.deadline());
    let adopted = async {
        let current = app.generations.adopt(&store, config).await?;
        let key = recorded_sources();
        let found = store.load(&key).await?;
        let mut known = found.value.clone().unwrap_or_default();
        let sources = current.sources.groups().iter();
        known.0.extend(sources.map(|group| group.id.clone()));
        if found.value.as_ref() != Some(&known) {
            store.save(&key, &known, Revision::ANYTHING).await?;
        }
        Ok(current)
    };
    let adopted = adopted.await;
    App::let_go_of_pen(lease).await;
    adopted
}
