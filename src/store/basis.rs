//! What is recorded of how a partition was read: with that, a later run can tell whether another reading would give the
//! same.
//!
//! Plain data, part of an [`Entry`](super::documents::Entry). What follows from it is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, IdentifierCounts, Tallies};
use crate::identity::SourceId;

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

/// How a run does without reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Skipping {
    /// Counted among the rest, too.
    pub taken_over: TakenOver,
    /// Partitions that were read to see whether they might have been taken over, and those that might not.
    pub audited: usize,
    pub refuted: usize,
    /// Why nothing more is taken over, if nothing is.
    pub reads_all: Option<String>,
    /// Runs that were completed before: whose turn it is to be audited.
    pub audits: u64,
    /// Bitbucket has failed to show the heads of repositories: they are not asked for any more.
    pub refuses_heads: bool,
}

/// What is known of the contents of a page's repositories, by source and position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageContents {
    /// What items show of repositories, as digests: of those whose contents a run may take over unread.
    pub carried: BTreeMap<SourceId, BTreeMap<u64, u64>>,
    /// Repositories whose partition was taken over unread. They are done, too.
    pub taken_over: BTreeMap<SourceId, BTreeSet<u64>>,
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
