//! What became of items and entities, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{AddAssign, SubAssign};

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
    /// Entities left to a look of their own: Port could not be reached for them, or a live look was faster.
    pub postponed: usize,
    pub deleted: usize,
    /// Entities that nothing claims any more, and that Port does not give up.
    pub undeleted: usize,
    /// Entities that nothing claims any more, and that are kept because a guard says so.
    pub kept: usize,
}

/// What became of what one resource of the mapping asks for, of a kind, or of all.
///
/// Each entity mapped is counted once more by what became of it: see [`is_balanced`](Tally::is_balanced). What is read
/// again, because a slice had to stop before it was committed, counts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Raw items.
    pub read: usize,
    /// Items and entities that the selector turned away, and files that it matches and that cannot be read as such.
    pub skipped: usize,
    /// Items that could not be mapped, or are nothing that Port would take.
    pub failed: usize,
    /// Parts that could not be read: what a repository holds of the kind, or all of it.
    pub unread: usize,
    /// Entities.
    pub mapped: usize,
    /// Entities that Port has taken.
    pub written: usize,
    /// Entities that Port already had as they are, or that another resource or item writes.
    pub unchanged: usize,
    /// Entities that Port refused.
    pub refused: usize,
    /// Entities that wait for a relation target.
    pub waiting: usize,
    /// Entities left to a look of their own: Port could not be reached for them, or a live look was faster.
    pub postponed: usize,
    /// Entities that were made before and are not any more.
    pub deleted: usize,
}

impl Tally {
    /// Whether it is known of every entity what became of it.
    pub fn is_balanced(&self) -> bool {
        self.mapped == self.written + self.unchanged + self.refused + self.waiting + self.postponed
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        let Tally {
            read,
            skipped,
            failed,
            unread,
            mapped,
            written,
            unchanged,
            refused,
            waiting,
            postponed,
            deleted,
        } = other;
        self.read += read;
        self.skipped += skipped;
        self.failed += failed;
        self.unread += unread;
        self.mapped += mapped;
        self.written += written;
        self.unchanged += unchanged;
        self.refused += refused;
        self.waiting += waiting;
        self.postponed += postponed;
        self.deleted += deleted;
    }
}

/// What became of what all resources of a mapping ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tallies {
    /// By the position of the resource in the mapping.
    pub resources: BTreeMap<usize, Tally>,
    /// Raw items, by kind: one that several resources of a kind take counts once.
    pub items: BTreeMap<String, usize>,
}

impl Tallies {
    /// That of the resource at `position`.
    pub fn of(&mut self, position: usize) -> &mut Tally {
        self.resources.entry(position).or_default()
    }

    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.resources.values() {
            sum += *tally;
        }
        sum.read = self.items.values().sum();
        sum
    }
}

impl AddAssign for Tallies {
    fn add_assign(&mut self, other: Tallies) {
        let Tallies { resources, items } = other;
        for (position, tally) in resources {
            *self.of(position) += tally;
        }
        for (kind, count) in items {
            *self.items.entry(kind).or_default() += count;
        }
    }
}

/// Takes back what was counted of items that needed nothing.
impl SubAssign for Tallies {
    fn sub_assign(&mut self, other: Tallies) {
        for (position, taken) in other.resources {
            let tally = self.of(position);
            tally.read = tally.read.saturating_sub(taken.read);
            tally.skipped = tally.skipped.saturating_sub(taken.skipped);
            tally.mapped = tally.mapped.saturating_sub(taken.mapped);
            tally.unchanged = tally.unchanged.saturating_sub(taken.unchanged);
        }
        for (kind, taken) in other.items {
            let count = self.items.entry(kind).or_default();
            *count = count.saturating_sub(taken);
        }
    }
}

/// What is said once of all that met the same, with how many they were and one of them for a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallied {
    /// What stands before the number.
    pub before: String,
    pub count: usize,
    /// What is counted, in the singular.
    pub unit: String,
    /// What stands after it.
    pub after: String,
    /// Empty where there is none.
    pub sample: String,
}

impl Tallied {
    /// Adds `others` to `known`, those of the same kind as one, `most` kinds at most. What has no place any more is counted.
    pub fn merge(known: &mut Vec<Tallied>, others: Vec<Tallied>, most: usize) {
        for other in others {
            let has_place = known.len() < most || known.iter().any(|it| it.is_like(&other));
            let other = match has_place {
                true => other,
                false => Tallied::more(other.count, "problem"),
            };
            match known.iter_mut().find(|it| it.is_like(&other)) {
                Some(it) => it.count += other.count,
                None => known.push(other),
            }
        }
    }

    fn is_like(&self, other: &Tallied) -> bool {
        (&self.before, &self.after) == (&other.before, &other.after)
    }

    /// How many more there are of kinds that are not told apart.
    pub fn more(count: usize, unit: &str) -> Tallied {
        Tallied {
            before: "and ".to_owned(),
            count,
            unit: format!("more {unit}"),
            after: " of other kinds".to_owned(),
            sample: String::new(),
        }
    }

    /// About one thing that need not be counted.
    pub fn single(text: String) -> Tallied {
        Tallied {
            before: text,
            count: 0,
            unit: String::new(),
            after: String::new(),
            sample: String::new(),
        }
    }
}

impl fmt::Display for Tallied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tallied {
            before,
            count,
            unit,
            after,
            sample,
        } = self;
        f.write_str(before)?;
        if !unit.is_empty() {
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{count} {unit}{plural}{after}")?;
        }
        match sample.is_empty() {
            true => Ok(()),
            false => write!(f, " (for example {sample})"),
        }
    }
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

impl SubAssign for IdentifierCounts {
    fn sub_assign(&mut self, other: IdentifierCounts) {
        let IdentifierCounts { usable, unusable } = other;
        self.usable = self.usable.saturating_sub(usable);
        self.unusable = self.unusable.saturating_sub(unusable);
    }
}

impl Counts {
    /// Each number of this, with the same of `other`.
    fn beside(&mut self, other: Counts) -> [(&mut usize, usize); 14] {
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
            postponed,
            deleted,
            undeleted,
            kept,
        } = other;
        [
            (&mut self.extracted, extracted),
            (&mut self.skipped, skipped),
            (&mut self.transformed, transformed),
            (&mut self.filtered_out, filtered_out),
            (&mut self.not_mapped, not_mapped),
            (&mut self.left_out, left_out),
            (&mut self.written, written),
            (&mut self.unchanged, unchanged),
            (&mut self.refused, refused),
            (&mut self.waiting, waiting),
            (&mut self.postponed, postponed),
            (&mut self.deleted, deleted),
            (&mut self.undeleted, undeleted),
            (&mut self.kept, kept),
        ]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        for (count, more) in self.beside(other) {
            *count += more;
        }
    }
}

/// Takes back what was counted.
impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Counts) {
        for (count, taken) in self.beside(other) {
            *count = count.saturating_sub(taken);
        }
    }
}
