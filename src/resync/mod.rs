//! The resync flow: every kind read, mapped, loaded; then what is stale deleted.
//!
//! A resync is a run that any number of invocations work on, one at a time, each for a slice. [`resync`] asks for
//! one and works on it, [`tick`] goes on with it. Knows nothing of webhooks or of Lambda.

mod evidence;
mod examples;
mod figures;
mod journal;
mod partitions;
mod preview;
mod reconcile;
mod record;
mod repositories;
mod run;
mod slice;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::app::{App, Session};
use crate::bitbucket::Purpose;
use crate::deadline::{Deadline, later};
use crate::extract;
use crate::failure::{Failure, chain};
use crate::mapping::{Mapping, defaults};
use crate::partition::RUN;
use crate::pipeline::{Counts, Pipeline};
use crate::port::{self, ResyncReport, ResyncStatus};
use crate::progress::Paused;
use crate::state::{Expected, Lease, StateError};

pub use preview::{Change, Field, Preview, Scope, preview};

use figures::put_age;
use journal::Journal;
use reconcile::{Evidence, Plan, plan};
use run::{RUN_VERSION, Run};
use slice::{Slice, Step};

/// How a call ended when nothing was wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// A run was completed.
    Completed(Summary),
    /// There is more to do; a later tick goes on.
    Paused {
        run: String,
        reason: String,
        not_before: Option<Timestamp>,
    },
    /// Another invocation is at work; what was asked for is noted.
    Busy,
    /// Nothing to do.
    Idle,
}

/// What a completed run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub run: String,
    pub counts: Counts,
    /// Parts of the workspace that could not be read, each with its reason.
    pub failed_partitions: Vec<String>,
    /// Why stale entities were left in place, if they were.
    pub kept: Option<String>,
    /// Each problem of the mapping once, with the number of items it cost.
    pub mapping_problems: Vec<String>,
}

/// Key of the wish for a run. It stays until a run has begun, so that no request is lost.
const REQUEST: &str = "resync-request";
/// Key of the last resync request of Port that was followed.
const WATERMARK: &str = "port-request";
const LEASE: &str = "lease";
/// Key of the repositories that the last run could not read.
const FAILED: &str = "failed-repositories";
/// Key of the moment at which the last run was completed.
const COMPLETED: &str = "completed";
/// Key of what each credential has used of Bitbucket's allowance.
const USAGE: &str = "usage";

/// A lease is renewed when half of it is over: whoever is killed off Lambda blocks nobody for longer.
const LONGEST_LEASE: Duration = Duration::from_secs(960);

/// A lease outlives its invocation by this much, so that a slow last write cannot meet a successor.
const LEASE_SLACK: Duration = Duration::from_secs(60);

/// How long to stay away after a failure that may pass by itself and says nothing about when.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    reason: String,
}

/// Asks for a run and works on it. A run that is under way is continued first.
pub async fn resync(app: &App, reason: &str, deadline: &Deadline) -> Result<Outcome, Failure> {
    request(app, reason).await?;
    work(app, deadline).await
}

/// Notes that a run is wanted; a tick will begin it.
pub async fn request(app: &App, reason: &str) -> Result<(), Failure> {
    app.store
        .save(
            REQUEST,
            &Request {
                reason: reason.to_owned(),
            },
            Expected::Anything,
        )
        .await?;
    Ok(())
}

/// Goes on with an unfinished run, or begins one that was asked for here or in Port.
pub async fn tick(app: &App, deadline: &Deadline) -> Result<Outcome, Failure> {
    put_age(app).await?;
    if let Some(run) = app.store.load::<Run>(RUN).await? {
        return match run.value.not_before {
            Some(not_before) if app.clock.now() < not_before => Ok(Outcome::Idle),
            _ => work(app, deadline).await,
        };
    }
    if app.store.load::<Request>(REQUEST).await?.is_none() && !port_asks(app, deadline).await? {
        return Ok(Outcome::Idle);
    }
    work(app, deadline).await
}

