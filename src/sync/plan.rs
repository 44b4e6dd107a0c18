//! What a commit does: decided here, and nowhere else, from what was looked at and from who else claims the same.
//!
//! Pure. Knows no clock, no Port, no store. An entity is deleted for one reason only: an item that was looked at by its
//! own id, or whose partition was, claims it no longer, and nobody else does (ARCHITECTURE.md, "The one path of
//! deletion").

mod claims;
mod contest;
mod party;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Sources;
use crate::entity::{Entity, EntityKey};
use crate::identity::{ItemRef, Place, SourceId};
use crate::port::digest;
use crate::store::documents::{Claim, Distrusted, Held};

pub use claims::{absorb, claims, fill_in, led_to_only, retain};
pub use seen::{Seen, Sight};

use contest::Contest;
use party::{Party, touched};

/// Who else claims the entities at hand: everybody but the items that were looked at.
#[derive(Debug, Default)]
pub struct Others {
    /// Items that claim an entity as their own, with the digest of what they wrote, if they wrote it.
    pub content: BTreeMap<EntityKey, BTreeMap<ItemRef, Option<u64>>>,
    /// Entities that relations of other items lead to.
    pub targets: BTreeSet<EntityKey>,
    /// Places that rows name and that have no readable record: they may claim the entity.
    pub unknown: BTreeMap<EntityKey, BTreeSet<Place>>,
}

/// Whether an entity has to be written, as far as Port and the record tell. Where an entry is not sure it is anyway.
pub type Differs<'a> = dyn Fn(&Entity, Option<&Held>) -> bool + Sync + 'a;

/// All that a plan is made from.
pub struct Situation<'a> {
    pub sources: &'a Sources,
    pub seen: &'a [Seen],
    pub others: &'a Others,
    /// Whether an entity has to be written that was written before as a sure entry says, or of which nothing is recorded.
    pub differs: &'a Differs<'a>,
    /// Why nothing is deleted at all, if nothing is. What would be stays claimed.
    pub keep_all: Option<Kept>,
    /// What has lost its identifiers, and so deletes nothing.
    pub distrusted: &'a Distrusted,
    /// Whether all parts of the workspace are recorded. Until then an entity that only relations lead to may be one
    /// whose own item is not known yet.
    pub is_complete: bool,
}

/// What is to be done, and what the records say when it is.
#[derive(Default)]
pub struct Plan {
    /// For each item that was looked at, in their order: what it claims from now on. Writes fill in the rest.
    pub claims: Vec<Vec<Claim>>,
    pub writes: Vec<Write>,
    pub deletes: BTreeSet<EntityKey>,
    /// Entities that nothing claims any more and that stay, with the reason.
    pub kept: BTreeMap<EntityKey, Kept>,
    /// Items of others that have to be looked at: they are the first now to claim something.
    pub wakes: BTreeSet<ItemRef>,
    /// Partitions of others of which no record tells what they claim.
    pub unknown: BTreeSet<Place>,
    /// Entities that Port has as they are.
    pub unchanged: usize,
    /// Two items of one source that make something else of one entity.
    pub clashes: Vec<Clash>,
}

/// Two items of one source that make something else of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    pub key: EntityKey,
    /// The one that writes it: in every run and for every event the same.
    pub writer: ItemRef,
    pub other: ItemRef,
}

/// An entity to be written.
#[derive(Clone, Debug)]
pub struct Write {
    /// Position among the items that were looked at.
    pub seen: usize,
    pub entity: Entity,
    /// Sources whose fields were left out.
    pub below: BTreeSet<SourceId>,
}

/// Why an entity stays that nothing claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its resource says `enableDelete: false`.
    Resource,
    /// `FERRY__DELETE=off`.
    SwitchedOff,
    /// The mapping's `entityDeletionThreshold` is 0.
    Never,
    /// More would go than the mapping's `entityDeletionThreshold` allows.
    Threshold,
    /// More than a tenth of its resource's items have no identifier that Port takes.
    Identifiers,
    /// What may have taken its place could not be read, mapped or written.
    Unsound,
    /// A list of several pages may have overlooked what it belongs to, and cannot be read in a way that would tell.
    Overlooked,
    /// Another installation works under our identifier.
    Rival,
}

impl Kept {
    /// Whether the user has not asked for it: the catalogue is not as it should be.
    pub fn is_loss(self) -> bool {
        matches!(
            self,
            Kept::Threshold | Kept::Identifiers | Kept::Unsound | Kept::Overlooked | Kept::Rival
        )
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kept::Resource => "its resource says enableDelete: false",
            Kept::SwitchedOff => "deletion is switched off (FERRY__DELETE)",
            Kept::Never => "entityDeletionThreshold is 0",
            Kept::Threshold => "more would go than entityDeletionThreshold allows",
            Kept::Identifiers => {
                "too many items of its resource have no identifier that Port takes"
            }
            Kept::Unsound => "a part of the workspace could not be read, mapped or written",
            Kept::Overlooked => {
                "a list of several pages may have overlooked what it belongs to, and Bitbucket cannot be asked in a way that \
                 would tell: delete it by hand if it is gone"
            }
            Kept::Rival => "another installation works under this identifier",
        })
    }
}

