//! A loopback HTTP server around a synchronous model: it records each request and misbehaves on demand.
//!
//! Knows nothing of Bitbucket or Port; a model is a function from [`Request`] to [`Response`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a free loopback port. It stops when the last clone is dropped.
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
    faults: Vec<Fault>,
    /// Requests that are still answered before the server falls silent for good.
    cut_after: Option<usize>,
    /// What every answer takes.
    latency: Option<Duration>,
    before_each: Option<Witness>,
}

type Witness = Arc<dyn Fn(&Request) + Send + Sync>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Still percent-encoded, with its leading slash.
    pub path: String,
    /// Decoded, in order, repeated names kept.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// `http://127.0.0.1:port` of the server that took it, for links in answers.
    pub base: String,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A misbehaviour waiting for the requests it applies to.
#[derive(Clone, Debug)]
pub struct Fault {
    method: Option<Method>,
    /// A part of the (encoded) path, or of `path?query` in decoded form.
    part: String,
    skip: usize,
    times: usize,
    kind: FaultKind,
    used: usize,
}

#[derive(Clone, Debug)]
pub enum FaultKind {
    /// This answer instead of the model's; the model does not see the request.
    Answer(Response),
    /// The model acts, its answer is cut in the middle and the connection closed.
    Truncate,
    /// The model acts, but the connection is closed before an answer.
    Reset,
    /// The model does not act; the connection is closed.
    Refuse,
}

impl Fault {
    pub fn new(part: impl Into<String>, kind: FaultKind) -> Fault {
        Fault {
            method: None,
            part: part.into(),
            skip: 0,
            times: 1,
            kind,
            used: 0,
        }
    }

    /// Answers `status` with an empty JSON object.
    pub fn status(part: impl Into<String>, status: u16) -> Fault {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Fault::new(
            part,
            FaultKind::Answer(Response::json(status.as_u16(), &json!({}))),
        )
    }

    #[must_use]
    pub fn on(mut self, method: Method) -> Fault {
        self.method = Some(method);
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn after(mut self, count: usize) -> Fault {
        self.skip = count;
        self
    }

    #[must_use]
    pub fn times(mut self, count: usize) -> Fault {
        self.times = count;
        self
    }

    #[must_use]
    pub fn always(self) -> Fault {
        self.times(usize::MAX)
    }

    fn take(&mut self, request: &Request) -> Option<FaultKind> {
        let method = self
            .method
            .as_ref()
            .is_none_or(|method| *method == request.method);
        if !method
            || self.times == 0
            || !(request.path.contains(&self.part) || request.target().contains(&self.part))
        {
            return None;
        }
        if 0 < self.skip {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        self.used += 1;
        Some(self.kind.clone())
    }
}

impl Server {
    /// Serves `model` on a free port of 127.0.0.1.
    pub async fn start(
        model: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot bind a loopback port")?;
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

    pub fn misbehave(&self, fault: Fault) {
        self.log().faults.push(fault);
    }

    /// Forgets all faults, used or not, and answers again.
    pub fn behave(&self) {
        let mut log = self.log();
        log.faults.clear();
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
        self.log()
            .faults
            .iter()
            .filter(|fault| fault.used == 0)
            .map(|fault| format!("{fault:?}"))
            .collect()
    }

    /// All requests since the start or the last [`take_requests`](Server::take_requests), oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.log().requests.clone()
    }

    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.log().requests)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    /// Decoded path segments: `/a/b%2Fc/` is `["a", "b/c", ""]`.
    pub fn segments(&self) -> Vec<String> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn query_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `path?a=b&c=d`, decoded, for messages and matching.
    pub fn target(&self) -> String {
        let path = percent_decode_str(&self.path).decode_utf8_lossy();
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if query.is_empty() {
            path.into_owned()
        } else {
            format!("{path}?{}", query.join("&"))
        }
    }
}

impl Response {
    pub fn json(status: u16, body: &Value) -> Response {
        Response::bytes(status, "application/json", body.to_string().into_bytes())
    }

    pub fn text(status: u16, body: &str) -> Response {
        Response::bytes(status, "text/plain", body.as_bytes().to_vec())
    }

    pub fn empty(status: u16) -> Response {
        Response::bytes(status, "text/plain", Vec::new())
    }

    pub fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Response {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl ToString) -> Response {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

async fn answer(
    model: &(impl Fn(&Request) -> Response + ?Sized),
    log: &Mutex<Log>,
    base: String,
    request: axum::extract::Request,
) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(decode_pair)
            .collect(),
        headers: parts.headers,
        body,
        base,
    };
    let (latency, before_each) = {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        (log.latency, log.before_each.clone())
    };
    if let Some(act) = before_each {
        act(&request);
    }
    if let Some(latency) = latency {
        tokio::time::sleep(latency).await;
    }
    let fault = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.requests.push(request.clone());
        match &mut log.cut_after {
            Some(0) => Some(FaultKind::Refuse),
            cut => {
                if let Some(left) = cut {
                    *left -= 1;
                }
                log.faults.iter_mut().find_map(|fault| fault.take(&request))
            }
        }
    };
    match fault {
        None => into_axum(model(&request)),
        Some(FaultKind::Answer(response)) => into_axum(response),
        Some(FaultKind::Truncate) => truncated(&model(&request)),
        Some(FaultKind::Reset) => {
            model(&request);
            broken()
        }
        Some(FaultKind::Refuse) => broken(),
    }
}

fn decode_pair(pair: &str) -> (String, String) {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(key), decode(value))
}

fn into_axum(response: Response) -> axum::response::Response {
    let mut answer = axum::response::Response::new(Body::from(response.body));
    *answer.status_mut() = response.status;
    for (name, value) in response.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// Half of the body under the length of the whole: the client sees the connection end too early.
fn truncated(response: &Response) -> axum::response::Response {
    let half = Bytes::copy_from_slice(
        response
            .body
            .get(..response.body.len() / 2)
            .unwrap_or_default(),
    );
    let chunks = [Ok(half), Err(std::io::Error::other("cut on demand"))];
    let mut answer =
        axum::response::Response::new(Body::from_stream(futures_util::stream::iter(chunks)));
    *answer.status_mut() = response.status;
    answer
}

/// An answer whose first body byte already fails; the connection closes.
fn broken() -> axum::response::Response {
    let chunks = [Err::<Bytes, _>(std::io::Error::other("closed on demand"))];
    axum::response::Response::new(Body::from_stream(futures_util::stream::iter(chunks)))
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
