//! Documents that cannot be understood: why not, said once for each, counted for whoever begins a run because of them.

use crate::locked::locked;
use std::collections::BTreeSet;
use std::sync::Mutex;

use super::Found;
use super::documents::Document;
use super::raw::{Address, Revision, Stored};

/// As many keys are remembered as said. A store of which more is unreadable is lost, and has been said to be.
const REMEMBERED: usize = 10_000;

#[derive(Default)]
pub(super) struct Unreadable {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    warned: BTreeSet<String>,
    since_asked: BTreeSet<String>,
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
        .map_err(|problem| unreadable.note(address.to_string(), D::NAME, &problem))
        .ok();
    Found {
        value,
        revision: stored.revision,
    }
}

impl Unreadable {
    fn note(&self, key: String, shape: &str, problem: &Illegible) {
        let mut seen = locked(&self.seen);
        if seen.warned.len() < REMEMBERED && seen.warned.insert(key.clone()) {
            tracing::warn!(key, shape, %problem, "stored document is unreadable and counts as absent");
        }
        if seen.since_asked.len() < REMEMBERED {
            seen.since_asked.insert(key);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        let mut seen = locked(&self.seen);
        std::mem::take(&mut seen.since_asked).into_iter().collect()
    }
}
