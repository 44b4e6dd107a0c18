//! A resync on its way: bars on a terminal, JSON lines elsewhere.

use std::time::Duration;

use ferry::progress::{KindProgress, Paused, RunProgress};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::terminal::{Audience, print};

/// How often bars move while nothing happens.
const REDRAW: Duration = Duration::from_millis(250);

/// How often machines are told, unless a kind is done or the run pauses.
const LINE_EVERY: Duration = Duration::from_secs(10);

const KNOWN: &str = "{prefix:16} {wide_bar:.green/dim} {pos}/{len}  {msg}  {eta:>4}";
/// Cut at the edge: what does not fit would leave lines behind.
const LAST_LINE: &str = "{spinner:.green} {wide_msg}";

const UNKNOWN: &str = "{prefix:16} {spinner:.green} {pos} so far  {msg}";

/// Shows what `progress` says, for as long as it is polled.
pub(crate) async fn show(
    mut progress: watch::Receiver<RunProgress>,
    audience: Audience,
    bars: &MultiProgress,
) {
    match audience {
        Audience::People => {
            let mut shown = Watched {
                bars: Bars::new(bars),
                progress,
            };
            let mut redraw = tokio::time::interval(REDRAW);
            redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                redraw.tick().await;
                shown.update();
            }
        }
        Audience::Machine => {
            let mut told = Told::default();
            while progress.changed().await.is_ok() {
                // Neither a slow reader nor a fast run piles lines up.
                tokio::select! {
                    () = tokio::time::sleep(LINE_EVERY) => {}
                    _ = progress.wait_for(|now| told.is_news(now)) => {}
                }
                let now = progress.borrow_and_update();
                told.note(&now);
                if let Err(error) = print(json!({"progress": *now})) {
                    // The run goes on; that its outcome cannot be told either makes it fail.
                    tracing::warn!(error = format!("{error:#}"), "progress not told");
                    break;
                }
            }
            // The run tells of no more progress, or the reader has closed the pipe: the caller goes on to wait for the run.
            std::future::pending().await
        }
    }
}

/// What machines know already.
#[derive(Default)]
struct Told {
    run: String,
    done: Vec<String>,
    paused: Option<Timestamp>,
}

impl Told {
    /// Whether a line cannot wait.
    fn is_news(&self, now: &RunProgress) -> bool {
        let done = || now.parts.iter().filter(|part| part.is_done());
        let new = |part: &KindProgress| !self.done.contains(&part.kind);
        now.run != self.run || paused_until(now) != self.paused || done().any(new)
    }

    fn note(&mut self, now: &RunProgress) {
        let done = now.parts.iter().filter(|part| part.is_done());
        *self = Told {
            run: now.run.clone(),
            done: done.map(|part| part.kind.clone()).collect(),
            paused: paused_until(now),
        };
    }
}

fn paused_until(now: &RunProgress) -> Option<Timestamp> {
    now.paused.as_ref().map(|paused| paused.until)
}

/// Bars, and what they follow to its end: the run is over before they are drawn again.
struct Watched<'a> {
    bars: Bars<'a>,
    progress: watch::Receiver<RunProgress>,
}

impl Watched<'_> {
    fn update(&mut self) {
        self.bars.update(&self.progress.borrow_and_update());
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.update();
    }
}

struct Bars<'a> {
    all: &'a MultiProgress,
    run: String,
    parts: Vec<ProgressBar>,
    /// Below the others: the allowance, or why nothing moves.
    budget: ProgressBar,
}

impl<'a> Bars<'a> {
    fn new(all: &'a MultiProgress) -> Bars<'a> {
        let budget = all.add(ProgressBar::no_length());
        budget.set_style(style(LAST_LINE));
        Bars {
            all,
            run: String::new(),
            parts: Vec::new(),
            budget,
        }
    }

    fn update(&mut self, now: &RunProgress) {
        if now.run != self.run || now.parts.len() != self.parts.len() {
            for bar in self.parts.drain(..) {
                bar.finish_and_clear();
            }
            self.run.clone_from(&now.run);
            let before = &self.budget;
            let bar = |part: &KindProgress| {
                let bar = self.all.insert_before(before, ProgressBar::no_length());
                bar.set_style(style(UNKNOWN));
                bar.with_prefix(part.kind.clone())
            };
            self.parts = now.parts.iter().map(bar).collect();
        }
        for (bar, part) in self.parts.iter().zip(&now.parts) {
            update(bar, part);
        }
        self.budget.set_message(last_line(now));
        self.budget.tick();
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        for bar in &self.parts {
            bar.abandon();
        }
        self.budget.finish_and_clear();
    }
}

fn update(bar: &ProgressBar, part: &KindProgress) {
    let count = |count: usize| HumanCount(count.try_into().unwrap_or(u64::MAX));
    let message = format!(
        "{} items, {} entities",
        count(part.items),
        count(part.entities)
    );
    let done = u64::try_from(part.done).unwrap_or(u64::MAX);
    let total = part
        .total
        .map(|total| u64::try_from(total).unwrap_or(u64::MAX));
    if bar.length() != total
        && let Some(total) = total
    {
        if bar.length().is_none() {
            bar.set_style(style(KNOWN));
        }
        // A list may bring up more after it was at its end.
        bar.set_length(total);
    }
    if bar.is_finished() && !part.is_done() {
        bar.reset();
    }
    // What moves only when something was done tells how long the rest takes.
    if bar.position() != done {
        bar.set_position(done);
    }
    bar.set_message(message);
    match part.is_done() {
        true => bar.abandon(),
        false => bar.tick(),
    }
}

fn last_line(now: &RunProgress) -> String {
    match &now.paused {
        Some(Paused { until, reason, .. }) => {
            let until = until.strftime("%H:%M:%S UTC, %e %B");
            format!("waiting until {until}: {reason}")
        }
        None if now.run.is_empty() => "asking Port for the mapping".to_owned(),
        None if now.reconciling => "looking for what is stale".to_owned(),
        None => format!(
            "{} requests to Bitbucket left in this hour",
            HumanCount(now.requests_left.into())
        ),
    }
}

/// The templates are ours; one that cannot be read falls back to the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use ferry::progress::Obstacle;

