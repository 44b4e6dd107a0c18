//! Every status and fault of Port against the table of classes, and how often each is tried in place.

use sandbox::server::{Fault, FaultKind};

use super::*;

/// What a read of a blueprint comes to, patiently and under the pen, and how many requests each took.
async fn classes(fault: FaultKind) -> [(Class, usize); 2] {
    let mut seen = Vec::new();
    for once in [false, true] {
        let port = Port::start(&[("b", json!({}))]).await;
        let client = if once {
            port.client.once()
        } else {
            port.client.clone()
        };
        client.integration(&port.deadline()).await.unwrap();
        port.took();
        port.server
            .misbehave(Fault::new("blueprints/b", fault.clone()).always());
        let error = client.blueprint("b", &port.deadline()).await.unwrap_err();
        seen.push((error.class(), port.took().len()));
    }
    [seen[0], seen[1]]
}

#[tokio::test]
async fn every_status_and_fault_has_its_class() {
    let status = |status: u16, code: &str| FaultKind::Answer(refusal(status, code));
    let body = |status: u16, text: &str| FaultKind::Answer(Response::text(status, text));
    for (what, fault, class, tries) in [
        ("400", status(400, "bad"), Class::Part, 1),
        (
            "being set up",
            status(400, "integration_is_in_progress"),
            Class::Later,
            1,
        ),
        // The token is replaced once.
        ("401", status(401, "unauthorized"), Class::Credentials, 2),
        ("403", status(403, "missing_permissions"), Class::Part, 1),
        ("404", status(404, "not_found"), Class::Part, 1),
        ("408", status(408, ""), Class::Later, 11),
        ("409", status(409, "identifier_taken"), Class::Part, 1),
        ("410", status(410, ""), Class::Part, 1),
        ("413", status(413, ""), Class::Part, 1),
        ("422", status(422, "invalid_request"), Class::Part, 1),
        ("429", status(429, ""), Class::Later, 11),
        ("500", status(500, ""), Class::Later, 2),
        ("501", status(501, ""), Class::Later, 1),
        ("502", status(502, ""), Class::Later, 11),
        ("503", status(503, ""), Class::Later, 11),
        ("504", status(504, ""), Class::Later, 11),
        ("555", status(555, ""), Class::Later, 1),
        ("304", body(304, ""), Class::Later, 1),
        ("204", body(204, ""), Class::Later, 2),
        ("HTML", body(200, "<html>"), Class::Later, 2),
        ("another shape", body(200, "[]"), Class::Later, 2),
        ("half a body", FaultKind::Truncate, Class::Later, 11),
        ("reset", FaultKind::Reset, Class::Later, 11),
        ("refused", FaultKind::Refuse, Class::Later, 11),
    ] {
        let under_the_pen = tries.min(if what == "401" { 2 } else { 1 });
        let expected = [(class, tries), (class, under_the_pen)];
        assert_eq!(classes(fault).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_defect_that_passes_is_not_noticed() {
    for fault in [
        FaultKind::Answer(refusal(500, "")),
        FaultKind::Answer(Response::text(200, "<html>")),
    ] {
        let port = Port::start(&[("b", json!({}))]).await;
        port.server.misbehave(Fault::new("blueprints/b", fault));
        port.client.blueprint("b", &port.deadline()).await.unwrap();
        assert_eq!(port.took().len(), 2);
    }
}

#[tokio::test]
async fn a_wait_says_when_to_come_back() {
    let port = Port::start(&[]).await;
    let busy = refusal(429, "").with_header("x-ratelimit-reset", 33);
    port.server
        .misbehave(Fault::new("integration", FaultKind::Answer(busy)).always());
    let client = port.client.once();
    let error = client.integration(&port.deadline()).await.unwrap_err();
    assert_eq!(error.wait(), Some(Duration::from_secs(33)));
    let failure = crate::failure::Failure::from(error);
    assert_eq!(failure.class(), Class::Later);
    assert_eq!(failure.wait(), Some(Duration::from_secs(33)));
}

/// Every header that Port sends, and some that it should not.
#[tokio::test]
async fn nobody_sleeps_for_long_where_sleep_is_paid_for() {
    let status =
        |status: u16, name: &str, value: &str| refusal(status, "").with_header(name, value);
    for (answer, most_seconds, most_tries, wait) in [
        // It is known when to come back: the run pauses until then.
        (status(429, "retry-after", "290"), 0, 1, Some(290)),
        (status(429, "x-ratelimit-reset", "60"), 0, 1, Some(60)),
        (status(429, "retry-after", "0"), 40, 11, None),
        (status(429, "x-ratelimit-reset", "0"), 40, 11, None),
        (
            status(429, "retry-after", "Mon, 23 Nov 2020 11:00:00 GMT"),
            40,
            11,
            None,
        ),
        (status(429, "retry-after", "1"), 11, 11, Some(1)),
        // Of a limit that was not met.
        (status(503, "x-ratelimit-reset", "290"), 40, 11, None),
        (status(503, "retry-after", "290"), 30, 4, None),
    ] {
        let port = Port::start(&[]).await;
        let http = Http::new(port.clock.clone()).unwrap();
        let settings = PortSettings {
            base_url: port.server.url().parse().unwrap(),
            client_id: "id".into(),
            client_secret: "the-secret".into(),
            identifier: "my-bb".into(),
        };
        let client = PortClient::new(http, settings);
        let shown = format!("{answer:?}");
        port.server
            .misbehave(Fault::new("integration", FaultKind::Answer(answer)).always());
        let before = port.clock.now();
        let error = client.integration(&port.deadline()).await.unwrap_err();
        let slept = port.clock.now().duration_since(before).as_secs();
        assert!(slept <= most_seconds, "{slept} s: {shown}");
        let tries = port.took().len();
        assert!(tries <= most_tries, "{tries} tries: {shown}");
        // No tight loop: a second for each try, but for the first few.
        let least = i64::try_from(tries).unwrap() - 6;
        assert!(least <= slept, "{tries} tries in {slept} s: {shown}");
        assert_eq!(error.wait(), wait.map(Duration::from_secs), "{shown}");
    }
}
