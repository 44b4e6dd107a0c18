//! `ferry serve`: the function's handler behind a local server, with timers in the place of schedules.
//!
//! Owns the tasks that run at once: the server answers, two workers empty the queue, a timer brings stored looks back, a
//! loop works on runs. A signal stops them all.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use ferry::app::App;
use ferry::config::{EventListener, PublicAddress};
use ferry::deadline::{Deadline, later};
use ferry::deliveries::{Deliveries, DeliveryEffect};
use ferry::health::Rounds;
use ferry::invocation::{self, Request};
use ferry::queue::{Local, Queue, Taken};
use ferry::resync::{self, RunOutcome};
use ferry::status::status;
use ferry::subscription::{self, Occasion};
use ferry::telemetry::chain;
use ferry::{watch, webhook};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::listen::EVENTS;
use super::resync::{tell_interrupted, what_is_kept};
use super::shutdown::Shutdown;
use super::status::STATUS;

/// A little more than the handler takes, so that it is the one who says that a body is too large.
const BODY_LIMIT: usize = webhook::MAX_BODY + 1024;

/// How long to leave a queue alone that cannot be read.
const QUEUE_PAUSE: Duration = Duration::from_secs(15);

/// How long to look away from an empty queue that nothing is sent to: what was put off comes back this much later at most.
const LOOK: Duration = Duration::from_millis(200);

/// How long a worker has for what it takes out of the queue at once. The queue hands it out again after 900 s.
const BATCH_TIME: Duration = Duration::from_secs(600);

/// No messages are taken when less than this is left: that much a worker keeps to conclude.
const LEAST_TIME: Duration = Duration::from_secs(6);

/// How often stored looks are brought back, as the function's tick does.
const STORED_LOOKS_EVERY: Duration = Duration::from_secs(60);

/// A run may wait for as many hours as rate limits ask for.
const AS_LONG_AS_IT_TAKES: Duration = Duration::MAX;

const REQUESTS_AT_ONCE: usize = 64;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until a signal comes, then lets what is in hand come to its end.
pub(crate) async fn run(mut app: App, port: u16) -> anyhow::Result<()> {
    if app.queue.is_none() {
        let local = Local::open(app.store.clone(), app.clock.clone()).await;
        app.queue = Some(Queue::Local(local.context("cannot open the queue")?));
    }
    app.rounds = Rounds::every(app.config.poll_interval);
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))?;
    let address = listener.local_addr()?;
    let app = &app;
    let shutdown = &Shutdown::default();
    let (questions, asked) = mpsc::channel(REQUESTS_AT_ONCE);
    let router = axum::Router::new()
        .fallback(ask)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Desk {
            questions,
            deliveries: app.deliveries.clone(),
            shutdown: shutdown.clone(),
        })
        .into_make_service_with_connect_info::<SocketAddr>();
    let until = shutdown.clone();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { until.begun().await });
    tracing::info!(%address, "serving");
    let work = async {
        tokio::join!(
            server.into_future(),
            answers(app, asked),
            worker(app, shutdown),
            worker(app, shutdown),
            stored_looks(app, shutdown),
            runs_or_none(app, shutdown),
        )
        .0
    };
    let ended = shutdown.end(app, work).await;
    say_what_is_left(app);
    // What is not done by then is done again: messages come back, a run goes on where it was saved.
    ended.unwrap_or(Ok(())).context("the server stopped")
}

/// How it goes on; a queue in memory ends with the process.
fn say_what_is_left(app: &App) {
    tracing::info!(next_resync = what_is_kept(app), "stopped");
    if let Some(Queue::Local(queue)) = &app.queue
        && app.config.state_dir.is_none()
        && queue.next_at().is_some()
    {
        tracing::warn!(
            "webhooks that were not worked off are lost: FERRY__STATE_DIR would keep them"
        );
    }
}

/// A request, and where its answer is waited for. The server's tasks are many; the flows run in one.
type Question = (Request, oneshot::Sender<Answer>);

/// What is sent back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// Where requests are taken, whatever answers them.
#[derive(Clone)]
struct Desk {
    questions: mpsc::Sender<Question>,
    deliveries: Deliveries,
    shutdown: Shutdown,
}

