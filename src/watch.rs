//! The look around of every minute: how the installation stands, who has news, and what is told of it.
//!
//! An idle tick reads the table once and asks nobody. Every five minutes, and as long as something is wrong that only
//! asking can end, it asks both sides: whether they let us in, whether Port wants a resync, whether the webhook is there.
//! Owns what is asked and what is told; `health` decides what it comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::app::{App, Session};
use crate::bitbucket;
use crate::condition::Condition;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::health::{Circumstances, Diagnosis, Facts, OldestLook, diagnose, oldest_look};
use crate::port;
use crate::resync::{self, RunOutcome};
use crate::store::incidents;
use crate::subscription::{self, Occasion};
use crate::telemetry::chain;
use crate::webhook;

/// Who does not answer for so long is not waited for: the next tick asks again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whatever is tried meanwhile is refused.
const STOPPING: [Condition; 5] = [
    Condition::SecretEmpty,
    Condition::SecretUnreadable,
    Condition::SettingsInvalid,
    Condition::BitbucketRefused,
    Condition::PortRefused,
];

/// What other credentials mend.
const REFUSED: [Condition; 3] = [
    Condition::BitbucketTokenRefused,
    Condition::BitbucketRefused,
    Condition::PortRefused,
];

/// What was found to be wrong, with its cause.
type Met = BTreeMap<Condition, String>;

/// How a look around ended.
pub struct Around {
    pub facts: Facts,
    /// Everybody was asked; it is the time to take stored looks again, too.
    pub has_asked: bool,
    /// There are credentials to work with, and both sides take them.
    pub may_work: bool,
}

/// One tick: looks around, brings back what is due, goes on with a run or begins one. `address`: where we are reached.
pub async fn tick(
    app: &App,
    address: Option<&str>,
    deadline: &Deadline,
) -> Result<RunOutcome, Failure> {
    let around = Box::pin(look_around(app, address, deadline)).await?;
    resync::put_age(app, around.facts.completed.as_ref());
    if !around.may_work {
        return Ok(RunOutcome::Idle);
    }
    if around.has_asked {
        Box::pin(webhook::again::settle(app, deadline)).await;
    }
    let outcome = Box::pin(resync::go_on(app, &around.facts, deadline)).await;
    if !matches!(outcome, Ok(RunOutcome::Idle | RunOutcome::Busy)) {
        // It may have left looks behind.
        app.rounds.ask_soon();
    }
    outcome
}

/// Finds out how the installation stands, and tells it: one figure, and a line where something is wrong.
pub async fn look_around(
    app: &App,
    address: Option<&str>,
    deadline: &Deadline,
) -> Result<Around, Failure> {
    let store = app.store.within(deadline);
    let mut facts = match Facts::glance(&store).await {
        Ok(facts) => facts,
        Err(error) => {
            tell(app, &[of_store(app, &error)]);
            return Err(error.into());
        }
    };
    let now = app.clock.now();
    let has_asked = app.rounds.are_due(now) || facts.have_to_ask();
    let mut met = Met::new();
    if has_asked {
        let patience = deadline.at_most(PATIENCE);
        met = ask(app, address, &facts, &patience).await;
        facts = taken_in(app, &facts, &met).await?;
        let oldest = oldest_look(&app.store).await?;
        app.rounds.note(now, oldest);
    }
    tell(app, &diagnoses(app, &facts, app.rounds.oldest_look()));
    let may_work = !STOPPING.iter().any(|condition| met.contains_key(condition));
    Ok(Around {
        facts,
        has_asked,
        may_work,
    })
}

/// The conditions that hold by what is stored, the most serious first.
pub fn diagnoses(app: &App, facts: &Facts, oldest_look: Option<OldestLook>) -> Vec<Diagnosis> {
    let circumstances = Circumstances {
        now: app.clock.now(),
        started_at: app.started_at,
        interval: app.config.resync_interval,
        oldest_look,
    };
    diagnose(facts, &circumstances)
}

