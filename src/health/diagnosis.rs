//! What the stored facts come to: the conditions that hold now. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Facts, OldestLook};
use crate::condition::Condition;
use crate::deadline::later;
use crate::store::documents::CompletedRun;
use crate::store::incidents::Sighting;

/// What is not stored.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub now: Timestamp,
    /// When this process began.
    pub started_at: Timestamp,
    /// Between two resyncs.
    pub interval: Option<Duration>,
    pub oldest_look: Option<OldestLook>,
}

/// A condition that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub number: u8,
    pub condition: Condition,
    pub cause: String,
    pub remedy: &'static str,
    pub since: Timestamp,
}

/// An event that waits for longer is late.
const LATE: Duration = Duration::from_secs(3600);

/// Without a completed run in so many intervals, something is wrong.
const INTERVALS: u32 = 2;

/// The conditions that hold, the most serious first.
pub fn diagnose(facts: &Facts, around: &Circumstances) -> Vec<Diagnosis> {
    let mut found = Found {
        now: around.now,
        by_condition: BTreeMap::new(),
    };
    for (number, incident) in &facts.incidents.0 {
        if let Some(condition) = Condition::of_number(*number)
            && stands(condition, incident, facts, around.now)
        {
            found.add(condition, incident.since, &incident.cause);
        }
    }
    if let Some(pause) = facts.run.as_ref().and_then(|run| run.pause.as_ref()) {
        let condition = Condition::of_number(pause.number).unwrap_or(Condition::RunPaused);
        found.add(condition, pause.since, &pause.reason);
    }
    let failure = facts.request.as_ref().and_then(|it| it.failure.as_ref());
    if let Some(failure) = failure.filter(|_| !facts.may_retry) {
        let condition = Condition::of_number(failure.number).unwrap_or(Condition::RunFailed);
        found.add(condition, failure.since, &failure.cause);
    }
    if let Some(completed) = &facts.completed {
        found.add_last_run(completed, facts.last_event);
    }
    found.add_webhook(facts);
    found.add_overdue(facts, around);
    if let Some(oldest) = &around.oldest_look
        && later(oldest.since, LATE) <= around.now
    {
        found.add(Condition::EventsLate, oldest.since, &oldest.cause);
    }
    let conditions = found.by_condition.into_iter().rev();
    conditions
        .map(|(condition, (since, cause))| Diagnosis {
            number: condition.number(),
            condition,
            cause,
            remedy: condition.remedy(),
            since,
        })
        .collect()
}

/// Whether what was noted still holds, as far as time and later runs tell.
fn stands(condition: Condition, incident: &Sighting, facts: &Facts, now: Timestamp) -> bool {
    let after = condition.passes_after();
    let has_passed = after.is_some_and(|after| later(incident.seen, after) <= now);
    // A run that has begun since has looked at everything.
    let ends_with_run = matches!(
        condition,
        Condition::DeadLetters | Condition::DeletionsHeldBack | Condition::UnreadChanged
    );
    let completed = facts.completed.as_ref();
    let begun = completed.and_then(|completed| completed.started_at);
    let is_mended = ends_with_run && begun.is_some_and(|begun| incident.seen <= begun);
    !has_passed && !is_mended
}

struct Found {
    now: Timestamp,
    by_condition: BTreeMap<Condition, (Timestamp, String)>,
}

impl Found {
    /// Of what is told twice, what began first.
    fn add(&mut self, condition: Condition, since: Timestamp, cause: &str) {
        if self.now < later(since, condition.patience()) {
            return;
        }
        let known = self.by_condition.get(&condition);
        if known.is_none_or(|(known, _)| since < *known) {
            let told = (since, cause.to_owned());
            self.by_condition.insert(condition, told);
        }
    }

    fn add_last_run(&mut self, completed: &CompletedRun, last_event: Option<Timestamp>) {
        let (at, losses) = (completed.at, &completed.losses);
        let kept = losses.kept.clone().unwrap_or_default();
        if losses.has_rival {
            self.add(Condition::TwoInstallations, at, &kept);
        }
        if losses.are_of_content() {
            self.add(Condition::RunLosses, at, &losses.to_string());
        }
        if 0 < losses.withheld {
            let cause = format!("{} entities stay: {kept}", losses.withheld);
            self.add(Condition::DeletionsHeldBack, at, &cause);
        }
        let untold = completed.untold_changes;
        if 0 < untold && last_event.is_none_or(|last| last < at) {
            let cause = format!("{untold} pull requests had changed, and no webhook had told");
            self.add(Condition::NoWebhooks, at, &cause);
        }
    }

    fn add_webhook(&mut self, facts: &Facts) {
        let trouble = facts.subscription.as_ref();
        let trouble = trouble.and_then(|subscription| subscription.trouble.as_ref());
        // Where webhooks come, somebody has made it by hand.
        if let Some(trouble) = trouble.filter(|_| facts.last_event.is_none()) {
            self.add(Condition::WebhookRefused, trouble.since, &trouble.reason);
        }
    }

    fn add_overdue(&mut self, facts: &Facts, around: &Circumstances) {
        let Some(interval) = around.interval else {
            return;
        };
        let ended = facts.completed.as_ref().map(|completed| completed.at);
        let asked = facts.request.as_ref().map(|request| request.at);
        let begun = facts.run.as_ref().map(|run| run.started_at);
        // Nothing is late before it could have been in time.
        let asked = asked.into_iter().chain(begun).min();
        let from = ended.or(asked).unwrap_or(around.started_at);
        let due = later(from, interval * INTERVALS);
        if due <= around.now {
            let cause = match ended {
                Some(ended) => format!("the last one was completed at {ended}"),
                None => "none was ever completed".to_owned(),
            };
            self.add(Condition::NoCompletedRun, due, &cause);
        }
    }
}
