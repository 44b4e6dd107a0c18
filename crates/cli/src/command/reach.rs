//! Whether both sides can be connected to at all, before a flow begins that would wait for them as if they were down.
//!
//! Says nothing about credentials: the flow does.

use std::time::Duration;

use anyhow::bail;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::telemetry::chain;
use ferry::{bitbucket, port};

/// Both are asked at once. The flow waits for a side that has not answered by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails where a wrong address, a missing proxy or an unknown certificate stands in the way: waiting would not mend it.
pub(crate) async fn reach(app: &App) -> anyhow::Result<()> {
    let deadline = Deadline::after(&app.clock, PATIENCE);
    let Ok(session) = app.session(&deadline).await else {
        // The flow says why.
        return Ok(());
    };
    let (port, bitbucket) = tokio::join!(
        session.port.integration(&deadline),
        session.bitbucket.workspace(&deadline),
    );
    if let Err(error @ port::Error::Unreachable(_)) = port {
        bail!(chain(&error));
    }
    if let Err(error @ bitbucket::Error::Unreachable(_)) = bitbucket {
        bail!(chain(&error));
    }
    Ok(())
}
