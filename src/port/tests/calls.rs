//! Token, user agent, repetitions, addresses, and the calls that are nothing else.

use reqwest::Method;
use sandbox::server::{Fault, FaultKind};

use super::*;

#[tokio::test]
async fn concurrent_callers_fetch_one_token_and_name_themselves() {
    let port = Port::start(&[("b", json!({}))]).await;
    let deadline = port.deadline();
    let (one, two) = futures_util::future::join(
        port.client.blueprint("b", &deadline),
        port.client
            .snapshot("b", &MappedFields::default(), &deadline),
    )
    .await;
    one.unwrap();
    two.unwrap();
    assert_eq!(port.state().tokens, 1);
    let version = env!("CARGO_PKG_VERSION");
    for request in port.server.take_requests() {
        let suffix = if request.path.ends_with("search") {
            "/exporter"
        } else {
            ""
        };
        let agent = format!("port-ocean/bitbucket-cloud/{version}/my-bb{suffix}");
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
        if !request.path.ends_with("access_token") {
            assert_eq!(request.header("authorization"), Some("Bearer token-1"));
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_early_and_a_short_one_halfway() {
    let port = Port::start(&[]).await;
    for (expires_in, still, renewed) in [(10_800, 10_739, 2), (10, 4, 2)] {
        let port = &port;
        port.state().expires_in = expires_in;
        let tokens = async || {
            port.client.resync_request(&port.deadline()).await.unwrap();
            port.state().tokens
        };
        port.clock.advance(Duration::from_secs(20_000));
        let first = tokens().await;
        port.clock.advance(Duration::from_secs(still));
        assert_eq!(tokens().await, first);
        port.clock.advance(Duration::from_secs(1));
        assert_eq!(tokens().await, first + renewed - 1);
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let port = Port::start(&[]).await;
    let deadline = port.deadline();
    port.server.misbehave(Fault::status("resync-request", 401));
    assert_eq!(port.client.resync_request(&deadline).await.unwrap(), None);
    assert_eq!(port.state().tokens, 2);

    port.server
        .misbehave(Fault::status("resync-request", 401).always());
    let error = port.client.resync_request(&deadline).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert_eq!(port.state().tokens, 3);
}

#[tokio::test]
async fn wrong_credentials_are_final_until_they_are_replaced() {
    let port = Port::start(&[]).await;
    let (client, deadline) = (&port.client, port.deadline());
    client.replace_credentials("id".into(), "a-wrong-secret".into());
    let error = client.resync_request(&deadline).await.unwrap_err();
    assert_eq!(error.class(), Class::Credentials);
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("OCEAN__PORT__CLIENT_SECRET"), "{shown}");
    assert!(shown.contains("t-1"), "{shown}");
    assert!(!shown.contains("a-wrong-secret"), "{shown}");
    assert_eq!(port.state().tokens, 1);
    client.replace_credentials("id".into(), "the-secret".into());
    client.resync_request(&deadline).await.unwrap();
}

#[tokio::test]
async fn a_wrong_address_is_not_taken_for_an_absent_entity() {
    let port = Port::start(&[("b", json!({}))]).await;
    let fault = Fault::status("access_token", 404).always();
    port.server.misbehave(fault);
    let deadline = port.deadline();
    let error = port.client.integration(&deadline).await.unwrap_err();
    assert!(format!("{:#}", anyhow::Error::new(error)).contains("OCEAN__PORT__BASE_URL"));
    let keys = keys(&[("b", "x")]);
    let deletion = port.client.delete(&keys, &deleting(true), &deadline).await;
    let DeleteOutcome::Later(postponed) = &deletion.outcomes[0] else {
        panic!("{deletion:?}");
    };
    assert_eq!(postponed.class, Class::Credentials);
}

#[tokio::test]
async fn an_unreadable_token_answer_is_not_shown() {
    let port = Port::start(&[]).await;
    let odd = Response::json(200, &json!({ "accessToken": "tok-very-secret" }));
    port.server
        .misbehave(Fault::new("access_token", FaultKind::Answer(odd)).always());
    let error = port.client.resync_request(&port.deadline()).await;
    let shown = format!("{:?}", error.unwrap_err());
    assert!(!shown.contains("tok-very-secret"), "{shown}");
}

/// Somebody repeats the fetching of the next token: whoever has a good one goes on.
#[tokio::test]
async fn a_token_that_is_fetched_holds_up_nobody_who_has_one() {
    let port = Port::start(&[("b", json!({}))]).await;
    let (client, deadline) = (port.client.once(), port.deadline());
    client.blueprint("b", &deadline).await.unwrap();
    let _fetching = port.client.inner.fetching.lock().await;
    client.fresh_blueprint("b", &deadline).await.unwrap();
}

#[tokio::test]
async fn waits_are_those_of_ocean() {
    let policy = crate::port::call::REPEATABLE;
    let golden: Value = serde_json::from_str(include_str!(
        "../../../tests/fixtures/vectors/port-golden.json"
    ))
    .unwrap();
    let expected = golden["backoff_port_client_seconds"].as_array().unwrap();
    assert_eq!(policy.max_retries, expected.len());
    for (exponent, expected) in expected.iter().enumerate() {
        let delay = policy.base_delay.as_secs_f64() * 2_f64.powi(i32::try_from(exponent).unwrap());
        assert!((delay - expected.as_f64().unwrap()).abs() < 1e-9);
        assert!(delay < policy.max_delay.as_secs_f64());
    }
}

#[tokio::test]
async fn reads_are_repeated_and_patches_are_not() {
    let port = Port::start(&[]).await;
    let deadline = port.deadline();
    port.server
        .misbehave(Fault::status("integration", 503).on(Method::GET).times(3));
    port.server
        .misbehave(Fault::new("integration", FaultKind::Refuse).on(Method::GET));
    assert!(port.client.integration(&deadline).await.unwrap().is_none());
    assert_eq!(port.took().len(), 5);

    let report = ResyncReport {
        status: ResyncStatus::Running,
        start: Some(at("2026-11-23T12:00:00.5Z")),
        end: None,
        next: None,
        interval_minutes: Some(60),
    };
    port.server
        .misbehave(Fault::status("integration", 503).on(Method::PATCH));
    let changes = json!({"title": "new"});
    let error = port.client.update_integration(&changes, &deadline).await;
    assert_eq!(error.unwrap_err().class(), Class::Later);
    assert_eq!(port.took().len(), 1);
    // How a run stands may be told twice; more than a second or two it is not worth.
    port.server.misbehave(
        Fault::status("resync-state", 503)
            .on(Method::PATCH)
            .times(3),
    );
    let error = port.client.report_resync(report, &deadline).await;
    assert_eq!(error.unwrap_err().class(), Class::Later);
    assert_eq!(port.took().len(), 3);
    port.client.report_resync(report, &deadline).await.unwrap();
    insta::assert_snapshot!(port.server.requests()[0].json(), @r#"{"status":"running","lastResyncEnd":null,"nextResync":null,"intervalInMinuets":60,"lastResyncStart":"2026-11-23T12:00:00.500000+00:00"}"#);
}

#[tokio::test]
async fn a_wait_that_does_not_fit_is_told_to_the_caller() {
    let port = Port::start(&[]).await;
    let busy = Response::json(429, &json!({})).with_header("retry-after", 120);
    port.server
        .misbehave(Fault::new("integration", FaultKind::Answer(busy)).always());
    let deadline = Deadline::after(&port.clock, Duration::from_secs(100));
    let error = port.client.integration(&deadline).await.unwrap_err();
    match error {
        Error::RateLimited { retry_after, .. } => {
            assert_eq!(retry_after, Some(Duration::from_secs(120)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(port.took().len(), 1);
}

#[tokio::test]
async fn examples_are_masked_and_few_and_their_kind_is_encoded() {
    let port = Port::start(&[]).await;
    let masker = Masker::new(["the-secret"]).unwrap();
    let raw = vec![json!({ "name": "the-secret of it" }); 7];
    port.client
        .send_examples("a/b c", &raw, &masker, &port.deadline())
        .await
        .unwrap();
    let request = port.server.requests().pop().unwrap();
    assert_eq!(
        request.path,
        "/v1/integration/my-bb/kinds/a%2Fb%20c/examples"
    );
    assert_eq!(
        request.json(),
        json!({ "examples": vec![json!({ "name": "[REDACTED] of it" }); 5] })
    );
}

#[tokio::test]
async fn logs_go_where_the_integration_says() {
    let port = Port::start(&[]).await;
    let to = format!("{}/ingest", port.server.url()).parse().unwrap();
    let line = LogLine {
        at: at("2026-11-23T12:00:00.5Z"),
        level: LogLevel::Warning,
        message: "Bearer abcdefghij was sent".into(),
        extra: Map::new(),
    };
    let masker = Masker::new([]).unwrap();
    port.client
        .send_logs(&to, &[line], &masker, &port.deadline())
        .await
        .unwrap();
    insta::assert_snapshot!(port.server.requests().pop().unwrap().json(), @r#"{"logs":[{"message":"[REDACTED] was sent","level":"WARNING","timestamp":"2026-11-23T12:00:00.500000Z","extra":{}}]}"#);
}

#[tokio::test]
async fn blueprints_are_read_once_in_ten_minutes() {
    let port = Port::start(&[("b", json!({ "r": { "target": "c", "many": true } }))]).await;
    for _ in 0..3 {
        let blueprint = port.client.blueprint("b", &port.deadline()).await.unwrap();
        assert_eq!(blueprint.relations["r"].target, "c");
    }
    assert_eq!(port.took(), ["GET /v1/blueprints/b"]);
    port.clock.advance(Duration::from_secs(600));
    port.client.blueprint("b", &port.deadline()).await.unwrap();
    assert_eq!(port.took().len(), 1);
    for dotted in ["..", "."] {
        assert!(
            port.client
                .blueprint(dotted, &port.deadline())
                .await
                .is_err()
        );
    }
    assert_eq!(port.took().len(), 0);
}
