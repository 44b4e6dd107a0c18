//! What can go wrong with Bitbucket, cut where callers act differently.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::http::{Answer, HttpError};

/// Longest part of Bitbucket's own message that an error repeats, in characters.
const SHOWN_MESSAGE_CHARS: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every credential has used up its allowance, or the share of it that is open to this purpose.
    #[error("Bitbucket's rate limit is used up for {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// It does not exist, or is not visible: a private repository hides behind a 404.
    #[error("{request}: not found, or not visible to these credentials{}", shown(.message))]
    NotFound { request: String, message: String },
    #[error("{request}: these credentials may not read it{}", shown(.message))]
    Forbidden { request: String, message: String },
    #[error("{request}: Bitbucket has removed it for good{}", shown(.message))]
    Gone { request: String, message: String },
    /// No credential is accepted. New ones may mend it.
    #[error(
        "Bitbucket refuses the credentials{}: check BITBUCKET_WORKSPACE_TOKEN, or BITBUCKET_USER_EMAIL and \
         BITBUCKET_USER_SCOPED_TOKEN",
        shown(.message)
    )]
    Unauthorized { message: String },
    /// More than is read into memory, or more than Bitbucket puts together in one answer (HTTP 555).
    #[error("{request}: the answer is too large")]
    TooLarge { request: String },
    /// No answer, or a 5xx, after all repetitions.
    #[error("{request}: Bitbucket is not available{}", shown_status(*.status))]
    Unavailable {
        request: String,
        status: Option<u16>,
        #[source]
        source: Option<HttpError>,
    },
    #[error("no time was left to ask Bitbucket")]
    OutOfTime,
    #[error("{request}: unexpected answer from Bitbucket")]
    Unexpected {
        request: String,
        #[source]
        source: anyhow::Error,
    },
}

fn shown(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

fn shown_status(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
}

impl Error {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::RateLimited { .. } | Error::Unavailable { .. } | Error::OutOfTime
        )
    }

    pub(super) fn unexpected(request: &str, source: anyhow::Error) -> Error {
        Error::Unexpected {
            request: request.to_owned(),
            source,
        }
    }

    /// An answer that is no success; 429 never comes here.
    pub(super) fn from_answer(request: &str, answer: &Answer) -> Error {
        let request = request.to_owned();
        let message = message(answer);
        match answer.status.as_u16() {
            401 => Error::Unauthorized { message },
            403 => Error::Forbidden { request, message },
            404 => Error::NotFound { request, message },
            410 => Error::Gone { request, message },
            555 => Error::TooLarge { request },
            status @ (408 | 500..) => Error::Unavailable {
                request,
                status: Some(status),
                source: None,
            },
            status => {
                let message = if message.is_empty() {
                    answer.excerpt()
                } else {
                    message
                };
                Error::Unexpected {
                    request,
                    source: anyhow!("HTTP {status}: {message}"),
                }
            }
        }
    }

    pub(super) fn from_http(request: &str, error: HttpError, deadline: &Deadline) -> Error {
        let request = request.to_owned();
        match error {
            HttpError::OutOfTime { .. } => Error::OutOfTime,
            // The time-out of a try is cut to what the deadline leaves, so this was the deadline.
            HttpError::Transport { .. } if deadline.remaining().is_zero() => Error::OutOfTime,
            HttpError::TooLarge { .. } => Error::TooLarge { request },
            error @ HttpError::Transport { .. } => Error::Unavailable {
                request,
                status: None,
                source: Some(error),
            },
        }
    }
}

/// `{"type": "error", "error": {"message": ..., "detail": ...}}`, on one line.
fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = body
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let text: String = text.chars().take(SHOWN_MESSAGE_CHARS).collect();
    let missing = body
        .pointer("/error/detail/required")
        .and_then(Value::as_array);
    let missing: Vec<&str> = missing
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(5)
        .collect();
    let text = text.replace(char::is_control, " ");
    if missing.is_empty() {
        text
    } else {
        format!("{text}; required scopes: {}", missing.join(", "))
    }
}
