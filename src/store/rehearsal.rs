//! A store that begins as another one is, and keeps what is written to itself: for what is tried rather than done.
//!
//! Documents are drawn from the store below when they are first asked for. Nothing is ever written there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;

use super::batch::{address, draft};
use super::documents::{Document, Folder, Key};
use super::memory::Memory;
use super::raw::{Address, Draft, Mutation, Stored};
use super::reading::Freshness;
use super::{Found, Revision, Store, StoreError};
use crate::locked::locked;

/// The store below, and what is no longer asked of it.
pub(super) struct Below {
    store: Store,
    /// What was drawn, or written over.
    known: Mutex<BTreeSet<Address>>,
    /// Folders and prefixes of which everything was drawn.
    listed: Mutex<BTreeSet<(String, String)>>,
}

impl Below {
    pub(super) fn new(store: Store) -> Below {
        Below {
            store,
            known: Mutex::default(),
            listed: Mutex::default(),
        }
    }

    /// Sees to it that `above` has what lies below under `keys`, unless it was drawn or written over before.
    pub(super) async fn draw<D: Document>(
        &self,
        keys: &[Key<D>],
        above: &Memory,
    ) -> Result<(), StoreError> {
        let unknown: Vec<Key<D>> = {
            let known = locked(&self.known);
            let unknown = keys.iter().filter(|key| !known.contains(&address(key)));
            unknown.cloned().collect()
        };
        let found = Box::pin(self.store.load_all(&unknown)).await?;
        for (key, found) in unknown.iter().zip(found) {
            self.keep(key, found, above)?;
        }
        Ok(())
    }

    /// What lies at each address, in their order, without drawing it. What is known is not asked for below.
    pub(super) async fn peek(
        &self,
        wanted: &[(Address, u32)],
        above: &Memory,
    ) -> anyhow::Result<Vec<Option<Stored>>> {
        let unknown: Vec<(Address, u32)> = {
            let known = locked(&self.known);
            let unknown = wanted.iter().filter(|(at, _)| !known.contains(at));
            unknown.cloned().collect()
        };
        let mut below: BTreeMap<&Address, Option<Stored>> = BTreeMap::new();
        if !unknown.is_empty() {
            let found = Box::pin(self.store.load_stored(&unknown, Freshness::Latest)).await?;
            below.extend(unknown.iter().map(|(at, _)| at).zip(found));
        }
        let found = wanted.iter().map(|(at, _)| match below.get(at) {
            Some(found) => found.clone(),
            None => above.load(at),
        });
        Ok(found.collect())
    }

    /// The same for everything of `folder` whose name begins with `prefix`.
    pub(super) async fn draw_folder<D: Document>(
        &self,
        folder: &Folder<D>,
        prefix: &str,
        above: &Memory,
    ) -> Result<(), StoreError> {
        let listing = (folder.name.clone(), prefix.to_owned());
        if locked(&self.listed).contains(&listing) {
            return Ok(());
        }
        let mut kept = Ok(());
        let each = |name: &str, found: Found<D>| {
            kept = self.keep(&folder.key(name), found, above);
            match kept {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        Box::pin(self.store.list(folder, prefix, each)).await?;
        kept?;
        locked(&self.listed).insert(listing);
        Ok(())
    }

    /// What is written over need not be drawn any more.
    pub(super) fn cover(&self, addresses: impl Iterator<Item = Address>) {
        locked(&self.known).extend(addresses);
    }

    fn keep<D: Document>(
        &self,
        key: &Key<D>,
        found: Found<D>,
        above: &Memory,
    ) -> Result<(), StoreError> {
        let at = address(key);
        if !locked(&self.known).insert(at.clone()) {
            return Ok(());
        }
        let kept = match found.value {
            Some(value) => draft(key, &value)?,
            None if found.revision == Revision::ABSENT => return Ok(()),
            // What cannot be understood below cannot be understood above: it may have said anything.
            None => Draft {
                revision: Revision::fresh(),
                version: 0,
                body: Vec::new(),
                lifetime: None,
            },
        };
        above.change(vec![(at, Mutation::Put(kept))]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::documents::{self, Generation};
    use super::super::tests::garbage;
    use super::*;

    fn generation(number: u64) -> Generation {
        Generation {
            number,
            fingerprint: "f".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_is_written_above_stays_above() {
        let below = Store::memory();
        let key = documents::generation();
        let saved = below.save(&key, &generation(1), Revision::ABSENT).await;
        saved.unwrap();
        let above = below.rehearsing();
        let found = above.load(&key).await.unwrap();
        assert_eq!(found.value, Some(generation(1)));
        let blind = above.save(&key, &generation(2), Revision::ABSENT).await;
        assert!(matches!(blind, Err(StoreError::Conflict { .. })));
        above
            .save(&key, &generation(2), found.revision)
            .await
            .unwrap();
        assert_eq!(above.load(&key).await.unwrap().value, Some(generation(2)));
        above.remove(&key).await.unwrap();
        assert_eq!(above.load(&key).await.unwrap().value, None);
        assert_eq!(below.load(&key).await.unwrap().value, Some(generation(1)));
    }

    #[tokio::test]
    async fn what_is_written_over_unread_is_not_drawn_afterwards() {
        let below = Store::memory();
        let key = documents::generation();
        let saved = below.save(&key, &generation(1), Revision::ABSENT).await;
        saved.unwrap();
        let above = below.rehearsing();
        above
            .save_all(vec![(key.clone(), generation(7))])
            .await
            .unwrap();
        assert_eq!(above.load(&key).await.unwrap().value, Some(generation(7)));
    }

    #[tokio::test]
    async fn what_cannot_be_read_below_is_no_absence_above() {
        let below = Store::memory();
        let key = documents::generation();
        below.plant(garbage(&key, 1, b"{"));
        let above = below.rehearsing();
        let found = above.load(&key).await.unwrap();
        assert_eq!(found.value, None);
        assert_ne!(found.revision, Revision::ABSENT);
    }
}
