//! Adoption under the pen: what Port calls ours and nobody claims is deleted.
//!
//! The caller says which entities no record named when it read them all; this asks once more, since a live look may have
//! claimed some of them meanwhile.

use std::collections::BTreeSet;

use super::commit::{Committed, Pen};
use super::load::{self, Answered};
use crate::entity::EntityKey;
use crate::failure::Failure;
use crate::look::Look;
use crate::store::documents::{generation, record, row};
use crate::store::{Lease, StoreError};

impl Pen<'_> {
    /// Deletes those of `orphans` that Port calls ours and nobody claims. `lease` is the pen.
    pub async fn adopt(&self, lease: &Lease, orphans: &[EntityKey]) -> Result<Committed, Failure> {
        let mut committed = Committed::default();
        let in_force = self.store.load(&generation()).await?.value;
        if in_force.map(|generation| generation.number) != Some(self.generation) {
            committed.outdated = true;
            return Ok(committed);
        }
        let unclaimed = self.unclaimed(orphans).await?;
        let mut answered = Answered::default();
        let deadline = lease.deadline();
        load::delete(
            self.port,
            &unclaimed,
            (self.sources, &self.event),
            &mut answered,
            &deadline,
        )
        .await;
        let Answered { deleted, along, .. } = &answered;
        self.audit.deleted(deleted, along, (&[], self.sources));
        let hit = self.hit_along(&unclaimed, &answered.along).await?;
        let looks = hit.into_iter().map(|item| Look::Item { item }).collect();
        let occasion = lease.epoch().to_string();
        self.outbox.send(looks, &occasion, &deadline).await?;
        self.guard.note(answered.counts.deleted, self.store).await?;
        if answered.stopped.is_none() {
            answered.refuse_what_is_later();
        }
        let left = std::mem::take(&mut answered.unconfirmed);
        committed.leave(load::present(self.port, left, &deadline).await);
        committed.take_in_answers(answered);
        Ok(committed)
    }

    /// Those that no row leads to, nor the record that a row names.
    async fn unclaimed(&self, orphans: &[EntityKey]) -> Result<BTreeSet<EntityKey>, StoreError> {
        let keys: Vec<_> = orphans.iter().map(row).collect();
        let rows = self.store.load_all(&keys).await?;
        let mut unclaimed = BTreeSet::new();
        for (key, found) in orphans.iter().zip(rows) {
            let found = found.value.filter(|row| row.key.as_ref() == Some(key));
            let places: BTreeSet<_> = found
                .into_iter()
                .flat_map(|row| row.content.into_iter().chain(row.targets))
                .collect();
            let records: Vec<_> = places.iter().map(record).collect();
            let records = self.store.load_all(&records).await?;
            let is_claimed = records
                .into_iter()
                .flat_map(|found| found.value)
                .flat_map(|record| record.items.into_values())
                .flat_map(|entry| entry.claims)
                .any(|claim| {
                    let mut content = claim.content.iter();
                    claim.targets.contains(key) || content.any(|held| held.key == *key)
                });
            if !is_claimed {
                unclaimed.insert(key.clone());
            }
        }
        Ok(unclaimed)
    }
}
