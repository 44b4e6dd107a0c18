//! What ends `ferry` before its work is done: a signal. What is in hand has some time to end well.
//!
//! Owns the signals and that time. Knows nothing of the work: it goes by [`deadline`](Shutdown::deadline), and asks
//! [`is_begun`](Shutdown::is_begun) before it takes up more.

use std::time::Duration;

use ferry::app::App;
use ferry::deadline::{Clock, Deadline, Stop};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    stop: Stop,
    begun: watch::Sender<bool>,
}

impl Shutdown {
    /// Lets `work` run to its end. After a signal it has `app`'s `shutdown_wait` left; `None` if it took longer, or if a
    /// second signal came.
    pub(crate) async fn end<T>(&self, app: &App, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            ended = &mut work => return Some(ended),
            signal = next_signal() => tracing::info!(signal, "stopping"),
        }
        let wait = app.config.shutdown_wait;
        self.stop.within(&app.clock, wait);
        self.begun.send_replace(true);
        tokio::select! {
            ended = &mut work => Some(ended),
            () = app.clock.sleep(wait) => None,
            _ = next_signal() => None,
        }
    }

    /// `limit` from now, or the end of the time that a signal leaves.
    pub(crate) fn deadline(&self, clock: &Clock, limit: Duration) -> Deadline {
        Deadline::after(clock, limit).stopped_by(&self.stop)
    }

    pub(crate) fn is_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Returns when a signal has come.
    pub(crate) async fn begun(&self) {
        // It cannot fail: this holds the sender.
        self.begun.subscribe().wait_for(|begun| *begun).await.ok();
    }

    /// Waits, but not beyond a signal.
    pub(crate) async fn pause(&self, clock: &Clock, duration: Duration) {
        tokio::select! {
            () = clock.sleep(duration) => {}
            () = self.begun() => {}
        }
    }
}

/// What a terminal or a container runtime sends to end a process.
async fn next_signal() -> &'static str {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    }
}
