//! Stories told through the handler, against a simulated Bitbucket and a simulated Port over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allowance;
mod answers;
mod bill;
mod burst;
mod convergence;
mod credentials;
mod doubt;
mod durability;
mod editions;
mod emulated;
mod files;
mod foretold;
mod functions;
mod git;
mod guards;
mod histories;
mod incidents;
mod installations;
mod invocation;
mod journal;
mod kinds;
mod log;
mod metrics;
mod preview;
mod reference;
mod refused;
mod resync;
mod runs;
mod secrecy;
mod settings;
mod stores;
mod subscription;
mod support;
mod table;
mod tidy;
mod trail;
mod trees;
mod unchanged;
mod unread;
mod webhook;
