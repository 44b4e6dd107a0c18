//! What can go wrong with the store.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first. Nothing was written.
    #[error("the document `{key}` has changed meanwhile")]
    Conflict { key: String },
    /// Another process works with this database.
    #[error(
        "`{}` is in use by another process: stop the other `ferry`, or give this one another directory \
         (FERRY__STATE_DIR)", path.display()
    )]
    InUse { path: PathBuf },
    /// There is no place to keep documents at.
    #[error(
        "the state cannot be kept in `{}`: FERRY__STATE_DIR has to name a directory that this process can write, on a \
         disk with room", path.display()
    )]
    Unusable {
        path: PathBuf,
        source: anyhow::Error,
    },
    /// The store does not answer, refuses, or has not answered in time. A write may have taken effect or not.
    #[error("cannot reach the store for `{key}`")]
    Unavailable { key: String, source: anyhow::Error },
    /// A value that JSON cannot hold.
    #[error("the document `{key}` cannot be written")]
    Unwritable {
        key: String,
        source: serde_json::Error,
    },
}

pub(super) fn unavailable<E: Into<anyhow::Error>>(
    key: impl std::fmt::Display,
) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Unavailable {
        key: key.to_string(),
        source: source.into(),
    }
}
