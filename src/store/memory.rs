//! The store in the memory of a process; it ends with it.

use crate::locked::locked;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use super::raw::{Address, Draft, Leaf, Mutation, Revision, Stored};

/// Documents of one page of a listing. Nothing is locked between two pages.
const PAGE: usize = 500;

#[derive(Default)]
pub(super) struct Memory {
    documents: Mutex<BTreeMap<Address, Draft>>,
}

impl Memory {
    pub(super) fn load(&self, address: &Address) -> Option<Stored> {
        self.documents().get(address).map(stored)
    }

    /// False if the document is not what was expected.
    pub(super) fn save(&self, address: &Address, draft: Draft, expected: Revision) -> bool {
        let mut documents = self.documents();
        let found = documents.get(address).map(|found| found.revision);
        let met = expected.is_met_by(found);
        if met {
            documents.insert(address.clone(), draft);
        }
        met
    }

    /// False if the document is another than was expected.
    pub(super) fn remove_if(&self, address: &Address, expected: Revision) -> bool {
        let mut documents = self.documents();
        let found = documents.get(address).map(|found| found.revision);
        let met = found.is_none() || expected.is_met_by(found);
        if met {
            documents.remove(address);
        }
        met
    }

    pub(super) fn change(&self, changes: Vec<(Address, Mutation)>) {
        let mut documents = self.documents();
        for (address, change) in changes {
            match change {
                Mutation::Put(draft) => drop(documents.insert(address, draft)),
                Mutation::Remove => drop(documents.remove(&address)),
            }
        }
    }

    /// The documents of `folder` whose names begin with `prefix` and come after `after`.
    pub(super) fn list(&self, folder: &str, prefix: &str, after: Option<&str>) -> Leaf<Stored> {
        let address = |name: &str| Address {
            folder: folder.to_owned(),
            name: name.to_owned(),
        };
        let from = match after {
            Some(after) => Bound::Excluded(address(after)),
            None => Bound::Included(address(prefix)),
        };
        let documents = self.documents();
        let found: Vec<(String, Stored)> = documents
            .range((from, Bound::Unbounded))
            .take_while(|(at, _)| at.folder == folder && at.name.starts_with(prefix))
            .take(PAGE)
            .map(|(at, draft)| (at.name.clone(), stored(draft)))
            .collect();
        let more = found.len() == PAGE;
        Leaf { found, more }
    }

    fn documents(&self) -> MutexGuard<'_, BTreeMap<Address, Draft>> {
        locked(&self.documents)
    }
}

fn stored(draft: &Draft) -> Stored {
    Stored {
        revision: Revision::number(draft.revision),
        version: Some(draft.version),
        body: Some(draft.body.clone()),
    }
}
