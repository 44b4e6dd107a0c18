//! Everything that a run reads, in the order that its sources ask for, and what a failure costs while it reads.
//!
//! Lists only add: what they do not show is noted, and looked at in `finish`. Nothing is committed here; what is read goes
//! to the one task that commits. `listing` takes the lists of repositories, `partition` reads what one repository holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{Sender, channel};

use super::committer::{ReadPart, Then};
use super::listing::ListReader;
use super::slice::{RunPart, Slice, Step};
use crate::bitbucket;
use crate::extract::Group;
use crate::failure::{Class, Failure};
use crate::identity::ItemId;
use crate::locked::locked;
use crate::sync::plan::Seen;
use crate::telemetry::chain;

/// Parts that may wait for the task that commits.
const PARTS_AT_ONCE: usize = 32;

/// Repositories under way for each request that may be: while some wait for the commit or for the store, others use what
/// may be asked of Bitbucket.
const EACH_REQUEST: usize = 3;

/// Partitions that fail one after the other, for a reason that may pass, before the server is taken to be down.
const OUTAGE: usize = 5;

/// After a slice in which no partition got through, one in so many is read at once: large ones that share an hour's
/// allowance would keep each other from ending.
const NARROWED: usize = 4;

/// Parts that may wait for the allowance for contents while everything else is read: the pages that they are on are listed
/// again.
const MOST_WITHOUT: usize = 500;

/// Slices that a part may fail in for a reason that passes, before it has failed for this run.
pub(super) const MOST_STALLS: u32 = 3;

/// What those who read share.
pub(super) struct RunReader<'a> {
    pub(super) slice: &'a Slice<'a>,
    parts: Sender<ReadPart>,
    /// Why nothing more is read in this slice.
    stopped: Mutex<Option<Failure>>,
    /// Why parts were left for the next slice.
    left: Mutex<Option<Failure>>,
    failed_in_a_row: AtomicUsize,
    /// Parts that wait for the allowance for contents.
    without_contents: AtomicUsize,
}

impl Slice<'_> {
    /// Reads and commits whatever the run has not done yet.
    pub(super) async fn read(&self) -> Result<Step, Failure> {
        let (parts, received) = channel(PARTS_AT_ONCE);
        let reader = RunReader {
            slice: self,
            parts,
            stopped: Mutex::default(),
            left: Mutex::default(),
            failed_in_a_row: AtomicUsize::new(0),
            without_contents: AtomicUsize::new(0),
        };
        let committing = Box::pin(self.commit_parts(received));
        let (read, committed) = tokio::join!(Box::pin(reader.everything()), committing);
        self.narrow();
        let step = match (read?, committed?) {
            (Step::Paused(one), Step::Paused(other)) => Step::Paused(soonest(one, other)),
            (Step::Done, step) | (step, Step::Done) => step,
        };
        Ok(step)
    }

    /// Where parts have used up the slice, and none of them was committed, fewer are read at once in the next.
    fn narrow(&self) {
        let has = |what: &AtomicUsize| 0 < what.load(Ordering::Relaxed);
        if has(&self.parts_begun) && !has(&self.parts_done) {
            let at_once = self.repositories_at_once() / NARROWED;
            self.run().at_once = Some(at_once.max(1));
        }
    }

    pub(super) fn repositories_at_once(&self) -> usize {
        let usual = EACH_REQUEST * self.bitbucket.requests_at_once();
        self.run().at_once.unwrap_or(usual)
    }
}

/// The one that may go on first decides about the pause.
fn soonest(one: Failure, other: Failure) -> Failure {
    if other.wait() < one.wait() {
        other
    } else {
        one
    }
}

