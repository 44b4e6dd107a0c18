//! What is said of a commit that looks have come to.

use super::Taking;
use crate::metrics::Figure;
use crate::sync::commit::Committed;
use crate::sync::plan::Clash;

impl Taking<'_> {
    pub(super) fn report(&self, committed: &Committed) {
        let counts = committed.counts;
        for refusal in &committed.refusals {
            tracing::warn!(%refusal, "entity refused by Port");
        }
        for Clash { key, writer, other } in &committed.clashes {
            tracing::warn!(%key, %writer, %other, "several items make something else of one entity");
        }
        for waiting in &committed.waiting {
            tracing::warn!(%waiting, "entity waits for what it points at");
        }
        for (key, kept) in &committed.kept {
            tracing::warn!(%key, reason = %kept, "an entity that nothing claims any more stays");
        }
        if let Some(sample) = committed.not_ours.first() {
            let stale = committed.not_ours.len();
            tracing::warn!(stale, %sample, "entities stay that Port does not call ours");
        }
        tracing::info!(
            written = counts.written,
            deleted = counts.deleted,
            refused = counts.refused,
            waiting = counts.waiting,
            undeleted = counts.undeleted,
            kept = counts.kept,
            "looks committed"
        );
        let figures = vec![
            Figure::count("WrittenEntities", counts.written),
            Figure::count("DeletedEntities", counts.deleted),
            Figure::count("RefusedEntities", counts.refused + counts.undeleted),
        ];
        self.app.metrics.put(self.app.clock.now(), figures);
    }
}
