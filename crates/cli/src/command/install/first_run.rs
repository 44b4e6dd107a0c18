//! The wait for the first completed run of a new installation: what its table says, as a bar.

use std::time::Duration;

use anyhow::{Context as _, bail};
use ferry::app::App;
use ferry::deadline::later;
use ferry::store::documents::{CompletedRun, completed};
use ferry::store::run::{RepositoryList, Run, run};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

/// How often the table is asked.
const ASK_EVERY: Duration = Duration::from_secs(3);

const STYLE: &str = "{spinner:.green} {bar:30.green/dim} {msg}";

/// How the run has ended. Fails if none has within `limit`; the functions go on all the same.
pub(super) async fn wait(
    app: &App,
    limit: Duration,
    bars: &MultiProgress,
) -> anyhow::Result<CompletedRun> {
    let style = ProgressStyle::with_template(STYLE);
    let bar = bars.add(ProgressBar::new(1));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    let until = later(app.clock.now(), limit);
    let what = "cannot see in the stack's table how far the first run is";
    loop {
        if let Some(ended) = app.store.load(&completed()).await.context(what)?.value {
            bar.finish_and_clear();
            return Ok(ended);
        }
        let current = app.store.load(&run()).await.context(what)?.value;
        let stage = Stage::of(current.as_ref());
        bar.set_length(stage.pages.max(1));
        bar.set_position(stage.done);
        bar.set_message(stage.text);
        if until < app.clock.now() {
            bar.finish_and_clear();
            bail!(
                "the first run has not been completed within {} minutes. It goes on without this command; the log says \
                 what it waits for (docs/troubleshooting.md)",
                limit.as_secs() / 60
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// How far a run is, in pages of repositories.
#[derive(Debug, PartialEq, Eq)]
struct Stage {
    done: u64,
    pages: u64,
    text: String,
}

impl Stage {
    fn of(run: Option<&Run>) -> Stage {
        let Some(run) = run else {
            return Stage {
                done: 0,
                pages: 0,
                text: "waiting for the first run; a tick begins it within a minute or two"
                    .to_owned(),
            };
        };
        let lists = || run.lists.values();
        let sum = run.tallies.sum();
        let count = |count: usize| HumanCount(u64::try_from(count).unwrap_or(u64::MAX));
        let read = format!("{} items, {} entities", count(sum.read), count(sum.mapped));
        let text = match (run.not_before, run.is_read) {
            (Some(until), _) => format!("{read}; waiting until {until}"),
            (None, true) => format!("{read}; looking for what is stale"),
            (None, false) => read,
        };
        Stage {
            done: lists().map(done_of).sum(),
            pages: lists().map(|list| list.pages).sum(),
            text,
        }
    }
}

fn done_of(list: &RepositoryList) -> u64 {
    let done = (0..list.pages).filter(|page| list.done.contains(*page));
    done.map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ferry::counts::Tally;

    use super::*;

    #[test]
    fn what_is_stored_of_a_run_is_told() {
        assert!(Stage::of(None).text.contains("waiting for the first run"));
        let at = "2026-11-27T12:00:00Z".parse().unwrap();
        let mut run = Run::begin("a".to_owned(), at, 1, (0, BTreeSet::new()));
        *run.tallies.of(0) = Tally {
            mapped: 1_100,
            ..Tally::default()
        };
        run.tallies.items.insert("repository".to_owned(), 1_200);
        assert_eq!(Stage::of(Some(&run)).text, "1,200 items, 1,100 entities");
        run.not_before = Some(at);
        assert!(
            Stage::of(Some(&run))
                .text
                .contains("waiting until 2026-11-27")
        );
    }
}
