//! Whose turn it is in one process to ask for a lease, and to hold it.
//!
//! Waiting here costs nothing and ends at once, so askers of one process do not poll against each other. Knows nothing
//! of the store.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::Asker;

/// Locks that are passed on in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Turns {
    turn: Arc<Mutex<()>>,
    /// Held by the only run that may wait for `turn`, so that a live look waits for one run at most.
    first_run: Arc<Mutex<()>>,
}

/// The right of the only one in this process to ask or to hold.
pub(super) struct Turn {
    turn: OwnedMutexGuard<()>,
    first_run: Option<OwnedMutexGuard<()>>,
}

/// What an asker keeps between two questions. A run lets live looks ask, who would else wait for what keeps it off.
pub(super) enum PlaceInLine {
    Turn(Turn),
    FirstRun(OwnedMutexGuard<()>),
}

impl Turns {
    pub(super) fn try_get(&self, asker: Asker) -> Option<Turn> {
        let first_run = match asker {
            Asker::Live => None,
            Asker::Run => Some(self.first_run.clone().try_lock_owned().ok()?),
        };
        let turn = self.turn.clone().try_lock_owned().ok()?;
        Some(Turn { turn, first_run })
    }

    pub(super) async fn line_up(&self, asker: Asker) -> Turn {
        let first_run = match asker {
            Asker::Live => None,
            Asker::Run => Some(self.first_run.clone().lock_owned().await),
        };
        let turn = self.turn.clone().lock_owned().await;
        Turn { turn, first_run }
    }

    pub(super) async fn step_in(&self, place: PlaceInLine) -> Turn {
        match place {
            PlaceInLine::Turn(turn) => turn,
            PlaceInLine::FirstRun(first_run) => Turn {
                turn: self.turn.clone().lock_owned().await,
                first_run: Some(first_run),
            },
        }
    }
}

impl Turn {
    pub(super) fn step_aside(self) -> PlaceInLine {
        let Turn { turn, first_run } = self;
        match first_run {
            Some(first_run) => PlaceInLine::FirstRun(first_run),
            None => PlaceInLine::Turn(Turn {
                turn,
                first_run: None,
            }),
        }
    }
}
