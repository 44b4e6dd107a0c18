//! A run: one full resync, from its first request to its last deletion, as a document that outlives invocations.
//!
//! Pure. What is in here is all an invocation needs to go on where another one stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::extract::Repository;
use crate::mapping::Kind;
use crate::pipeline::Counts;

/// Raised when a stored run of an older version can no longer be continued; such a run is begun anew.
pub(super) const RUN_VERSION: u32 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) version: u32,
    /// One id for everything this run reports to Port.
    pub(super) id: String,
    pub(super) started_at: Timestamp,
    /// Fingerprint of the mapping it began with; another one in Port ends it.
    pub(super) mapping: String,
    /// Index of the group being worked on; all before it are done.
    pub(super) group: usize,
    /// Repository lists by filter id, each taken once.
    pub(super) listings: BTreeMap<String, ListingState>,
    pub(super) failed: Vec<FailedPartition>,
    /// Repositories that the last run could not read: their turn comes first.
    #[serde(default)]
    pub(super) first: BTreeSet<String>,
    /// How many repositories may be read at once: fewer than usual where none got through before.
    #[serde(default)]
    pub(super) at_once: Option<usize>,
    pub(super) counts: Counts,
    /// What each kind has given so far.
    #[serde(default)]
    pub(super) tally: BTreeMap<String, Tally>,
    /// Kinds of which Port has seen examples.
    pub(super) examples: BTreeSet<String>,
    /// Everything is read and loaded; what is left is to delete.
    pub(super) extracted: bool,
    /// No request makes sense before.
    pub(super) not_before: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) items: usize,
    pub(super) entities: usize,
}

/// How far a repository list has come. Its pages are documents of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ListingState {
    pub(super) pages: usize,
    /// Repositories on these pages.
    #[serde(default)]
    pub(super) repositories: usize,
    /// Where the next page is.
    pub(super) cursor: Option<String>,
    pub(super) complete: bool,
    /// Why it could not be completed.
    pub(super) failed: Option<String>,
}

/// A part of the workspace that could not be read in this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailedPartition {
    /// Id of the source.
    pub(super) source: String,
    /// uuid and name; `None` when the source failed as a whole.
    pub(super) repository: Option<(String, String)>,
    pub(super) reason: String,
}

impl FailedPartition {
    /// Whether the partition of `source` for `repository` (a uuid) is this one or a part of it.
    pub(super) fn covers(&self, source: &str, repository: &str) -> bool {
        self.source == source
            && self
                .repository
                .as_ref()
                .is_none_or(|(uuid, _)| uuid == repository)
    }
}

impl fmt::Display for FailedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedPartition {
            source,
            repository,
            reason,
        } = self;
        match repository {
            Some((_, name)) => write!(f, "{source} of {name}: {reason}"),
            None => write!(f, "{source}: {reason}"),
        }
    }
}

impl Run {
    pub(super) fn begin(id: String, started_at: Timestamp, mapping: &str) -> Run {
        Run {
            version: RUN_VERSION,
            id,
            started_at,
            mapping: mapping.to_owned(),
            group: 0,
            listings: BTreeMap::new(),
            failed: Vec::new(),
            first: BTreeSet::new(),
            at_once: None,
            counts: Counts::default(),
            tally: BTreeMap::new(),
            examples: BTreeSet::new(),
            extracted: false,
            not_before: None,
        }
    }

    /// Why there is not a single item.
    pub(super) fn nothing_read(&self) -> Option<String> {
        let failed = self.failed.first()?;
        (self.counts.extracted == 0).then(|| failed.reason.clone())
    }

    /// `kind` is none where no resource wants the items.
    pub(super) fn count(&mut self, kind: Option<Kind>, counts: Counts) {
        self.counts += counts;
        let Some(kind) = kind else {
            return;
        };
        let tally = self.tally.entry(kind.to_string()).or_default();
        tally.items += counts.extracted;
        tally.entities += counts.transformed;
    }

    pub(super) fn fail(&mut self, source: &str, repository: Option<&Repository>, reason: String) {
        let repository =
            repository.map(|repository| (repository.uuid.clone(), repository.full_name.clone()));
        let same =
            |failed: &FailedPartition| failed.source == source && failed.repository == repository;
        if !self.failed.iter().any(same) {
            self.failed.push(FailedPartition {
                source: source.to_owned(),
                repository,
                reason,
            });
        }
    }
}
