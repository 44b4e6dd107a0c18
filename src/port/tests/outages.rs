//! What a call that fails as a whole costs, and what is not begun at all.

use sandbox::server::{Fault, FaultKind};

use super::upserts::{batches, letters};
use super::*;

/// A server that fails whenever a call holds the entity `bad`.
async fn fragile(status: u16, bad: &'static [&'static str]) -> Port {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut state = port.state();
    state.bad = bad.to_vec();
    state.bad_status = status;
    drop(state);
    port
}

#[tokio::test]
async fn whatever_a_call_of_many_meets_costs_only_the_entity_that_is_to_blame() {
    for (status, letter) in [
        (400, 'r'),
        (403, 'r'),
        (413, 'r'),
        (422, 'r'),
        (500, 'l'),
        (502, 'l'),
        (503, 'l'),
        // Garbage.
        (200, 'l'),
    ] {
        let port = fragile(status, &["7"]).await;
        let client = port.client.once();
        let report = client
            .upsert(&many(20), &live(true), &port.deadline())
            .await;
        let expected = format!("{}{letter}{}", "w".repeat(7), "w".repeat(12));
        assert_eq!(letters(&report), expected, "{status}");
        assert!(report.stopped.is_none());
        assert_eq!(batches(&port).len(), 21, "each once, without repetition");
        assert_eq!(port.state().entities.len(), 19);
    }
}

#[tokio::test]
async fn an_outage_stops_the_rest_after_two() {
    for status in [500, 503, 200] {
        let port = fragile(status, &["*"]).await;
        let report = port
            .client
            .once()
            .upsert(&many(60), &live(true), &port.deadline())
            .await;
        assert_eq!(letters(&report), "l".repeat(60), "{status}");
        assert_eq!(
            report.stopped.as_ref().map(Error::class),
            Some(Class::Later)
        );
        // Three calls were under way, and then as many entities alone, until the second had failed.
        assert!(batches(&port).len() <= 8);
    }
}

#[tokio::test]
async fn a_limit_or_refused_credentials_stop_all_at_once() {
    let busy = Response::json(429, &json!({})).with_header("retry-after", 7);
    let denied = Response::json(401, &json!({}));
    for (answer, class, wait) in [
        (busy, Class::Later, Some(Duration::from_secs(7))),
        (denied, Class::Credentials, None),
    ] {
        let port = Port::start(&[("b", json!({}))]).await;
        port.server
            .misbehave(Fault::new("bulk", FaultKind::Answer(answer)).always());
        let (options, deadline) = (live(true), port.deadline());
        let report = port
            .client
            .once()
            .upsert(&many(3), &options, &deadline)
            .await;
        let UpsertOutcome::Later(postponed) = &report.outcomes[0] else {
            panic!("{report:?}");
        };
        assert_eq!((postponed.class, postponed.wait), (class, wait));
        assert_eq!(report.stopped.unwrap().class(), class);
        assert!(batches(&port).len() <= 2, "a token is replaced once");
    }
}

#[tokio::test]
async fn an_outage_half_way_says_what_was_not_written() {
    let port = Port::start(&[("b", json!({})), ("c", json!({}))]).await;
    let mut entities = many(20);
    entities.extend((0..30).map(|at| entity("c", &at.to_string(), json!({}), json!({}))));
    port.server
        .misbehave(Fault::status("/c/entities/bulk", 503).always());
    let report = port
        .client
        .upsert(&entities, &live(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "w".repeat(20) + &"l".repeat(30));
    assert!(matches!(
        report.stopped,
        Some(Error::Unavailable {
            status: Some(503),
            ..
        })
    ));
}

#[tokio::test]
async fn under_the_pen_nothing_is_begun_that_may_outlast_the_lease() {
    let port = Port::start(&[("b", json!({}))]).await;
    let client = port.client.once();
    client.blueprint("b", &port.deadline()).await.unwrap();
    port.took();
    let before = port.clock.now();
    let late = Deadline::after(&port.clock, Duration::from_secs(10));
    let report = client.upsert(&many(30), &live(true), &late).await;
    assert_eq!(letters(&report), "l".repeat(30));
    assert!(matches!(report.stopped, Some(Error::OutOfTime { .. })));
    let deletion = client
        .delete(&keys(&[("b", "x")]), &deleting(true), &late)
        .await;
    assert!(matches!(deletion.outcomes[0], DeleteOutcome::Later(_)));
    let owned = client.owned_among(&keys(&[("b", "x")]), &late).await;
    assert!(matches!(owned, Err(Error::OutOfTime { .. })));
    assert_eq!(port.took(), Vec::<String>::new());

    let in_time = Deadline::after(&port.clock, Duration::from_millis(10_001));
    let report = client.upsert(&many(30), &live(true), &in_time).await;
    assert_eq!(letters(&report), "w".repeat(30));
    port.server.misbehave(Fault::status("bulk", 503).always());
    client.upsert(&many(1), &live(true), &in_time).await;
    assert_eq!(batches(&port).len(), 3, "no repetition");
    assert_eq!(port.clock.now(), before, "no sleep");
}
