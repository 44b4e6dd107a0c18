//! What became of items and entities, in numbers.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What was read, mapped, written and deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Raw items taken in.
    pub extracted: usize,
    /// Files that a selector matches and that cannot be read as such.
    pub skipped: usize,
    /// Entities mapped and selected.
    pub transformed: usize,
    /// Items and entities that the selector turned away.
    pub filtered_out: usize,
    /// Items that could not be mapped, or are nothing that Port would take.
    pub not_mapped: usize,
    /// Values that Port would refuse, left out of their entities.
    pub left_out: usize,
    /// Entities written.
    pub written: usize,
    /// Entities that Port already had as they are, or that another item writes.
    pub unchanged: usize,
    /// Entities that Port refused.
    pub refused: usize,
    /// Entities that wait for a relation target.
    pub waiting: usize,
    pub deleted: usize,
    /// Entities that nothing claims any more, and that are kept because a guard says so.
    pub kept: usize,
}

/// What came of the identifiers of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierCounts {
    pub usable: usize,
    /// Null, or nothing that Port takes.
    pub unusable: usize,
}

/// One in so many identifiers may be unusable.
const TOLERATED: usize = 10;

impl IdentifierCounts {
    pub fn all(&self) -> usize {
        self.usable + self.unusable
    }

    /// Whether so many are unusable that the expression is at fault rather than some items.
    pub fn is_distrusted(&self) -> bool {
        self.all() < TOLERATED * self.unusable
    }
}

impl AddAssign for IdentifierCounts {
    fn add_assign(&mut self, other: IdentifierCounts) {
        let IdentifierCounts { usable, unusable } = other;
        self.usable += usable;
        self.unusable += unusable;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        let Counts {
            extracted,
            skipped,
            transformed,
            filtered_out,
            not_mapped,
            left_out,
            written,
            unchanged,
            refused,
            waiting,
            deleted,
            kept,
        } = other;
        self.extracted += extracted;
        self.skipped += skipped;
        self.transformed += transformed;
        self.filtered_out += filtered_out;
        self.not_mapped += not_mapped;
        self.left_out += left_out;
        self.written += written;
        self.unchanged += unchanged;
        self.refused += refused;
        self.waiting += waiting;
        self.deleted += deleted;
        self.kept += kept;
    }
}