    use super::*;

    fn part(done: usize, total: Option<usize>) -> KindProgress {
        KindProgress {
            kind: "repository".to_owned(),
            done,
            total,
            items: 1_000,
            entities: 999,
        }
    }

    #[test]
    fn templates_can_be_read() {
        for template in [KNOWN, UNKNOWN, LAST_LINE] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn a_pause_is_shown_with_its_end_and_its_reason() {
        let paused = Paused {
            until: "2026-11-27T14:05:09Z".parse().unwrap(),
            waits_for: Obstacle::Bitbucket,
            reason: "Bitbucket's rate limit".to_owned(),
        };
        let now = RunProgress {
            run: "a".to_owned(),
            paused: Some(paused),
            ..RunProgress::default()
        };
        assert_eq!(
            last_line(&now),
            "waiting until 14:05:09 UTC, 27 November: Bitbucket's rate limit"
        );
    }

    /// A run ends between two drawings.
    #[test]
    fn bars_show_how_the_run_has_ended() {
        let all = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let (run, progress) = watch::channel(RunProgress {
            parts: vec![part(1, Some(2))],
            ..RunProgress::default()
        });
        let mut watched = Watched {
            bars: Bars::new(&all),
            progress,
        };
        watched.update();
        let bar = watched.bars.parts[0].clone();
        run.send_modify(|now| now.parts = vec![part(2, Some(2))]);
        drop(watched);
        assert_eq!((bar.position(), bar.is_finished()), (2, true));
    }

    #[test]
    fn machines_hear_at_once_of_what_is_new() {
        let mut told = Told::default();
        let mut now = RunProgress {
            run: "a".to_owned(),
            parts: vec![part(1, None)],
            ..RunProgress::default()
        };
        assert!(told.is_news(&now));
        told.note(&now);
        now.parts = vec![part(2, None)];
        assert!(!told.is_news(&now));
        now.parts = vec![part(2, Some(2))];
        assert!(told.is_news(&now));
        told.note(&now);
        assert!(!told.is_news(&now));
    }

    #[test]
    fn bars_follow_the_run() {
        let all = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut bars = Bars::new(&all);
        let mut now = RunProgress {
            run: "a".to_owned(),
            parts: vec![part(1, None), part(0, Some(1))],
            requests_left: 1_234,
            ..RunProgress::default()
        };
        bars.update(&now);
        assert_eq!(bars.parts[0].length(), None);
        assert_eq!(bars.parts[0].message(), "1,000 items, 999 entities");
        assert_eq!(
            bars.budget.message(),
            "1,234 requests to Bitbucket left in this hour"
        );
        now.parts = vec![part(3, Some(5)), part(1, Some(1))];
        bars.update(&now);
        let shown = |bar: &ProgressBar| (bar.position(), bar.length(), bar.is_finished());
        assert_eq!(shown(&bars.parts[0]), (3, Some(5), false));
        assert_eq!(shown(&bars.parts[1]), (1, Some(1), true));
        // Repositories come up after the list was at its end.
        now.parts[0] = part(5, Some(5));
        bars.update(&now);
        now.parts[0] = part(5, Some(6));
        bars.update(&now);
        assert_eq!(shown(&bars.parts[0]), (5, Some(6), false));
        now.parts[0] = part(6, Some(6));
        bars.update(&now);
        assert_eq!(shown(&bars.parts[0]), (6, Some(6), true));
        // Another run begins afresh.
        now.run = "b".to_owned();
        bars.update(&now);
        assert_eq!(bars.parts.len(), 2);
    }
}
