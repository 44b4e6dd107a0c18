//! How far a resync has come, for whoever watches: a terminal, or lines for a machine.
//!
//! Plain data; the run knows, the command line shows.

use jiff::Timestamp;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunProgress {
    /// Empty before the first run.
    pub run: String,
    /// One for each kind that the mapping asks for, in the order in which they are read.
    pub parts: Vec<KindProgress>,
    /// Requests that the resync may still send within this hour, contents of files apart.
    pub requests_left: u32,
    /// Everything is read; what is stale is being deleted.
    pub reconciling: bool,
    /// Nothing is done before this, and why.
    pub paused: Option<Paused>,
}

/// The share of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindProgress {
    pub kind: String,
    /// Partitions read: repositories, or one where the workspace is asked as a whole.
    pub done: usize,
    /// Unknown while the repositories are being listed.
    pub total: Option<usize>,
    /// Raw items read.
    pub items: usize,
    /// Entities mapped from them.
    pub entities: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paused {
    pub until: Timestamp,
    pub reason: String,
}

impl KindProgress {
    pub fn is_done(&self) -> bool {
        self.total.is_some_and(|total| total <= self.done)
    }
}