/// Whether Port asks for a resync that was not followed yet (a saved mapping, the Resync button), or has never seen
/// one of this installation. Notes the request.
async fn port_asks(app: &App, deadline: &Deadline) -> Result<bool, Failure> {
    let session = app.session(deadline).await?;
    let asked_at = session.port.resync_request(deadline).await?;
    let followed = match app.store.load::<Timestamp>(WATERMARK).await? {
        Some(watermark) => watermark.value,
        None => {
            // This store is young. Port remembers when a resync was last reported.
            let integration = session.port.integration(deadline).await?;
            let Some(reported_at) =
                integration.and_then(|integration| integration.resync_reported_at)
            else {
                request(app, "first resync of this installation").await?;
                return Ok(true);
            };
            app.store
                .save(WATERMARK, &reported_at, Expected::Anything)
                .await?;
            reported_at
        }
    };
    let Some(asked_at) = asked_at.filter(|asked_at| followed < *asked_at) else {
        return Ok(false);
    };
    request(app, "asked for in Port").await?;
    app.store
        .save(WATERMARK, &asked_at, Expected::Anything)
        .await?;
    Ok(true)
}

/// Works on what is to be done until it is done or the deadline is near. One invocation at a time does.
async fn work(app: &App, deadline: &Deadline) -> Result<Outcome, Failure> {
    let duration = deadline.remaining().saturating_add(LEASE_SLACK);
    let duration = duration.min(LONGEST_LEASE);
    let Some(lease) = Lease::acquire(&app.store, LEASE, &app.clock, duration).await? else {
        tracing::info!("another invocation is at work");
        return Ok(Outcome::Busy);
    };
    let mut outcome = work_under_lease(app, &lease, deadline).await;
    if matches!(&outcome, Err(failure) if failure.is_unauthorized()) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        if app.store.load::<Run>(RUN).await?.is_none() {
            // The refusal ended what was asked for.
            request(app, "the credentials were refused").await?;
        }
        outcome = work_under_lease(app, &lease, deadline).await;
    }
    lease.release(&app.store).await?;
    outcome
}

async fn work_under_lease(
    app: &App,
    lease: &Lease,
    deadline: &Deadline,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Idle;
    loop {
        let wanted = app.store.load::<Request>(REQUEST).await?;
        let unfinished = app
            .store
            .load::<Run>(RUN)
            .await?
            .filter(|run| run.value.version == RUN_VERSION);
        if wanted.is_none() && unfinished.is_none() {
            return Ok(outcome);
        }
        let session = app.session(deadline).await?;
        if let Some(usage) = app.store.load(USAGE).await? {
            session.bitbucket.learn(&usage.value);
        }
        let (given, run, version) = match unfinished {
            Some(found) => {
                let given = read_mapping(app, &session, deadline).await?;
                if given.mapping.fingerprint() != found.value.mapping {
                    tracing::info!(
                        run = found.value.id,
                        "the mapping has changed: the run is abandoned"
                    );
                    app.store.remove(RUN).await?;
                    request(app, "the mapping has changed").await?;
                    continue;
                }
                (given, found.value, found.version)
            }
            None => match begin(app, &session, deadline).await {
                Ok(begun) => begun,
                Err(failure) => {
                    if !failure.is_retryable() {
                        // Asking again every minute would not change it; the schedule and Port will.
                        app.store.remove(REQUEST).await?;
                    }
                    report(
                        app,
                        &session,
                        ResyncStatus::Failed,
                        app.clock.now(),
                        deadline,
                    )
                    .await;
                    return Err(failure);
                }
            },
        };
        let continued = continue_run(app, &session, &given, (run, version), lease, deadline).await;
        let usage = session.bitbucket.usage();
        app.store.save(USAGE, &usage, Expected::Anything).await?;
        outcome = continued?;
        if !matches!(outcome, Outcome::Completed(_)) {
            return Ok(outcome);
        }
    }
}

/// Registers with Port where needed, reads the mapping, and stores a new run.
async fn begin(
    app: &App,
    session: &Session,
    deadline: &Deadline,
) -> Result<(Given, Run, u64), Failure> {
    let started_at = app.clock.now();
    let given = read_mapping(app, session, deadline).await?;
    let mapping = &given.mapping;
    // Whatever Port has asked for until now, this run answers.
    let asked_at = session
        .port
        .resync_request(deadline)
        .await?
        .unwrap_or(Timestamp::UNIX_EPOCH);
    app.store
        .save(WATERMARK, &asked_at, Expected::Anything)
        .await?;
    for problem in mapping.problems() {
        tracing::warn!(%problem, "a filter of the mapping does not compile: it evaluates to null");
    }
    let mut run = Run::begin(
        Uuid::new_v4().to_string(),
        started_at,
        mapping.fingerprint(),
    );
    let first = app.store.load(FAILED).await?;
    run.first = first.map(|first| first.value).unwrap_or_default();
    let version = app.store.save(RUN, &run, Expected::Anything).await?;
    app.store.remove(REQUEST).await?;
    tracing::info!(run = run.id, "resync begun");
    report(app, session, ResyncStatus::Running, started_at, deadline).await;
    Ok((given, run, version))
}

