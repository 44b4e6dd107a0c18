//! An item at hand as one party to a commit: what it claims before and after, and what it would write.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::{claims, held};
use super::{Seen, Sight, Situation};
use crate::entity::{Entity, EntityKey};
use crate::identity::{ItemRef, SourceId};
use crate::store::documents::{Claim, Entry, Held};

/// What an item claims before and after, and what it would write.
pub(super) struct Party<'a> {
    pub(super) item: &'a ItemRef,
    pub(super) before: Option<&'a Entry>,
    pub(super) after: Vec<Claim>,
    pub(super) entities: BTreeMap<EntityKey, Entity>,
}

/// Every entity that an item at hand claims or leads to, before or after.
pub(super) fn touched(parties: &[Party<'_>]) -> BTreeSet<EntityKey> {
    let mut keys = BTreeSet::new();
    for party in parties {
        let before = party.before.iter().flat_map(|entry| &entry.claims);
        for claim in before.chain(&party.after) {
            keys.extend(claim.content.iter().map(|held| held.key.clone()));
            keys.extend(claim.targets.iter().cloned());
        }
    }
    keys
}

impl<'a> Party<'a> {
    pub(super) fn of(situation: &'a Situation<'_>, seen: &'a Seen) -> Party<'a> {
        let before = seen.before.as_ref();
        let (after, entities) = match &seen.sight {
            Sight::Gone => (Vec::new(), BTreeMap::new()),
            Sight::Present(image) => (
                claims(image, before, situation.sources.creates_targets()),
                image.entities(situation.sources.merges()),
            ),
        };
        Party {
            item: &seen.item,
            before,
            after,
            entities,
        }
    }

    pub(super) fn held_before(&self, key: &EntityKey) -> Option<&'a Held> {
        held(&self.before?.claims, key)
    }

    pub(super) fn held_after(&self, key: &EntityKey) -> Option<&Held> {
        held(&self.after, key)
    }

    /// How the item wrote `key` the last time, with the sources `below` it. `None`: it has to be written, whatever Port
    /// holds. `Some(None)`: nothing is recorded of the item at all.
    pub(super) fn written(
        &self,
        key: &EntityKey,
        below: &BTreeSet<SourceId>,
    ) -> Option<Option<&'a Held>> {
        let Some(entry) = self.before else {
            return Some(None);
        };
        let held = held(&entry.claims, key).filter(|_| entry.sure)?;
        let is_as_now = held.written.is_some() && held.below == *below && !held.waits;
        is_as_now.then_some(Some(held))
    }

    pub(super) fn leads_to(&self, key: &EntityKey) -> bool {
        self.after.iter().any(|claim| claim.targets.contains(key))
    }
}
