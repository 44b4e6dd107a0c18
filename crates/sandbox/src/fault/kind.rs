//! The ways in which one request goes wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Fault;
use crate::server::{Model, Request, Response};

/// How a request goes wrong. Those of the first two kinds let it pass to further faults and to the model; the others end it.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Something happens in the world first: see [`FaultKind::before`].
    Before(Action),
    /// The answer takes this long, on the simulated clock where the server was given its hand.
    Slow(Duration),
    /// This answer instead of the model's; the model does not see the request.
    Answer(Response),
    /// The answer is made from request and model: see [`FaultKind::instead`] and [`FaultKind::rewrite`].
    Instead(Stand),
    /// The model acts, its answer is cut in the middle and the connection closed.
    Truncate,
    /// The model acts, but the connection is closed before an answer.
    Reset,
    /// The model does not act; the connection is closed.
    Refuse,
    /// The model does not act and no answer ever comes: the client has to give up, which takes the machine's time.
    Hang,
}

type StandIn = dyn Fn(&Request, &Model) -> Response + Send + Sync;

/// What happens before a request is answered.
#[derive(Clone)]
pub struct Action(Arc<dyn Fn(&Request) + Send + Sync>);

/// A stand-in for the model, with a name for messages.
#[derive(Clone)]
pub struct Stand {
    name: String,
    run: Arc<StandIn>,
}

impl FaultKind {
    /// Calls `act` before the request is answered, in the request's own moment.
    pub fn before(act: impl Fn(&Request) + Send + Sync + 'static) -> FaultKind {
        FaultKind::Before(Action(Arc::new(act)))
    }

    /// Answers with what `run` makes of the request and the model. `name` is for messages.
    pub fn instead(
        name: impl Into<String>,
        run: impl Fn(&Request, &Model) -> Response + Send + Sync + 'static,
    ) -> FaultKind {
        FaultKind::Instead(Stand {
            name: name.into(),
            run: Arc::new(run),
        })
    }

    /// The model acts; its answer is changed on the way. `name` is for messages.
    pub fn rewrite(
        name: impl Into<String>,
        change: impl Fn(&Request, Response) -> Response + Send + Sync + 'static,
    ) -> FaultKind {
        FaultKind::instead(name, move |request, model| change(request, model(request)))
    }

    /// This status with the body that the asked service has for it.
    pub fn refused(status: u16) -> FaultKind {
        FaultKind::instead(format!("refused {status}"), move |request, _| {
            refusal(request, status)
        })
    }

    /// 429: with `Retry-After` in seconds, or without.
    pub fn rate_limited(retry_after: Option<u64>) -> FaultKind {
        FaultKind::instead(format!("429 after {retry_after:?}"), move |request, _| {
            let answer = refusal(request, 429);
            match retry_after {
                Some(seconds) => answer.with_header("retry-after", seconds),
                None => answer,
            }
        })
    }

    /// 429 as Port sends it: `reset` is either seconds left or an epoch, for Port's pages contradict each other.
    pub fn rate_limited_until(reset: u64) -> FaultKind {
        FaultKind::Answer(traced(crate::port::Refusal::too_many(reset)))
    }

    /// A page for people, such as a gateway's or that of an outage.
    pub fn html(status: u16) -> FaultKind {
        let page = "<!DOCTYPE html><html><body><h1>We'll be right back</h1></body></html>";
        FaultKind::Answer(Response::bytes(
            status,
            "text/html",
            page.as_bytes().to_vec(),
        ))
    }

    /// A status without a body.
    pub fn empty(status: u16) -> FaultKind {
        FaultKind::Answer(Response::empty(status))
    }

    /// The model acts; the answer is complete as HTTP, and its JSON ends in the middle.
    pub fn half_json() -> FaultKind {
        FaultKind::rewrite("half of the JSON", |_, mut answer| {
            answer.body.truncate(answer.body.len() / 2);
            answer
        })
    }

    /// Sends the client elsewhere with this status.
    pub fn redirect(status: u16, target: &str) -> FaultKind {
        FaultKind::Answer(Response::empty(status).with_header("location", target))
    }

    /// The answer takes this many seconds.
    pub fn slow(seconds: u64) -> FaultKind {
        FaultKind::Slow(Duration::from_secs(seconds))
    }

    /// Whether nothing comes after it.
    pub(super) fn answers(&self) -> bool {
        !matches!(self, FaultKind::Before(_) | FaultKind::Slow(_))
    }
}

impl Fault {
    /// Slow by this many seconds, as often as it matches.
    pub fn slow(part: impl Into<String>, seconds: u64) -> Fault {
        Fault::new(part, FaultKind::slow(seconds)).always()
    }
}

impl Action {
    pub(crate) fn run(&self, request: &Request) {
        self.0(request);
    }
}

impl Stand {
    pub(crate) fn run(&self, request: &Request, model: &Model) -> Response {
        (self.run)(request, model)
    }
}

/// In a few words, for the record of what was met.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Before(_) => f.write_str("something before"),
            FaultKind::Slow(delay) => write!(f, "slow by {} s", delay.as_secs_f64()),
            FaultKind::Answer(answer) => write!(f, "answered {}", answer.status.as_u16()),
            FaultKind::Instead(stand) => f.write_str(&stand.name),
            FaultKind::Truncate => f.write_str("cut in the body"),
            FaultKind::Reset => f.write_str("done, closed without an answer"),
            FaultKind::Refuse => f.write_str("closed without an answer"),
            FaultKind::Hang => f.write_str("never answered"),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something")
    }
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How the service that was asked says `status`. Anything but Bitbucket and Port says it without a body.
fn refusal(request: &Request, status: u16) -> Response {
    if is_port(request) {
        let (code, message) = match status {
            400 => ("bad_request", "bad request"),
            401 => ("unauthorized", "the token is unknown or has expired"),
            403 => ("forbidden", "not allowed"),
            404 => ("not_found", "not found"),
            422 => ("invalid_request", "the request has the wrong shape"),
            429 => ("too_many_requests", "rate limit exceeded"),
            _ => ("internal_error", "Internal server error"),
        };
        let body = json!({"ok": false, "error": code, "message": message, "details": {}});
        return traced(Response::json(status, &body));
    }
    if !is_bitbucket(request) {
        return Response::empty(status);
    }
    let message = match status {
        400 => "Bad request",
        // Also what a good token gets where its kind is not accepted.
        401 => "Token is invalid, expired, or not supported for this endpoint.",
        403 => "Forbidden",
        404 => "Resource not found",
        429 => return Response::text(429, "Rate limit for this resource has been exceeded"),
        555 => "The request took too long to process",
        _ => "Something went wrong",
    };
    Response::json(
        status,
        &json!({"type": "error", "error": {"message": message}}),
    )
}

/// Every answer of Port has this header.
pub(super) fn traced(answer: Response) -> Response {
    answer.with_header("x-trace-id", "sandbox-trace-fault")
}

pub(super) fn is_bitbucket(request: &Request) -> bool {
    request.path.starts_with("/2.0/")
}

pub(super) fn is_port(request: &Request) -> bool {
    request.path.starts_with("/v1/") || request.path.starts_with("/ingest/")
}
