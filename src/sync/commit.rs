//! The one writer: what was looked at is compared, planned, announced, written to Port and settled, under the pen.
//!
//! Owns the order of these steps (ARCHITECTURE.md, "The pen"). Decides nothing about entities: [`plan`] does. Reads
//! nothing from Bitbucket: nobody waits for it under the pen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::audit::Audit;
use super::guard::Guard;
use super::holders::Holders;
use super::load::{self, Answered, RefusedEntity};
use super::outbox::Outbox;
use super::plan::{Clash, Differs, Kept, Plan, Seen, Situation, plan};
use super::settle::{Fate, Results, announced, note_writes, settle};
use super::sources::Sources;
use super::tally;
use crate::counts::{Counts, Tallies};
use crate::deadline::Clock;
use crate::entity::{Entity, EntityKey};
use crate::failure::{Failure, Later};
use crate::identity::{ItemRef, PartitionId};
use crate::look::Look;
use crate::port::{PortClient, UpsertOptions, WriteEvent};
use crate::store::documents::{CompletedRun, Distrusted, Stamp, completed, generation};
use crate::store::{Lease, Store, StoreError};

/// What a commit works with.
pub struct Pen<'a> {
    pub store: &'a Store,
    pub port: &'a PortClient,
    pub sources: &'a Sources,
    /// Number of the mapping's generation that the looks were made with.
    pub generation: u64,
    pub outbox: &'a Outbox<'a>,
    pub clock: &'a Clock,
    /// How many entities may go, and when.
    pub guard: &'a Guard,
    /// Who is told of it, and why it is done.
    pub audit: &'a Audit,
    /// What Port shows as the cause of the writes.
    pub event: WriteEvent,
    pub differs: &'a Differs<'a>,
    /// What deletes nothing; `None`: what the last run said.
    pub distrusted: Option<&'a Distrusted>,
}

/// What became of the items of a commit.
#[derive(Default)]
pub struct Committed {
    pub counts: Counts,
    /// What became of what the items make, those apart whose look still holds.
    pub tallies: Tallies,
    /// The same of these, as far as this commit has brought them.
    pub unfinished_tallies: Tallies,
    /// Somebody else has committed them since they were looked at.
    pub overtaken: BTreeSet<ItemRef>,
    /// Announced, and not done: Port could not be reached for them. They have to be looked at again.
    pub later: BTreeMap<ItemRef, Later>,
    /// Why Port was not asked for all of it: an outage, no time.
    pub stopped: Option<Later>,
    /// The mapping has changed since they were looked at; none was committed.
    pub outdated: bool,
    /// Those of them whose look still holds: they may be committed again, if nobody else is faster.
    pub unfinished: Vec<Seen>,
    /// Entities that Port refused.
    pub refusals: Vec<RefusedEntity>,
    /// Entities that wait for what a relation of theirs leads to.
    pub waiting: Vec<RefusedEntity>,
    /// Blueprints of these two.
    pub unwritten: BTreeSet<String>,
    /// Entities that nothing claims any more and that stay, by reason.
    pub kept: Vec<(EntityKey, Kept)>,
    /// Entities that have gone, or are not ours.
    pub gone: BTreeSet<EntityKey>,
    /// Entities that nothing claims any more and that stay, because Port does not say that they are ours.
    pub not_ours: Vec<EntityKey>,
    /// Items that make something else of one entity.
    pub clashes: Vec<Clash>,
}

impl Committed {
    /// What became of what the items of `seen` make; `later`: those whose look still holds.
    fn count(
        &mut self,
        seen: &[Seen],
        (plan, answered, later): (&Plan, &Answered, &BTreeSet<ItemRef>),
        sources: &Sources,
    ) {
        let (concluded, unfinished) = tally::committed(seen, plan, answered, later);
        self.tallies += concluded;
        self.unfinished_tallies = unfinished;
        tally::deletions(seen, &answered.deleted, sources, &mut self.tallies);
    }

