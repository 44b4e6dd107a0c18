//! The one task of a slice that commits: it gathers what is read side by side into sections, and commits each under the
//! pen.
//!
//! A partition counts as done only after the commit of everything that was read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::finish::{digest_of, paused};
use super::journal::Phase;
use super::slice::{RunPart, Slice, Step};
use crate::app::Errand;
use crate::counts::Tallied;
use crate::entity::Entity;
use crate::extract::Source;
use crate::failure::{Failure, Later};
use crate::identity::ItemRef;
use crate::locked::locked;
use crate::look::{Look, Progress};
use crate::on_heap::on_heap;
use crate::port::WriteEvent;
use crate::store::documents::Held;
use crate::store::{Asker, Lease};
use crate::sync::commit::{Committed, Pen, SECTION};
use crate::sync::outbox::Outbox;
use crate::sync::plan::{Seen, Sight};
use crate::sync::settle::differs_from_record;
use crate::sync::tally;

/// Something that was read of a partition.
pub(super) struct ReadPart {
    pub(super) part: RunPart,
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

/// Parts whose changes wait in a section.
type Waiting = Vec<(RunPart, Then)>;

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

/// How often in a row a section waits for Port without getting on, before the run pauses.
const MOST_IN_VAIN: u32 = 3;

/// How long a section waits the first time, where Port does not say.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What is longer than this is not waited for: the run pauses.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

/// How long a slice works before it stores again how far the run is: a death costs no more than that.
const SAVED_EVERY: Duration = Duration::from_secs(30);

/// Of the parts that are gathered without any change: more would only delay what is remembered of them.
const MOST_WAITING: usize = 2_000;

/// Whether Bitbucket says something else of the item than was recorded of it: an event should have told. What was changed
/// in Port alone is none.
fn has_changed(seen: &Seen) -> bool {
    let Sight::Present(image) = &seen.sight else {
        return false;
    };
    let mut entities = image.made.iter().flat_map(|made| &made.entities);
    let Some(before) = &seen.before else {
        return entities.next().is_some();
    };
    let held = |entity: &Entity| {
        let content = before.claims.iter().flat_map(|claim| &claim.content);
        content
            .filter(|held| held.written.is_some() && held.below.is_empty())
            .find(|held| Some(&held.key) == entity.key().as_ref())
    };
    before.sure
        && entities
            .any(|entity| held(entity).is_some_and(|held| differs_from_record(entity, Some(held))))
}

impl Slice<'_> {
    /// Commits what comes until nobody reads any more, or the run cannot go on.
    pub(super) async fn commit_parts(
        &self,
        mut parts: Receiver<ReadPart>,
    ) -> Result<Step, Failure> {
        let mut section: Vec<Seen> = Vec::new();
        let mut waiting = Waiting::new();
        let mut size = 0;
        while let Some(part) = parts.recv().await {
            self.keep().await?;
            let ReadPart { part, seen, then } = part;
            self.tell_losses(&part, &seen);
            let changed = self.changed(seen).await?;
            self.judge(&part, &changed).await;
            for seen in changed {
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
            waiting.push((part, then));
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

    /// A part that is audited should not have changed since it was recorded.
    async fn judge(&self, part: &RunPart, changed: &[Seen]) {
        let Some(stamp) = part.audited else { return };
        // Where a live look has been faster, it has the word.
        if changed.iter().any(|seen| seen.stamp() == Some(stamp)) {
            Box::pin(self.audit_failed(part)).await;
        }
    }

    /// Items of `part` whose files could not be read: they stay as they are, and the next run begins with them.
    pub(super) fn tell_losses(&self, part: &RunPart, seen: &[Seen]) {
        let mut files = seen.iter().flat_map(Seen::lost_files);
        let Some(first) = files.next() else { return };
        let reason = match files.count() {
            0 => first.to_string(),
            others => format!("{first}; and {others} more"),
        };
        // Those who have looked have doubted what is not recorded.
        self.give_up(part, true, &reason);
    }

    /// Those that differ from what is recorded, or from what Port holds.
    async fn changed(&self, seen: Vec<Seen>) -> Result<Vec<Seen>, Failure> {
        let (port, sources) = (&self.session.port, self.sources());
        self.snapshots
            .prepare(port, sources, &seen, &self.deadline)
            .await?;
        let all = seen.len();
        let (changed, unchanged): (Vec<Seen>, Vec<Seen>) = seen
            .into_iter()
            .partition(|seen| self.snapshots.is_changed(sources, seen));
        let told_of = |seen: &&Seen| self.is_pull_request(seen) && has_changed(seen);
        let changed_pull_requests = changed.iter().filter(told_of).count();
        self.run().changed_pull_requests += changed_pull_requests;
        self.find_clashes(&unchanged).await?;
        self.run().count(tally::unchanged(&unchanged));
        tracing::trace!(items = all, changed = changed.len(), "compared");
        Ok(changed)
    }

    fn is_pull_request(&self, seen: &Seen) -> bool {
        let group = self.sources().group(&seen.item.partition.source);
        group.is_some_and(|group| matches!(group.source, Source::PullRequests { .. }))
    }

    /// Commits a section, and notes what is done with it. Parts that wait stay where the run has to pause.
    async fn commit_section(
        &self,
        section: Vec<Seen>,
        waiting: &mut Waiting,
    ) -> Result<Step, Failure> {
        let left = match section.is_empty() {
            true => Left::default(),
            false => match Box::pin(self.commit(section)).await {
                Ok(left) => left,
                Err(failure) => return paused(failure),
            },
        };
        self.look_again(&left).await?;
        let later = left.later;
        for (part, then) in waiting.drain(..) {
            let own = later.iter().find(|(item, _)| item.partition == part.id);
            if let Some((_, Later { reason, .. })) = own {
                self.give_up(&part, true, &format!("read, and not written: {reason}"));
            }
            let source = part.id.source;
            match (part.spot, then) {
                (Some(spot), Then::More(progress)) => {
                    self.pages.advance(&spot, &source, progress);
                }
                (Some(spot), Then::Done(missing)) => {
                    self.parts_done.fetch_add(1, Ordering::Relaxed);
                    self.pages.done(&spot, &source, missing);
                }
                (None, Then::Done(_)) => {
                    self.parts_done.fetch_add(1, Ordering::Relaxed);
                    self.run().read.insert(source);
                }
                (None, Then::More(_)) => {}
            }
        }
        if SAVED_EVERY <= self.since_saved() {
            self.save().await?;
        }
        Ok(Step::Done)
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
            let committed = self.patiently(section).await?;
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
            // Nobody commits them again here: they are looked at on their own.
            self.run().count(committed.unfinished_tallies);
            let unfinished = committed.unfinished.iter().flat_map(Seen::keys);
            let blueprints = unfinished.map(|key| key.blueprint);
            self.run().unsound.extend(blueprints);
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
        let outbox = outbox.because(self.audit.only_cause());
        outbox.remember(looks.collect()).await
    }

    /// A section; and what Port has put off of it again, once it has had the time that it asks for. The pen is let go
    /// meanwhile, and nothing is read again: a look holds for as long as nobody else has committed the item.
    async fn patiently(&self, seen: Vec<Seen>) -> Result<Committed, Failure> {
        let mut committed = Box::pin(self.section(seen)).await?;
        let mut in_vain = 0;
        while let Some(stopped) = &committed.stopped {
            let open = committed.unfinished.len();
            let wait = stopped.wait.unwrap_or(A_MOMENT * (1 << in_vain));
            if open == 0
                || in_vain == MOST_IN_VAIN
                || LONGEST_PATIENCE < wait
                || !self.deadline.has(wait)
            {
                break;
            }
            tracing::info!(
                reason = stopped.reason,
                seconds = wait.as_secs(),
                "waiting for Port"
            );
            self.publish_wait(wait, &stopped.reason);
            self.app.clock.sleep(wait).await;
            self.publish(None);
            self.keep().await?;
            let unfinished = std::mem::take(&mut committed.unfinished);
            let next = Box::pin(self.section(unfinished)).await?;
            in_vain += u32::from(open <= next.unfinished.len());
            committed.overtaken.extend(next.overtaken);
            committed.outdated |= next.outdated;
            committed.later = next.later;
            committed.unfinished_tallies = next.unfinished_tallies;
            committed.stopped = next.stopped;
            committed.unfinished = next.unfinished;
        }
        Ok(committed)
    }

    /// One section under the pen.
    async fn section(&self, seen: Vec<Seen>) -> Result<Committed, Failure> {
        self.with_pen(async |pen, lease| on_heap(|| pen.commit(lease, seen)).await)
            .await
    }

    /// Has `steps` written with the pen, and takes in what they came to.
    pub(super) async fn with_pen(
        &self,
        steps: impl AsyncFnOnce(&Pen<'_>, &Lease) -> Result<Committed, Failure>,
    ) -> Result<Committed, Failure> {
        let merges = self.sources().merges();
        let differs =
            |entity: &Entity, held: Option<&Held>| self.snapshots.differs(entity, held, merges);
        let distrusted = self.distrusted();
        let errand = Errand {
            session: self.session,
            current: &self.current,
            guard: &self.guard,
            audit: &self.audit,
            event: WriteEvent::Resync {
                id: self.run().id.clone(),
            },
            differs: &differs,
            distrusted: Some(&distrusted),
        };
        let committed = self
            .app
            .with_pen(Asker::Run, errand, &self.deadline, steps)
            .await?;
        self.take_in(&committed);
        Ok(committed)
    }

    fn take_in(&self, committed: &Committed) {
        self.run().count_deletions(committed.counts);
        self.run().count(committed.tallies.clone());
        for refusal in &committed.refusals {
            self.run().unsound.insert(refusal.blueprint.clone());
            tracing::warn!(%refusal, "entity refused by Port");
            let line = format!("entity refused: {refusal}");
            self.journal.warn(Phase::Load, line);
        }
        self.tell_clashes(&committed.clashes);
        for waiting in &committed.waiting {
            tracing::warn!(%waiting, "entity waits for what it points at");
            let line = format!("entity waits for what it points at: {waiting}");
            self.journal.warn(Phase::Load, line);
        }
        self.run()
            .unsound
            .extend(committed.unwritten.iter().cloned());
        if let Some(sample) = committed.not_ours.first() {
            let left = Tallied {
                before: "Port does not call ".to_owned(),
                count: committed.not_ours.len(),
                unit: "leftover".to_owned(),
                after: " ours: nothing is deleted of that".to_owned(),
                sample: sample.to_string(),
            };
            Tallied::merge(&mut self.run().not_ours, vec![left], 1);
        }
        let gone = committed.gone.iter().map(digest_of);
        locked(&self.gone).extend(gone);
        for (key, kept) in &committed.kept {
            tracing::warn!(%key, reason = %kept, "an entity that nothing claims any more stays");
            let line = format!("entities that nothing claims any more stay: {kept}");
            self.run().withheld += usize::from(kept.is_loss());
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
