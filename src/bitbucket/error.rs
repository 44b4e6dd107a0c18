//! What can go wrong with Bitbucket, cut where callers act differently.

use std::time::Duration;

use serde_json::Value;

use crate::class::Class;
use crate::deadline::Deadline;
use crate::http::{Answer, HttpError, shown_redirect};

/// Longest part of Bitbucket's own message that an error repeats, in characters.
const SHOWN_MESSAGE_CHARS: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every credential has used up its allowance, or the share of it that is open to this purpose.
    #[error(
        "Bitbucket's rate limit for {} is used up for {} s{}",
        if *.contents_alone { "contents of files" } else { "requests to the API" },
        .retry_after.as_secs(),
        shown_tokens(*.tokens)
    )]
    RateLimited {
        retry_after: Duration,
        /// It is the limit of contents of files: everything else may still be asked for.
        contents_alone: bool,
        /// How many credentials have none left.
        tokens: usize,
    },
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
    /// A 401 to credentials that are alive: this request is not for their kind, or it failed in passing.
    #[error(
        "{request}: refused to this kind of credentials, which are accepted elsewhere{}: a user's API token with \
         scopes (BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN) may read it, or take its kind out of the \
         mapping",
        shown(.message)
    )]
    NotForThisToken { request: String, message: String },
    /// Bitbucket understood and declined: a query that it cannot read, for one.
    #[error("{request}: Bitbucket refuses the request (HTTP {status}){}", shown(.message))]
    Refused {
        request: String,
        status: u16,
        message: String,
    },
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
    /// Nobody has ever answered at that address.
    #[error("Bitbucket cannot be reached: check BITBUCKET_HOST_URL")]
    Unreachable(#[source] HttpError),
    /// Nobody follows: the answer would be a stranger's, or about something else.
    #[error(
        "{request}: the answer leads to {target}, and is not followed: check BITBUCKET_HOST_URL, and any proxy in \
         between"
    )]
    Redirected { request: String, target: String },
    #[error("no time was left to ask Bitbucket")]
    OutOfTime,
    /// A success that is not what was asked for, after all repetitions: HTML, half a body, a page without values.
    #[error("{request}: unexpected answer from Bitbucket")]
    Unexpected {
        request: String,
        #[source]
        source: anyhow::Error,
    },
    /// A list counts objects, and shows none of them.
    #[error("{request}: a list that says it has {size} objects shows none")]
    ShowsNone { request: String, size: usize },
    /// Nothing was sent: Ferry built no valid request.
    #[error("{request}: not a valid request")]
    Invalid {
        request: String,
        #[source]
        source: HttpError,
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

fn shown_tokens(tokens: usize) -> String {
    match tokens {
        0 | 1 => String::new(),
        tokens => format!(", with each of {tokens} tokens"),
    }
}

impl Error {
    /// What it costs, and what is done about it.
    pub fn class(&self) -> Class {
        match self {
            Error::RateLimited { .. }
            | Error::Unavailable { .. }
            | Error::Unreachable(_)
            | Error::Redirected { .. }
            | Error::OutOfTime
            | Error::Unexpected { .. }
            | Error::ShowsNone { .. } => Class::Later,
            Error::NotFound { .. }
            | Error::Forbidden { .. }
            | Error::Gone { .. }
            | Error::NotForThisToken { .. }
            | Error::Refused { .. }
            | Error::TooLarge { .. } => Class::Part,
            Error::Unauthorized { .. } => Class::Credentials,
            Error::Invalid { .. } => Class::Ours,
        }
    }

    /// Whether any other request would fare no better: it is about the moment or the credentials, not about what was
    /// asked for.
    pub fn meets_every_request(&self) -> bool {
        matches!(
            self,
            Error::RateLimited { .. }
                | Error::Unreachable(_)
                | Error::OutOfTime
                | Error::Unauthorized { .. }
        )
    }

    /// Whether only contents of files would fare no better: they are limited apart.
    pub fn meets_contents_alone(&self) -> bool {
        let Error::RateLimited { contents_alone, .. } = self else {
            return false;
        };
        *contents_alone
    }

    /// How long Bitbucket asks to be left alone, if it says so.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Error::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
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
        if let Some(target) = shown_redirect(answer) {
            return Error::Redirected { request, target };
        }
        let message = message(answer);
        match answer.status.as_u16() {
            401 => Error::Unauthorized { message },
            403 => Error::Forbidden { request, message },
            404 => Error::NotFound { request, message },
            410 => Error::Gone { request, message },
            555 => Error::TooLarge { request },
            status if Class::of_status(status) == Class::Later => Error::Unavailable {
                request,
                status: Some(status),
                source: None,
            },
            status => Error::Refused {
                request,
                status,
                message: if message.is_empty() {
                    answer.excerpt()
                } else {
                    message
                },
            },
        }
    }

    /// The same of whoever keeps the content of a file: it knows no credentials of ours, so a refusal is not about them.
    pub(super) fn from_storage(request: &str, answer: &Answer) -> Error {
        match answer.status.as_u16() {
            status @ (401 | 429) => Error::Unavailable {
                request: request.to_owned(),
                status: Some(status),
                source: None,
            },
            _ => Error::from_answer(request, answer),
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
            error @ HttpError::Unreachable { .. } => Error::Unreachable(error),
            source @ HttpError::Invalid { .. } => Error::Invalid { request, source },
        }
    }
}

/// `{"type": "error", "error": {"message": ..., "detail": ...}}`, on one line.
fn message(answer: &Answer) -> String {
    let body: Value = answer.value().unwrap_or_default();
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
