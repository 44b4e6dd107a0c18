//! The command line as its users start it, against a simulated Bitbucket and a simulated Port over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;
mod command;
mod container;
mod ending;
mod explain;
mod install;
mod listen;
mod mapping;
mod migrating;
mod pipelines;
mod program;
mod secret;
mod serve;
mod status;
#[path = "../../../../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the stories of the function need more of it"
)]
mod support;
mod trouble;
#[cfg(target_os = "linux")]
mod width;
mod wrong_mappings;
