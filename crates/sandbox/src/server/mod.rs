//! A loopback HTTP server around a synchronous model: it records each request and misbehaves on demand.
//!
//! Knows nothing of Bitbucket or Port; a model is a function from [`Request`] to [`Response`]. What goes wrong, and for which
//! request, is described in [`fault`](crate::fault).

mod message;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;

pub use self::message::{Request, Response};
pub use crate::fault::{Fault, FaultKind};

use crate::fault::Faults;
use crate::loopback;

/// A server on a loopback port. It stops when the last clone is dropped.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    faults: Faults,
    /// Requests that are still answered before the server falls silent for good.
    cut_after: Option<usize>,
    /// What every answer takes.
    latency: Option<Duration>,
    before_each: Option<Witness>,
    pass_time: Option<Hand>,
}

type Witness = Arc<dyn Fn(&Request) + Send + Sync>;

/// Moves a simulated clock.
type Hand = Arc<dyn Fn(Duration) + Send + Sync>;

/// What a simulated service makes of a request.
pub type Model = dyn Fn(&Request) -> Response + Send + Sync;

/// A handle that does not keep the server alive, for what the server itself holds.
pub(crate) struct WeakServer(Weak<Shared>);

impl Server {
    /// Serves `model` on a free port of 127.0.0.1.
    pub async fn start(
        model: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Server> {
        Server::start_at(0, model).await
    }

    /// The same on the given port; 0 is any free one.
    pub async fn start_at(
        port: u16,
        model: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Server> {
        let listener = loopback::listen(port).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let log = Arc::<Mutex<Log>>::default();
        let (model, base) = (Arc::new(model), url.clone());
        let state = Arc::clone(&log);
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let (model, state, base) = (Arc::clone(&model), Arc::clone(&state), base.clone());
            async move { answer(&*model, &state, base, request).await }
        });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the sandbox server stopped");
            }
        });
        Ok(Server {
            shared: Arc::new(Shared { url, log, task }),
        })
    }

    /// `http://127.0.0.1:port`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Adds a fault, or many. They are tried in this order, and the first that answers a request ends it.
    pub fn misbehave(&self, faults: impl Into<Faults>) {
        self.log().faults.extend(faults.into());
    }

    /// Forgets all faults, used or not, and answers again.
    pub fn behave(&self) {
        let mut log = self.log();
        log.faults = Faults::default();
        log.cut_after = None;
    }

    /// Answers `requests` more requests, then closes every connection without an answer until
    /// [`behave`](Server::behave).
    pub fn cut_after(&self, requests: usize) {
        self.log().cut_after = Some(requests);
    }

    /// Answers everything after `latency` from now on, for benches.
    pub fn answer_after(&self, latency: Duration) {
        self.log().latency = Some(latency);
    }

    /// Calls `act` before each answer, to let simulated time pass.
    pub fn before_each(&self, act: impl Fn(&Request) + Send + Sync + 'static) {
        self.log().before_each = Some(Arc::new(act));
    }

    /// Requests since they were taken last.
    pub fn count(&self) -> usize {
        self.log().requests.len()
    }

    /// Faults that no request has met, for a harness that wants none left over.
    pub fn unused_faults(&self) -> Vec<String> {
        self.log().faults.unused()
    }

    /// Every fault that a request has met, oldest first: `GET /2.0/..: slow by 5 s`. [`behave`](Server::behave) forgets them.
    pub fn met_faults(&self) -> Vec<String> {
        self.log().faults.met().to_vec()
    }

    /// How a [`FaultKind::Slow`] answer passes its time: give it the hand of the simulated clock. Without one it sleeps.
    pub fn pass_time_with(&self, hand: impl Fn(Duration) + Send + Sync + 'static) {
        self.log().pass_time = Some(Arc::new(hand));
    }

    /// All requests since the start or the last [`take_requests`](Server::take_requests), oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.log().requests.clone()
    }

    /// Those that came after the first `known`, which were not taken.
    pub fn requests_after(&self, known: usize) -> Vec<Request> {
        let log = self.log();
        log.requests.get(known..).unwrap_or_default().to_vec()
    }

    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.log().requests)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.shared.log)
    }

    pub(crate) fn downgrade(&self) -> WeakServer {
        WeakServer(Arc::downgrade(&self.shared))
    }
}

impl WeakServer {
    /// The server, if it still runs.
    pub(crate) fn upgrade(&self) -> Option<Server> {
        Some(Server {
            shared: self.0.upgrade()?,
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    model: &Model,
    log: &Mutex<Log>,
    base: String,
    request: axum::extract::Request,
) -> axum::response::Response {
    let request = wire::read(request, base).await;
    let (latency, before_each) = {
        let log = lock(log);
        (log.latency, log.before_each.clone())
    };
    if let Some(act) = before_each {
        act(&request);
    }
    if let Some(latency) = latency {
        tokio::time::sleep(latency).await;
    }
    let (kinds, pass_time) = {
        let mut log = lock(log);
        log.requests.push(request.clone());
        (log.troubles(&request), log.pass_time.clone())
    };
    for kind in kinds {
        match kind {
            FaultKind::Before(act) => act.run(&request),
            FaultKind::Slow(delay) => match &pass_time {
                Some(pass) => pass(delay),
                None => tokio::time::sleep(delay).await,
            },
            FaultKind::Answer(response) => return wire::whole(response),
            FaultKind::Instead(act) => return wire::whole(act.run(&request, model)),
            FaultKind::Truncate => return wire::truncated(model(&request)),
            FaultKind::Reset => {
                model(&request);
                return wire::closed();
            }
            FaultKind::Refuse => return wire::closed(),
            FaultKind::Hang => return std::future::pending().await,
        }
    }
    wire::whole(model(&request))
}

impl Log {
    /// What happens to this request, in order; whatever answers it comes last.
    fn troubles(&mut self, request: &Request) -> Vec<FaultKind> {
        match &mut self.cut_after {
            Some(0) => return vec![FaultKind::Refuse],
            Some(left) => *left -= 1,
            None => {}
        }
        self.faults.take(request)
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often each `METHOD path` was requested, in order of the path, for snapshots.
pub fn tally(requests: &[Request]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for request in requests {
        *counts
            .entry(format!("{} {}", request.method, request.target()))
            .or_default() += 1;
    }
    let mut lines: Vec<String> = counts
        .into_iter()
        .map(|(line, count)| {
            if count == 1 {
                line
            } else {
                format!("{line} ×{count}")
            }
        })
        .collect();
    lines.sort();
    lines
}
