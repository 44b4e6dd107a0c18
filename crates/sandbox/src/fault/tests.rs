//! Each fault as a client meets it, over a real connection.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::server::Server;

/// Counts what it does and says how often it did it.
async fn counter() -> (Server, Arc<AtomicUsize>) {
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let server = Server::start(move |_| {
        let done = counted.fetch_add(1, Ordering::SeqCst) + 1;
        Response::json(200, &json!({"done": done, "padding": "x".repeat(100)}))
    });
    (server.await.unwrap(), done)
}

fn client() -> reqwest::Client {
    let redirect = reqwest::redirect::Policy::none();
    let client = crate::loopback::fixture::client().redirect(redirect);
    client.timeout(Duration::from_millis(500)).build().unwrap()
}

async fn get(server: &Server, path: &str) -> reqwest::Result<(u16, String)> {
    let url = format!("{}{path}", server.url());
    let response = client().get(url).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

async fn statuses(server: &Server, path: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(get(server, path).await.unwrap().0);
    }
    statuses
}

/// All bytes of the answer to one request.
async fn raw(server: &Server) -> Vec<u8> {
    let address = server.url().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ended = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_fault_comes_when_it_is_said_to() {
    let (server, _) = counter().await;
    for (fault, expected) in [
        (Fault::status("/a", 503), [503, 200, 200, 200, 200]),
        (Fault::status("/a", 503).times(2), [503, 503, 200, 200, 200]),
        (Fault::status("/a", 503).nth(3), [200, 200, 503, 200, 200]),
        (
            Fault::status("/a", 503).after(1).times(2),
            [200, 503, 503, 200, 200],
        ),
        (Fault::status("/a", 503).always(), [503; 5]),
        (
            Fault::status("/a", 503).always().chance(0.5, 3),
            [503, 200, 200, 503, 503],
        ),
    ] {
        let shown = format!("{fault:?}");
        server.misbehave(fault);
        assert_eq!(statuses(&server, "/a", 5).await, expected, "{shown}");
        server.behave();
    }
}

#[tokio::test]
async fn a_fault_comes_to_the_requests_it_is_for() {
    let (server, _) = counter().await;
    let encoded = "/r/%7B1%7D/pullrequests/7?q=id%3D7%20OR%20id%3D8";
    for (fault, expected) in [
        (Fault::status("%7B1%7D/pull", 500), 500),
        (Fault::status("{1}/pullrequests/7", 500).at_end(), 500),
        (Fault::status("pullrequests/7?q=id=7 OR", 500), 500),
        (
            Fault::status("pullrequests", 500).with_query("q", "id=8"),
            500,
        ),
        (
            Fault::status("pullrequests", 500).when(|it| it.query.len() == 1),
            500,
        ),
        (Fault::status("pullrequests", 500).on(Method::POST), 200),
        (Fault::status("/pullrequests", 500).at_end(), 200),
        (
            Fault::status("pullrequests", 500).with_query("q", "id=9"),
            200,
        ),
        (
            Fault::status("pullrequests", 500).with_query("fields", "id"),
            200,
        ),
        (Fault::status("pullrequests", 500).with_body("{"), 200),
        (
            Fault::status("pullrequests", 500).when(|it| it.query.is_empty()),
            200,
        ),
    ] {
        let shown = format!("{fault:?}");
        server.misbehave(fault);
        assert_eq!(get(&server, encoded).await.unwrap().0, expected, "{shown}");
        assert_eq!(server.unused_faults().len(), usize::from(expected == 200));
        server.behave();
    }
}

#[tokio::test]
async fn a_connection_closes_before_a_byte_with_the_work_done_or_not() {
    let (server, done) = counter().await;
    for (kind, expected) in [(FaultKind::Refuse, 0), (FaultKind::Reset, 1)] {
        server.misbehave(Fault::new("/", kind.clone()).times(2));
        assert_eq!(raw(&server).await, b"", "{kind:?}");
        assert!(
            get(&server, "/").await.unwrap_err().is_request(),
            "{kind:?}"
        );
        assert_eq!(done.swap(0, Ordering::SeqCst), expected * 2, "{kind:?}");
    }
    assert_eq!(get(&server, "/").await.unwrap().0, 200);
}

#[tokio::test]
async fn an_answer_is_cut_in_the_body_or_says_half_of_its_json() {
    let (server, done) = counter().await;
    server.misbehave(Fault::new("/", FaultKind::Truncate));
    let error = get(&server, "/").await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    server.misbehave(Fault::new("/", FaultKind::half_json()));
    let (status, body) = get(&server, "/").await.unwrap();
    assert_eq!((status, body.starts_with("{\"done\":")), (200, true));
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_never_comes() {
    let (server, done) = counter().await;
    server.misbehave(Fault::new("/", FaultKind::Hang));
    assert!(get(&server, "/").await.unwrap_err().is_timeout());
    assert_eq!(done.load(Ordering::SeqCst), 0);
    assert_eq!(get(&server, "/").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_slow_answer_takes_the_time_of_the_simulated_clock() {
    let (server, _) = counter().await;
    let passed = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&passed);
    server.pass_time_with(move |delay| {
        clock.fetch_add(delay.as_secs(), Ordering::SeqCst);
    });
    // Slowness does not keep what comes after it away.
    server.misbehave(Fault::slow("/a", 3_600));
    server.misbehave(Fault::status("/a", 503).nth(2));
    assert_eq!(statuses(&server, "/a", 3).await, [200, 503, 200]);
    assert_eq!(statuses(&server, "/b", 1).await, [200]);
    assert_eq!(passed.load(Ordering::SeqCst), 3 * 3_600);
}

#[tokio::test]
async fn something_happens_before_the_answer() {
    let (server, done) = counter().await;
    let act = FaultKind::before(move |request| {
        assert_eq!(request.path, "/a");
        done.fetch_add(10, Ordering::SeqCst);
    });
    server.misbehave(Fault::new("/a", act).nth(2));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let body: Value = serde_json::from_str(&get(&server, "/a").await.unwrap().1).unwrap();
        seen.push(body["done"].as_u64().unwrap());
    }
    assert_eq!(seen, [1, 12, 13]);
}

#[tokio::test]
async fn a_refusal_speaks_the_language_of_the_service() {
    let (server, done) = counter().await;
    for (path, status, expected) in [
        ("/2.0/x", 401, "not supported for this endpoint"),
        ("/2.0/x", 503, r#""type":"error""#),
        ("/2.0/x", 429, "Rate limit for this resource"),
        ("/v1/x", 401, r#""error":"unauthorized""#),
        ("/v1/x", 500, r#""ok":false"#),
        ("/hook", 503, ""),
    ] {
        server.misbehave(Fault::refused("", status));
        let (answered, body) = get(&server, path).await.unwrap();
        assert_eq!(answered, status);
        assert!(body.contains(expected), "{path} {status}: {body}");
    }
    assert_eq!(done.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_and_bodies_of_strange_answers() {
    let (server, _) = counter().await;
    for (kind, status, header, body) in [
        (
            FaultKind::rate_limited(Some(7)),
            429,
            ("retry-after", "7"),
            "Rate",
        ),
        (
            FaultKind::rate_limited_until(9),
            429,
            ("x-ratelimit-reset", "9"),
            "{",
        ),
        (
            FaultKind::html(200),
            200,
            ("content-type", "text/html"),
            "<!DOCTYPE",
        ),
        (
            FaultKind::empty(204),
            204,
            ("content-type", "text/plain"),
            "",
        ),
        (FaultKind::redirect(302, "/z"), 302, ("location", "/z"), ""),
    ] {
        server.misbehave(Fault::new("/2.0/", kind));
        let url = format!("{}/2.0/x", server.url());
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let (name, value) = header;
        assert_eq!(answer.headers()[name], value);
        let text = answer.text().await.unwrap();
        assert!(text.starts_with(body), "{text}");
    }
    let met = server.met_faults();
    assert_eq!(met.first().unwrap(), "GET /2.0/x: 429 after Some(7)");
    assert_eq!(met.len(), 5);
}

fn request(path: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: if body.is_null() {
            Method::GET
        } else {
            Method::POST
        },
        path: path.to_owned(),
        query: query
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
        headers: axum::http::HeaderMap::new(),
        body: axum::body::Bytes::from(body.to_string()),
        base: String::new(),
    }
}

fn drawn(faults: RandomFaults, request: &Request, count: usize) -> Vec<String> {
    let mut faults = Faults::from(faults);
    let draws = (0..count).map(|_| shown(&faults.take(request)));
    draws.collect()
}

fn shown(kinds: &[FaultKind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    kinds.join(", ")
}

#[test]
fn random_faults_repeat_whatever_else_is_under_way() {
    let list = request("/2.0/repositories/acme", &Value::Null);
    let alone = drawn(Faults::random(7, 0.3), &list, 50);
    let mut among_others = Faults::from(Faults::random(7, 0.3));
    let draws = (0..50).map(|n| {
        among_others.take(&request(
            &format!("/2.0/repositories/acme?page={n}"),
            &Value::Null,
        ));
        shown(&among_others.take(&list))
    });
    assert_eq!(draws.collect::<Vec<_>>(), alone);
    assert_ne!(drawn(Faults::random(8, 0.3), &list, 50), alone);
    let none = alone.iter().filter(|kind| kind.is_empty()).count();
    assert!((25..45).contains(&none), "{none} of 50 without a fault");
    assert!(
        drawn(Faults::random(7, 0.0), &list, 50)
            .iter()
            .all(|kind| kind.is_empty())
    );
}

#[test]
fn random_faults_are_of_every_class_and_fit_the_request() {
    let bulk = json!({"entities": [{"identifier": "a"}, {"identifier": "b"}]});
    let all = |faults: RandomFaults, request: &Request| -> std::collections::BTreeSet<String> {
        drawn(faults, request, 2_000).into_iter().collect()
    };
    let list = request("/2.0/repositories/acme?q=x", &Value::Null);
    let single = request("/2.0/repositories/acme/%7B1%7D", &Value::Null);
    let writes = request("/v1/blueprints/b/entities/bulk", &bulk);
    let token = request("/v1/auth/access_token", &json!({"clientId": "x"}));
    let elsewhere = request("/queue", &Value::Null);
    let of = |class, request| all(Faults::random(1, 1.0).only([class]), request);
    for (class, request, expected) in [
        (Class::Part, &list, "refused 400, refused 403, refused 404"),
        (Class::Part, &single, ""),
        (Class::Part, &writes, "refused 403, refused 404"),
        (Class::Credentials, &list, "refused 401"),
        (Class::Credentials, &token, ""),
        (Class::Value, &writes, "refused 422"),
        (Class::Value, &list, ""),
        (Class::Item, &writes, "b 422"),
        (Class::Later, &elsewhere, ""),
    ] {
        let found: Vec<String> = of(class, request).into_iter().collect();
        assert_eq!(found.join(", "), expected, "{class:?} {}", request.path);
    }
    assert_eq!(of(Class::Later, &single).len(), 12);
    assert_eq!(of(Class::Later, &writes).len(), 18);
    let everything = all(Faults::random(1, 1.0), &writes);
    assert_eq!(everything.len(), 18 + 5);
}