/// What Port says about this installation.
struct Given {
    mapping: Mapping,
    /// Where its log lines go.
    logs: Option<Url>,
}

/// The mapping as Port has it now, after making sure that Port knows this installation.
async fn read_mapping(app: &App, session: &Session, deadline: &Deadline) -> Result<Given, Failure> {
    let initialize = app.config.initialize_port_resources;
    let integration = session
        .port
        .ensure_integration(&defaults::mapping(), initialize, deadline)
        .await?;
    let config = match &app.mapping_override {
        Some(mapping) => mapping.clone(),
        None => integration.config.ok_or(Failure::NoMapping)?,
    };
    Ok(Given {
        mapping: Mapping::from_config(&config)?,
        logs: integration.logs_url,
    })
}

async fn continue_run(
    app: &App,
    session: &Session,
    given: &Given,
    (run, version): (Run, u64),
    lease: &Lease,
    deadline: &Deadline,
) -> Result<Outcome, Failure> {
    let mapping = &given.mapping;
    let groups = extract::groups(mapping);
    let pipeline = Pipeline::for_resync(&session.port, mapping, &run.id);
    let deadline_of_invocation = deadline.clone();
    let deadline = deadline.earlier_by(app.config.slice_margin);
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let journal = Journal::new(app.clock.clone(), &run.id);
    let slice = Slice {
        app,
        session,
        bitbucket: &bitbucket,
        mapping,
        groups: &groups,
        pipeline,
        deadline: deadline.clone(),
        run: Mutex::new(run),
        version: tokio::sync::Mutex::new(version),
        lease,
        journal,
        through: Mutex::default(),
    };
    let outcome = match slice.finish().await {
        Ok(outcome) => Ok(outcome),
        Err(failure) if failure.is_retryable() => slice.pause(failure).await,
        Err(failure) => {
            // The run is over. Nothing was deleted; the next one begins afresh.
            slice.journal.error(chain(&failure));
            slice.clean_up().await?;
            let started_at = slice.run().started_at;
            report(app, session, ResyncStatus::Failed, started_at, &deadline).await;
            Err(failure)
        }
    };
    slice.tell_mapping_problems();
    for line in session.bitbucket.take_set_aside() {
        slice.journal.warn(line);
    }
    let time_left = &deadline_of_invocation;
    slice
        .journal
        .send(session, given.logs.as_ref(), time_left)
        .await;
    outcome
}

