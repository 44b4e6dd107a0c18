//! What Port shows about this installation besides its entities: the state of a resync, logs, raw examples.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::call::Call;
use super::client::PortClient;
use super::error::Error;
use super::mask::Masker;
use super::search::moment;
use crate::deadline::Deadline;

/// Raw items per kind that Port takes for its mapping test.
const MAX_EXAMPLES: usize = 5;

/// Bytes of one raw item that are shown: all of a kind go in one body of at most 1 MiB, and one that is larger than this
/// is of no use in an editor.
const MAX_EXAMPLE_BYTES: usize = 128 << 10;

/// Characters of one text of an example, such as the content of a file.
const MAX_EXAMPLE_TEXT: usize = 2_000;

/// Elements of one list of an example.
const MAX_EXAMPLE_ELEMENTS: usize = 50;

/// Where a resync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResyncStatus {
    Running,
    Completed,
    Failed,
    Aborted,
}

/// The state of the resync as the data source page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResyncReport {
    pub status: ResyncStatus,
    pub start: Option<Timestamp>,
    /// `None` while running.
    pub end: Option<Timestamp>,
    /// When the next one is due, if that is known.
    pub next: Option<Timestamp>,
    pub interval_minutes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Info,
    Warning,
    Error,
}

/// One line of the log that users read in Port.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub at: Timestamp,
    pub level: LogLevel,
    pub message: String,
    /// Shown next to the message, such as the kind.
    pub extra: Map<String, Value>,
}

impl PortClient {
    pub async fn report_resync(
        &self,
        report: ResyncReport,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let ResyncReport {
            status,
            start,
            end,
            next,
            interval_minutes,
        } = report;
        let mut body = json!({
            "status": status.as_str(),
            "lastResyncEnd": end.map(moment),
            "nextResync": next.map(moment),
            // Port's spelling.
            "intervalInMinuets": interval_minutes,
        });
        if let (Some(start), Some(body)) = (start, body.as_object_mut()) {
            body.insert("lastResyncStart".into(), moment(start).into());
        }
        let route = ["integration", &self.inner.identifier, "resync-state"];
        let call = Call::patch(route, &body).briefly_repeatable();
        self.call(call, deadline).await?;
        Ok(())
    }

    /// Shows up to five items of `raw` in Port's mapping test, masked and with long texts and lists cut.
    pub async fn send_examples(
        &self,
        kind: &str,
        raw: &[Value],
        masker: &Masker,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let examples: Vec<Value> = raw
            .iter()
            .take(MAX_EXAMPLES)
            .map(|item| cut(masker.mask_value(item)))
            .filter(|item| item.to_string().len() <= MAX_EXAMPLE_BYTES)
            .collect();
        if examples.is_empty() {
            return Ok(());
        }
        let route = [
            "integration",
            &self.inner.identifier,
            "kinds",
            kind,
            "examples",
        ];
        let call = Call::post(route, &json!({ "examples": examples }));
        self.call(call, deadline).await?;
        Ok(())
    }

    /// Adds `lines`, masked, to the log of the integration. `to` is its [`logs_url`](super::Integration::logs_url).
    pub async fn send_logs(
        &self,
        to: &Url,
        lines: &[LogLine],
        masker: &Masker,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let logs: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({
                    "message": masker.mask(&line.message),
                    "level": line.level.as_str(),
                    "timestamp": line.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
                    "extra": masker.mask_value(&Value::Object(line.extra.clone())),
                })
            })
            .collect();
        let call = Call::post_to(to.clone(), &json!({ "logs": logs }));
        self.call(call, deadline).await?;
        Ok(())
    }
}

/// Without what makes an example too long to be read.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_EXAMPLE_TEXT) {
            None => Value::String(text),
            Some(_) => text
                .chars()
                .take(MAX_EXAMPLE_TEXT)
                .chain(['…'])
                .collect::<String>()
                .into(),
        },
        Value::Array(elements) => elements
            .into_iter()
            .take(MAX_EXAMPLE_ELEMENTS)
            .map(cut)
            .collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(name, value)| (name, cut(value))).collect())
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => value,
    }
}

impl ResyncStatus {
    fn as_str(self) -> &'static str {
        match self {
            ResyncStatus::Running => "running",
            ResyncStatus::Completed => "completed",
            ResyncStatus::Failed => "failed",
            ResyncStatus::Aborted => "aborted",
        }
    }
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            LogLevel::Info => "INFO",
            LogLevel::Warning => "WARNING",
            LogLevel::Error => "ERROR",
        }
    }
}
