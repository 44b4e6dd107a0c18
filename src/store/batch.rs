//! Unconditional writes that go out together, documents of any shapes among them.

use std::collections::BTreeMap;

use super::StoreError;
use super::documents::{Document, Key};
use super::raw::{Address, Draft, Mutation, Revision};

/// What is to be written or removed. One change per document: the last one counts.
#[derive(Debug, Default)]
pub struct DocumentBatch {
    changes: BTreeMap<Address, Mutation>,
}

impl DocumentBatch {
    pub fn new() -> DocumentBatch {
        DocumentBatch::default()
    }

    pub fn put<D: Document>(&mut self, key: &Key<D>, value: &D) -> Result<(), StoreError> {
        self.changes
            .insert(address(key), Mutation::Put(draft(key, value)?));
        Ok(())
    }

    pub fn remove<D: Document>(&mut self, key: &Key<D>) {
        self.changes.insert(address(key), Mutation::Remove);
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn into_changes(self) -> Vec<(Address, Mutation)> {
        self.changes.into_iter().collect()
    }
}

pub(super) fn address<D>(key: &Key<D>) -> Address {
    Address {
        folder: key.folder.clone(),
        name: key.name.clone(),
    }
}

pub(super) fn draft<D: Document>(key: &Key<D>, value: &D) -> Result<Draft, StoreError> {
    let body = serde_json::to_vec(value).map_err(|source| StoreError::Unwritable {
        key: key.to_string(),
        source,
    })?;
    Ok(Draft {
        revision: Revision::fresh(),
        version: D::VERSION,
        body,
        lifetime: D::LIFETIME,
    })
}