impl Slice<'_> {
    /// Takes the run as far as it goes.
    async fn finish(&self) -> Result<Outcome, Failure> {
        if !self.run().extracted {
            if let Step::Paused(failure) = self.extract().await? {
                self.settle().await?;
                return self.pause(failure).await;
            }
            self.settle().await?;
            self.run().extracted = true;
            self.save().await?;
        }
        if let Some(reason) = self.run().nothing_read() {
            return Err(Failure::NothingRead(reason));
        }
        self.restore().await?;
        let kept = self.reconcile().await?;
        let mapping_problems = self.tell_mapping_problems();
        let run = self.run().clone();
        let summary = Summary {
            run: run.id,
            counts: run.counts,
            failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
            kept,
            mapping_problems,
        };
        let failed: BTreeSet<&String> = run
            .failed
            .iter()
            .filter_map(|failed| failed.repository.as_ref().map(|(uuid, _)| uuid))
            .collect();
        let store = &self.app.store;
        store.save(FAILED, &failed, Expected::Anything).await?;
        let now = self.app.clock.now();
        store.save(COMPLETED, &now, Expected::Anything).await?;
        self.clean_up().await?;
        report(
            self.app,
            self.session,
            ResyncStatus::Completed,
            run.started_at,
            &self.deadline,
        )
        .await;
        let Counts {
            extracted,
            skipped,
            transformed,
            filtered_out,
            not_mapped,
            written,
            unchanged,
            refused,
            deleted,
        } = summary.counts;
        tracing::info!(
            run = summary.run,
            extracted,
            skipped,
            transformed,
            filtered_out,
            not_mapped,
            written,
            unchanged,
            refused,
            deleted,
            failed_partitions = summary.failed_partitions.len(),
            "resync completed"
        );
        self.put_completed(now, &summary);
        Ok(Outcome::Completed(summary))
    }

    fn tell_mapping_problems(&self) -> Vec<String> {
        let problems = self.pipeline.take_report().lines();
        for problem in &problems {
            tracing::warn!(problem, "the mapping could not be applied everywhere");
            self.journal.warn(problem.as_str());
        }
        problems
    }

    async fn pause(&self, failure: Failure) -> Result<Outcome, Failure> {
        let wait = match &failure {
            Failure::Bitbucket(crate::bitbucket::Error::OutOfTime)
            | Failure::Port(port::Error::OutOfTime { .. }) => Duration::ZERO,
            failure => failure.wait().unwrap_or(PAUSE),
        };
        let not_before = later(self.app.clock.now(), wait);
        self.run().not_before = Some(not_before);
        self.save().await?;
        let reason = chain(&failure);
        self.publish(Some(Paused {
            until: not_before,
            reason: reason.clone(),
        }));
        self.put_budget();
        let run = self.run().id.clone();
        tracing::info!(run, reason, %not_before, "resync paused");
        Ok(Outcome::Paused {
            run,
            reason,
            not_before: Some(not_before),
        })
    }

    /// Deletes what this run shows to be stale. Returns why stale entities were kept, if they were.
    async fn reconcile(&self) -> Result<Option<String>, Failure> {
        let (seen, targets, unread) = self.evidence().await?;
        let (started_at, refused) = {
            let run = self.run();
            (run.started_at, run.counts.refused)
        };
        let evidence = Evidence {
            owned: self
                .session
                .port
                .owned(Some(started_at), &self.deadline)
                .await?,
            refused,
            targets: self.resolve(&targets).await?,
            unread,
            threshold: self.mapping.settings().entity_deletion_threshold,
            seen,
        };
        let stale = match plan(evidence) {
            Plan::Keep { stale, reason } => {
                tracing::warn!(stale, %reason, "stale entities kept");
                let kept = format!("{stale} stale entities kept: {reason}");
                self.journal.warn(kept.as_str());
                return Ok(Some(kept));
            }
            Plan::Delete { stale, spared } => {
                if 0 < spared {
                    tracing::info!(
                        spared,
                        "stale entities spared: unread, or targets of relations"
                    );
                }
                stale
            }
        };
        if stale.is_empty() {
            return Ok(None);
        }
        // Whoever overslept the lease must not delete on old evidence.
        if !self.lease.is_held(&self.app.store, &self.app.clock).await? {
            return Err(StateError::Conflict {
                key: LEASE.to_owned(),
            }
            .into());
        }
        let dependents = self.mapping.settings().delete_dependent_entities;
        let report = self
            .session
            .port
            .delete(&stale, dependents, &self.deadline)
            .await?;
        if let Some(error) = report.stopped {
            return Err(error.into());
        }
        for failed in &report.failed {
            tracing::warn!(%failed, "stale entity not deleted");
        }
        self.run().counts.deleted += report.deleted;
        Ok(None)
    }
}

/// Tells Port how the run stands. Its failure costs nothing else.
async fn report(
    app: &App,
    session: &Session,
    status: ResyncStatus,
    started_at: Timestamp,
    deadline: &Deadline,
) {
    let now = app.clock.now();
    let interval = app.config.resync_interval;
    let minutes = interval.map(|interval| interval.as_secs() / 60);
    let report = ResyncReport {
        status,
        start: Some(started_at),
        end: (status != ResyncStatus::Running).then_some(now),
        next: interval.map(|interval| later(started_at, interval)),
        interval_minutes: minutes.and_then(|minutes| u32::try_from(minutes).ok()),
    };
    if let Err(error) = session.port.report_resync(report, deadline).await {
        tracing::warn!(error = chain(&error), "resync state not reported to Port");
    }
}
