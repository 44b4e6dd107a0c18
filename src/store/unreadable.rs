//! Documents that cannot be understood: why not, said once for each, counted for whoever begins a run because of them,
//! and done away with once a run has made them superfluous.
//!
//! Each writing of a document counts once in a process: what a run that has looked at everything has not replaced, the next
//! one would not replace either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::Found;
use super::documents::Document;
use super::raw::{Address, Revision, Stored};
use super::{Store, StoreError};
use crate::locked::locked;

/// As many keys are remembered as said. A store of which more is unreadable is lost, and has been said to be.
const REMEMBERED: usize = 10_000;

/// Removed at once. A slice should not be spent on it.
const REMOVED_AT_ONCE: usize = 200;

#[derive(Default)]
pub(super) struct Unreadable {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What lies there unread, as far as this process knows.
    known: BTreeMap<Address, Revision>,
    since_asked: BTreeSet<Address>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Illegible {
    #[error("it has no version: another edition wrote it")]
    NoVersion,
    #[error("its shape has version {found}, this edition reads version {known}")]
    Version { found: u32, known: u32 },
    #[error("it cannot be unpacked")]
    Damaged,
    #[error("it is not what its version promises: {0}")]
    Malformed(serde_json::Error),
}

/// Looks at the version first: a body of another one need not even be JSON.
fn decode<D: Document>(stored: &Stored) -> Result<D, Illegible> {
    let known = D::VERSION;
    match stored.version {
        None => return Err(Illegible::NoVersion),
        Some(found) if found != known => return Err(Illegible::Version { found, known }),
        Some(_) => {}
    }
    let body = stored.body.as_deref().ok_or(Illegible::Damaged)?;
    serde_json::from_slice(body).map_err(Illegible::Malformed)
}

/// What was stored at `address`, as far as this edition can read it.
pub(super) fn found<D: Document>(
    unreadable: &Unreadable,
    address: &Address,
    stored: Option<&Stored>,
) -> Found<D> {
    let Some(stored) = stored else {
        return Found {
            value: None,
            revision: Revision::ABSENT,
        };
    };
    let value = decode::<D>(stored)
        .map_err(|problem| unreadable.note(address, stored.revision, D::NAME, &problem))
        .ok();
    Found {
        value,
        revision: stored.revision,
    }
}

impl Unreadable {
    fn note(&self, address: &Address, revision: Revision, shape: &str, problem: &Illegible) {
        let mut seen = locked(&self.seen);
        let known = seen.known.get(address).copied();
        if known == Some(revision) || known.is_none() && REMEMBERED <= seen.known.len() {
            return;
        }
        if known.is_none() {
            let key = address.to_string();
            tracing::warn!(key, shape, %problem, "stored document is unreadable and counts as absent");
        }
        seen.known.insert(address.clone(), revision);
        seen.since_asked.insert(address.clone());
    }

    /// This process has replaced or removed them.
    pub(super) fn forget<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) {
        let mut seen = locked(&self.seen);
        if seen.known.is_empty() {
            return;
        }
        for address in addresses {
            seen.known.remove(address);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        let mut seen = locked(&self.seen);
        let taken = std::mem::take(&mut seen.since_asked);
        taken.iter().map(Address::to_string).collect()
    }

    fn take_replaced(&self) {
        let mut seen = locked(&self.seen);
        let Seen { known, since_asked } = &mut *seen;
        since_asked.retain(|address| known.contains_key(address));
    }

    fn known(&self, is_meant: impl Fn(&str) -> bool) -> Vec<(Address, Revision)> {
        let seen = locked(&self.seen);
        let known = seen.known.iter();
        let known = known.filter(|(address, _)| is_meant(&address.folder));
        let known = known.map(|(address, revision)| (address.clone(), *revision));
        known.take(REMOVED_AT_ONCE).collect()
    }
}

impl Store {
    /// Keys of documents that could not be understood since this was last asked.
    pub fn take_unreadable(&self) -> Vec<String> {
        self.unreadable.take()
    }

    /// A run has looked at everything: of what could not be understood, this process has replaced some, and nobody has to be
    /// asked about that any more.
    pub fn take_replaced(&self) {
        self.unreadable.take_replaced();
    }

    /// Removes what this process could not understand in the folders that `is_meant` names, as far as nobody has replaced it.
    pub async fn remove_unreadable(
        &self,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        for (address, revision) in self.unreadable.known(is_meant) {
            self.remove_at(&address, revision).await?;
        }
        Ok(())
    }
}
