//! `ferry serve`: the function's handler behind a local server, with a timer in the place of schedules.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use ferry::app::App;
use ferry::deadline::{Deadline, later};
use ferry::failure::chain;
use ferry::invocation::{self, Request};
use ferry::queue::{Local, Queue, Stored};
use ferry::resync::{self, Outcome};
use ferry::{subscription, webhook};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// A little more than the handler takes, so that it is the one who says that a body is too large.
const BODY_LIMIT: usize = webhook::MAX_BODY + 1024;

/// How long to leave a queue alone that cannot be read.
const QUEUE_PAUSE: Duration = Duration::from_secs(60);

/// How long to look away from an empty queue: a webhook is in the catalogue this much later at most.
const LOOK: Duration = Duration::from_millis(200);

const REQUESTS_AT_ONCE: usize = 64;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until a signal comes, then lets what is in hand come to its end.
pub(crate) async fn run(mut app: App, port: u16) -> anyhow::Result<()> {
    if app.queue.is_none() {
        let local = Local::open(app.store.clone(), app.clock.clone()).await;
        app.queue = Some(Queue::Local(local.context("cannot open the queue")?));
    }
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))?;
    let address = listener.local_addr()?;
    let app = &app;
    let (stop, stopped) = watch::channel(false);
    let (questions, asked) = mpsc::channel(REQUESTS_AT_ONCE);
    let router = axum::Router::new()
        .fallback(ask)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state((questions, Arc::from(app.config.path_prefix.as_str())));
    let mut until = stopped.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        until.wait_for(|stopped| *stopped).await.ok();
    });
    tracing::info!(%address, "serving");
    let work = async {
        tokio::join!(
            server.into_future(),
            answers(app, asked),
            events(app, stopped.clone()),
            resyncs(app, stopped.clone()),
        )
        .0
    };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        ended = &mut work => return ended.context("the server stopped"),
        signal = signal() => tracing::info!(signal, "stopping"),
    }
    stop.send_replace(true);
    // What is not done by then is done again: messages come back, a run goes on where it was saved.
    match tokio::time::timeout(app.config.shutdown_wait, work).await {
        Ok(ended) => ended.context("the server stopped"),
        Err(_) => Ok(()),
    }
}

/// A request, and where its answer is waited for. The server's tasks are many; the flows run in one.
type Question = (Request, oneshot::Sender<invocation::Response>);

async fn ask(
    State((questions, prefix)): State<(mpsc::Sender<Question>, Arc<str>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    let request = Request {
        method,
        // Probes come without the prefix, what passes a proxy may come with it.
        path: match uri.path().strip_prefix(&*prefix) {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => uri.path().to_owned(),
        },
        headers,
        body: body.to_vec(),
    };
    let (reply, answer) = oneshot::channel();
    let stopped = StatusCode::SERVICE_UNAVAILABLE;
    questions
        .send((request, reply))
        .await
        .map_err(|_| stopped)?;
    let answer = answer.await.map_err(|_| stopped)?;
    let mut response = Response::new(Body::from(answer.body()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers();
    Ok(response)
}

async fn answers(app: &App, asked: mpsc::Receiver<Question>) {
    stream::unfold(asked, |mut asked| async {
        asked.recv().await.map(|question| (question, asked))
    })
    .for_each_concurrent(REQUESTS_AT_ONCE, |(request, reply)| async move {
        let deadline = Deadline::after(&app.clock, PATIENCE);
        let answer = invocation::route(app, &request, &deadline).await;
        // Whoever has gone away needs no answer.
        reply.send(answer).ok();
    })
    .await;
}

/// Works the queue off, as Lambda would call for it.
async fn events(app: &App, stopped: watch::Receiver<bool>) {
    let Some(Queue::Local(queue)) = &app.queue else {
        // A queue in SQS is worked off by the function that it invokes.
        return;
    };
    loop {
        match work_off(app, queue).await {
            Ok(0) if *stopped.borrow() => return,
            Ok(0) => tokio::time::sleep(LOOK).await,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "queue not worked off");
                if *stopped.borrow() {
                    return;
                }
                tokio::time::sleep(QUEUE_PAUSE).await;
            }
        }
    }
}

async fn work_off(app: &App, queue: &Local) -> anyhow::Result<usize> {
    let received = queue.receive().await?;
    if received.is_empty() {
        return Ok(0);
    }
    let message = |(receipt, message): &(String, Stored)| webhook::Received {
        id: receipt.clone(),
        line: message.line.clone(),
        body: message.body.clone(),
        receives: message.receives,
        receipt: receipt.clone(),
    };
    let messages: Vec<webhook::Received> = received.iter().map(message).collect();
    let deadline = Deadline::after(&app.clock, Duration::from_secs(600));
    let again = webhook::work_off(app, &messages, &deadline).await;
    let done = messages.into_iter().map(|message| message.receipt);
    let done: Vec<String> = done.filter(|receipt| !again.contains(receipt)).collect();
    queue.complete(&done).await?;
    Ok(received.len())
}

/// A resync at the start and at each interval, with ticks in between: Port is asked whether it wants one, and an
/// unfinished one is continued.
async fn resyncs(app: &App, mut stopped: watch::Receiver<bool>) {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let tick = app.config.poll_interval;
    let next = |app: &App| {
        let interval = app.config.resync_interval?;
        Some(later(app.clock.now(), interval))
    };
    let mut due = match app.config.resync_on_start {
        true => Some(app.clock.now()),
        false => next(app),
    };
    loop {
        let is_due = due.is_some_and(|due| due <= app.clock.now());
        if let Some(base) = &app.config.base_url {
            subscription::keep(app, base, is_due, &deadline).await;
        }
        let outcome = if is_due {
            due = next(app);
            resync::resync(app, "scheduled", &deadline).await
        } else {
            resync::tick(app, &deadline).await
        };
        let wait = match outcome {
            Ok(Outcome::Paused {
                not_before: Some(not_before),
                ..
            }) => Duration::try_from(not_before.duration_since(app.clock.now()))
                .unwrap_or_default()
                .min(tick),
            Ok(_) => tick,
            Err(failure) => {
                let (error, error_type) = (chain(&failure), failure.error_type());
                tracing::error!(error, error_type, "resync failed");
                tick
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// What a terminal or a container runtime sends to end a process.
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    }
}
