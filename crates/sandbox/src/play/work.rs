//! Ferry at work on what has changed: the queue worked off as Lambda does it, the schedule's resyncs and ticks.
//!
//! Tells what each invocation took, asked for and changed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use sandbox::aws::HandedOut;
use sandbox::clock::machine_now;
use sandbox::present::{Style, changes, render_changes};
use serde_json::{Value, json};

use super::{Kind, Playground};
use crate::deployed::{Invoked, Role};

/// The template's schedule of ticks.
const TICK: Duration = Duration::from_secs(60);

/// How often an idle queue is looked at, at most and at least.
const POLLS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// In which everything that waits is worked off, unless something is in the way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes messages from the queue for the function *events*, for good.
pub(super) async fn work_off_queue(playground: Arc<Playground>) {
    let queue = &playground.outside.queue;
    loop {
        let now = playground.queue_now();
        queue.set_now(now);
        let batch = queue.hand_out();
        if batch.is_empty() {
            let wait = queue.next_at().map(|at| at.duration_since(now));
            let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
            let wait = wait.unwrap_or(POLLS.1).clamp(POLLS.0, POLLS.1);
            tokio::select! {
                () = playground.mail.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            continue;
        }
        playground.work_off(batch).await;
        playground.show();
    }
}

/// Ticks every minute, for good.
pub(crate) async fn tick_for_good(playground: Arc<Playground>) {
    let mut minutes = tokio::time::interval(TICK);
    loop {
        minutes.tick().await;
        playground.tick().await;
    }
}

impl Playground {
    /// The queue's time: the machine's, and what was passed over.
    pub(super) fn queue_now(&self) -> Timestamp {
        let skipped = self.switches().skipped;
        machine_now()
            .saturating_add(skipped)
            .unwrap_or(Timestamp::MAX)
    }

    async fn work_off(&self, batch: Vec<HandedOut>) {
        let Some(deployment) = self.deployment.get() else {
            return;
        };
        let records: Vec<&Value> = batch.iter().map(|message| &message.record).collect();
        let event = json!({"Records": records});
        let (invoked, asked) = self.invoke(&deployment.events, event).await;
        let failed = failed(&invoked);
        let is_done = |message: &&HandedOut| !failed.contains(&message.record["messageId"]);
        let done: Vec<String> = match invoked.outcome {
            Ok(_) => batch
                .iter()
                .filter(is_done)
                .map(|it| it.receipt.clone())
                .collect(),
            Err(_) => Vec::new(),
        };
        let took = invoked.took.as_millis();
        let count = batch.len();
        let what = if count == 1 { "event" } else { "events" };
        let reasons = reasons(&invoked);
        let title = match count - done.len() {
            0 => format!("{count} {what} worked off in {took} ms, {asked}"),
            left => format!(
                "{left} of {count} {what} not worked off, back into the queue after {took} ms, {asked}"
            ),
        };
        let kind = match reasons.is_empty() && done.len() == count {
            true => Kind::Events,
            false => Kind::Trouble,
        };
        self.tell(kind, &title, &reasons, &self.news());
        self.outside.queue.delete(&done);
    }

    /// The schedule's resync. Returns its outcome.
    pub(crate) async fn resync(&self) -> Value {
        let event = json!({"action": "resync", "schedule": true, "url": self.function_url});
        self.run(event, true).await
    }

    /// The tick of every minute, or one brought forward. It is told if it did something.
    pub(super) async fn tick(&self) {
        let event = json!({"action": "tick", "url": self.function_url});
        self.run(event, false).await;
    }

    async fn run(&self, event: Value, is_told: bool) -> Value {
        let Some(deployment) = self.deployment.get() else {
            return Value::Null;
        };
        let (invoked, asked) = self.invoke(&deployment.runs, event).await;
        self.outside.table.take_work();
        let news = self.news();
        let outcome = invoked.outcome.as_ref().cloned().unwrap_or_default();
        let is_idle = outcome["status"] == "idle" && invoked.warnings.is_empty();
        if is_told || !is_idle || !news.is_empty() {
            let (kind, title) = told(&invoked, &outcome);
            let mut details = vec![asked];
            details.extend(reasons(&invoked));
            let losses = outcome["mapping_problems"].as_array().into_iter().flatten();
            details.extend(losses.filter_map(Value::as_str).map(str::to_owned));
            self.tell(kind, &title, &details, &news);
        }
        self.mail.notify_one();
        outcome
    }

    /// Invokes a function, and says what it has asked for.
    async fn invoke(&self, role: &Role, event: Value) -> (Invoked, String) {
        let before = self.outside.requests();
        let invoked = role.invoke(event).await;
        let after = self.outside.requests();
        let (bitbucket, port) = (after.0 - before.0, after.1 - before.1);
        let asked = format!("requests: {bitbucket} to Bitbucket, {port} to Port");
        (invoked, asked)
    }

    /// Waits until the queue is empty.
    ///
    /// # Errors
    /// When it is not after a minute.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        let mut changed = self.changed.subscribe();
        let emptied =
            async { while !self.outside.queue.is_empty() && changed.changed().await.is_ok() {} };
        match tokio::time::timeout(PATIENCE, emptied).await {
            Ok(()) => Ok(()),
            Err(_) => bail!(
                "{} messages are still in the queue",
                self.outside.queue.len()
            ),
        }
    }

    /// # Errors
    /// When Port holds something else than a fresh resync would produce; the message says what.
    pub(crate) fn check_in_step(&self) -> anyhow::Result<()> {
        let last = self.fresh.last();
        let Some(found) = last
            .found
            .filter(|_| !last.is_old && last.trouble.is_none())
        else {
            bail!("no fresh resync: {}", last.trouble.unwrap_or_default());
        };
        let differing = changes(&found.entities, &self.outside.port.entities());
        if differing.is_empty() {
            return Ok(());
        }
        let differing = render_changes(&differing, Style::Plain, self.terminal.width());
        bail!("Port holds something else than a fresh resync would produce:\n{differing}")
    }
}

