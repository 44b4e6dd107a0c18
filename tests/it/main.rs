//! Stories told through the handler, against a simulated Bitbucket and a simulated Port over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod command;
mod convergence;
mod credentials;
mod durability;
mod emulated;
mod interleaved;
mod invocation;
mod kinds;
mod metrics;
mod pipelines;
mod preview;
mod resync;
mod runs;
mod settings;
mod subscription;
mod support;
mod tidy;
mod trees;
mod webhook;
