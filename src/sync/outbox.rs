//! Looks that a commit asks for: into the queue, or into the store where there is none.
//!
//! They are stored before the commit is settled, so that a death in between loses none.

use jiff::Timestamp;

use crate::deadline::{Clock, Deadline};
use crate::failure::Failure;
use crate::look::{Cause, Look};
use crate::queue::Queue;
use crate::queue::again::{ask, forget_asked_before};
use crate::store::Store;

pub struct Outbox<'a> {
    queue: Option<&'a Queue>,
    store: &'a Store,
    clock: &'a Clock,
    /// What the looks are owed to.
    cause: Option<Cause>,
}

impl<'a> Outbox<'a> {
    pub fn new(queue: Option<&'a Queue>, store: &'a Store, clock: &'a Clock) -> Outbox<'a> {
        Outbox {
            queue,
            store,
            clock,
            cause: None,
        }
    }

    /// The same, for looks that are owed to `cause`.
    #[must_use]
    pub fn because(self, cause: Option<Cause>) -> Outbox<'a> {
        Outbox { cause, ..self }
    }

    /// Returns when all are stored. `occasion` tells two wishes to look at the same object apart.
    pub async fn send(
        &self,
        looks: Vec<Look>,
        occasion: &str,
        deadline: &Deadline,
    ) -> Result<(), Failure> {
        if looks.is_empty() {
            return Ok(());
        }
        match self.queue {
            Some(queue) => {
                let owed = (occasion, self.cause.as_ref());
                Ok(queue.send_looks(looks, owed, deadline).await?)
            }
            None => self.remember(looks).await,
        }
    }

    /// Stores the looks as due now, each merged with what is stored of its object.
    pub async fn remember(&self, looks: Vec<Look>) -> Result<(), Failure> {
        let now = self.clock.now();
        Ok(ask(self.store, looks, self.cause.as_ref(), now).await?)
    }

    /// After everything was looked at: what was asked for before `begun` is done, unless it changes meanwhile.
    pub async fn forget_asked_before(&self, begun: Timestamp) -> Result<(), Failure> {
        Ok(forget_asked_before(self.store, begun).await?)
    }
}