impl RunReader<'_> {
    async fn everything(self) -> Result<Step, Failure> {
        let sources = self.slice.sources();
        let mut filters = sources.by_filter();
        for group in self.slice.order().await? {
            match group.source.repositories() {
                None => self.of_workspace(group).await?,
                Some(filter) => {
                    let position = filters.iter().position(|(known, _)| *known == filter);
                    // The groups of one filter are read together, with the first of them.
                    if let Some(position) = position {
                        let (filter, groups) = filters.remove(position);
                        Box::pin(ListReader::of(&self, filter, &groups).read()).await?;
                    }
                }
            }
            if self.is_stopped() {
                break;
            }
        }
        Ok(self.end())
    }

    fn end(self) -> Step {
        if let Some(failure) = locked(&self.stopped).take() {
            return Step::Paused(failure);
        }
        let left = locked(&self.left).take();
        left.map_or(Step::Done, |failure| {
            if !failure.meets_contents_alone() {
                self.slice.run().stalls += 1;
            }
            Step::Paused(failure)
        })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.parts.is_closed() || locked(&self.stopped).is_some()
    }

    /// A partition of the workspace as a whole.
    async fn of_workspace(&self, group: &Group) -> Result<(), Failure> {
        if self.slice.run().read.contains(&group.id) {
            return Ok(());
        }
        let part = RunPart::of_workspace(group);
        self.begin();
        match self.slice.looker().whole(group, None).await {
            Ok(seen) => {
                self.done(&part, vec![seen]).await;
                Ok(())
            }
            Err(failure) => self.failed(&part, failure).await,
        }
    }

    /// A partition is being read.
    pub(super) fn begin(&self) {
        self.slice.parts_begun.fetch_add(1, Ordering::Relaxed);
    }

    /// All of `part` was read.
    pub(super) async fn done(&self, part: &RunPart, seen: Vec<Seen>) {
        self.send(part, seen, Then::Done(Vec::new())).await;
    }

    /// Hands what was read of `part` to the task that commits.
    pub(super) async fn send(&self, part: &RunPart, seen: Vec<Seen>, then: Then) {
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        let part = part.clone();
        // Whoever does not take it any more says why.
        self.parts.send(ReadPart { part, seen, then }).await.ok();
    }

    /// What a failure costs: the slice, where it meets everything; time, where it may pass; else the part.
    pub(super) async fn failed(&self, part: &RunPart, failure: Failure) -> Result<(), Failure> {
        if self.slice.believes(part, &failure) {
            self.done(part, Vec::new()).await;
            return Ok(());
        }
        let Some(failure) = self.put_off(failure)? else {
            return Ok(());
        };
        // Of a partition that is read page by page a record may tell a part only.
        let item = part.id.item(ItemId::Whole);
        let is_recorded = self.slice.looker().entry(&item).await?.is_some();
        self.slice.give_up(part, is_recorded, &chain(&failure));
        self.done(part, Vec::new()).await;
        Ok(())
    }

    /// Leaves what has met `failure` to a later slice, where it may pass. Gives back a failure that costs the part for this
    /// run; one that ends the run is an error.
    pub(super) fn put_off(&self, failure: Failure) -> Result<Option<Failure>, Failure> {
        match failure.class() {
            Class::Credentials | Class::Ours => Err(failure),
            // Everything else goes on, as far as a run's document can name what waits.
            Class::Later
                if failure.meets_contents_alone()
                    && self.without_contents.fetch_add(1, Ordering::Relaxed) < MOST_WITHOUT =>
            {
                locked(&self.left).get_or_insert(failure);
                Ok(None)
            }
            Class::Later if failure.meets_everything() => {
                locked(&self.stopped).get_or_insert(failure);
                Ok(None)
            }
            Class::Later if self.slice.run().stalls < MOST_STALLS => {
                tracing::warn!(error = chain(&failure), "a part is left for later");
                let has_answered = matches!(
                    failure,
                    Failure::Bitbucket(bitbucket::Error::ShowsNone { .. })
                );
                let in_a_row = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                let is_down = OUTAGE <= in_a_row && !has_answered;
                let into = if is_down { &self.stopped } else { &self.left };
                locked(into).get_or_insert(failure);
                Ok(None)
            }
            Class::Later | Class::Part | Class::Item | Class::Value => Ok(Some(failure)),
        }
    }
}
