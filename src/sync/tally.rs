//! What became of what each resource of the mapping makes, entity by entity, in numbers.
//!
//! Pure. Where several resources make one entity of an item, the last of them counts as the one that writes it, for it has
//! the last word; to the others the entity is unchanged. So what is counted as written is what Port was given.

use std::collections::{BTreeMap, BTreeSet};

use super::load::Answered;
use super::plan::{Plan, Seen, Sight};
use super::settle::Fate;
use super::sources::Sources;
use crate::counts::{Tallies, Tally};
use crate::entity::{Entity, EntityKey};
use crate::identity::ItemRef;

/// What became of the entities of one item.
enum Fates {
    /// Those that are not named are in Port as they are, or another item writes them.
    Known {
        keyed: BTreeMap<EntityKey, Fate>,
        /// Of those that a search query addresses, in their order.
        searched: Vec<Fate>,
    },
    /// All are left to another look.
    Postponed,
}

/// Items of which Port holds everything as it is, or as another item writes it.
pub fn unchanged(seen: &[Seen]) -> Tallies {
    all(seen, |_| Fates::unchanged())
}

/// Items that a look of their own sees to.
pub fn postponed(seen: &[Seen]) -> Tallies {
    all(seen, |_| Fates::Postponed)
}

/// Of a commit: items that are concluded, and those that have to be looked at, or committed, again.
pub(super) fn committed(
    seen: &[Seen],
    plan: &Plan,
    answered: &Answered,
    later: &BTreeSet<ItemRef>,
) -> (Tallies, Tallies) {
    let mut fates: Vec<Fates> = seen.iter().map(|_| Fates::unchanged()).collect();
    for (write, fate) in plan.writes.iter().zip(&answered.results.writes) {
        if let Some(fates) = fates.get_mut(write.seen) {
            fates.add(&write.entity, *fate);
        }
    }
    let (mut concluded, mut unfinished) = (Tallies::default(), Tallies::default());
    for (seen, fates) in seen.iter().zip(fates) {
        let into = match later.contains(&seen.item) {
            false => &mut concluded,
            true => &mut unfinished,
        };
        add(seen, fates, into);
    }
    (concluded, unfinished)
}

/// Entities that Port has `deleted`, by the resources that made them before. What none of the mapping has made is counted
/// nowhere here.
pub(super) fn deletions(
    seen: &[Seen],
    deleted: &BTreeSet<EntityKey>,
    sources: &Sources,
    into: &mut Tallies,
) {
    if deleted.is_empty() {
        return;
    }
    let mut makers: BTreeMap<&EntityKey, &str> = BTreeMap::new();
    for claim in seen
        .iter()
        .flat_map(|seen| &seen.before)
        .flat_map(|entry| &entry.claims)
    {
        let held = claim.content.iter().map(|held| &held.key);
        for key in held.filter(|key| deleted.contains(*key)) {
            makers.entry(key).or_insert(&claim.resource);
        }
    }
    for fingerprint in makers.into_values() {
        let mut resources = sources.mapping().resources().iter();
        if let Some(resource) = resources.find(|known| known.fingerprint == fingerprint) {
            into.of(resource.index).deleted += 1;
        }
    }
}

fn all(seen: &[Seen], fates: impl Fn(&Seen) -> Fates) -> Tallies {
    let mut tallies = Tallies::default();
    for seen in seen {
        add(seen, fates(seen), &mut tallies);
    }
    tallies
}

fn add(seen: &Seen, mut fates: Fates, into: &mut Tallies) {
    let Sight::Present(image) = &seen.sight else {
        return;
    };
    let mut members = BTreeSet::new();
    // What could not be read is counted as a part that was not.
    for made in image.made.iter().rev().filter(|made| !made.unread) {
        let kind = made.resource.kind;
        if members.insert((kind, &made.member)) {
            *into.items.entry(kind.to_string()).or_default() += 1;
        }
        let tally = into.of(made.resource.index);
        tally.read += 1;
        tally.skipped += made.filtered_out;
        tally.failed += made.failed;
        let entities = made.searched.iter().rev();
        for entity in entities.chain(made.entities.iter().rev()) {
            count(tally, fates.take(entity));
        }
    }
}

/// `None`: nothing had to be done.
fn count(tally: &mut Tally, fate: Option<Fate>) {
    tally.mapped += 1;
    *match fate {
        None => &mut tally.unchanged,
        Some(Fate::Done) => &mut tally.written,
        Some(Fate::Refused) => &mut tally.refused,
        Some(Fate::LacksTarget) => &mut tally.waiting,
        Some(Fate::Later) => &mut tally.postponed,
    } += 1;
}

impl Fates {
    fn unchanged() -> Fates {
        Fates::Known {
            keyed: BTreeMap::new(),
            searched: Vec::new(),
        }
    }

    fn add(&mut self, entity: &Entity, fate: Fate) {
        if let Fates::Known { keyed, searched } = self {
            match entity.key() {
                Some(key) => {
                    keyed.insert(key, fate);
                }
                None => searched.push(fate),
            }
        }
    }

    /// What became of `entity`, told once: entities come in the reverse of their order.
    fn take(&mut self, entity: &Entity) -> Option<Fate> {
        match self {
            Fates::Postponed => Some(Fate::Later),
            Fates::Known { keyed, searched } => match entity.key() {
                Some(key) => keyed.remove(&key),
                None => searched.pop(),
            },
        }
    }
}
