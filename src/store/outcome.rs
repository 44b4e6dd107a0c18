//! What is stored of how a run went: why it waits, what it has lost, why an attempt came to nothing.
//!
//! Plain data, parts of the documents in `run` and `documents`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::{RepositoryId, SourceId};

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPause {
    /// Since when, slices that got nowhere included.
    pub since: Timestamp,
    pub reason: String,
    /// Number of the [`Condition`](crate::condition::Condition) that it comes to when it lasts.
    pub number: u8,
}

/// What of a run is not in Port as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Parts that could not be read.
    pub failures: usize,
    /// One of them.
    pub first_failure: Option<String>,
    pub refused: usize,
    pub waiting: usize,
    pub not_mapped: usize,
    pub left_out: usize,
    /// Entities that stay though nothing claims them and nobody has asked for that.
    pub withheld: usize,
    /// Why entities stay.
    pub kept: Option<String>,
    /// Lists that say for the first time that they have objects, and show none.
    pub hidden: usize,
    pub has_rival: bool,
}

/// An attempt at a run that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    pub at: Timestamp,
    /// Of the first of those that failed in a row.
    pub since: Timestamp,
    /// So many failed in a row.
    pub times: u32,
    /// The next one is not made before, unless somebody asks for it, or the cause is seen to have gone.
    pub not_before: Timestamp,
    /// Number of the [`Condition`](crate::condition::Condition) that it comes to.
    pub number: u8,
    pub cause: String,
}

/// A part of the workspace that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPart {
    pub source: SourceId,
    /// `None` where the source failed as a whole.
    #[serde(default)]
    pub repository: Option<RepositoryId>,
    /// As people know it.
    pub name: String,
    pub reason: String,
}

impl FailedAttempt {
    /// Whether another attempt may be made, of a process that has begun at `started_at`: it may have other settings.
    pub fn is_over(&self, now: Timestamp, started_at: Timestamp) -> bool {
        self.not_before <= now || self.at < started_at
    }
}

impl Losses {
    pub fn are_any(&self) -> bool {
        self.are_of_content() || 0 < self.withheld || self.has_rival
    }

    /// Whether anything may be missing, rather than stay.
    pub fn are_of_content(&self) -> bool {
        0 < self.failures
            || self.first_failure.is_some()
            || 0 < self.refused
            || 0 < self.waiting
            || 0 < self.not_mapped
            || 0 < self.left_out
            || 0 < self.hidden
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.failures, "parts not read"),
            (self.refused, "entities refused by Port"),
            (self.waiting, "entities that wait for what they point at"),
            (self.not_mapped, "items not mapped"),
            (self.left_out, "values left out"),
            (self.hidden, "lists that show nothing of what they count"),
        ];
        let counts = counts.iter().filter(|(count, _)| 0 < *count);
        let counts: Vec<String> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        f.write_str(&counts.join(", "))?;
        match &self.first_failure {
            Some(first) => write!(f, " ({first})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for FailedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.source, self.name, self.reason)
    }
}
