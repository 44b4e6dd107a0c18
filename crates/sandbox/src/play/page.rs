//! The page and its two routes: what there is to see as server-sent events, what somebody does as JSON.
//!
//! The sandbox is for who sits at this machine. Other pages in the same browser are kept out, by the host they name and by
//! their origin: a name that leads here does not make a request ours (DNS rebinding).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Action, Playground};

const PAGE: &str = include_str!("page.html");

/// Nothing but what the page holds, and its own server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Bytes of an action; a mapping is the largest.
const MAX_ACTION: usize = 1 << 20;

/// What changes within this time is shown at once.
const FRAME: Duration = Duration::from_millis(40);

/// Port changes without saying so; somebody looks this often.
const GLANCE: Duration = Duration::from_millis(200);

/// Serves the page to this machine.
pub(crate) async fn serve(
    listener: TcpListener,
    playground: Arc<Playground>,
) -> std::io::Result<()> {
    let port = listener.local_addr()?.port();
    let app = Router::new().fallback(move |request: Request| {
        let playground = Arc::clone(&playground);
        async move { answer(playground, port, request).await }
    });
    axum::serve(listener, app).await
}

async fn answer(playground: Arc<Playground>, port: u16, request: Request) -> Response {
    if let Err(why) = admit(request.method(), request.headers(), port) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => page(),
        (&Method::GET, "/events") => {
            let watcher = Watcher::new(playground);
            let events = stream::unfold(watcher, Watcher::next);
            Sse::new(events)
                .keep_alive(KeepAlive::default())
                .into_response()
        }
        (&Method::POST, "/act") => act(&playground, request.into_body()).await,
        (_, "/" | "/events" | "/act") => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE).into_response()
}

async fn act(playground: &Arc<Playground>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, MAX_ACTION).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let action: Action = match serde_json::from_slice(&body) {
        Ok(action) => action,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    // A refusal is an answer, and no error of the page.
    let answer = match playground.act(action).await {
        Ok(notes) => json!({"refused": null, "notes": notes}),
        Err(refused) => json!({"refused": refused, "notes": []}),
    };
    axum::Json(answer).into_response()
}

/// Whether a request comes from this page, or from somebody at this machine who is no page.
fn admit(method: &Method, headers: &HeaderMap, port: u16) -> Result<(), &'static str> {
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let is_own = |host: &str| own.iter().any(|own| own == host);
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = headers.get(header::HOST).map(text).unwrap_or_default();
    if !is_own(&host) {
        return Err("the sandbox answers to 127.0.0.1 and localhost, and to no other name");
    }
    if *method == Method::GET {
        return Ok(());
    }
    let origin = headers.get(header::ORIGIN).map(text);
    if origin.is_some_and(|origin| origin != format!("http://{host}")) {
        return Err("the sandbox does nothing for other pages");
    }
    // A form of another page cannot send this without asking first.
    match headers.get(header::CONTENT_TYPE).map(text).as_deref() {
        Some("application/json") => Ok(()),
        _ => Err("an action is application/json"),
    }
}

/// Somebody who looks at the page, and what they have seen.
struct Watcher {
    playground: Arc<Playground>,
    changed: watch::Receiver<()>,
    entries: u64,
    view: String,
    is_new: bool,
}

impl Watcher {
    fn new(playground: Arc<Playground>) -> Watcher {
        Watcher {
            changed: playground.changed.subscribe(),
            playground,
            entries: 0,
            view: String::new(),
            is_new: true,
        }
    }

    /// What they have not seen, as soon as there is something.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Watcher)> {
        loop {
            if !std::mem::take(&mut self.is_new) {
                self.wait().await;
            }
            let (entries, last) = self.playground.stream.after(self.entries);
            let view = self.playground.view();
            let text = view.to_string();
            if entries.is_empty() && text == self.view {
                continue;
            }
            self.entries = last;
            self.view = text;
            let event =
                Event::default().data(json!({"entries": entries, "view": view}).to_string());
            return Some((Ok(event), self));
        }
    }

    async fn wait(&mut self) {
        let port = self.playground.outside.port.server();
        let before = port.count();
        loop {
            tokio::select! {
                changed = self.changed.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    return tokio::time::sleep(FRAME).await;
                }
                () = tokio::time::sleep(GLANCE) => {
                    if port.count() != before {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        admit(&method, &map, 4300).is_ok()
    }

    #[test]
    fn only_this_machine_under_its_own_name_sees_the_page() {
        assert!(admitted(Method::GET, &[("host", "127.0.0.1:4300")]));
        assert!(admitted(Method::GET, &[("host", "localhost:4300")]));
        for host in [
            "evil.example:4300",
            "127.0.0.1:4301",
            "127.0.0.1",
            "localhost:4300.evil.example",
        ] {
            assert!(!admitted(Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!admitted(Method::GET, &[]));
    }

    #[test]
    fn other_pages_change_nothing() {
        let (host, json) = (
            ("host", "localhost:4300"),
            ("content-type", "application/json"),
        );
        let from = |origin| ("origin", origin);
        assert!(admitted(
            Method::POST,
            &[host, json, from("http://localhost:4300")]
        ));
        // curl names no origin.
        assert!(admitted(Method::POST, &[host, json]));
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:4300",
            "https://localhost:4300",
        ] {
            assert!(
                !admitted(Method::POST, &[host, json, from(origin)]),
                "{origin}"
            );
        }
        for form in ["text/plain", "application/x-www-form-urlencoded"] {
            assert!(
                !admitted(Method::POST, &[host, ("content-type", form)]),
                "{form}"
            );
        }
        assert!(!admitted(Method::POST, &[host]));
    }
}
