//! The playground: one world that scenes, page and prompt watch and change.
//!
//! `act` changes the outside, `work` has Ferry deal with it, `fresh` says what should come of it, `entry` is what is told.
//! `page` and `prompt` are two ways in. Ferry itself is the deployed binary; nothing of it is here.

mod act;
mod action;
mod entry;
mod fresh;
mod mapping;
mod page;
mod prompt;
mod view;
mod work;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::SignedDuration;
use sandbox::port::StoredEntity;
use sandbox::present::{Change, changes, render_changes, totals};
use tokio::sync::{Notify, watch};

pub(crate) use action::Action;
pub(crate) use entry::Kind;
pub(crate) use page::serve;
pub(crate) use prompt::obey;
pub(crate) use work::tick_for_good;

use crate::deployed::{Deployment, Outside};
use crate::terminal::Terminal;
use entry::{Entry, Stream};
use fresh::Fresh;

/// Changes of one entry that are told one by one; the terminal counts them if there are more than a screen holds.
const MOST_CHANGES: usize = 40;
const MOST_ON_A_SCREEN: usize = 10;

/// How far the sandbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The function is being built; how far that is.
    Building(String),
    Starting,
    /// The scenes are playing: nobody else changes anything.
    Scenes,
    Ready,
}

pub(crate) struct Playground {
    pub(crate) outside: Outside,
    pub(crate) terminal: Terminal,
    /// Where the function is reached, with a slash at the end.
    pub(crate) function_url: String,
    deployment: Arc<OnceLock<Deployment>>,
    fresh: Fresh,
    stream: Stream,
    phase: Mutex<Phase>,
    switches: Mutex<Switches>,
    /// The catalogue as it was told last.
    told: Mutex<Vec<StoredEntity>>,
    /// Held by whoever changes something.
    acting: tokio::sync::Mutex<()>,
    /// Something may be in the queue.
    mail: Notify,
    /// Marked when something is to be seen that was not before.
    changed: watch::Sender<()>,
}

/// What is switched off outside, and how far the queue's clock is ahead.
#[derive(Default)]
struct Switches {
    port_is_down: bool,
    token_is_revoked: bool,
    loses_next_webhook: bool,
    skipped: SignedDuration,
    /// The mapping as it was typed.
    mapping: Option<String>,
}

impl Playground {
    pub(crate) fn new(outside: Outside, terminal: Terminal, function_url: String) -> Playground {
        Playground {
            outside,
            terminal,
            function_url,
            deployment: Arc::default(),
            fresh: Fresh::default(),
            stream: Stream::default(),
            phase: Mutex::new(Phase::Starting),
            switches: Mutex::default(),
            told: Mutex::default(),
            acting: tokio::sync::Mutex::default(),
            mail: Notify::new(),
            changed: watch::Sender::new(()),
        }
    }

    /// Starts the function in its three roles, and has the queue worked off from now on.
    ///
    /// # Errors
    /// When the binary does not start.
    pub(crate) async fn deploy(self: &Arc<Self>, binary: PathBuf) -> anyhow::Result<()> {
        self.enter(Phase::Starting);
        let deployed = Deployment::start(&self.outside, &binary).await?;
        self.fresh.look_with(binary);
        if self.deployment.set(deployed).is_err() {
            anyhow::bail!("the function is deployed already");
        }
        tokio::spawn(work::work_off_queue(Arc::clone(self)));
        Ok(())
    }

    /// For the server that stands for the function's URL.
    pub(crate) fn deployment(&self) -> Arc<OnceLock<Deployment>> {
        Arc::clone(&self.deployment)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        *lock(&self.phase) = phase;
        self.show();
    }

    fn phase(&self) -> Phase {
        lock(&self.phase).clone()
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        lock(&self.switches)
    }

    /// Tells the terminal and the page.
    pub(crate) fn tell(&self, kind: Kind, title: &str, details: &[String], changes: &[Change]) {
        match kind {
            Kind::Scene => self.terminal.title(title),
            _ => self.terminal.say(title),
        }
        for detail in details {
            self.terminal.say(&format!("    {detail}"));
        }
        match changes.len() {
            0 => {}
            1..=MOST_ON_A_SCREEN => {
                let text = render_changes(changes, self.terminal.style(), self.terminal.width());
                self.terminal.show(text.trim_end());
            }
            _ => self.terminal.say(&totals(changes)),
        }
        self.stream.add(Entry::new(kind, title, details, changes));
        self.show();
    }

    /// What has changed in the catalogue since this was asked last.
    fn news(&self) -> Vec<Change> {
        let mut told = lock(&self.told);
        let now = self.outside.port.entities();
        let news = changes(&told, &now);
        *told = now;
        news
    }

    /// Whoever watches looks again.
    fn show(&self) {
        self.changed.send_replace(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
