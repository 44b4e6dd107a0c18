//! What can go wrong with Port, cut where callers act differently.
//!
//! Every error that stems from an answer carries Port's trace id, which its support asks for. Messages never hold a
//! request body or a credential.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::class::Class;
use crate::deadline::Deadline;
use crate::http::{Answer, HttpError, retry_after, shown_redirect};

/// Longest part of Port's own message that an error repeats, in characters.
const SHOWN_MESSAGE_CHARS: usize = 300;

/// Port's code while it still sets an integration up (HTTP 400).
const IN_PROGRESS: &str = "integration_is_in_progress";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Final: a fresh token was tried. New credentials may mend it.
    #[error(
        "Port refused the credentials ({request}){trace_id}: check OCEAN__PORT__CLIENT_ID and \
         OCEAN__PORT__CLIENT_SECRET, and that OCEAN__PORT__BASE_URL is the region of your organisation"
    )]
    Unauthorized { request: String, trace_id: TraceId },
    #[error(
        "Port does not permit {request}{trace_id}: {message} (credentials of the organisation with access to \
         data sources are needed, and an IP allow-list has to contain this host)"
    )]
    Forbidden {
        request: String,
        message: String,
        trace_id: TraceId,
    },
    #[error("{what} does not exist in Port{trace_id}")]
    NotFound { what: String, trace_id: TraceId },
    /// Port still limits the rate after all repetitions that the deadline had room for.
    #[error("Port limits the rate of requests ({request}){trace_id}; try again later")]
    RateLimited {
        request: String,
        /// `None`: Port did not say.
        retry_after: Option<Duration>,
        trace_id: TraceId,
    },
    /// No answer, or a 5xx, after all repetitions that the route allows.
    #[error("Port is not available ({request}{}){trace_id}; try again later", shown_status(*status))]
    Unavailable {
        request: String,
        status: Option<u16>,
        trace_id: TraceId,
        #[source]
        source: Option<HttpError>,
    },
    /// Nobody has ever answered at that address.
    #[error("Port cannot be reached: check OCEAN__PORT__BASE_URL")]
    Unreachable(#[source] HttpError),
    /// Port understood and declined. Repeating changes nothing, except while the integration is being set up.
    #[error(
        "Port refused {request} with HTTP {status}{}{trace_id}",
        shown_reason(code, message)
    )]
    Refused {
        request: String,
        status: u16,
        /// Port's error code, such as `invalid_request`; empty when it sent none.
        code: String,
        message: String,
        trace_id: TraceId,
    },
    #[error("no time was left for {request} to Port")]
    OutOfTime { request: String },
    /// A success that is not what was asked for: HTML, half a body, JSON of another shape, or more of it than is read.
    #[error("unexpected answer from Port to {request}{trace_id}")]
    Unexpected {
        request: String,
        trace_id: TraceId,
        #[source]
        source: anyhow::Error,
    },
    /// The settings lead to something that is not Port.
    #[error("there is no Port API at OCEAN__PORT__BASE_URL ({request}){trace_id}")]
    NoPort { request: String, trace_id: TraceId },
    /// The identifier belongs to somebody else: each would delete what the other writes.
    #[error("{reason}: set OCEAN__INTEGRATION__IDENTIFIER to another identifier")]
    TakenIdentifier { reason: String },
    /// Nobody follows: whoever is there may be a stranger to our credentials and entities.
    #[error(
        "the answer to {request} leads to {target}, and is not followed{trace_id}: check OCEAN__PORT__BASE_URL, and \
         any proxy in between"
    )]
    Redirected {
        request: String,
        target: String,
        trace_id: TraceId,
    },
    /// Nothing was sent: Ferry built no valid request.
    #[error("{request} is not a valid request")]
    Invalid {
        request: String,
        #[source]
        source: HttpError,
    },
}

/// The `X-Trace-Id` of an answer; shows as nothing when there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceId(pub Option<String>);

impl Error {
    /// What it costs, and what is done about it. Of a call about many entities, a refusal costs that part; what Port
    /// says about a single entity is in its outcome.
    pub fn class(&self) -> Class {
        match self {
            Error::Unauthorized { .. } | Error::NoPort { .. } | Error::TakenIdentifier { .. } => {
                Class::Credentials
            }
            Error::RateLimited { .. }
            | Error::Unavailable { .. }
            | Error::Unreachable(_)
            | Error::OutOfTime { .. }
            | Error::Redirected { .. }
            | Error::Unexpected { .. } => Class::Later,
            Error::Refused { code, .. } if code == IN_PROGRESS => Class::Later,
            Error::Forbidden { .. } | Error::NotFound { .. } | Error::Refused { .. } => Class::Part,
            Error::Invalid { .. } => Class::Ours,
        }
    }

    /// Whether any other call would fare no better: it is about the moment or the credentials, not about what was sent.
    pub fn meets_every_call(&self) -> bool {
        matches!(
            self,
            Error::Unauthorized { .. }
                | Error::NoPort { .. }
                | Error::RateLimited { .. }
                | Error::Unreachable(_)
                | Error::OutOfTime { .. }
        )
    }

