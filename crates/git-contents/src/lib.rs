//! Reads trees and files of one commit from what a git server answers: protocol version 2, over HTTP or anything else.
//!
//! Pure: no I/O, no clock, no state between calls. `fetch` writes requests and reads answers, `pack` unpacks them, `tree` walks what was
//! unpacked. Whatever a server sends is an error at worst.

mod capabilities;
pub mod fetch;
mod object;
mod pack;
mod packet;
mod tree;

pub use capabilities::Capabilities;
pub use object::{ObjectId, ObjectKind, Objects};
pub use tree::{Mode, Node, Tree};

/// Why an answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The server refuses in its own words, as far as they are printable.
    #[error("the server says: {0}")]
    Refused(String),
    /// Not as protocol, pack or object have to be.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The pack is whole, and an object that was asked for is not in it.
    #[error("object {0} is missing from the answer")]
    Missing(ObjectId),
    /// More than [`Limits`] allow.
    #[error("more than {limit} {what}")]
    TooLarge { what: &'static str, limit: usize },
    /// A path that is no UTF-8.
    #[error("a path is no text")]
    NotText,
}

/// How much an answer may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a pack as it is sent.
    pub pack: usize,
    /// Bytes of all objects and deltas of a pack, unpacked.
    pub unpacked: usize,
    /// Deltas on the way to a whole object. Git itself makes chains of 50, and of 4,095 at most.
    pub chain: usize,
    /// Entries of a tree, with all below it.
    pub entries: usize,
    /// Folders within folders.
    pub depth: usize,
}

impl Default for Limits {
    /// For a small machine that reads several repositories at once.
    fn default() -> Limits {
        Limits {
            pack: 8 << 20,
            unpacked: 48 << 20,
            chain: 4_095,
            entries: 500_000,
            depth: 256,
        }
    }
}
