//! The Lambda Runtime API: hands events to whoever polls for them, and their answers back to whoever invoked.
//!
//! One execution environment: invocations run one after another, as they do in one real environment. Knows nothing of processes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::machine_now;

/// Lambda gives a function this long to start, before its first poll.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// Largest answer of a synchronous invocation.
const MAX_ANSWER: usize = 6 * 1024 * 1024;

pub(super) const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:000000000000:function:sandbox";

/// A Runtime API on a free loopback port. It stops when the last clone is dropped.
#[derive(Clone)]
pub struct RuntimeApi {
    shared: Arc<Shared>,
}

struct Shared {
    address: String,
    lambda: Arc<Lambda>,
    /// One invocation at a time.
    turn: tokio::sync::Mutex<()>,
    task: JoinHandle<()>,
}

/// Why an invocation has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// The function's own type, or `Runtime.ExitError`, `Sandbox.Timedout`, `Sandbox.InitTimedout`.
    pub error_type: String,
    pub message: String,
}

impl FunctionError {
    fn new(error_type: &str, message: impl Into<String>) -> FunctionError {
        FunctionError {
            error_type: error_type.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

type Outcome = Result<Value, FunctionError>;

/// What the pollers and the invoker share.
struct Lambda {
    inner: Mutex<Inner>,
    /// Marked whenever `inner` changed in a way that somebody waits for.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    /// The invocation that waits for a poll.
    waiting: Option<Invocation>,
    /// The one that the function works on, and where its answer goes.
    running: Option<(String, oneshot::Sender<Outcome>)>,
    invocations: u64,
    /// Grows when the function's process ends, so that a poll of a dead process takes no event.
    process: u64,
    /// The current process has polled.
    ready: bool,
}

struct Invocation {
    id: String,
    event: Vec<u8>,
    time_limit: Duration,
    started: oneshot::Sender<()>,
    answer: oneshot::Sender<Outcome>,
}

impl RuntimeApi {
    pub async fn start() -> anyhow::Result<RuntimeApi> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot bind a loopback port")?;
        let address = listener.local_addr()?.to_string();
        let lambda = Arc::new(Lambda {
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(MAX_ANSWER))
            .with_state(Arc::clone(&lambda));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the sandbox Runtime API stopped");
            }
        });
        Ok(RuntimeApi {
            shared: Arc::new(Shared {
                address,
                lambda,
                turn: tokio::sync::Mutex::default(),
                task,
            }),
        })
    }

    /// `host:port`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Hands `event` to the function and waits for its answer; `time_limit` counts from the moment the function takes it.
    ///
    /// A function that exceeds it is not stopped: Lambda would kill it, which is the caller's part.
    pub async fn invoke(&self, event: Value, time_limit: Duration) -> Outcome {
        let _turn = self.shared.turn.lock().await;
        let lambda = &self.shared.lambda;
        let (started, has_started) = oneshot::channel();
        let (answer, has_answer) = oneshot::channel();
        lambda.change(|inner| {
            inner.invocations += 1;
            inner.waiting = Some(Invocation {
                id: format!("00000000-0000-4000-8000-{:012}", inner.invocations),
                event: event.to_string().into_bytes(),
                time_limit,
                started,
                answer,
            });
        });
        let has_answer = async {
            has_answer.await.unwrap_or_else(|_| {
                Err(FunctionError::new(
                    "Runtime.ExitError",
                    "the invocation was dropped",
                ))
            })
        };
        tokio::pin!(has_answer);
        tokio::select! {
            biased;
            // An init error answers an invocation that never started.
            outcome = &mut has_answer => return outcome,
            Ok(()) = has_started => {}
            () = tokio::time::sleep(INIT_LIMIT) => {
                lambda.change(|inner| inner.waiting = None);
                return Err(FunctionError::new("Sandbox.InitTimedout", "the function never polled"));
            }
        }
        match tokio::time::timeout(time_limit, has_answer).await {
            Ok(outcome) => outcome,
            Err(_) => {
                lambda.change(|inner| inner.running = None);
                Err(FunctionError::new(
                    "Sandbox.Timedout",
                    format!("task timed out after {time_limit:?}"),
                ))
            }
        }
    }

    /// Waits until the function polls for the first time.
    pub async fn wait_ready(&self) {
        let lambda = &self.shared.lambda;
        let mut changed = lambda.changed.subscribe();
        while !lambda.inner().ready && changed.changed().await.is_ok() {}
    }