    /// How long Port asks to be left alone, if it says so.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Error::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// HTTP status of the answer behind this error, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Unauthorized { .. } => Some(401),
            Error::Forbidden { .. } => Some(403),
            Error::NotFound { .. } => Some(404),
            Error::RateLimited { .. } => Some(429),
            Error::Unavailable { status, .. } => *status,
            Error::Refused { status, .. } => Some(*status),
            Error::OutOfTime { .. }
            | Error::Unreachable(_)
            | Error::Unexpected { .. }
            | Error::Redirected { .. }
            | Error::NoPort { .. }
            | Error::TakenIdentifier { .. }
            | Error::Invalid { .. } => None,
        }
    }

    /// An answer that is no success, read as an error.
    pub(super) fn from_answer(request: String, answer: &Answer, now: jiff::Timestamp) -> Error {
        let trace_id = TraceId::of(answer);
        if let Some(target) = shown_redirect(answer) {
            return Error::Redirected {
                request,
                target,
                trace_id,
            };
        }
        let body = ErrorBody::of(answer);
        match answer.status.as_u16() {
            401 => Error::Unauthorized { request, trace_id },
            403 if body.is_permission() => Error::Forbidden {
                request,
                message: body.message,
                trace_id,
            },
            404 => Error::NotFound {
                what: format!("the target of {request}"),
                trace_id,
            },
            429 => Error::RateLimited {
                request,
                retry_after: retry_after(answer, now),
                trace_id,
            },
            status if Class::of_status(status) == Class::Later || 500 <= status => {
                Error::Unavailable {
                    request,
                    status: Some(status),
                    trace_id,
                    source: None,
                }
            }
            status => Error::Refused {
                request,
                status,
                code: body.code,
                message: body.message,
                trace_id,
            },
        }
    }

    /// A call that brought no answer.
    pub(super) fn from_http(request: String, error: HttpError, deadline: &Deadline) -> Error {
        match error {
            HttpError::OutOfTime { .. } => Error::OutOfTime { request },
            // The time-out of a try is cut to what the deadline leaves, so this was the deadline.
            HttpError::Transport { .. } if deadline.remaining().is_zero() => {
                Error::OutOfTime { request }
            }
            HttpError::Transport { .. } => Error::Unavailable {
                request,
                status: None,
                trace_id: TraceId::default(),
                source: Some(error),
            },
            HttpError::TooLarge { .. } => Error::Unexpected {
                request,
                trace_id: TraceId::default(),
                source: error.into(),
            },
            HttpError::Unreachable { .. } => Error::Unreachable(error),
            source @ HttpError::Invalid { .. } => Error::Invalid { request, source },
        }
    }

    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Error::Unexpected { source, .. }
            if matches!(source.downcast_ref(), Some(HttpError::TooLarge { .. })))
    }

    /// Names what is missing in the words of the caller.
    pub(super) fn with_missing(self, missing: impl FnOnce() -> String) -> Error {
        match self {
            Error::NotFound { trace_id, .. } => Error::NotFound {
                what: missing(),
                trace_id,
            },
            other => other,
        }
    }
}

impl TraceId {
    pub(super) fn of(answer: &Answer) -> TraceId {
        TraceId(answer.header("x-trace-id").map(str::to_owned))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(f, " (Port trace id {id})"),
            None => Ok(()),
        }
    }
}

fn shown_status(status: Option<u16>) -> String {
    status.map_or_else(|| ", no answer".into(), |status| format!(", HTTP {status}"))
}

fn shown_reason(code: &str, message: &str) -> String {
    let parts = [code, message].into_iter().filter(|part| !part.is_empty());
    parts.map(|part| format!(": {part}")).collect()
}

/// Port's error body. Nothing in it is relied upon: gateways in front of Port answer in their own words.
pub(super) struct ErrorBody {
    pub(super) code: String,
    pub(super) message: String,
}

impl ErrorBody {
    pub(super) fn of(answer: &Answer) -> ErrorBody {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wire {
            error: serde_json::Value,
            message: serde_json::Value,
        }
        match serde_json::from_slice::<Wire>(&answer.body) {
            Ok(wire) => ErrorBody {
                code: wire.error.as_str().unwrap_or_default().to_owned(),
                message: shortened(wire.message.as_str().unwrap_or_default()),
            },
            Err(_) => ErrorBody {
                code: String::new(),
                message: answer.excerpt(),
            },
        }
    }

    /// A 403 also stands for entities that others need; only the rest is about permissions.
    fn is_permission(&self) -> bool {
        !matches!(self.code.as_str(), "has_dependents" | "required_relation")
    }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-trace-id", HeaderValue::from_static("t-1"));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn shown(status: u16, body: &str) -> String {
        let now = jiff::Timestamp::UNIX_EPOCH;
        Error::from_answer("GET /v1/x".into(), &answer(status, body), now).to_string()
    }

    #[test]
    fn errors_say_what_to_do_and_carry_the_trace_id() {
        insta::assert_snapshot!(shown(401, "{}"), @"Port refused the credentials (GET /v1/x) (Port trace id t-1): check OCEAN__PORT__CLIENT_ID and OCEAN__PORT__CLIENT_SECRET, and that OCEAN__PORT__BASE_URL is the region of your organisation");
        insta::assert_snapshot!(shown(403, r#"{"error":"missing_permissions","message":"no"}"#), @"Port does not permit GET /v1/x (Port trace id t-1): no (credentials of the organisation with access to data sources are needed, and an IP allow-list has to contain this host)");
        insta::assert_snapshot!(shown(403, r#"{"error":"has_dependents","message":"no"}"#), @"Port refused GET /v1/x with HTTP 403: has_dependents: no (Port trace id t-1)");
        insta::assert_snapshot!(shown(404, "{}"), @"the target of GET /v1/x does not exist in Port (Port trace id t-1)");
        insta::assert_snapshot!(shown(503, "<html>"), @"Port is not available (GET /v1/x, HTTP 503) (Port trace id t-1); try again later");
        insta::assert_snapshot!(shown(422, "<html>"), @"Port refused GET /v1/x with HTTP 422: <html> (Port trace id t-1)");
        insta::assert_snapshot!(shown(422, r#"{"error":7,"message":{"a":1}}"#), @"Port refused GET /v1/x with HTTP 422 (Port trace id t-1)");
    }
}
