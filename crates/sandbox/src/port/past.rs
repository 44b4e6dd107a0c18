//! Reads that are answered from an older catalogue, as from an index that lags behind.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::state::{Key, StoredEntity};
use super::{Port, routes};
use crate::server::FaultKind;

/// The entities as they were at some moment.
#[derive(Clone)]
pub struct OldCatalogue(Arc<BTreeMap<Key, StoredEntity>>);

impl Port {
    /// The catalogue as it is now, for [`as_of`](Port::as_of).
    pub fn moment(&self) -> OldCatalogue {
        OldCatalogue(Arc::new(self.state().entities.clone()))
    }

    /// For a [`Fault`](crate::fault::Fault) on searches: the answer is that of `catalogue`. Tokens and all else are those of now. On a
    /// write it would lose the write.
    pub fn as_of(&self, catalogue: &OldCatalogue) -> FaultKind {
        let (old, state) = (catalogue.clone(), Arc::downgrade(&self.state));
        FaultKind::instead("an old catalogue", move |request, fresh| {
            let Some(state) = state.upgrade() else {
                return fresh(request);
            };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = std::mem::replace(&mut state.entities, BTreeMap::clone(&old.0));
            let answer = routes::answer(&mut state, request);
            state.entities = now;
            answer
        })
    }
}
