//! That deletions are held back is noted for whoever tells how the installation stands.

use super::Taking;
use crate::condition::Condition;
use crate::sync::commit::Committed;
use crate::sync::plan::Kept;

impl Taking<'_> {
    /// The next run decides about what stays; until then somebody may want to.
    pub(super) async fn note_kept(&self, committed: &Committed) {
        let mut kept = committed.kept.iter();
        if let Some((key, kept)) = kept.find(|(_, kept)| *kept == Kept::Threshold) {
            let cause = format!("{key} stays: {kept}");
            self.app.note(Condition::DeletionsHeldBack, &cause).await;
        }
    }
}