    fn take_in(&mut self, plan: Plan, answered: Answered) {
        self.unwritten = unwritten(&plan, &answered.results);
        self.counts.unchanged += plan.unchanged;
        self.counts.kept += plan.kept.len();
        self.kept = plan.kept.into_iter().collect();
        self.clashes = plan.clashes;
        self.take_in_answers(answered);
    }

    pub(super) fn leave(&mut self, not_ours: Vec<EntityKey>) {
        self.counts.kept += not_ours.len();
        self.not_ours = not_ours;
    }

    pub(super) fn take_in_answers(&mut self, answered: Answered) {
        self.stopped = answered.stopped;
        self.counts += answered.counts;
        self.refusals = answered.refusals;
        self.waiting = answered.waiting;
        let deletes = answered.results.deletes.into_iter();
        let done = deletes.filter(|(_, deletion)| *deletion == Fate::Done);
        self.gone = done.map(|(key, _)| key).collect();
    }
}

/// Entities written in one section under the pen. With eight bulk calls at once and answers after 100 ms this takes half
/// a second.
pub const SECTION: usize = 600;

impl Pen<'_> {
    /// Commits what was `seen`. `lease` is the pen, which the caller lets go afterwards, whatever becomes of this.
    ///
    /// An error means that the commit was given up somewhere: its items are unsure, and a later look does them again.
    pub async fn commit(&self, lease: &Lease, seen: Vec<Seen>) -> Result<Committed, Failure> {
        let mut committed = Committed::default();
        let (generation, completed, mut holders) = self.read(&seen).await?;
        let mapping = self.sources.mapping().fingerprint();
        let is_complete = completed.all_recorded && completed.mapping == mapping;
        let distrusted = self.distrusted.unwrap_or(&completed.distrusted);
        if generation != Some(self.generation) {
            committed.outdated = true;
            return Ok(committed);
        }
        let (seen, overtaken): (Vec<Seen>, Vec<Seen>) = seen
            .into_iter()
            .partition(|seen| holders.entry(&seen.item).map(|entry| entry.stamp) == seen.stamp());
        committed.tallies = tally::postponed(&overtaken);
        committed.overtaken = overtaken.into_iter().map(|seen| seen.item).collect();
        if seen.is_empty() {
            return Ok(committed);
        }
        let others = holders.others(self.store, &seen).await?;
        let situation = |keep_all| Situation {
            sources: self.sources,
            seen: &seen,
            others: &others,
            differs: self.differs,
            keep_all,
            distrusted,
            is_complete,
        };
        let mut plan_of = plan(&situation(self.guard.keeps_all()));
        let refused = self.guard.refuses(plan_of.deletes.len(), self.store);
        if let Some(kept) = refused.await? {
            plan_of = plan(&situation(Some(kept)));
        }
        let (stamp, now) = (Stamp(Uuid::new_v4().as_u64_pair().0), self.clock.now());
        self.announce(&mut holders, &seen, &plan_of, (stamp, now))
            .await?;
        let answered = Box::pin(self.write(lease, &seen, &mut plan_of)).await;
        let written = self.tell(&seen, (&plan_of, &answered));
        let results = &answered.results;
        let mut settlement = settle(&seen, &plan_of, results, self.sources, (stamp, now));
        let cause_of = |item: &ItemRef| self.audit.cause_of(item);
        note_writes(&mut settlement.entries, &written, cause_of, now);
        self.wake(lease, &holders, &seen, (&plan_of, &answered))
            .await?;
        holders
            .save_rows(self.store, &settlement.entries, now)
            .await?;
        holders.save(self.store, settlement.entries, now).await?;
        self.guard.note(answered.counts.deleted, self.store).await?;
        let later = settlement.later;
        committed.count(&seen, (&plan_of, &answered, &later), self.sources);
        let later = later.into_iter();
        committed.later = later
            .map(|item| (item.clone(), answered.reason(&plan_of, &seen, &item)))
            .collect();
        committed.leave(self.left_over(lease, &seen, &answered).await);
        committed.take_in(plan_of, answered);
        let later = seen.into_iter();
        let later = later.filter(|seen| committed.later.contains_key(&seen.item));
        committed.unfinished = later.map(|seen| announced_again(seen, &holders)).collect();
        Ok(committed)
    }

    /// What stays in Port because that is not ours there. Where only relations led, somebody else's entity may well be.
    async fn left_over(&self, lease: &Lease, seen: &[Seen], answered: &Answered) -> Vec<EntityKey> {
        let mut left = content_of(seen);
        left.retain(|key| answered.unconfirmed.contains(key));
        load::present(self.port, left, &lease.deadline()).await
    }

    /// One round of reads: the generation, how the last run ended, and the records and rows.
    async fn read(&self, seen: &[Seen]) -> Result<(Option<u64>, CompletedRun, Holders), Failure> {
        let (generation_key, completed_key) = (generation(), completed());
        let (generation, completed, holders) = tokio::join!(
            self.store.load(&generation_key),
            self.store.load(&completed_key),
            Holders::load(self.store, seen),
        );
        let generation = generation?.value.map(|generation| generation.number);
        Ok((generation, completed?.value.unwrap_or_default(), holders?))
    }

    async fn announce(
        &self,
        holders: &mut Holders,
        seen: &[Seen],
        plan: &Plan,
        (stamp, now): (Stamp, Timestamp),
    ) -> Result<(), Failure> {
        let entries = seen.iter().zip(&plan.claims);
        let entries =
            entries.map(|(seen, claims)| (seen.item.clone(), announced(seen, claims, stamp)));
        holders.save(self.store, entries.collect(), now).await?;
        Ok(())
    }

    /// Tells of what Port has done, before anything else can fail. Returns the items of which it has taken something.
    fn tell<'s>(
        &self,
        seen: &'s [Seen],
        (plan, answered): (&Plan, &Answered),
    ) -> BTreeSet<&'s ItemRef> {
        let mut written = BTreeSet::new();
        for (write, fate) in plan.writes.iter().zip(&answered.results.writes) {
            if let (Fate::Done, Some(seen)) = (fate, seen.get(write.seen)) {
                written.insert(&seen.item);
                if let Some(key) = write.entity.key() {
                    self.audit.written(&seen.item, &key);
                }
            }
        }
        let Answered { deleted, along, .. } = answered;
        self.audit.deleted(deleted, along, (seen, self.sources));
        written
    }

    /// Writes and deletes in Port. What fails is told entity by entity.
    async fn write(&self, lease: &Lease, seen: &[Seen], plan: &mut Plan) -> Answered {
        let settings = self.sources.mapping().settings();
        let options = UpsertOptions {
            merge: settings.enable_merge_entity,
            create_missing_related: settings.create_missing_related_entities,
            event: self.event.clone(),
        };
        let deadline = lease.deadline();
        let entities: Vec<Entity> = plan
            .writes
            .iter()
            .map(|write| write.entity.clone())
            .collect();
        let mut answered = load::write(self.port, &entities, &options, &deadline).await;
        let spared = spared(seen, plan, &answered.results.writes);
        plan.deletes.retain(|key| !spared.contains(key));
        load::delete(
            self.port,
            &plan.deletes,
            (self.sources, &self.event),
            &mut answered,
            &deadline,
        )
        .await;
        let spared = spared.into_iter().map(|key| (key, Fate::Refused));
        answered.results.deletes.extend(spared);
        answered
    }

    /// Has those looked at who are the first now to claim an entity, who wait for one that was written, or whose entity
    /// Port has deleted along with another.
    async fn wake(
        &self,
        lease: &Lease,
        holders: &Holders,
        seen: &[Seen],
        (plan, answered): (&Plan, &Answered),
    ) -> Result<(), Failure> {
        let results = &answered.results;
        let writes = plan.writes.iter().zip(&results.writes);
        let written = writes.filter(|(_, fate)| **fate == Fate::Done);
        let written: BTreeSet<EntityKey> = written
            .filter_map(|(write, _)| write.entity.key())
            .collect();
        let mut items = plan.wakes.clone();
        items.extend(holders.waiting_for(&written));
        items.extend(self.hit_along(&plan.deletes, &answered.along).await?);
        // Those at hand that lack what was written after them.
        for (write, fate) in plan.writes.iter().zip(&results.writes) {
            let lacks = *fate == Fate::LacksTarget;
            if let Some(seen) = seen.get(write.seen).filter(|_| lacks)
                && !seen.keys().is_disjoint(&written)
            {
                items.insert(seen.item.clone());
            }
        }
        let items = items.into_iter().map(|item| Look::Item { item });
        let partitions: BTreeSet<&PartitionId> =
            plan.unknown.iter().map(|place| &place.partition).collect();
        let partitions = partitions.into_iter().map(|partition| Look::Partition {
            partition: partition.clone(),
            progress: None,
        });
        let occasion = lease.epoch().to_string();
        let looks = items.chain(partitions).collect();
        self.outbox.send(looks, &occasion, &lease.deadline()).await
    }

    /// Items that claim what Port has deleted along with `deletes`. It names no blueprints: it may be any that the mapping
    /// names.
    pub(super) async fn hit_along(
        &self,
        deletes: &BTreeSet<EntityKey>,
        identifiers: &BTreeSet<String>,
    ) -> Result<BTreeSet<ItemRef>, StoreError> {
        let resources = self.sources.mapping().resources().iter();
        let mut blueprints: BTreeSet<&str> = resources
            .filter_map(|resource| resource.constant_blueprint())
            .collect();
        blueprints.extend(deletes.iter().map(|key| key.blueprint.as_str()));
        let keys = identifiers.iter().flat_map(|identifier| {
            let keys = blueprints.iter();
            keys.map(move |blueprint| EntityKey::new(*blueprint, identifier))
        });
        let keys = keys.filter(|key| !deletes.contains(key)).collect();
        Holders::claiming(self.store, keys).await
    }
}

