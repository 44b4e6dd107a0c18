//! What stored documents that cannot be read cost: a run, and not one after the other.
//!
//! Damage, or another edition's shapes. A run looks at everything, so that it makes them superfluous; what it has not
//! replaced is removed, or every process would meet it again, and ask for a run again.

use super::request;
use crate::app::App;
use crate::failure::Failure;
use crate::store::documents::{LEASES, agains, dead_letters, queued};
use crate::store::{Store, StoreError};

/// Asks for a run if this process has met stored documents that cannot be read; returns whether it has. What one process
/// has met no other knows of.
pub async fn request_for_unreadable(app: &App) -> Result<bool, Failure> {
    let is_wanted = !app.store.take_unreadable().is_empty();
    if is_wanted {
        request(app, "stored documents could not be read").await?;
    }
    Ok(is_wanted)
}

/// A run has begun and will look at everything: stored looks that nobody can read are done with it. Those that another
/// edition stores from now on stay.
pub(super) async fn leave_looks_to_run(store: &Store) -> Result<(), StoreError> {
    let folder = agains().name;
    store.remove_unreadable(|it| it == folder).await
}

/// A run has looked at everything, and could read it: what documents said that cannot be read is known again. Until then
/// they stand for claims that nobody knows, which protects entities. A lease may be held; messages are nobody's to drop.
pub(super) async fn drop_superfluous(store: &Store) -> Result<(), StoreError> {
    store.take_replaced();
    let kept = [
        LEASES.to_owned(),
        agains().name,
        queued().name,
        dead_letters().name,
    ];
    let is_superfluous = |folder: &str| !kept.iter().any(|it| it == folder);
    store.remove_unreadable(is_superfluous).await
}
