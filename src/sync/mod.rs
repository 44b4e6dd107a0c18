//! The engine: the one way in which anything in Port changes.
//!
//! ```text
//! look      records, then Bitbucket, then the mapping                       (dozens at once)
//! commit    under the pen: read again ─▶ plan ─▶ announce ─▶ Port ─▶ wake, rows ─▶ settle
//! ```
//!
//! A *look* reads an item, or a page of a list. A *commit* writes what the look changes. Both triggers use the same two:
//! `live` for events, wakes and what was given up; `resync` for everything, by list. [`plan`] alone decides what is
//! written and deleted. ARCHITECTURE.md has the protocol, `crates/protocol` checks it.

mod adopt;
pub mod audit;
pub mod blueprints;
pub mod commit;
pub mod generation;
pub mod guard;
pub mod holders;
pub mod image;
pub mod left_out;
pub mod load;
pub mod look;
pub mod mapper;
pub mod origin;
pub mod outbox;
pub mod plan;
pub mod reading;
pub mod settle;
pub mod sources;
pub mod tally;
mod unread;
mod whole;
