//! What is recorded of how a partition was read: with that, a later run can tell whether another reading would give the
//! same.
//!
//! Plain data, part of an [`Entry`](super::documents::Entry). What follows from it is decided elsewhere.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, IdentifierCounts, Tallies};

/// All that a partition's items depend on, and what reading them has counted. Recorded only of a reading that was complete
/// and of which nothing had to be told.
///
/// Digests are those of one build: another one reads everything once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The main branch.
    pub branch: String,
    /// Hash of the commit at which all contents were read.
    pub head: String,
    /// Digest of what made items and entities of them: resources, settings, Ferry itself.
    pub rules: u64,
    /// Digest of the names by which selectors pick the repository out.
    pub names: u64,
    /// Digest of what items show of the repository; `None` where there is no item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<u64>,
    /// Digest of the blueprints of the entities, as far as they decide what Port takes.
    pub schemas: u64,
    pub read: ReadCounts,
}

/// What a reading has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadCounts {
    /// As in [`Counts`].
    pub extracted: usize,
    /// Raw items by kind.
    pub items: BTreeMap<String, usize>,
    /// By the fingerprint of a resource: raw items, those that it turned away, and entities.
    pub resources: BTreeMap<String, (usize, usize, usize)>,
}

/// What a run has counted of partitions that it took over unread: the same as if it had read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakenOver {
    pub partitions: usize,
    pub counts: Counts,
    /// By the fingerprints of their resources.
    pub identifiers: BTreeMap<String, IdentifierCounts>,
    pub tallies: Tallies,
}

impl AddAssign<&TakenOver> for TakenOver {
    fn add_assign(&mut self, other: &TakenOver) {
        self.partitions += other.partitions;
        self.counts += other.counts;
        for (resource, counts) in &other.identifiers {
            *self.identifiers.entry(resource.clone()).or_default() += *counts;
        }
        self.tallies += other.tallies.clone();
    }
}
