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

/// Why nothing goes on for now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paused {
    pub until: Timestamp,
    pub waits_for: Obstacle,
    pub reason: String,
}

/// What has to pass before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Its rate limit, an outage.
    Bitbucket,
    /// The same.
    Port,
    /// Others write, and come first.
    Pen,
    /// Another process works on the run.
    AnotherProcess,
    /// The time of this invocation is over: the next one goes on.
    Time,
    /// Credentials, the table, the queue.
    Aws,
}

impl Obstacle {
    pub fn as_str(self) -> &'static str {
        match self {
            Obstacle::Bitbucket => "bitbucket",
            Obstacle::Port => "port",
            Obstacle::Pen => "pen",
            Obstacle::AnotherProcess => "another_process",
            Obstacle::Time => "time",
            Obstacle::Aws => "aws",
        }
    }
}

impl KindProgress {
    pub fn is_done(&self) -> bool {
        self.total.is_some_and(|total| total <= self.done)
    }
}
