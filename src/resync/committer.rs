//! The one task of a slice that commits: it gathers what is read side by side into sections, and commits each under the
//! pen.
//!
//! A partition counts as done only after the commit of everything that was read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::Receiver;

use super::finish::paused;
use super::journal::Phase;
use super::pages::Spot;
use super::slice::{Slice, Step};
use crate::app::App;
use crate::entity::Entity;
use crate::failure::{Failure, Later};
use crate::identity::{ItemRef, PartitionId};
use crate::look::{Look, Progress};
use crate::port::WriteEvent;
use crate::store::Asker;
use crate::store::documents::Held;
use crate::sync::commit::{Committed, Pen, SECTION};
use crate::sync::outbox::Outbox;
use crate::sync::plan::Seen;

/// Something that was read of a partition.
pub(super) struct ReadPart {
    pub(super) partition: PartitionId,
    /// As people know it.
    pub(super) name: Option<String>,
    /// `None`: a partition of the workspace.
    pub(super) spot: Option<Spot>,
    pub(super) seen: Vec<Seen>,
    pub(super) then: Then,
}

/// What is so once it is committed.
pub(super) enum Then {
    /// There is more, from here on.
    More(Progress),
    /// All of it was read. These numbers were not shown.
    Done(Vec<u64>),
}

/// A part whose changes wait in a section.
struct Waiting {
    partition: PartitionId,
    name: Option<String>,
    spot: Option<Spot>,
    then: Then,
}

/// Items that a commit leaves to looks of their own.
#[derive(Default)]
pub(super) struct Left {
    /// Port could not be reached for them, while it took others.
    pub(super) later: BTreeMap<ItemRef, Later>,
    /// A live look was faster.
    overtaken: BTreeSet<ItemRef>,
}

/// Times in a row that Port stops a section, before its items are committed one by one.
const MOST_STALLS: u32 = 3;

/// Items in a row that Port stops, before it is taken to be down.
const OUTAGE: usize = 5;

/// Partitions of repositories after which the run is stored.
const SAVED_AFTER: usize = 200;

/// Of the parts that are gathered without any change: more would only delay what is remembered of them.
const MOST_WAITING: usize = 2_000;

