//! Ferry keeps a Port catalogue equal to a Bitbucket Cloud workspace.
//!
//! Two triggers call one engine, and nothing else changes Port:
//!
//! ```text
//! webhook   verify → what to look at → queue ─┐
//!                                             ├─▶ look (read, map) ─▶ commit (plan, write, delete, record)
//! resync    everything, list by list ─────────┘
//! ```
//!
//! A webhook never maps its own body: it says what to look at, and Ferry reads the present state from Bitbucket as a
//! [`resync`] would. So once all events are worked off, the catalogue equals the one that a resync into an empty
//! catalogue would produce; and applying anything twice, or late, changes nothing.
//!
//! [`sync`] is the engine. A *look* asks [`extract`] for raw items and has the user's [`mapping`] make entities of them. A
//! *commit* happens under the *pen*, which one process holds at a time: it compares with what the [`store`] has recorded,
//! decides in one pure function what is written and deleted, announces it, writes to [`port`], and settles the records.
//! What a death leaves undone is looked at again. [`class`] says what a failure means, for everybody.
//!
//! ARCHITECTURE.md has the protocol, the path of deletion, three walkthroughs and the glossary.

pub mod invocation;

pub mod resync;
pub mod status;
pub mod subscription;
pub mod watch;
pub mod webhook;

pub mod app;

pub mod live;

pub mod sync;

pub mod queue;

pub mod store;

pub mod extract;
pub mod mapping;

pub mod bitbucket;
pub mod port;

pub mod aws;
pub mod config;
pub mod failure;
pub mod health;
pub mod secrets;

pub mod counts;
pub mod metrics;
pub mod progress;
pub mod telemetry;

pub mod class;
pub mod condition;
pub mod deadline;
pub mod deliveries;
pub mod entity;
pub mod file_format;
pub mod http;
pub mod identity;
pub mod lenient_json;
mod locked;
pub mod look;
pub mod nearest;
mod on_heap;
pub mod own_secrets;
pub mod yaml;
