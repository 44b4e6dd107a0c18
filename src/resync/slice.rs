//! One invocation's share of a run: the state that its steps share, and what a failure means to them.
//!
//! Owns the stored run while it is worked on. `read` reads, `committer` commits, `finish` looks at what lists have not
//! shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::begin::Begun;
use super::journal::{Journal, Phase};
use super::pages::Pages;
use super::snapshots::Snapshots;
use crate::app::{App, Session};
use crate::bitbucket::BitbucketClient;
use crate::deadline::Deadline;
use crate::extract::{Group, Source, filter_id};
use crate::failure::Failure;
use crate::identity::PartitionId;
use crate::mapping::Kind;
use crate::progress::{Part, Paused, Progress};
use crate::store::run::{ANY, FailedPart, Run, Tally, run};
use crate::store::{Lease, Revision, Store, StoreError};
use crate::sync::generation::Current;
use crate::sync::guard::Guard;
use crate::sync::image::Mapper;
use crate::sync::look::Looker;
use crate::sync::plan::{Seen, Sight};
use crate::sync::sources::Sources;

/// Shared by everything that goes on at once.
pub(super) struct Slice<'a> {
    pub(super) app: &'a App,
    pub(super) session: &'a Session,
    /// Leaves live looks their share of the allowance.
    pub(super) bitbucket: &'a BitbucketClient,
    pub(super) current: Current,
    /// When to stop working; later than this there is only time to save.
    pub(super) deadline: Deadline,
    pub(super) mapper: Mapper,
    pub(super) snapshots: Snapshots,
    pub(super) guard: Guard,
    pub(super) journal: Journal,
    /// Of the run's lists of repositories.
    pub(super) pages: Pages,
    /// [`run`](Slice::run) locks it.
    pub(super) state: Mutex<Run>,
    /// Of the stored run: whoever else has written it meanwhile has taken the run over. Held while it is written.
    pub(super) revision: tokio::sync::Mutex<Revision>,
    /// The right to work on the run.
    pub(super) lease: &'a tokio::sync::Mutex<Lease>,
    /// Partitions of repositories that this slice has done.
    pub(super) done: AtomicUsize,
    /// How many partitions are done, by source, for whoever watches.
    pub(super) through: Mutex<BTreeMap<String, usize>>,
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
            logs: _,
        } = begun;
        let threshold = current
            .sources
            .mapping()
            .settings()
            .entity_deletion_threshold;
        let off = app.config.deletes_off;
        run.not_before = None;
        Slice {
            app,
            session,
            bitbucket,
            deadline: deadline.earlier_by(app.config.slice_margin),
            mapper: Mapper::new(app.config.send_raw_data_examples),
            snapshots: Snapshots::default(),
            guard: Guard::run(off, threshold, run.owned, run.counts.deleted),
            journal: Journal::new(app.clock.clone(), &run.id),
            pages: Pages::default(),
            state: Mutex::new(run),
            revision: tokio::sync::Mutex::new(revision),
            lease,
            done: AtomicUsize::new(0),
            through: Mutex::default(),
            current,
        }
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
        let state = self.run().clone();
        *revision = self.store().save(&run(), &state, *revision).await?;
        self.publish(None);
        Ok(())
    }

    pub(super) fn give_up(
        &self,
        partition: &PartitionId,
        name: Option<&str>,
        is_recorded: bool,
        reason: &str,
    ) {
        let group = self.sources().group(&partition.source);
        let kind = group.map_or("", |group| group.source.name());
        let name = name.unwrap_or("the workspace");
        tracing::warn!(kind, repository = name, error = reason, "part not read");
        let line = format!("{kind} of {name} not read: {reason}");
        self.journal.warn_of(kind, Phase::Extract, line);
        let mut run = self.run();
        if !is_recorded {
            let resources = group.into_iter().flat_map(|group| &group.resources);
            run.unsound.extend(resources.map(|resource| {
                let blueprint = resource.constant_blueprint();
                blueprint.unwrap_or(ANY).to_owned()
            }));
        }
        run.fail(FailedPart {
            source: partition.source.clone(),
            repository: partition.repository.clone(),
            name: name.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Takes in what was mapped since this was asked last.
    pub(super) fn count(&self) {
        let counts = self.mapper.take_counts();
        let unsound = self.mapper.take_unsound();
        let mut run = self.run();
        run.counts += counts;
        run.unsound.extend(unsound);
    }

    /// Counts what was read, kind by kind.
    pub(super) fn tally(&self, seen: &[Seen]) {
        let mut run = self.run();
        for seen in seen {
            let Sight::Present(image) = &seen.sight else {
                continue;
            };
            let mut members = BTreeSet::new();
            for made in &image.made {
                let kind = made.resource.kind;
                let tally = run.tally.entry(kind.to_string()).or_default();
                tally.items += usize::from(members.insert((kind, &made.member)));
                tally.entities += made.entities.len() + made.searched.len();
            }
        }
    }

    /// Notes that one more partition of `group` is done.
    pub(super) fn note_through(&self, group: &Group) {
        *locked(&self.through)
            .entry(group.id.to_string())
            .or_default() += 1;
    }

    /// Tells whoever watches how far the run is.
    pub(super) fn publish(&self, paused: Option<Paused>) {
        let (run, through) = (self.run(), locked(&self.through));
        let mut parts: Vec<Part> = Vec::new();
        for group in self.sources().groups() {
            let (done, total) = match group.source.repositories() {
                None => (usize::from(run.read.contains(&group.id)), Some(1)),
                Some(filter) => {
                    let list = run
                        .lists
                        .get(&filter_id(filter))
                        .cloned()
                        .unwrap_or_default();
                    let done = match group.source {
                        Source::Repositories(_) => list.repositories,
                        _ if run.is_read => list.repositories,
                        _ => through.get(group.id.as_str()).copied().unwrap_or(0),
                    };
                    (done, list.is_complete.then_some(list.repositories))
                }
            };
            let kinds: BTreeSet<Kind> = group.resources.iter().map(|one| one.kind).collect();
            let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            let kind = names.join(" and ");
            // A kind with two queries is read twice, and shown once.
            match parts.iter_mut().find(|part| part.kind == kind) {
                Some(part) => {
                    part.done += done;
                    part.total = part.total.zip(total).map(|(one, other)| one + other);
                }
                None => {
                    let tallies = names.iter().filter_map(|name| run.tally.get(name));
                    let tallies: Vec<&Tally> = tallies.collect();
                    parts.push(Part {
                        kind,
                        done,
                        total,
                        items: tallies.iter().map(|tally| tally.items).sum(),
                        entities: tallies.iter().map(|tally| tally.entities).sum(),
                    });
                }
            }
        }
        self.app.progress.send_replace(Progress {
            run: run.id.clone(),
            parts,
            requests_left: self.bitbucket.requests_left(),
            reconciling: run.is_read,
            paused,
        });
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
