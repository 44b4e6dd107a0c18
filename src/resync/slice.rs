//! One invocation's share of a run: the state that its steps share, and what a failure means to them.
//!
//! Owns the stored run while it is worked on. `read` reads, `committer` commits, `finish` looks at what lists have not
//! shown.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::RunOutcome;
use super::begin::{Begun, Ingest};
use super::end::PAUSE;
use super::journal::{Journal, Phase};
use super::pages::{RunPages, Spot};
use super::snapshots::Snapshots;
use crate::app::{App, Session};
use crate::bitbucket::BitbucketClient;
use crate::counts::Tallied;
use crate::deadline::Deadline;
use crate::extract::Group;
use crate::failure::Failure;
use crate::identity::{PartitionId, Repository};
use crate::locked::locked;
use crate::store::documents::Stamp;
use crate::store::run::{FailedPart, Run, run};
use crate::store::{Lease, Revision, Store, StoreError};
use crate::sync::audit::Audit;
use crate::sync::generation::Current;
use crate::sync::guard::Guard;
use crate::sync::look::Looker;
use crate::sync::mapper::{Mapper, Noticed, blueprints_of};
use crate::sync::plan::Kept;
use crate::sync::sources::Sources;

/// Shared by everything that goes on at once.
pub(super) struct Slice<'a> {
    pub(super) app: &'a App,
    pub(super) session: &'a Session,
    /// Leaves live looks their share of the allowance.
    pub(super) bitbucket: &'a BitbucketClient,
    pub(super) current: Current,
    pub(super) ingest: Ingest,
    /// When to stop working; later than this there is only time to save.
    pub(super) deadline: Deadline,
    pub(super) mapper: Mapper,
    pub(super) snapshots: Snapshots,
    pub(super) guard: Guard,
    pub(super) audit: Audit,
    pub(super) journal: Journal,
    /// Of the run's lists of repositories.
    pub(super) pages: RunPages,
    /// [`run`](Slice::run) locks it.
    pub(super) state: Mutex<Run>,
    /// Of the stored run: whoever else has written it meanwhile has taken the run over. Held while it is written.
    pub(super) revision: tokio::sync::Mutex<Revision>,
    /// The right to work on the run.
    pub(super) lease: &'a tokio::sync::Mutex<Lease>,
    /// When it began, by the clock's count.
    pub(super) begun_at: Duration,
    /// When it was stored last, by the clock's count.
    pub(super) saved_at: Mutex<Duration>,
    /// Partitions that were taken over have to be read after all.
    pub(super) is_reopened: AtomicBool,
    /// Digests of the entities that this slice has deleted.
    pub(super) gone: Mutex<HashSet<u64>>,
    /// What the mapping could not do in this slice.
    pub(super) problems: Mutex<Vec<Tallied>>,
    /// Parts whose reading has begun in this slice.
    pub(super) parts_begun: AtomicUsize,
    /// Those of which all is committed.
    pub(super) parts_done: AtomicUsize,
    /// How many partitions are done, by source, for whoever watches.
    pub(super) through: Mutex<BTreeMap<String, usize>>,
}

/// A partition as a run works on it.
#[derive(Clone, Debug)]
pub(super) struct RunPart {
    pub(super) id: PartitionId,
    /// What people call its repository; `None`: the workspace.
    pub(super) name: Option<String>,
    /// Where its repository was listed.
    pub(super) spot: Option<Spot>,
    /// It might have been taken over, as what is recorded under this stamp says.
    pub(super) audited: Option<Stamp>,
}

impl RunPart {
    /// Of what is looked at once for the workspace.
    pub(super) fn of_workspace(group: &Group) -> RunPart {
        RunPart::of(group.partition(None))
    }

    /// One that no list has brought.
    pub(super) fn of(id: PartitionId) -> RunPart {
        let name = id.repository.as_ref().map(ToString::to_string);
        RunPart {
            id,
            name,
            spot: None,
            audited: None,
        }
    }

