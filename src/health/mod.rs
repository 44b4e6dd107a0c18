//! How an installation stands, from what is stored of it.
//!
//! Owns which documents tell that, and reads them in one request; `diagnosis` says what they come to. Knows nothing of how
//! Bitbucket or Port are asked, and tells nobody.

mod diagnosis;
mod rounds;

use std::ops::ControlFlow;

use jiff::Timestamp;

pub use diagnosis::{Circumstances, Diagnosis, diagnose};
pub use rounds::{OldestLook, Rounds};

use crate::condition::Condition;
use crate::store::documents::{Again, CompletedRun, Generation, agains, completed, generation};
use crate::store::incidents::{Incidents, incidents, last_event};
use crate::store::run::{Run, RunRequest, UntoldEnd, run, run_request, untold_end};
use crate::store::subscribed::{Subscription, subscription};
use crate::store::{Store, StoreError, WantedDocuments};

/// What a tick has to know before it does anything.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// That is under way.
    pub run: Option<Run>,
    pub request: Option<RunRequest>,
    pub completed: Option<CompletedRun>,
    pub generation: Option<Generation>,
    pub untold_end: Option<UntoldEnd>,
    pub subscription: Option<Subscription>,
    pub last_event: Option<Timestamp>,
    pub incidents: Incidents,
    /// What has kept the last run from succeeding was asked for, and has gone.
    pub may_retry: bool,
}

impl Facts {
    /// One request of a table.
    pub async fn read(store: &Store) -> Result<Facts, StoreError> {
        Facts::take(store, Facts::wanted()).await
    }

    /// The same at half the price, for who looks again in a minute: what was written a moment ago may be left out.
    pub async fn glance(store: &Store) -> Result<Facts, StoreError> {
        Facts::take(store, Facts::wanted().at_a_glance()).await
    }

    fn wanted() -> WantedDocuments {
        WantedDocuments::default()
            .and(&run())
            .and(&run_request())
            .and(&completed())
            .and(&generation())
            .and(&untold_end())
            .and(&subscription())
            .and(&last_event())
            .and(&incidents())
    }

    async fn take(store: &Store, wanted: WantedDocuments) -> Result<Facts, StoreError> {
        let found = store.load_together(wanted).await?;
        Ok(Facts {
            run: found.get(&run()).value,
            request: found.get(&run_request()).value,
            completed: found.get(&completed()).value,
            generation: found.get(&generation()).value,
            untold_end: found.get(&untold_end()).value,
            subscription: found.get(&subscription()).value,
            last_event: found.get(&last_event()).value.map(|last| last.0),
            incidents: found.get(&incidents()).value.unwrap_or_default(),
            may_retry: false,
        })
    }

    /// Whether anything is stored that only asking the outside again can end.
    pub fn have_to_ask(&self) -> bool {
        let numbers = self.incidents.0.keys().copied();
        let failure = self.request.iter().filter_map(|it| it.failure.as_ref());
        let mut numbers = numbers.chain(failure.map(|failure| failure.number));
        numbers.any(|number| Condition::of_number(number).is_some_and(Condition::is_asked_for))
    }

    /// Whether a run is about to go on, and finds out by itself whether Bitbucket lets us in: it needs the allowance.
    pub fn leave_bitbucket_to_run(&self, now: Timestamp) -> bool {
        let is_due = |run: &Run| run.not_before.is_none_or(|not_before| not_before <= now);
        let is_doubtful = [
            Condition::BitbucketUnreachable,
            Condition::BitbucketTokenRefused,
            Condition::BitbucketRefused,
        ];
        let mut doubtful = is_doubtful.iter();
        self.run.as_ref().is_some_and(is_due)
            && !doubtful.any(|condition| self.incidents.get(*condition).is_some())
    }

    /// Whether somebody wants a run, and one may begin now. `started_at`: when this process began.
    pub fn want_run(&self, now: Timestamp, started_at: Timestamp) -> bool {
        self.request.as_ref().is_some_and(|request| {
            let failure = request.failure.as_ref();
            failure.is_none_or(|failure| self.may_retry || failure.is_over(now, started_at))
        })
    }
}

/// The stored look that has waited for the longest time of those that came to nothing.
pub async fn oldest_look(store: &Store) -> Result<Option<OldestLook>, StoreError> {
    let mut oldest: Option<Again> = None;
    store
        .list(&agains(), "", |_, found| {
            let tried = found.value.filter(|again| 0 < again.tries);
            if let Some(again) = tried
                && oldest
                    .as_ref()
                    .is_none_or(|known| again.since < known.since)
            {
                oldest = Some(again);
            }
            ControlFlow::Continue(())
        })
        .await?;
    Ok(oldest.map(|again| OldestLook {
        since: again.since,
        cause: format!("{}: {}", again.look.object(), again.reason),
    }))
}