impl Slice<'_> {
    /// Commits what comes until nobody reads any more, or the run cannot go on.
    pub(super) async fn commit_parts(
        &self,
        mut parts: Receiver<ReadPart>,
    ) -> Result<Step, Failure> {
        let mut section: Vec<Seen> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut size = 0;
        while let Some(part) = parts.recv().await {
            self.keep().await?;
            let ReadPart {
                partition,
                name,
                spot,
                seen,
                then,
            } = part;
            self.tally(&seen);
            for seen in self.changed(seen).await? {
                // An item of two pages is committed with the first of them.
                if section.iter().any(|known| known.item == seen.item) {
                    continue;
                }
                let own = seen.size().max(1);
                if SECTION < size + own && !section.is_empty() {
                    let full = std::mem::take(&mut section);
                    if let Step::Paused(failure) = self.commit_section(full, &mut waiting).await? {
                        return Ok(Step::Paused(failure));
                    }
                    size = 0;
                }
                size += own;
                section.push(seen);
            }
            waiting.push(Waiting {
                partition,
                name,
                spot,
                then,
            });
            if section.is_empty() || MOST_WAITING <= waiting.len() {
                let full = std::mem::take(&mut section);
                if let Step::Paused(failure) = self.commit_section(full, &mut waiting).await? {
                    return Ok(Step::Paused(failure));
                }
                size = 0;
            }
        }
        self.commit_section(section, &mut waiting).await
    }

    /// Those that differ from what is recorded, or from what Port holds.
    async fn changed(&self, seen: Vec<Seen>) -> Result<Vec<Seen>, Failure> {
        let (port, sources) = (&self.session.port, self.sources());
        self.snapshots
            .prepare(port, sources, &seen, &self.deadline)
            .await?;
        let all = seen.len();
        let entities: usize = seen.iter().map(Seen::size).sum();
        let changed: Vec<Seen> = seen
            .into_iter()
            .filter(|seen| self.snapshots.is_changed(sources, seen))
            .collect();
        let left: usize = changed.iter().map(Seen::size).sum();
        self.run().counts.unchanged += entities - left;
        tracing::trace!(items = all, changed = changed.len(), "compared");
        Ok(changed)
    }

    /// Commits a section, and notes what is done with it. Parts that wait stay where the run has to pause.
    async fn commit_section(
        &self,
        section: Vec<Seen>,
        waiting: &mut Vec<Waiting>,
    ) -> Result<Step, Failure> {
        let left = match section.is_empty() {
            true => Left::default(),
            false => match self.commit(section).await {
                Ok(left) => left,
                Err(failure) => return paused(failure),
            },
        };
        self.look_again(&left).await?;
        let later = left.later;
        let mut done = 0;
        for part in waiting.drain(..) {
            let Waiting {
                partition,
                name,
                spot,
                then,
            } = part;
            let own = later.iter().find(|(item, _)| item.partition == partition);
            if let Some((_, Later { reason, .. })) = own {
                self.give_up(&partition, name.as_deref(), true, reason);
            }
            match (spot, then) {
                (Some(spot), Then::More(progress)) => {
                    self.pages.advance(&spot, &partition.source, progress);
                }
                (Some(spot), Then::Done(missing)) => {
                    self.pages.done(&spot, &partition.source, missing);
                    done += 1;
                }
                (None, Then::Done(_)) => {
                    self.run().read.insert(partition.source);
                }
                (None, Then::More(_)) => {}
            }
        }
        self.save_now_and_then(done).await?;
        Ok(Step::Done)
    }

    /// Stores how far the run is when a good deal more of it is done: a death costs no more than that.
    async fn save_now_and_then(&self, done: usize) -> Result<(), Failure> {
        let before = self.done.fetch_add(done, Ordering::Relaxed);
        if before / SAVED_AFTER == (before + done) / SAVED_AFTER {
            return Ok(());
        }
        self.save().await?;
        Ok(())
    }

    /// Commits a section. Where Port has stopped it again and again, one item after the other: what Port fails at then
    /// costs only itself.
    pub(super) async fn commit(&self, section: Vec<Seen>) -> Result<Left, Failure> {
        let singly = MOST_STALLS <= self.run().commit_stalls;
        let sections = match singly {
            true => section.into_iter().map(|seen| vec![seen]).collect(),
            false => vec![section],
        };
        let mut left = Left::default();
        let mut stopped_in_a_row = 0;
        for section in sections {
            let committed = self.section(section).await?;
            if committed.outdated {
                return Err(Failure::MappingChanged);
            }
            stopped_in_a_row = match &committed.stopped {
                None => 0,
                Some(_) => stopped_in_a_row + 1,
            };
            if let Some(stopped) = committed.stopped
                && (!singly || stopped.wait.is_some() || OUTAGE <= stopped_in_a_row)
            {
                if stopped.wait.is_none() {
                    self.run().commit_stalls += 1;
                }
                return Err(Failure::CommitLater(stopped));
            }
            left.later.extend(committed.later);
            left.overtaken.extend(committed.overtaken);
        }
        self.run().commit_stalls = 0;
        Ok(left)
    }

    /// What a commit has left is looked at on its own.
    pub(super) async fn look_again(&self, left: &Left) -> Result<(), Failure> {
        if !left.overtaken.is_empty() {
            // By a live look; or by another who works on this run, and sees to it all.
            self.keep().await?;
        }
        let items = left.later.keys().chain(&left.overtaken);
        let looks = items.map(|item| Look::Item { item: item.clone() });
        let outbox = Outbox::new(None, self.store(), &self.app.clock);
        outbox.remember(looks.collect()).await
    }

    /// One section under the pen.
    pub(super) async fn section(&self, seen: Vec<Seen>) -> Result<Committed, Failure> {
        let app = self.app;
        let lease = app.take_pen(Asker::Run, &self.deadline).await?;
        let store = app.store.within(&lease.deadline());
        let merges = self.sources().merges();
        let differs =
            |entity: &Entity, held: Option<&Held>| self.snapshots.differs(entity, held, merges);
        let event = WriteEvent::Resync {
            id: self.run().id.clone(),
        };
        let pen = Pen {
            store: &store,
            port: &self.session.port.once(),
            sources: self.sources(),
            generation: self.current.number,
            outbox: &Outbox::new(app.queue.as_ref(), &store, &app.clock),
            clock: &app.clock,
            guard: &self.guard,
            event,
            differs: &differs,
        };
        let committed = Box::pin(pen.commit(&lease, seen)).await;
        App::let_go_of_pen(lease).await;
        let committed = committed?;
        self.take_in(&committed);
        Ok(committed)
    }

    fn take_in(&self, committed: &Committed) {
        self.run().counts += committed.counts;
        for refusal in &committed.refusals {
            self.run().unsound.insert(refusal.blueprint.clone());
            tracing::warn!(%refusal, "entity refused by Port");
            let line = format!("entity refused: {refusal}");
            self.journal.warn(Phase::Load, line);
        }
        for (key, kept) in &committed.kept {
            tracing::warn!(%key, reason = %kept, "an entity that nothing claims any more stays");
            let line = format!("entities that nothing claims any more stay: {kept}");
            if self.run().kept.insert(line.clone()) {
                self.journal.warn(Phase::Delete, line);
            }
        }
    }

    /// Tells others that somebody works on the run.
    pub(super) async fn keep(&self) -> Result<(), Failure> {
        Ok(self.lease.lock().await.keep().await?)
    }
}
