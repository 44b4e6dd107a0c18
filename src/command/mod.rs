//! What the subcommands of `ferry` do: the function's flows, waited for instead of returned from.

pub(crate) mod check;
pub(crate) mod preview;
mod progress;
pub(crate) mod resync;
pub(crate) mod serve;
pub(crate) mod terminal;
pub(crate) mod webhook;
