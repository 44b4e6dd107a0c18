//! Adoption: what Port calls ours and nobody claims is deleted at the end of a run.
//!
//! Such entities are left by another installation, by a table that was lost, or by requests of a holder that died. Not
//! adopted is what may belong to something that could not be read, mapped or written.

use std::collections::{BTreeSet, HashSet};

use super::finish::{digest_of, paused};
use super::journal::Phase;
use super::slice::{Slice, Step};
use crate::app::App;
use crate::entity::EntityKey;
use crate::failure::Failure;
use crate::store::Asker;
use crate::store::documents::{record, row};
use crate::store::run::ANY;

/// Entities deleted in one section under the pen.
const AT_ONCE: usize = 500;

impl Slice<'_> {
    /// Deletes those of `owned` that are not `named` by any record.
    pub(super) async fn adopt(
        &self,
        owned: &[EntityKey],
        named: &HashSet<u64>,
    ) -> Result<Step, Failure> {
        let unsound = self.run().unsound.clone();
        let stale: Vec<EntityKey> = owned
            .iter()
            .filter(|key| !named.contains(&digest_of(key)))
            .filter(|key| self.sources().may_adopt(&key.blueprint))
            .cloned()
            .collect();
        let (orphans, spared): (Vec<EntityKey>, Vec<EntityKey>) = stale
            .into_iter()
            .partition(|key| !unsound.contains(ANY) && !unsound.contains(&key.blueprint));
        if !spared.is_empty() {
            let reason = "a part of the workspace could not be read, mapped or written";
            self.keep_stale(spared.len(), reason);
        }
        if orphans.is_empty() {
            return Ok(Step::Done);
        }
        if self.guard.keeps_all().is_some() {
            self.keep_stale(orphans.len(), "deletion is switched off (FERRY__DELETE)");
            return Ok(Step::Done);
        }
        if self.guard.left() < orphans.len() {
            let threshold = self
                .sources()
                .mapping()
                .settings()
                .entity_deletion_threshold;
            let owned = owned.len();
            let reason = format!(
                "that is more than entityDeletionThreshold ({threshold}) of the {owned} entities owned"
            );
            self.keep_stale(orphans.len(), &reason);
            return Ok(Step::Done);
        }
        for chunk in orphans.chunks(AT_ONCE) {
            if let Err(failure) = self.adopt_chunk(chunk).await {
                return paused(failure);
            }
        }
        Ok(Step::Done)
    }

    async fn adopt_chunk(&self, orphans: &[EntityKey]) -> Result<(), Failure> {
        let lease = self.app.take_pen(Asker::Run, &self.deadline).await?;
        let deleted = self.delete_unclaimed(orphans, &lease.deadline()).await;
        App::let_go_of_pen(lease).await;
        let deleted = deleted?;
        self.run().counts.deleted += deleted;
        self.guard.note(deleted, self.store()).await?;
        Ok(())
    }

    async fn delete_unclaimed(
        &self,
        orphans: &[EntityKey],
        deadline: &crate::deadline::Deadline,
    ) -> Result<usize, Failure> {
        let unclaimed = self.unclaimed(orphans).await?;
        let port = self.session.port.once();
        let dependents = self
            .sources()
            .mapping()
            .settings()
            .delete_dependent_entities;
        let owned = port.owned_among(&unclaimed, deadline).await?;
        let deletion = port.delete(&owned, dependents, deadline).await;
        let mut deleted = 0;
        for (key, outcome) in owned.iter().zip(&deletion.outcomes) {
            match outcome {
                crate::port::DeleteOutcome::Deleted => deleted += 1,
                crate::port::DeleteOutcome::WasAbsent => {}
                crate::port::DeleteOutcome::Refused { refusal, .. } => {
                    tracing::warn!(%key, %refusal, "stale entity not deleted");
                    let line = format!("{key} not deleted: {refusal}");
                    self.journal.warn(Phase::Delete, line);
                }
                crate::port::DeleteOutcome::Later(postponed) => {
                    tracing::warn!(%key, %postponed, "stale entity left to the next run");
                }
            }
        }
        Ok(deleted)
    }

    /// Those that no row leads to, nor the record that a row names: a live look may have claimed some since the records
    /// were read.
    async fn unclaimed(&self, orphans: &[EntityKey]) -> Result<Vec<EntityKey>, Failure> {
        let keys: Vec<_> = orphans.iter().map(row).collect();
        let rows = self.store().load_all(&keys).await?;
        let mut unclaimed = Vec::new();
        for (key, found) in orphans.iter().zip(rows) {
            let found = found.value.filter(|row| row.key.as_ref() == Some(key));
            let places: BTreeSet<_> = found
                .into_iter()
                .flat_map(|row| row.content.into_iter().chain(row.targets))
                .collect();
            let records: Vec<_> = places.iter().map(record).collect();
            let records = self.store().load_all(&records).await?;
            let is_claimed = records
                .into_iter()
                .flat_map(|found| found.value)
                .any(|record| {
                    let mut claims = record.items.values().flat_map(|entry| &entry.claims);
                    claims.any(|claim| {
                        claim.targets.contains(key)
                            || claim.content.iter().any(|held| held.key == *key)
                    })
                });
            if !is_claimed {
                unclaimed.push(key.clone());
            }
        }
        Ok(unclaimed)
    }
}
