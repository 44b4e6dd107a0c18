//! What users are to read of a resync in Port: its warnings and errors, gathered and sent once per slice.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use url::Url;

use crate::app::Session;
use crate::deadline::{Clock, Deadline};
use crate::port::{LogLevel, LogLine};
use crate::telemetry::chain;

/// More would tell nobody more; the rest is counted.
const MAX_LINES: usize = 100;

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

    /// Something was left out, and the rest went on.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.add(LogLevel::Warning, message.into());
    }

    /// Somebody has to do something.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.add(LogLevel::Error, message.into());
    }

    fn add(&self, level: LogLevel, message: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if MAX_LINES <= lines.kept.len() {
            lines.left_out += 1;
            return;
        }
        let run = ("resync_id".to_owned(), Value::from(self.run.as_str()));
        lines.kept.push(LogLine {
            at: self.clock.now(),
            level,
            message,
            extra: Map::from_iter([run]),
        });
    }

    /// Sends what was gathered to Port, masked. Its failure costs nothing else.
    pub(super) async fn send(&self, session: &Session, to: Option<&Url>, deadline: &Deadline) {
        let Lines { mut kept, left_out } =
            std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
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