/// Ids of the messages that come back.
fn failed(invoked: &Invoked) -> Vec<Value> {
    let answer = invoked.outcome.as_ref();
    let failures = answer
        .ok()
        .and_then(|answer| answer["batchItemFailures"].as_array());
    let failures = failures.into_iter().flatten();
    failures
        .map(|failure| failure["itemIdentifier"].clone())
        .collect()
}

/// Why it did not go as it should.
fn reasons(invoked: &Invoked) -> Vec<String> {
    let mut reasons = invoked.warnings.clone();
    if let Err(error) = &invoked.outcome
        && reasons.is_empty()
    {
        reasons.push(error.to_string());
    }
    reasons
}

fn told(invoked: &Invoked, outcome: &Value) -> (Kind, String) {
    let took = match invoked.took {
        took if took < Duration::from_secs(10) => format!("{} ms", took.as_millis()),
        took => format!("{} s", took.as_secs()),
    };
    let count = |name: &str| outcome["counts"][name].as_u64().unwrap_or_default();
    let counts = || {
        format!(
            "{} items read, {} entities mapped, {} written, {} unchanged, {} deleted",
            count("extracted"),
            count("transformed"),
            count("written"),
            count("unchanged"),
            count("deleted"),
        )
    };
    let text = |name: &str| outcome[name].as_str().unwrap_or_default();
    match text("status") {
        "completed" => (
            Kind::Runs,
            format!("resync completed in {took}: {}", counts()),
        ),
        "completed_with_losses" => (
            Kind::Trouble,
            format!("resync completed with losses in {took}: {}", counts()),
        ),
        "paused" => {
            let left = text("not_before").parse::<Timestamp>().ok();
            let left = left.map_or(SignedDuration::ZERO, |at| at.duration_since(machine_now()));
            let title = format!(
                "resync paused after {took}, {} s to go: {}",
                left.as_secs().max(0),
                text("reason")
            );
            (Kind::Trouble, title)
        }
        "busy" => (
            Kind::Runs,
            "another resync is at work; this one comes after it".to_owned(),
        ),
        "idle" => (
            Kind::Runs,
            format!("looked around in {took}: nothing to do"),
        ),
        _ => (Kind::Trouble, format!("resync failed after {took}")),
    }
}
