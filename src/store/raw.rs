//! What the store and its backends hand each other: documents as bytes, with what is kept beside them.
//!
//! Owns revisions and the condition that they make for a write. Knows no shape.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

/// Which writing of a document was read, and so what a conditional save expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(Expected);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Anything,
    Absent,
    Number(u64),
}

impl Revision {
    /// The save expects nothing.
    pub const ANYTHING: Revision = Revision(Expected::Anything);
    /// The save expects no document, or one that this edition did not write.
    pub const ABSENT: Revision = Revision(Expected::Absent);

    pub(super) const fn number(number: u64) -> Revision {
        Revision(Expected::Number(number))
    }

    /// Of a document about to be written. Random, so that a document removed and written anew has another.
    pub(super) fn fresh() -> u64 {
        random()
    }

    /// What it expects, as far as it is a certain writing.
    pub(super) fn expected_number(self) -> Option<u64> {
        match self.0 {
            Expected::Number(number) => Some(number),
            Expected::Anything | Expected::Absent => None,
        }
    }

    /// Whether a save that expects this may replace `found`.
    pub(super) fn is_met_by(self, found: Option<u64>) -> bool {
        match self.0 {
            Expected::Anything => true,
            Expected::Absent => found.is_none(),
            Expected::Number(number) => found == Some(number),
        }
    }
}

/// Where a document lies, without its shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) folder: String,
    pub(super) name: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.name)
    }
}

/// A document as a backend found it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) revision: Revision,
    /// Of its shape; `None` where there is none beside the body.
    pub(super) version: Option<u32>,
    /// JSON; `None` where the body could not be unpacked. A backend need not unpack a version nobody asked for.
    pub(super) body: Option<Vec<u8>>,
}

/// A document to be written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) revision: u64,
    pub(super) version: u32,
    /// JSON.
    pub(super) body: Vec<u8>,
    pub(super) lifetime: Option<Duration>,
}

/// What to do with one address of a batch.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Put(Draft),
    Remove,
}

/// Of a folder's listing: what it found, and whether there may be more behind the last name.
pub(super) struct Leaf<T> {
    pub(super) found: Vec<(String, T)>,
    pub(super) more: bool,
}

/// 64 random bits, never 0.
pub(super) fn random() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    // The bits of a uuid that are not random lie in different places of its halves.
    (high ^ low).max(1)
}