    pub(super) fn of_repository(group: &Group, repository: &Repository, spot: &Spot) -> RunPart {
        RunPart {
            id: group.partition(Some(&repository.uuid)),
            name: Some(repository.full_name.clone()),
            spot: Some(spot.clone()),
            audited: None,
        }
    }
}

/// How often a slice goes on at once after it has lost the pen.
const MOST_RETURNS: usize = 20;

/// Different problems of the mapping that a run tells apart.
const MOST_PROBLEMS: usize = 200;

/// Whether there is nothing to wait for.
fn is_brief(failure: &Failure) -> bool {
    matches!(failure, Failure::PenIsBusy) || failure.wait() == Some(Duration::ZERO)
}

/// How a step ended when it did not fail.
pub(super) enum Step {
    Done,
    /// Time or the allowance is used up, or a server is not there: the failure says which.
    Paused(Failure),
}

impl<'a> Slice<'a> {
    pub(super) fn new(
        app: &'a App,
        session: &'a Session,
        bitbucket: &'a BitbucketClient,
        begun: Begun,
        lease: &'a tokio::sync::Mutex<Lease>,
        deadline: &Deadline,
    ) -> Slice<'a> {
        let Begun {
            mut run,
            revision,
            current,
            ingest,
            is_new: _,
        } = begun;
        let threshold = current
            .sources
            .mapping()
            .settings()
            .entity_deletion_threshold;
        let rival = run.has_rival.then_some(Kept::Rival);
        let off = app
            .config
            .deletes_off
            .then_some(Kept::SwitchedOff)
            .or(rival);
        run.not_before = None;
        bitbucket.ask_for_heads(!run.skipping.refuses_heads);
        Slice {
            app,
            session,
            bitbucket,
            deadline: deadline.earlier_by(app.config.slice_margin),
            mapper: Mapper::new(app.config.send_raw_data_examples),
            snapshots: Snapshots::default(),
            guard: Guard::run(off, threshold, &run),
            audit: match session.port.is_rehearsing() {
                true => Audit::of_rehearsal(),
                false => Audit::of_run(&run.id),
            },
            journal: Journal::new(app.clock.clone(), &run.id),
            pages: RunPages::default(),
            state: Mutex::new(run),
            revision: tokio::sync::Mutex::new(revision),
            lease,
            begun_at: app.clock.elapsed(),
            saved_at: Mutex::new(app.clock.elapsed()),
            is_reopened: AtomicBool::new(false),
            gone: Mutex::default(),
            problems: Mutex::default(),
            parts_begun: AtomicUsize::new(0),
            parts_done: AtomicUsize::new(0),
            through: Mutex::default(),
            ingest,
            current,
        }
    }

    /// Takes the run as far as it goes.
    pub(super) async fn work(&self) -> Result<RunOutcome, Failure> {
        if self.run().is_read && !self.load_pages().await? {
            self.run().is_read = false;
        }
        loop {
            if !self.run().is_read {
                if let Step::Paused(failure) = Box::pin(self.read_on()).await? {
                    return self.pause(failure).await;
                }
                if self.is_reopened.swap(false, Ordering::Relaxed) {
                    continue;
                }
                self.run().is_read = true;
                self.save().await?;
                self.send_examples().await;
            }
            if let Some(reason) = self.nothing_read() {
                return Err(Failure::NothingRead(reason));
            }
            if let Step::Paused(failure) = Box::pin(self.finish()).await? {
                return self.pause(failure).await;
            }
            // Otherwise there are repositories that a list had overlooked.
            if self.run().is_read {
                return self.complete().await;
            }
        }
    }

    /// Reads until everything is read or the run has to pause. A section that was given up because somebody else wanted
    /// the pen, or held it for long, is read again at once.
    async fn read_on(&self) -> Result<Step, Failure> {
        for _ in 0..MOST_RETURNS {
            match self.read().await? {
                Step::Paused(failure) if is_brief(&failure) && self.deadline.has(PAUSE) => {}
                step => return Ok(step),
            }
        }
        self.read().await
    }

    /// False where a page is lost.
    async fn load_pages(&self) -> Result<bool, Failure> {
        let (id, lists) = {
            let run = self.run();
            (run.id.clone(), run.lists.clone())
        };
        for (list, state) in lists {
            if !self
                .pages
                .load(self.store(), &id, (&list, state.pages))
                .await?
            {
                self.run().lists.remove(&list);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why there is not a single item, though something was to be read.
    fn nothing_read(&self) -> Option<String> {
        let run = self.run();
        let failed = run.failed.first()?;
        let nothing = run.counts.extracted == 0;
        nothing.then(|| failed.reason.clone())
    }

    /// The run, for as long as nothing is awaited.
    pub(super) fn run(&self) -> MutexGuard<'_, Run> {
        locked(&self.state)
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.current.sources
    }

    pub(super) fn store(&self) -> &Store {
        &self.app.store
    }

    pub(super) fn looker(&self) -> Looker<'_> {
        Looker {
            store: self.store(),
            bitbucket: self.bitbucket,
            port: &self.session.port,
            sources: self.sources(),
            mapper: &self.mapper,
            deadline: &self.deadline,
        }
    }

    /// Stores how far the run is, and that its holder is alive.
    pub(super) async fn save(&self) -> Result<(), StoreError> {
        self.lease.lock().await.keep().await?;
        self.count();
        // The pages first: the run names them.
        let id = self.run().id.clone();
        self.pages.save(self.store(), &id).await?;
        let mut revision = self.revision.lock().await;
        let state = {
            let mut run = self.run();
            run.skipping.refuses_heads = self.bitbucket.refuses_heads();
            run.clone()
        };
        *revision = self.store().save(&run(), &state, *revision).await?;
        *locked(&self.saved_at) = self.app.clock.elapsed();
        self.publish(None);
        Ok(())
    }

    /// What became of `part` is unknown to this run. `is_recorded`: its claims stand for what it may hold; otherwise that
    /// may be any entity of the part's blueprints.
    pub(super) fn give_up(&self, part: &RunPart, is_recorded: bool, reason: &str) {
        let group = self.sources().group(&part.id.source);
        let kind = group.map_or("", |group| group.source.name());
        let name = part.name.as_deref().unwrap_or("the workspace");
        tracing::warn!(kind, repository = name, error = reason, "part not read");
        let line = format!("{kind} of {name} not read: {reason}");
        self.journal.warn_of(kind, Phase::Extract, line);
        if let Some(group) = group.filter(|_| !is_recorded) {
            self.doubt(group);
        }
        let mut run = self.run();
        let is_new = run.fail(FailedPart {
            source: part.id.source.clone(),
            repository: part.id.repository.clone(),
            name: name.to_owned(),
            reason: reason.to_owned(),
        });
        let resources = group.map_or(&[][..], |group| &group.resources);
        for resource in resources.iter().filter(|_| is_new) {
            run.tallies.of(resource.index).unread += 1;
        }
    }

    /// Something of `group` may not have been seen: nothing that seems to be nobody's goes for that.
    pub(super) fn doubt(&self, group: &Group) {
        self.run().unsound.extend(blueprints_of(&group.resources));
    }

    /// Takes in what was mapped since this was asked last.
    pub(super) fn count(&self) {
        let Noticed {
            counts,
            skipped,
            identifiers,
            unsound,
            open,
        } = self.mapper.take_noticed();
        let problems = self.mapper.take_problems();
        Tallied::merge(&mut locked(&self.problems), problems.clone(), MOST_PROBLEMS);
        let mut run = self.run();
        Tallied::merge(&mut run.problems, problems, MOST_PROBLEMS);
        run.counts += counts;
        for (position, files) in skipped {
            run.tallies.of(position).skipped += files;
        }
        for (resource, counts) in identifiers {
            *run.identifiers.entry(resource).or_default() += counts;
        }
        run.unsound.extend(unsound);
        run.open.extend(open);
    }

    /// Notes that one more partition of `group` is done.
    pub(super) fn note_through(&self, group: &Group) {
        *locked(&self.through)
            .entry(group.id.to_string())
            .or_default() += 1;
    }
}
