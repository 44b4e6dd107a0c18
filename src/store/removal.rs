//! Documents that go: whatever lies there, or on a condition.

use super::batch::address;
use super::documents::{Document, Key};
use super::raw::Address;
use super::{Backend, DocumentBatch, Revision, Store, StoreError, unavailable};

impl Store {
    /// Removes the document; an absent one is as good as removed.
    pub async fn remove<D: Document>(&self, key: &Key<D>) -> Result<(), StoreError> {
        self.remove_all(std::slice::from_ref(key)).await
    }

    /// Removes the document if what lies there is what `expected` says; an absent one is as good as removed.
    pub async fn remove_if<D: Document>(
        &self,
        key: &Key<D>,
        expected: Revision,
    ) -> Result<(), StoreError> {
        let address = address(key);
        if let Backend::Rehearsal(memory, below) = &self.backend {
            below.draw(std::slice::from_ref(key), memory).await?;
        }
        match self.remove_at(&address, expected).await? {
            true => Ok(()),
            false => Err(StoreError::Conflict {
                key: address.to_string(),
            }),
        }
    }

    /// False if what lies there is something else than was expected.
    pub(super) async fn remove_at(
        &self,
        address: &Address,
        expected: Revision,
    ) -> Result<bool, StoreError> {
        let removed = match &self.backend {
            Backend::Memory(memory) | Backend::Rehearsal(memory, _) => {
                memory.remove_if(address, expected)
            }
            #[cfg(feature = "file-store")]
            Backend::File(file) => {
                let removed = file.remove_if(address.clone(), expected).await;
                removed.map_err(unavailable(address))?
            }
            Backend::Table(table) => {
                let deadline = self.deadline();
                let removed = table.remove_if(address, expected, deadline).await;
                removed.map_err(unavailable(address))?
            }
        };
        if removed {
            self.unreadable.forget([address]);
        }
        Ok(removed)
    }

    pub async fn remove_all<D: Document>(&self, keys: &[Key<D>]) -> Result<(), StoreError> {
        let mut batch = DocumentBatch::new();
        keys.iter().for_each(|key| batch.remove(key));
        self.write(batch).await
    }
}
