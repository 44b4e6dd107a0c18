//! Who claims one entity, before and after, and who of them writes it.

use std::collections::{BTreeMap, BTreeSet};

use super::party::Party;
use super::{Clash, Others, Plan, Situation};
use crate::entity::EntityKey;
use crate::identity::{ItemRef, Place, SourceId};
use crate::port::digest;
use crate::store::documents::Held;

/// Who claims one entity, before and after.
pub(super) struct Contest<'a> {
    pub(super) key: &'a EntityKey,
    pub(super) before: BTreeSet<&'a ItemRef>,
    pub(super) after: BTreeSet<&'a ItemRef>,
    pub(super) unknown: Option<&'a BTreeSet<Place>>,
}

impl<'a> Contest<'a> {
    pub(super) fn of(key: &'a EntityKey, parties: &[Party<'a>], others: &'a Others) -> Contest<'a> {
        let elsewhere: BTreeSet<&ItemRef> = others
            .content
            .get(key)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .collect();
        let (mut before, mut after) = (elsewhere.clone(), elsewhere);
        for party in parties {
            if party.held_before(key).is_some() {
                before.insert(party.item);
            }
            if party.held_after(key).is_some() {
                after.insert(party.item);
            }
        }
        Contest {
            key,
            before,
            after,
            unknown: others.unknown.get(key).filter(|places| !places.is_empty()),
        }
    }

    /// For each source, the first item that claims the entity writes it; if that is somebody else who was not the first
    /// before, he is woken.
    pub(super) fn assign(
        &self,
        parties: &[Party<'_>],
        situation: &Situation<'_>,
        plan: &mut Plan,
        settled: &mut [BTreeMap<EntityKey, Held>],
    ) {
        let sources = situation.sources;
        let first = |of: &BTreeSet<&'a ItemRef>, source: &SourceId| {
            of.iter()
                .find(|item| item.partition.source == *source)
                .copied()
        };
        let claiming = |of: &BTreeSet<&'a ItemRef>| -> BTreeSet<&'a SourceId> {
            of.iter().map(|item| &item.partition.source).collect()
        };
        let (before, after) = (claiming(&self.before), claiming(&self.after));
        for source in after
            .iter()
            .filter(|source| sources.group(source).is_some())
        {
            let Some(writer) = first(&self.after, source) else {
                continue;
            };
            let above = |of: &BTreeSet<&'a SourceId>| {
                sources.above(source, &self.key.blueprint, of.iter().copied())
            };
            let below = above(&after);
            plan.clashes
                .extend(self.clashes(writer, &below, parties, situation));
            let wrote_before = first(&self.before, source);
            let at_hand = parties.iter().position(|party| party.item == writer);
            let Some(position) = at_hand else {
                if wrote_before != Some(writer) || above(&before) != below {
                    plan.wakes.insert(writer.clone());
                }
                continue;
            };
            if let (Some(party), Some(settled)) = (parties.get(position), settled.get_mut(position))
            {
                // What it wrote once is not in Port any more where another has written since.
                let is_own = wrote_before.is_none_or(|before| before == writer);
                plan.write(
                    self.key,
                    (position, party),
                    (below, is_own),
                    situation,
                    settled,
                );
            }
        }
    }
}

impl Contest<'_> {
    /// Items at hand of the source of `writer` that would write something else, if they wrote.
    fn clashes(
        &self,
        writer: &ItemRef,
        below: &BTreeSet<SourceId>,
        parties: &[Party<'_>],
        situation: &Situation<'_>,
    ) -> Vec<Clash> {
        let makes = |party: &Party<'_>| {
            let entity = party.entities.get(self.key)?.clone();
            Some(digest(&situation.sources.strip(entity, below)?))
        };
        let at_hand = parties.iter().find(|party| party.item == writer);
        let written = match at_hand {
            Some(party) => makes(party),
            None => {
                let others = situation.others.content.get(self.key);
                others.and_then(|others| *others.get(writer)?)
            }
        };
        let of_source = parties.iter().filter(|party| {
            party.item != writer && party.item.partition.source == writer.partition.source
        });
        let clashes = of_source.filter(|party| {
            let made = makes(party);
            made.is_some() && written.is_some() && made != written
        });
        let clashes = clashes.map(|party| Clash {
            key: self.key.clone(),
            writer: writer.clone(),
            other: party.item.clone(),
        });
        clashes.collect()
    }
}
