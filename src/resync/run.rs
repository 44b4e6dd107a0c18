//! A run: one full resync, from its first request to its last deletion, as a document that outlives invocations.
//!
//! Pure. What is in here is all an invocation needs to go on where another one stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::extract::Repository;
use crate::pipeline::Counts;

/// Raised when a stored run of an older version can no longer be continued; such a run is begun anew.
pub const RUN_VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub version: u32,
    /// One id for everything this run reports to Port.
    pub id: String,
    pub started_at: Timestamp,
    /// Fingerprint of the mapping it began with; another one in Port ends it.
    pub mapping: String,
    /// Index of the group being worked on; all before it are done.
    pub group: usize,
    /// Repositories of that group before this one are done.
    pub repository: usize,
    /// Repository lists by filter id, each taken once.
    pub listings: BTreeMap<String, ListingState>,
    pub failed: Vec<FailedPartition>,
    pub counts: Counts,
    /// Kinds of which Port has seen examples.
    pub examples: BTreeSet<String>,
    /// Everything is read and loaded; what is left is to delete.
    pub extracted: bool,
    /// No request makes sense before.
    pub not_before: Option<Timestamp>,
}

/// How far a repository list has come. Its pages are documents of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListingState {
    pub pages: usize,
    /// Where the next page is.
    pub cursor: Option<String>,
    pub complete: bool,
    /// Why it could not be completed.
    pub failed: Option<String>,
}

/// A part of the workspace that could not be read in this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPartition {
    /// Id of the source.
    pub source: String,
    /// uuid and name; `None` when the source failed as a whole.
    pub repository: Option<(String, String)>,
    pub reason: String,
}

impl FailedPartition {
    /// Whether the partition of `source` for `repository` (a uuid) is this one or a part of it.
    pub fn covers(&self, source: &str, repository: &str) -> bool {
        self.source == source && self.repository.as_ref().is_none_or(|(uuid, _)| uuid == repository)
    }
}

impl fmt::Display for FailedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedPartition { source, repository, reason } = self;
        match repository {
            Some((_, name)) => write!(f, "{source} of {name}: {reason}"),
            None => write!(f, "{source}: {reason}"),
        }
    }
}

impl Run {
    pub fn begin(id: String, started_at: Timestamp, mapping: &str) -> Run {
        Run {
            version: RUN_VERSION,
            id,
            started_at,
            mapping: mapping.to_owned(),
            group: 0,
            repository: 0,
            listings: BTreeMap::new(),
            failed: Vec::new(),
            counts: Counts::default(),
            examples: BTreeSet::new(),
            extracted: false,
            not_before: None,
        }
    }

    pub fn fail(&mut self, source: &str, repository: Option<&Repository>, reason: String) {
        let repository = repository.map(|repository| (repository.uuid.clone(), repository.full_name.clone()));
        let same = |failed: &FailedPartition| failed.source == source && failed.repository == repository;
        if !self.failed.iter().any(same) {
            self.failed.push(FailedPartition { source: source.to_owned(), repository, reason });
        }
    }
}