/// With its own announcement, which is all that has been written of it since it was looked at.
fn announced_again(seen: Seen, holders: &Holders) -> Seen {
    Seen {
        before: holders.entry(&seen.item).cloned(),
        ..seen
    }
}

/// Entities that the items claimed as their content before.
fn content_of(seen: &[Seen]) -> BTreeSet<EntityKey> {
    let claims = seen.iter().flat_map(|seen| &seen.before);
    let claims = claims.flat_map(|entry| &entry.claims);
    let held = claims.flat_map(|claim| &claim.content);
    held.map(|held| held.key.clone()).collect()
}

/// Entities that stay because what an item has become instead is not in Port: it would lose the one and not get the
/// other.
fn spared(seen: &[Seen], plan: &Plan, writes: &[Fate]) -> BTreeSet<EntityKey> {
    let unmet = plan
        .writes
        .iter()
        .zip(writes)
        .filter(|(_, fate)| **fate != Fate::Done)
        .filter_map(|(write, _)| seen.get(write.seen));
    let keys: BTreeSet<EntityKey> = unmet.flat_map(Seen::keys).collect();
    keys.intersection(&plan.deletes).cloned().collect()
}

fn unwritten(plan: &Plan, results: &Results) -> BTreeSet<String> {
    let writes = plan.writes.iter().zip(&results.writes);
    writes
        .filter(|(_, fate)| matches!(fate, Fate::Refused | Fate::LacksTarget))
        .map(|(write, _)| write.entity.blueprint.clone())
        .collect()
}

/// Cuts what was seen into sections of at most [`SECTION`] entities, one item at least.
pub fn sections(seen: Vec<Seen>) -> Vec<Vec<Seen>> {
    let mut sections: Vec<Vec<Seen>> = Vec::new();
    let mut size = 0;
    for seen in seen {
        // An item costs something even where it writes nothing.
        let own = seen.size().max(1);
        match sections.last_mut().filter(|_| size + own <= SECTION) {
            Some(section) => {
                size += own;
                section.push(seen);
            }
            None => {
                size = own;
                sections.push(vec![seen]);
            }
        }
    }
    sections
}
