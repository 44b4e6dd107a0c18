//! What the subcommands of `ferry` do: the function's flows, waited for instead of returned from.

pub(crate) mod check;
pub(crate) mod preview;
mod progress;
pub(crate) mod resync;
pub(crate) mod secret;
pub(crate) mod serve;
mod shutdown;
pub(crate) mod status;
pub(crate) mod terminal;
pub(crate) mod webhook;

/// What `ferry` exits with if it did what it was asked for; what it could not do is
/// [`FAILURE`](std::process::ExitCode::FAILURE), 1.
pub(crate) const COMPLETED: u8 = 0;

/// It was asked wrongly: arguments, variables or a mapping file. The same as clap's own.
pub(crate) const ASKED_WRONGLY: u8 = 2;

/// A resync looked at everything, and not all of it is in Port as it should be.
pub(crate) const COMPLETED_WITH_LOSSES: u8 = 3;
