//! What the subcommands of `ferry` do: the function's flows, waited for instead of returned from.

pub(crate) mod check;
mod credentials;
pub(crate) mod explain;
pub(crate) mod install;
mod installation;
pub(crate) mod listen;
pub(crate) mod mapping;
pub(crate) mod preview;
mod progress;
pub(crate) mod reach;
pub(crate) mod resync;
pub(crate) mod secret;
pub(crate) mod serve;
mod shutdown;
pub(crate) mod status;
pub(crate) mod terminal;
pub(crate) mod uninstall;
pub(crate) mod webhook;

/// What `ferry` exits with if it did what it was asked for.
pub(crate) const COMPLETED: u8 = 0;

/// It could not; the same as [`FAILURE`](std::process::ExitCode::FAILURE).
pub(crate) const FAILED: u8 = 1;

/// A preview found something that a resync would change; the same as `terraform plan -detailed-exitcode`.
pub(crate) const CHANGES: u8 = 2;

/// A resync looked at everything, and not all of it is in Port as it should be.
pub(crate) const COMPLETED_WITH_LOSSES: u8 = 3;

/// It was asked wrongly: arguments, variables or a mapping file (`EX_USAGE` of sysexits.h). A pipeline must not
/// take a misspelt option for changes.
pub(crate) const ASKED_WRONGLY: u8 = 64;

/// What is asked for cannot be understood, or lacks something.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct AskedWrongly(pub(crate) String);