    /// The function's process is gone: what it worked on fails, and its polls take nothing more.
    pub(super) fn process_ended(&self, why: &str) {
        self.shared.lambda.change(|inner| {
            inner.process += 1;
            inner.ready = false;
            inner.fail_running(FunctionError::new("Runtime.ExitError", why));
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lambda {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner());
        self.changed.send_replace(());
        result
    }

    /// The answer of the invocation `id`, when that is the one that runs.
    fn finish(&self, id: &str, outcome: Outcome) -> Response {
        let answer = self.change(|inner| {
            inner
                .running
                .take_if(|(running, _)| running == id)
                .map(|(_, answer)| answer)
        });
        match answer.map(|answer| answer.send(outcome)) {
            Some(Ok(())) => accepted(),
            _ => refused(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "no such invocation",
            ),
        }
    }
}

impl Inner {
    fn fail_running(&mut self, error: FunctionError) {
        if let Some((id, answer)) = self.running.take()
            && answer.send(Err(error)).is_err()
        {
            tracing::debug!(id, "nobody waits for this invocation");
        }
    }

    /// Moves the waiting invocation to the poller of `process`.
    fn take(&mut self, process: u64) -> Take {
        if self.process != process {
            return Take::Gone;
        }
        let Some(invocation) = self.waiting.take() else {
            return Take::Wait;
        };
        self.running = Some((invocation.id.clone(), invocation.answer));
        if invocation.started.send(()).is_err() {
            // The invoker has given up in this very moment.
            self.running = None;
            return Take::Wait;
        }
        Take::Event {
            id: invocation.id,
            event: invocation.event,
            time_limit: invocation.time_limit,
        }
    }
}

enum Take {
    Wait,
    Gone,
    Event {
        id: String,
        event: Vec<u8>,
        time_limit: Duration,
    },
}

/// `GET .../invocation/next`: waits for an event, however long it takes.
async fn next(State(lambda): State<Arc<Lambda>>) -> Response {
    let mut changed = lambda.changed.subscribe();
    let process = lambda.change(|inner| {
        // A runtime answers before it polls again, unless it is a new process.
        inner.fail_running(FunctionError::new(
            "Runtime.ExitError",
            "the function polled without answering",
        ));
        inner.ready = true;
        inner.process
    });
    loop {
        let taken = lambda.inner().take(process);
        match taken {
            Take::Event {
                id,
                event,
                time_limit,
            } => return handed_out(&id, event, time_limit),
            Take::Gone => break,
            Take::Wait if changed.changed().await.is_err() => break,
            Take::Wait => {}
        }
    }
    refused(StatusCode::GONE, "Gone", "the process has ended")
}

fn handed_out(id: &str, event: Vec<u8>, time_limit: Duration) -> Response {
    let now = machine_now();
    let deadline = SignedDuration::try_from(time_limit)
        .ok()
        .and_then(|limit| now.checked_add(limit).ok())
        .unwrap_or(now);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id.to_owned()),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millisecond().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            FUNCTION_ARN.to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
    ];
    (headers, event).into_response()
}

async fn response(
    State(lambda): State<Arc<Lambda>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let outcome = serde_json::from_slice(&body).map_err(|error| {
        FunctionError::new(
            "Runtime.InvalidResponse",
            format!("the answer is not JSON: {error}"),
        )
    });
    lambda.finish(&id, outcome)
}

async fn error(
    State(lambda): State<Arc<Lambda>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    lambda.finish(&id, Err(parse_error(&headers, &body)))
}

/// The function could not start: whoever invokes it learns why.
async fn init_error(
    State(lambda): State<Arc<Lambda>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let error = parse_error(&headers, &body);
    let waiting = lambda.change(|inner| inner.waiting.take());
    if let Some(invocation) = waiting
        && invocation.answer.send(Err(error)).is_err()
    {
        tracing::debug!(id = invocation.id, "nobody waits for this invocation");
    }
    accepted()
}

fn parse_error(headers: &HeaderMap, body: &[u8]) -> FunctionError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let header = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok());
    let error_type = body["errorType"].as_str().or(header);
    FunctionError::new(
        error_type.unwrap_or("Unhandled"),
        body["errorMessage"].as_str().unwrap_or_default(),
    )
}

fn accepted() -> Response {
    let body = axum::Json(json!({"status": "OK"}));
    (StatusCode::ACCEPTED, body).into_response()
}

fn refused(status: StatusCode, error_type: &str, message: &str) -> Response {
    let body = axum::Json(json!({"errorType": error_type, "errorMessage": message}));
    (status, body).into_response()
}

#[cfg(test)]
mod tests;
