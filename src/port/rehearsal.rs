//! Writes that are noted instead of made: what a resync would do, asked of the code that does it.

use std::sync::{Arc, Mutex};

use super::client::PortClient;
use crate::entity::{Entity, EntityKey};
use crate::locked::locked;

/// What would have been written and deleted, in order.
#[derive(Clone, Debug, Default)]
pub struct Rehearsed {
    pub written: Vec<Entity>,
    pub deleted: Vec<EntityKey>,
}

pub(super) type Rehearsal = Arc<Mutex<Rehearsed>>;

impl PortClient {
    /// The same client, except that entities are neither written nor deleted.
    #[must_use]
    pub fn rehearsing(&self) -> PortClient {
        PortClient {
            rehearsal: Some(Rehearsal::default()),
            ..self.clone()
        }
    }

    pub fn is_rehearsing(&self) -> bool {
        self.rehearsal.is_some()
    }

    /// What a [`rehearsing`](Self::rehearsing) client and its clones were asked to do.
    pub fn rehearsed(&self) -> Rehearsed {
        let rehearsal = self.rehearsal.as_ref();
        rehearsal
            .map(|rehearsal| locked(rehearsal).clone())
            .unwrap_or_default()
    }
}
