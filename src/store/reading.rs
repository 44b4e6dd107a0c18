//! Documents of any shapes, read together: one request of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Found;
use super::batch::address;
use super::documents::{Document, Key};
use super::raw::{Address, Stored};
use super::unreadable::{Unreadable, found};

/// Which documents are to be read.
#[derive(Debug, Default)]
pub struct WantedDocuments {
    pub(super) wanted: Vec<(Address, u32)>,
    pub(super) freshness: Freshness,
}

/// How recent what is read has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Freshness {
    /// All that was written before.
    #[default]
    Latest,
    /// A table may leave out what was written a moment ago; it costs half.
    Recent,
}

/// What was found of them.
pub struct FoundDocuments {
    pub(super) stored: BTreeMap<Address, Stored>,
    pub(super) unreadable: Arc<Unreadable>,
}

impl WantedDocuments {
    #[must_use]
    pub fn and<D: Document>(mut self, key: &Key<D>) -> WantedDocuments {
        self.wanted.push((address(key), D::VERSION));
        self
    }

    /// What was written a moment ago may be left out: at half the price, for who looks again in a minute.
    #[must_use]
    pub fn at_a_glance(self) -> WantedDocuments {
        WantedDocuments {
            freshness: Freshness::Recent,
            ..self
        }
    }
}

impl FoundDocuments {
    /// What lies under `key`, which has to be among those that were wanted.
    pub fn get<D: Document>(&self, key: &Key<D>) -> Found<D> {
        let address = address(key);
        found(&self.unreadable, &address, self.stored.get(&address))
    }
}
