//! The source: all that Ferry knows about the Bitbucket Cloud API.
//!
//! [`BitbucketClient`] asks for raw JSON: `resources` knows the lists and `by_id` the objects, `pages` follows lists,
//! `by_key` reads those again that must not overlook anything, `auth` and `accounts` hold credentials, `rate_limit` decides
//! whose turn it is and when nobody's is, `slots` how many go at once, `sending` sends a request, `redirect` says where one may be led, `error` says what
//! an answer means, `git` reads contents where the server speaks that, `hooks` keeps webhook subscriptions,
//! `heads` has repositories come with their head commits. Objects stay raw values, because a mapping may read any of their
//! fields.
//!
//! Must not know what anything is for: no mapping, no entity, no Port.

mod accounts;
mod auth;
mod by_id;
mod by_key;
mod client;
mod error;
mod git;
mod heads;
mod hooks;
mod pages;
mod rate_limit;
mod redirect;
mod resources;
mod sending;
mod shown;
mod slots;
mod tree;

pub use auth::Credential;
pub use by_id::{number_of, quoted};
pub use by_key::ByKey;
pub use client::{BitbucketClient, BitbucketSettings};
pub use error::Error;
pub use git::{CommitTrees, GitFile, Mode, Node, ObjectId};
pub use hooks::{Hook, HookSettings};
pub use pages::Pages;
pub use rate_limit::{Allowance, Purpose};
pub use shown::{Proof, Readings, Shown};
pub use tree::{TreeWish, list_tree};

#[cfg(test)]
mod tests;
