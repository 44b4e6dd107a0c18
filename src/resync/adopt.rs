//! Adoption: what Port calls ours and nobody claims is deleted at the end of a run.
//!
//! Such entities are left by another installation, by a table that was lost, or by requests of a holder that died. Not
//! adopted is what may belong to something that could not be read, mapped or written, or that a list may have overlooked.

use std::collections::{BTreeSet, HashSet};

use super::finish::{digest_of, paused};
use super::slice::{Slice, Step};
use crate::entity::EntityKey;
use crate::failure::Failure;
use crate::locked::locked;
use crate::store::run::ANY;
use crate::sync::plan::Kept;

/// Entities deleted in one section under the pen.
const AT_ONCE: usize = 500;

impl Slice<'_> {
    /// Deletes those of `owned` that are not `named` by any record.
    pub(super) async fn adopt(
        &self,
        owned: &[EntityKey],
        named: &HashSet<u64>,
    ) -> Result<Step, Failure> {
        // Since `owned` was counted, what nobody claims any more may have gone.
        let gone = locked(&self.gone).clone();
        let digests = owned.iter().map(|key| (key, digest_of(key)));
        let stale: Vec<EntityKey> = digests
            .filter(|(_, digest)| !named.contains(digest) && !gone.contains(digest))
            .map(|(key, _)| key)
            .filter(|key| self.sources().may_adopt(&key.blueprint))
            .cloned()
            .collect();
        let orphans = self.without_unsound(stale);
        if orphans.is_empty() {
            return Ok(Step::Done);
        }
        let kept = self.guard.keeps_all();
        let beyond = || (self.guard.left() < orphans.len()).then_some(Kept::Threshold);
        if let Some(kept) = kept.or_else(beyond) {
            self.keep_stale(orphans.len(), kept);
            return Ok(Step::Done);
        }
        match self.check_lists(&orphans).await? {
            Step::Done if self.run().is_read => {}
            step => return Ok(step),
        }
        let orphans = self.without_unsound(orphans);
        let open = self.run().open.clone();
        let orphans = self.without(orphans, &open, Kept::Overlooked);
        for chunk in orphans.chunks(AT_ONCE) {
            if let Err(failure) = self.adopt_chunk(chunk).await {
                return paused(failure);
            }
        }
        Ok(Step::Done)
    }

    fn without_unsound(&self, stale: Vec<EntityKey>) -> Vec<EntityKey> {
        let unsound = self.run().unsound.clone();
        self.without(stale, &unsound, Kept::Unsound)
    }

    /// Those of `stale` that are of none of `blueprints`; of the others it is said that they stay.
    fn without(
        &self,
        stale: Vec<EntityKey>,
        blueprints: &BTreeSet<String>,
        kept: Kept,
    ) -> Vec<EntityKey> {
        let is_of =
            |key: &EntityKey| blueprints.contains(ANY) || blueprints.contains(&key.blueprint);
        let (spared, orphans): (Vec<EntityKey>, Vec<EntityKey>) =
            stale.into_iter().partition(is_of);
        if !spared.is_empty() {
            self.keep_stale(spared.len(), kept);
        }
        orphans
    }

    async fn adopt_chunk(&self, orphans: &[EntityKey]) -> Result<(), Failure> {
        self.keep().await?;
        let committed = self
            .with_pen(async |pen, lease| pen.adopt(lease, orphans).await)
            .await?;
        if committed.outdated {
            return Err(Failure::MappingChanged);
        }
        match committed.stopped {
            Some(later) => Err(Failure::CommitLater(later)),
            None => Ok(()),
        }
    }
}
