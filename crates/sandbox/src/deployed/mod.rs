//! Ferry as template.yaml deploys it, on this machine: one binary as three functions, a table, a queue, a secret.
//!
//! Nothing of Ferry is simulated here, only what AWS does around it. Knows nothing of who watches.

mod entrance;
mod outside;
mod role;

pub(crate) use entrance::serve;
pub(crate) use outside::{IDENTIFIER, Outside, PORT_CLIENT_SECRET};
pub(crate) use role::{Invoked, Role};

use std::path::Path;
use std::time::Duration;

/// The three functions, each with one execution environment.
pub(crate) struct Deployment {
    /// Takes webhooks.
    pub(crate) receiver: Role,
    /// Works off what waits in the queue.
    pub(crate) events: Role,
    /// Resyncs.
    pub(crate) runs: Role,
}

impl Deployment {
    /// # Errors
    /// When the binary cannot be started, or does not ask for an event.
    pub(crate) async fn start(outside: &Outside, binary: &Path) -> anyhow::Result<Deployment> {
        let program = outside.program(binary);
        // Timeouts as in template.yaml.
        let role = |seconds| Role::start(program.clone(), Duration::from_secs(seconds));
        let (receiver, events, runs) = tokio::try_join!(role(10), role(120), role(900))?;
        Ok(Deployment {
            receiver,
            events,
            runs,
        })
    }
}