pub fn plan(situation: &Situation<'_>) -> Plan {
    let parties: Vec<Party<'_>> = situation
        .seen
        .iter()
        .map(|seen| Party::of(situation, seen))
        .collect();
    let mut plan = Plan::default();
    let mut settled: Vec<BTreeMap<EntityKey, Held>> = vec![BTreeMap::new(); parties.len()];
    for key in touched(&parties) {
        let contest = Contest::of(&key, &parties, situation.others);
        if contest.after.is_empty() && contest.unknown.is_none() {
            plan.let_go(&key, &parties, situation);
            continue;
        }
        plan.unknown
            .extend(contest.unknown.into_iter().flatten().cloned());
        contest.assign(&parties, situation, &mut plan, &mut settled);
    }
    for (seen, party) in situation.seen.iter().zip(&parties) {
        if let Sight::Present(image) = &seen.sight {
            let position = plan.claims.len();
            plan.writes.extend(image.searched().map(|entity| Write {
                seen: position,
                entity: entity.clone(),
                below: BTreeSet::new(),
            }));
        }
        let mut claims = party.after.clone();
        if let Some(held) = settled.get(plan.claims.len()) {
            fill_in(&mut claims, held);
        }
        plan.claims.push(claims);
    }
    plan.retain_kept(&parties);
    plan
}

impl Plan {
    /// `party` writes `key`, and leaves what they have the last word about to the sources `below`. `is_own`: nobody else
    /// has written it since the party did.
    fn write(
        &mut self,
        key: &EntityKey,
        (position, party): (usize, &Party<'_>),
        (below, is_own): (BTreeSet<SourceId>, bool),
        situation: &Situation<'_>,
        settled: &mut BTreeMap<EntityKey, Held>,
    ) {
        let Some(entity) = party.entities.get(key) else {
            // It could not be mapped: it stays as it was written.
            if let Some(held) = party.held_before(key) {
                settled.insert(key.clone(), held.clone());
            }
            return;
        };
        let Some(entity) = situation.sources.strip(entity.clone(), &below) else {
            return;
        };
        match party.written(key, &below) {
            Some(known) if is_own && !(situation.differs)(&entity, known) => {
                self.unchanged += 1;
                let held = known.cloned().unwrap_or_else(|| Held {
                    written: Some(digest(&entity)),
                    below,
                    ..Held::by_another(key.clone())
                });
                settled.insert(key.clone(), held);
            }
            _ => self.writes.push(Write {
                seen: position,
                entity,
                below,
            }),
        }
    }

    /// Nobody claims `key` as his own any more.
    fn let_go(&mut self, key: &EntityKey, parties: &[Party<'_>], situation: &Situation<'_>) {
        let (sources, others) = (situation.sources, situation.others);
        let is_target =
            others.targets.contains(key) || parties.iter().any(|party| party.leads_to(key));
        if is_target && sources.creates_targets() {
            return;
        }
        let claimed = parties.iter().flat_map(|party| {
            let claims = party.before.into_iter().flat_map(|entry| &entry.claims);
            claims.filter(|claim| claim.content.iter().any(|held| held.key == *key))
        });
        let resources: BTreeSet<&str> = claimed.map(|claim| claim.resource.as_str()).collect();
        if resources.is_empty() && !(sources.creates_targets() && situation.is_complete) {
            // A relation led there, and nothing says that its target is there for that alone.
            return;
        }
        let spared = match resources.is_empty() {
            // What its own resource once wrote and keeps is claimed by nobody.
            true => sources.keeps(&key.blueprint),
            false => resources
                .iter()
                .any(|resource| !sources.allows_deletion(resource, &key.blueprint)),
        };
        if spared {
            self.kept.insert(key.clone(), Kept::Resource);
            return;
        }
        let is_distrusted = |resource: &&str| {
            let is_known = sources.has_resource(resource);
            situation
                .distrusted
                .covers(resource, is_known, &key.blueprint)
        };
        if resources.iter().any(is_distrusted) {
            self.kept.insert(key.clone(), Kept::Identifiers);
            return;
        }
        match situation.keep_all {
            None => {
                self.deletes.insert(key.clone());
            }
            Some(kept) => {
                self.kept.insert(key.clone(), kept);
            }
        }
    }

    /// What stays for a reason that may pass stays claimed: the next look at its item finds it again.
    fn retain_kept(&mut self, parties: &[Party<'_>]) {
        let passing = self
            .kept
            .iter()
            .filter(|(_, kept)| **kept != Kept::Resource);
        let keys: BTreeSet<EntityKey> = passing.map(|(key, _)| key.clone()).collect();
        let led_to = led_to_only(&keys, parties.iter().filter_map(|party| party.before));
        for (claims, party) in self.claims.iter_mut().zip(parties) {
            retain(claims, party.before, (&keys, &led_to));
        }
    }
}

#[cfg(test)]
mod tests;
