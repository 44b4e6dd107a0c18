//! Whether another installation works under our identifier: each would delete what it does not know of the other.
//!
//! Port keeps when the last run began, as whoever made it has reported. A start that we have not reported is somebody
//! else's: a second Ferry, or an Ocean that was left running.

use jiff::Timestamp;

use crate::app::App;
use crate::failure::Failure;
use crate::store::run::{ReportedStarts, Rival, reported_starts, rival};
use crate::store::{Revision, StoreError};

/// Starts that are remembered: Port may show one that was reported before its answer was lost.
const REMEMBERED: usize = 8;

/// Notes that Port is about to be told of a run that began then.
pub(super) async fn note_start(app: &App, started_at: Timestamp) -> Result<(), StoreError> {
    let key = reported_starts();
    let mut known = app.store.load(&key).await?.value.unwrap_or_default();
    if known.0.contains(&started_at) {
        return Ok(());
    }
    known.0.push(started_at);
    let surplus = known.0.len().saturating_sub(REMEMBERED);
    known.0.drain(..surplus);
    app.store.save(&key, &known, Revision::ANYTHING).await?;
    Ok(())
}

/// Whether the run that Port has heard of last, which began at `shown`, is another installation's. Remembers the answer for
/// live looks.
pub(super) async fn look_for_rival(app: &App, shown: Option<Timestamp>) -> Result<bool, Failure> {
    let known = app.store.load(&reported_starts()).await?.value;
    let known = known.unwrap_or_default();
    let known_rival = app.store.load(&rival()).await?.value;
    if let Some(shown) = shown.filter(|_| known.0.is_empty()) {
        // Whoever has reported it, this installation takes over from.
        note_start(app, shown).await?;
    }
    let found = shown.filter(|shown| is_foreign(*shown, &known));
    match found {
        Some(started_at) => {
            tracing::error!(
                %started_at,
                remedy = "stop it, or give one of the two another OCEAN__INTEGRATION__IDENTIFIER",
                "nothing is deleted: another installation reports resyncs under this identifier"
            );
            let rival_key = rival();
            app.store
                .save(&rival_key, &Rival { started_at }, Revision::ANYTHING)
                .await?;
        }
        None if known_rival.is_some() => {
            tracing::info!("no other installation reports resyncs under this identifier any more");
            app.store.remove(&rival()).await?;
        }
        None => {}
    }
    Ok(found.is_some())
}

/// What people are told while there is another installation.
pub(super) fn rival_line() -> String {
    "nothing is deleted: another installation reports resyncs under this identifier; stop it, or give one of the two \
     another OCEAN__INTEGRATION__IDENTIFIER"
        .to_owned()
}

/// Port may keep whole seconds. An installation that has reported nothing yet cannot tell.
fn is_foreign(shown: Timestamp, known: &ReportedStarts) -> bool {
    let same = |start: &Timestamp| start.as_second() == shown.as_second();
    !known.0.is_empty() && !known.0.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    #[test]
    fn a_start_that_was_not_reported_here_is_foreign() {
        let known = ReportedStarts(vec![at(10), at(20)]);
        assert!(!is_foreign(at(20), &known));
        assert!(!is_foreign(at(10), &known));
        assert!(is_foreign(at(15), &known));
    }

    #[test]
    fn a_new_installation_takes_over_what_another_has_left() {
        assert!(!is_foreign(at(15), &ReportedStarts::default()));
    }
}
