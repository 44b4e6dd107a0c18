//! What becomes of a look that failed: the table of failures, as far as events are concerned.
//!
//! Owns the waits between the receives of a message. A failure is never the end of a look: it is put off, stored to be
//! taken again, or left with the dead letters.

use std::time::Duration;

use jiff::Timestamp;

use super::shown;
use crate::failure::{Class, Failure};
use crate::look::{Cause, Look};
use crate::queue::again::{self, Pace, Setback};
use crate::queue::{LONGEST_WAIT, MAX_RECEIVES};
use crate::store::{Store, StoreError};
use crate::telemetry::chain;

/// Waits after the receives of a message, in seconds.
const WAITS: [u64; 8] = [30, 60, 120, 240, 480, 960, 1800, 1800];

/// Between two receives of a message that meets a defect of ours: all of them pass within minutes, so that neither it
/// nor later events about its object wait long.
const DEFECT_WAIT: Duration = Duration::from_secs(30);

/// What becomes of the messages about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing more to do.
    Done,
    /// They come back after this.
    PutOff(Duration),
    /// The look is stored, and taken again at this pace; the messages are done.
    Again(Pace),
    /// They come back after this, as often as the queue bears, and end with the dead letters.
    Failed(Duration),
}

/// What becomes of messages after a failure. `wait` is what the side that failed asks for; `receives` counts this one;
/// `is_again` says that the look is stored already.
pub(super) fn verdict(
    class: Class,
    wait: Option<Duration>,
    receives: u32,
    is_again: bool,
) -> Verdict {
    let Some(pace) = pace(class) else {
        return Verdict::Done;
    };
    if class == Class::Ours {
        return Verdict::Failed(DEFECT_WAIT);
    }
    let asked = wait.unwrap_or_default();
    let is_last = MAX_RECEIVES <= receives.saturating_add(1);
    match pace {
        Pace::Often if !is_again && !is_last && asked <= LONGEST_WAIT => {
            let at = usize::try_from(receives.saturating_sub(1)).unwrap_or(usize::MAX);
            let own = WAITS.get(at).or(WAITS.last()).copied().unwrap_or(0);
            Verdict::PutOff(Duration::from_secs(own).max(asked))
        }
        pace => Verdict::Again(pace),
    }
}

/// How soon a look deserves another try; `None` where it has done what it could.
fn pace(class: Class) -> Option<Pace> {
    match class {
        Class::Value | Class::Item => None,
        Class::Later | Class::Credentials => Some(Pace::Often),
        Class::Part | Class::Ours => Some(Pace::Seldom),
    }
}

/// A look that failed, with what is known of earlier ones at its object.
pub(super) struct Failed<'a> {
    pub(super) look: &'a Look,
    /// How recent Bitbucket's answer has to be.
    pub(super) not_older_than: Option<Timestamp>,
    pub(super) failure: &'a Failure,
    /// What it is owed to, if that is known.
    pub(super) cause: Option<Cause>,
    /// When it was first asked for.
    pub(super) since: Option<Timestamp>,
    /// Looks that came to nothing before this one.
    pub(super) tries: u32,
    /// A stored look asked for it.
    pub(super) was_due: bool,
}

impl Failed<'_> {
    /// Stores the look, so that it is taken again. Returns after it is stored.
    pub(super) async fn remember(
        &self,
        store: &Store,
        pace: Pace,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let setback = Setback {
            look: self.look.clone(),
            not_older_than: self.not_older_than,
            cause: self.cause.clone(),
            since: self.since.unwrap_or(now),
            tries: self.tries,
            reason: chain(self.failure),
            pace,
            wait: self.failure.wait().unwrap_or_default(),
            was_due: self.was_due,
        };
        again::remember(store, &setback, now).await
    }

    /// Where no message can bring the look back: whether all that can be done is done, or stored.
    pub(super) async fn remember_if_it_helps(
        &self,
        store: &Store,
        now: Timestamp,
    ) -> Result<Remembered, StoreError> {
        match pace(self.failure.class()) {
            None => Ok(Remembered::NotNeeded),
            Some(pace) => {
                self.remember(store, pace, now).await?;
                Ok(Remembered::Stored)
            }
        }
    }

    /// The one place that tells of a failed look.
    pub(super) fn log(&self) {
        let class = self.failure.class();
        let (error, error_type) = (chain(self.failure), self.failure.error_type());
        let object = shown(&self.look.object());
        let cause = self.cause.as_ref();
        let event = cause.map(|cause| shown(&cause.event));
        let request_id = cause.map(|cause| shown(&cause.request_id));
        match class {
            Class::Credentials | Class::Ours => tracing::error!(
                object,
                event,
                request_id,
                ?class,
                error,
                error_type,
                "look failed"
            ),
            Class::Value | Class::Item | Class::Part | Class::Later => tracing::warn!(
                object,
                event,
                request_id,
                ?class,
                error,
                error_type,
                "look failed"
            ),
        }
    }
}

/// What was to be stored of a failed look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    Stored,
    /// Another look would come to the same.
    NotNeeded,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Class; 6] = [
        Class::Value,
        Class::Item,
        Class::Part,
        Class::Later,
        Class::Credentials,
        Class::Ours,
    ];

    #[test]
    fn every_class_has_its_verdict() {
        let verdicts =
            |receives, is_again| ALL.map(|class| verdict(class, None, receives, is_again));
        let seconds = Duration::from_secs;
        let failed = Verdict::Failed(DEFECT_WAIT);
        let (often, seldom) = (Verdict::Again(Pace::Often), Verdict::Again(Pace::Seldom));
        let put_off = Verdict::PutOff(seconds(30));
        let done = Verdict::Done;
        assert_eq!(
            verdicts(1, false),
            [done, done, seldom, put_off, put_off, failed]
        );
        let last = MAX_RECEIVES - 1;
        let stored = [done, done, seldom, often, often, failed];
        assert_eq!(verdicts(last, false), stored, "before the dead letters");
        assert_eq!(verdicts(last + 1, false), stored);
        assert_eq!(verdicts(1, true), stored, "what is stored goes back there");
    }

    #[test]
    fn a_message_waits_longer_and_longer_and_never_less_than_asked() {
        let waits: Vec<u64> = (1..MAX_RECEIVES - 1)
            .map(
                |receives| match verdict(Class::Later, None, receives, false) {
                    Verdict::PutOff(wait) => wait.as_secs(),
                    other => panic!("{receives}: {other:?}"),
                },
            )
            .collect();
        assert_eq!(waits, WAITS);
        let asked = Duration::from_secs(3000);
        assert_eq!(
            verdict(Class::Later, Some(asked), 1, false),
            Verdict::PutOff(asked)
        );
        let beyond = LONGEST_WAIT + Duration::from_secs(1);
        assert_eq!(
            verdict(Class::Later, Some(beyond), 1, false),
            Verdict::Again(Pace::Often),
            "longer than a queue keeps it away"
        );
    }
}
