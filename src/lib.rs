//! Ferry keeps a Port catalogue in step with a Bitbucket Cloud workspace.
//!
//! Two flows, one handler ([`invocation`]):
//!
//! ```text
//! webhook   verify the signature → what changed → read it back from Bitbucket ┐
//!                                                                             ├→ map → upsert or delete
//! resync    list the workspace, partition by partition ───────────────────────┘      → then delete what is stale
//! ```
//!
//! Both meet in [`pipeline`], which transforms raw items by the user's [`mapping`] and loads entities into
//! [`port`]. [`extract`] gets the raw items out of [`bitbucket`], in one shape for both. What must outlive an
//! invocation is in [`state`]: the [`resync`] run, and per [`partition`] which entities it produced.
//!
//! The property everything serves: at any moment the catalogue that [`webhook`]s have produced equals the one that a
//! resync started at that moment would produce.

pub mod invocation;

pub mod check;
pub mod resync;
pub mod subscription;
pub mod webhook;

pub mod extract;
pub mod partition;
pub mod pipeline;
pub mod refresh;

pub mod bitbucket;
pub mod mapping;
pub mod port;

pub mod app;
pub mod aws;
pub mod config;
pub mod failure;
pub mod metrics;
pub mod progress;
pub mod queue;
pub mod secrets;
pub mod state;
pub mod telemetry;

pub mod deadline;
pub mod entity;
pub mod http;
pub mod identity;
pub mod store;