async fn ask(
    State(desk): State<Desk>,
    peer: ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    if [STATUS, EVENTS].contains(&uri.path()) && !is_at_home(peer.0, &headers) {
        // To others there is no such place.
        return Err(StatusCode::NOT_FOUND);
    }
    if uri.path() == EVENTS && method == Method::GET {
        return Ok(told(desk.deliveries.listen(), desk.shutdown));
    }
    let request = Request {
        method,
        path: uri.path().to_owned(),
        headers,
        body: body.to_vec(),
    };
    let (reply, answer) = oneshot::channel();
    let stopped = StatusCode::SERVICE_UNAVAILABLE;
    desk.questions
        .send((request, reply))
        .await
        .map_err(|_| stopped)?;
    let answer = answer.await.map_err(|_| stopped)?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// What becomes of webhooks from now on, each as a line of JSON, until the server stops or the reader goes away.
fn told(deliveries: broadcast::Receiver<DeliveryEffect>, shutdown: Shutdown) -> Response {
    let lines = stream::unfold(
        (deliveries, shutdown),
        |(mut deliveries, shutdown)| async move {
            let told = tokio::select! {
                told = deliveries.recv() => told,
                () = shutdown.begun() => return None,
            };
            let line = match told {
                Ok(effect) => json!(effect),
                Err(broadcast::error::RecvError::Lagged(missed)) => json!({ "missed": missed }),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            let line = Ok::<_, Infallible>(format!("{line}\n"));
            Some((line, (deliveries, shutdown)))
        },
    );
    let mut response = Response::new(Body::from_stream(lines));
    let lines = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, lines);
    response
}

/// Whether a process of this machine asks, and not a proxy that passes a request on.
fn is_at_home(peer: SocketAddr, headers: &HeaderMap) -> bool {
    const OF_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
    peer.ip().to_canonical().is_loopback()
        && !OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}

async fn answer(app: &App, request: &Request, deadline: &Deadline) -> Answer {
    if request.path == STATUS && request.method == Method::GET {
        return match status(app, deadline).await {
            Ok(status) => Answer::json(StatusCode::OK, &json!(status)),
            Err(failure) => {
                let message = json!({"message": chain(&failure)});
                Answer::json(StatusCode::SERVICE_UNAVAILABLE, &message)
            }
        };
    }
    let answer = invocation::route(app, request, deadline).await;
    Answer {
        status: answer.status,
        headers: answer.headers(),
        body: answer.body(),
    }
}

impl Answer {
    fn json(status: StatusCode, body: &Value) -> Answer {
        let json = HeaderValue::from_static("application/json");
        Answer {
            status,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
            body: body.to_string(),
        }
    }
}

async fn answers(app: &App, asked: mpsc::Receiver<Question>) {
    stream::unfold(asked, |mut asked| async {
        asked.recv().await.map(|question| (question, asked))
    })
    .for_each_concurrent(REQUESTS_AT_ONCE, |(request, reply)| async move {
        let deadline = Deadline::after(&app.clock, PATIENCE);
        let answer = answer(app, &request, &deadline).await;
        // Whoever has gone away needs no answer.
        reply.send(answer).ok();
    })
    .await;
}

/// Works the queue off, as Lambda would call for it. Two at once do: messages about one object go to one of them.
async fn worker(app: &App, shutdown: &Shutdown) {
    let Some(Queue::Local(queue)) = &app.queue else {
        // A queue in SQS is worked off by the function that it invokes.
        return;
    };
    loop {
        let deadline = shutdown.deadline(&app.clock, BATCH_TIME);
        if !deadline.has(LEAST_TIME) {
            return;
        }
        match work_off(app, queue, &deadline).await {
            // What has been accepted is worked off before the end.
            Ok(0) if shutdown.is_begun() => return,
            Ok(0) => {
                tokio::select! {
                    () = shutdown.pause(&app.clock, LOOK) => {}
                    () = queue.news() => {}
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "queue not worked off");
                if shutdown.is_begun() {
                    return;
                }
                shutdown.pause(&app.clock, QUEUE_PAUSE).await;
            }
        }
    }
}

/// Returns how many messages there were.
async fn work_off(app: &App, queue: &Local, deadline: &Deadline) -> anyhow::Result<usize> {
    let taken = queue.receive().await?;
    if taken.is_empty() {
        return Ok(0);
    }
    let received = |taken: Taken| webhook::Received {
        id: taken.receipt.clone(),
        body: taken.body,
        receives: taken.receives,
        receipt: taken.receipt,
    };
    let messages: Vec<webhook::Received> = taken.into_iter().map(received).collect();
    let back = Box::pin(webhook::work_off(app, &messages, deadline)).await;
    let count = messages.len();
    let done = messages.into_iter().map(|message| message.receipt);
    let done: Vec<String> = done.filter(|receipt| !back.contains(receipt)).collect();
    queue.complete(&done).await?;
    Ok(count)
}

/// The timer looks around and takes stored looks again when they are due, also while a run is under way.
async fn stored_looks(app: &App, shutdown: &Shutdown) {
    while !shutdown.is_begun() {
        let deadline = shutdown.deadline(&app.clock, BATCH_TIME);
        let address = app.config.base_url.as_ref().map(PublicAddress::as_str);
        // Who takes events alone knows nothing of the runs of others.
        if !matches!(app.config.event_listener, EventListener::Events)
            && let Err(failure) = Box::pin(watch::look_around(app, address, &deadline)).await
        {
            tracing::error!(error = chain(&failure), "the state cannot be looked at");
        }
        webhook::again::settle(app, &deadline).await;
        shutdown.pause(&app.clock, STORED_LOOKS_EVERY).await;
    }
}

async fn runs_or_none(app: &App, shutdown: &Shutdown) {
    match app.config.event_listener {
        EventListener::Events => events_alone(app, shutdown).await,
        EventListener::Serve | EventListener::Once => runs(app, shutdown).await,
    }
}

/// In the place of runs, which another process makes: the webhook is kept, and the mapping followed.
async fn events_alone(app: &App, shutdown: &Shutdown) {
    tracing::info!("events alone are taken: resyncs are left to others (WEBHOOKS_ONLY)");
    let mut occasion = Occasion::Schedule;
    while !shutdown.is_begun() {
        let deadline = shutdown.deadline(&app.clock, BATCH_TIME);
        if let Some(base) = &app.config.base_url {
            subscription::keep(app, base.as_str(), occasion, &deadline).await;
        }
        occasion = Occasion::Tick;
        if let Err(failure) = resync::follow_mapping(app, &deadline).await {
            let (error, error_type) = (chain(&failure), failure.error_type());
            tracing::error!(error, error_type, "mapping not followed");
        }
        shutdown.pause(&app.clock, app.config.poll_interval).await;
    }
}

/// Asks Port whether it takes the credentials, where nothing else has: `/health/ready` goes by it.
async fn introduce(app: &App, deadline: &Deadline) {
    if let Ok(session) = app.session(deadline).await
        && let Err(error) = session.port.introduce(deadline).await
    {
        tracing::debug!(error = chain(&error), "not introduced to Port");
    }
}

/// A resync at the start and at each interval, with ticks in between: Port is asked whether it wants one, and an
/// unfinished one is continued.
async fn runs(app: &App, shutdown: &Shutdown) {
    let deadline = shutdown.deadline(&app.clock, AS_LONG_AS_IT_TAKES);
    let tick = app.config.poll_interval;
    let next = |app: &App| {
        let interval = app.config.resync_interval?;
        Some(later(app.clock.now(), interval))
    };
    let mut due = match app.config.resync_on_start {
        true => Some(app.clock.now()),
        false => next(app),
    };
    while !shutdown.is_begun() {
        let is_due = due.is_some_and(|due| due <= app.clock.now());
        if let Some(base) = app.config.base_url.as_ref().filter(|_| is_due) {
            subscription::keep(app, base.as_str(), Occasion::Schedule, &deadline).await;
        }
        let outcome = if is_due {
            due = next(app);
            resync::resync(app, "scheduled", &deadline).await
        } else {
            resync::tick(app, &deadline).await
        };
        let wait = match outcome {
            Ok(RunOutcome::Paused {
                not_before: Some(not_before),
                ..
            }) => until(app, not_before).min(tick),
            Ok(RunOutcome::Idle) if app.unusable_credentials().is_some() => {
                introduce(app, &deadline).await;
                tick
            }
            Ok(_) => tick,
            Err(failure) => {
                let (error, error_type) = (chain(&failure), failure.error_type());
                tracing::error!(error, error_type, "resync failed");
                tick
            }
        };
        shutdown.pause(&app.clock, wait).await;
    }
    tell_interrupted(app, &deadline).await;
}

fn until(app: &App, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(app.clock.now())).unwrap_or_default()
}