/// What is wrong with our credentials, Bitbucket and Port; and keeps the webhook, and notes what Port wants.
async fn ask(app: &App, address: Option<&str>, facts: &Facts, deadline: &Deadline) -> Met {
    let mut met = Met::new();
    if REFUSED
        .iter()
        .any(|refused| facts.incidents.get(*refused).is_some())
    {
        // There may be others by now.
        app.secrets.forget();
    }
    match app.secrets.credentials_if_filled(deadline).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            met.insert(
                Condition::SecretEmpty,
                "the secret has no value yet".to_owned(),
            );
            return met;
        }
        Err(error) => {
            meet(&mut met, &error.into());
            return met;
        }
    }
    let session = match app.session(deadline).await {
        Ok(session) => session,
        Err(error) => {
            meet(&mut met, &error.into());
            return met;
        }
    };
    if let Err(failure) = resync::port_asks(app, &session, deadline).await {
        meet(&mut met, &failure);
    }
    if facts.leave_bitbucket_to_run(app.clock.now()) {
        return met;
    }
    met.extend(ask_bitbucket(&session, deadline).await);
    // Where nothing is left of the allowance, it is looked at later.
    if met.is_empty()
        && 0 < session.bitbucket.requests_left()
        && let Some(address) = address
    {
        Box::pin(subscription::keep(app, address, Occasion::Tick, deadline)).await;
    }
    met
}

async fn ask_bitbucket(session: &Session, deadline: &Deadline) -> Met {
    let mut met = Met::new();
    if let Err(error) = session.bitbucket.probe(deadline).await {
        meet(&mut met, &error.into());
    }
    let (refused, all) = session.bitbucket.refused();
    if refused.is_empty() {
        return met;
    }
    let numbers: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let cause = format!(
        "Bitbucket refuses credential {} of {all}",
        numbers.join(", ")
    );
    let condition = match refused.len() < all {
        true => Condition::BitbucketTokenRefused,
        false => Condition::BitbucketRefused,
    };
    met.insert(condition, cause);
    met
}

fn meet(met: &mut Met, failure: &Failure) {
    let condition = match failure {
        // Who does not answer within the patience of a tick does not answer.
        Failure::Bitbucket(bitbucket::Error::OutOfTime) => Condition::BitbucketUnreachable,
        Failure::Port(port::Error::OutOfTime { .. }) => Condition::PortUnreachable,
        failure => failure.condition(),
    };
    match condition.is_asked_for() {
        true => {
            met.insert(condition, chain(failure));
        }
        // A rate limit, or a refusal of this one request: it is asked again.
        false => tracing::warn!(
            error = chain(failure),
            "not found out whether there is news"
        ),
    }
}

/// Stores what has changed of `known`; the facts after that.
async fn taken_in(app: &App, known: &Facts, met: &Met) -> Result<Facts, Failure> {
    let now = app.clock.now();
    let mut after = known.incidents.clone();
    after.ask(met, now);
    if after != known.incidents {
        incidents::change(&app.store, |incidents| incidents.ask(met, now)).await?;
    }
    // Port may have asked for a run meanwhile, and the webhook may have been missing.
    let mut facts = Facts::read(&app.store).await?;
    let failed = facts.request.iter().filter_map(|it| it.failure.as_ref());
    let mut failed = failed.filter_map(|failure| Condition::of_number(failure.number));
    let has_gone = |it: Condition| known.incidents.get(it).is_some() && !met.contains_key(&it);
    facts.may_retry = failed.any(|failed| failed.is_asked_for() && has_gone(failed));
    Ok(facts)
}

fn of_store(app: &App, error: &crate::store::StoreError) -> Diagnosis {
    let condition = Condition::StateUnreachable;
    Diagnosis {
        number: condition.number(),
        condition,
        cause: chain(error),
        remedy: condition.remedy(),
        since: app.clock.now(),
    }
}

fn tell(app: &App, diagnoses: &[Diagnosis]) {
    let worst = diagnoses.first();
    let number = worst.map_or(0, |worst| worst.number);
    app.metrics.put_health(app.clock.now(), number);
    let Some(worst) = worst else { return };
    if worst.condition == Condition::SecretEmpty {
        // Said once an hour by whoever reads the secret.
        return;
    }
    let Diagnosis {
        condition,
        cause,
        remedy,
        since,
        ..
    } = worst;
    let also = diagnoses
        .iter()
        .skip(1)
        .map(|other| other.number.to_string());
    let also = also.collect::<Vec<_>>().join(", ");
    let (is_serious, condition) = (condition.is_serious(), condition.name());
    match is_serious {
        true => tracing::error!(number, condition, cause, remedy, %since, also, "health"),
        false => tracing::warn!(number, condition, cause, remedy, %since, also, "health"),
    }
}
