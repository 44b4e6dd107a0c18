//! Words typed at the terminal, or piped in: the same actions as the page's buttons.

use std::io::BufRead as _;
use std::sync::Arc;

use sandbox::present::{changes, render_changes};
use tokio::sync::mpsc;

use super::action::{WORDS, split};
use super::{Action, Playground};

/// Does what the lines of standard input say. Ends when they say `quit`; the end of the input says nothing.
pub(crate) async fn obey(playground: &Arc<Playground>) -> anyhow::Result<()> {
    let (send, mut lines) = mpsc::unbounded_channel();
    // A thread of its own: a task that waits for a terminal would keep the process from ending.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_ok_and(|line| send.send(line).is_err()) {
                return;
            }
        }
    });
    playground.terminal.prompt();
    while let Some(line) = lines.recv().await {
        match split(&line) {
            ("", _) => playground.terminal.show(""),
            ("quit" | "exit", "") => return Ok(()),
            ("help", "") => playground.terminal.show(WORDS),
            ("list", "") => playground.list(),
            ("status", "") => playground.show_status(),
            words => playground.do_as_told(&line, words).await,
        }
    }
    std::future::pending().await
}

impl Playground {
    async fn do_as_told(self: &Arc<Self>, line: &str, words: (&str, &str)) {
        let action = match words {
            ("map", path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Action::Map { text }),
                Err(error) => Err(anyhow::anyhow!("cannot read {path:?}: {error}")),
            },
            _ => Action::of_words(line),
        };
        let done = match action {
            // The notes on a mapping are told to everybody.
            Ok(action) => self.act(action).await.map(drop),
            Err(error) => Err(error.into()),
        };
        if let Err(refused) = done {
            self.terminal.show(&refused.to_string());
        }
    }

    fn list(&self) {
        let mut text = String::new();
        for repository in self.outside.bitbucket.overview().repositories {
            text += &format!("{}  {}\n", repository.slug, repository.project);
            for pull_request in repository.pull_requests {
                let (id, state) = (pull_request.id, pull_request.state);
                text += &format!("    #{id} {state}  {}\n", pull_request.title);
            }
        }
        self.terminal.say(text.trim_end());
    }

    fn show_status(&self) {
        let last = self.fresh.last();
        if let Some(trouble) = last.trouble {
            return self
                .terminal
                .say(&format!("a fresh resync would fail: {trouble}"));
        }
        let Some(found) = last.found else {
            return self
                .terminal
                .say("nobody has found out yet what a fresh resync would produce");
        };
        let differing = changes(&self.outside.port.entities(), &found.entities);
        if differing.is_empty() {
            return self
                .terminal
                .say("Port holds what a fresh resync would produce");
        }
        let (style, width) = (self.terminal.style(), self.terminal.width());
        let differing = render_changes(&differing, style, width);
        self.terminal
            .say("A fresh resync would still make these changes:");
        self.terminal.show(differing.trim_end());
    }
}
