//! What users are to read of a resync in Port: its begin, counts and end, and what went wrong meanwhile; gathered, and sent
//! once per slice.
//!
//! Lines carry what Ocean's do (`event_id`, `kind`, `etl_phase`), by which Port's page filters them.

use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::slice::Slice;
use super::{KindSummary, Summary};
use crate::app::Session;
use crate::deadline::{Clock, Deadline};
use crate::locked::locked;
use crate::port::{LogLevel, LogLine};
use crate::store::run::Run;
use crate::telemetry::chain;

/// More problems would tell nobody more; the rest is counted.
const MAX_LINES: usize = 100;

/// What was being done, in Ocean's words for it (Port docs, sync metrics).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The run as a whole.
    Resync,
    Extract,
    Transform,
    Load,
    Delete,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Phase::Resync => "resync",
            Phase::Extract => "extract",
            Phase::Transform => "transform",
            Phase::Load => "load",
            Phase::Delete => "delete",
        }
    }
}

pub(super) struct Journal {
    clock: Clock,
    run: String,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    kept: Vec<LogLine>,
    left_out: usize,
}

impl Journal {
    pub(super) fn new(clock: Clock, run: &str) -> Journal {
        Journal {
            clock,
            run: run.to_owned(),
            lines: Mutex::default(),
        }
    }

    /// How the run goes.
    pub(super) fn tell(&self, phase: Phase, kind: Option<&str>, message: String) {
        self.add(LogLevel::Info, (phase, kind), message);
    }

    /// Something was left out, and the rest went on.
    pub(super) fn warn(&self, phase: Phase, message: impl Into<String>) {
        self.add(LogLevel::Warning, (phase, None), message.into());
    }

    /// The same, of a kind of the mapping.
    pub(super) fn warn_of(&self, kind: &str, phase: Phase, message: impl Into<String>) {
        self.add(LogLevel::Warning, (phase, Some(kind)), message.into());
    }

    /// Somebody has to do something.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.add(LogLevel::Error, (Phase::Resync, None), message.into());
    }

    fn add(&self, level: LogLevel, (phase, kind): (Phase, Option<&str>), message: String) {
        let mut lines = locked(&self.lines);
        let is_problem = level != LogLevel::Info;
        if is_problem && MAX_LINES <= lines.kept.len() {
            lines.left_out += 1;
            return;
        }
        let mut extra = Map::new();
        for name in ["event_id", "resync_id"] {
            extra.insert(name.to_owned(), Value::from(self.run.as_str()));
        }
        extra.insert("etl_phase".to_owned(), Value::from(phase.as_str()));
        if let Some(kind) = kind {
            extra.insert("kind".to_owned(), Value::from(kind));
        }
        lines.kept.push(LogLine {
            at: self.clock.now(),
            level,
            message,
            extra,
        });
    }

    /// Sends what was gathered to Port, masked. Its failure costs nothing else.
    pub(super) async fn send(&self, session: &Session, to: Option<&Url>, deadline: &Deadline) {
        let Lines { mut kept, left_out } = std::mem::take(&mut *locked(&self.lines));
        let (Some(to), Some(last)) = (to, kept.last().cloned()) else {
            return;
        };
        if 0 < left_out {
            let message =
                format!("{left_out} further problems: the function's own log has them all");
            kept.push(LogLine { message, ..last });
        }
        let sent = match session.masker() {
            Ok(masker) => {
                let sent = session.port.send_logs(to, &kept, &masker, deadline).await;
                sent.map_err(|error| chain(&error))
            }
            Err(error) => Err(format!("{error:#}")),
        };
        if let Err(error) = sent {
            tracing::warn!(error, "log lines not sent to Port");
        }
    }
}

impl Slice<'_> {
    /// Whether the run begins with this slice, or goes on.
    pub(super) fn tell_begin(&self) {
        let how = match self.run().tallies.items.is_empty() {
            true => "resync begun",
            false => "resync goes on",
        };
        self.journal.tell(Phase::Resync, None, how.to_owned());
    }

    pub(super) fn tell_pause(&self, until: Timestamp, reason: &str) {
        let line = format!("resync pauses until {until}: {reason}");
        self.journal.tell(Phase::Resync, None, line);
    }

    /// What each kind has given, and what became of all.
    pub(super) fn tell_end(&self, run: &Run, summary: &Summary) {
        for KindSummary { kind, tally } in &summary.kinds {
            let line = format!("{} items, {} entities", tally.read, tally.mapped);
            self.journal.tell(Phase::Transform, Some(kind), line);
        }
        let counts = &summary.counts;
        let loaded = format!(
            "{} entities written, {} as they were, {} refused",
            counts.written, counts.unchanged, counts.refused
        );
        self.journal.tell(Phase::Load, None, loaded);
        let deleted = format!("{} entities deleted, {} kept", counts.deleted, counts.kept);
        self.journal.tell(Phase::Delete, None, deleted);
        let end = match run.has_losses() {
            false => "resync completed".to_owned(),
            true => format!(
                "resync completed with losses: {} parts not read",
                run.failures
            ),
        };
        self.journal.tell(Phase::Resync, None, end);
    }
}
