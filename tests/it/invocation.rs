//! Every shape in which Lambda may call us, and what each gets back.

use serde_json::{Value, json};

use crate::support::{World, event};

async fn answer(world: &World, name: &str) -> Value {
    match world.invoke(event(name)).await {
        Ok(answer) => answer,
        Err(error) => json!({ "error": error.error_type() }),
    }
}

#[tokio::test]
async fn each_recorded_event_is_told_apart() {
    let world = World::demo().await;
    // The clock stands at the moment at which Port signed its request.
    let port = answer(&world, "port-resync").await;
    assert_eq!(port["statusCode"], 202);
    let tick = answer(&world, "tick").await;
    assert_eq!(
        tick["status"], "completed",
        "the tick follows Port's request: {tick:#}"
    );
    for name in [
        "eventbridge-rule",
        "eventbridge-scheduler-default",
        "scheduler-resync",
    ] {
        let outcome = answer(&world, name).await;
        assert_eq!(outcome["status"], "completed", "{name}: {outcome:#}");
    }
    assert_eq!(answer(&world, "tick").await, json!({"status": "idle"}));
    for name in [
        "function-url-webhook",
        "apigw-v2-webhook",
        "apigw-v1-webhook",
    ] {
        let response = answer(&world, name).await;
        assert_eq!(response["statusCode"], 202, "{name}: {response:#}");
    }
    assert_eq!(
        answer(&world, "sqs-batch").await,
        json!({"batchItemFailures": []})
    );
    assert_eq!(answer(&world, "health").await["statusCode"], 200);
    assert_eq!(
        answer(&world, "unknown").await,
        json!({"error": "UnknownEvent"})
    );
    world.finish();
}

#[tokio::test]
async fn an_answer_is_wrapped_as_the_request_was() {
    let world = World::demo().await;
    insta::assert_json_snapshot!(answer(&world, "health").await, @r#"
    {
      "statusCode": 200,
      "headers": {
        "content-type": "application/json"
      },
      "multiValueHeaders": {},
      "body": "{\"message\":\"ok\"}",
      "isBase64Encoded": false,
      "cookies": []
    }
    "#);
    let mut rest = event("apigw-v1-webhook");
    rest["path"] = json!("/nowhere");
    insta::assert_json_snapshot!(world.invoke(rest).await.unwrap(), @r#"
    {
      "statusCode": 404,
      "headers": {
        "content-type": "application/json"
      },
      "multiValueHeaders": {},
      "body": "{\"message\":\"not found\"}",
      "isBase64Encoded": false
    }
    "#);
    world.finish();
}

#[tokio::test]
async fn other_routes_and_methods_are_refused() {
    let world = World::demo().await;
    for (method, path, status, allow) in [
        ("GET", "/webhook", 405, Some("POST")),
        ("GET", "/integration/webhook", 405, Some("POST")),
        ("GET", "/resync", 405, Some("POST")),
        ("POST", "/health", 405, Some("GET, HEAD")),
        ("POST", "/", 404, None),
        ("POST", "/webhook/more", 404, None),
        ("POST", "/webhook", 401, None),
        ("POST", "/webhook/", 401, None),
        ("POST", "/resync", 401, None),
        ("HEAD", "/health", 200, None),
    ] {
        let answer = world.send(method, path, &[], b"{}").await;
        assert_eq!(answer["statusCode"], status, "{method} {path}");
        assert_eq!(
            answer["headers"]["allow"].as_str(),
            allow,
            "{method} {path}"
        );
    }
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    world.finish();
}

#[tokio::test]
async fn an_old_request_of_port_is_refused() {
    let world = World::demo().await;
    world.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(answer(&world, "port-resync").await["statusCode"], 401);
    world.finish();
}

#[tokio::test]
async fn the_error_for_an_unknown_event_names_what_came_and_what_was_expected() {
    let world = World::demo().await;
    let error = world
        .invoke(json!({"source": "aws.ec2", "detail": {"state": "running"}}))
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#"unknown event with the fields [source, detail]: expected an HTTP request (function URL, API Gateway), SQS records, an EventBridge schedule, or {"action":"resync"}, {"action":"tick"} or {"action":"uninstall"}"#);
    for event in [
        json!(null),
        json!([]),
        json!("tick"),
        json!({"action": "explode"}),
        json!({"Records": []}),
    ] {
        let error = world.invoke(event.clone()).await.unwrap_err();
        assert_eq!(error.error_type(), "UnknownEvent", "{event}");
    }
    world.finish();
}

#[tokio::test]
async fn whatever_comes_before_our_paths_leads_to_them() {
    let world = World::demo().await;
    for prefix in [
        "",
        "/prod",
        "/tools/ferry",
        "//x/",
        "/webhook",
        "/%7Bproxy%7D",
    ] {
        for (method, path, status) in [
            ("GET", "/health", 200),
            ("GET", "/health/ready", 200),
            ("POST", "/webhook", 401),
            ("POST", "/integration/webhook/", 401),
            ("POST", "/resync", 401),
            ("GET", "/webhook", 405),
            ("POST", "/webhook/more", 404),
            ("GET", "/live", 404),
        ] {
            let path = format!("{prefix}{path}");
            let answer = world.send(method, &path, &[], b"{}").await;
            assert_eq!(answer["statusCode"], status, "{method} {path}");
        }
    }
    // The stage of an HTTP API stands in its path, that of a REST API does not.
    for (name, pointer) in [
        ("apigw-v2-webhook", "rawPath"),
        ("apigw-v1-webhook", "path"),
    ] {
        let mut staged = event(name);
        staged["requestContext"]["stage"] = json!("prod");
        staged[pointer] = json!("/prod/base/webhook");
        let answer = world.invoke(staged).await.unwrap();
        assert_eq!(answer["statusCode"], 202, "{name}: {answer}");
    }
    world.finish();
}

/// Whatever a caller puts into a request, the function survives it.
#[tokio::test]
async fn a_request_that_is_none_is_malformed() {
    let world = World::demo().await;
    let change = |name: &str, pointer: &str, value: Value| {
        let mut event = event(name);
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    for broken in [
        change("apigw-v2-webhook", "/body", json!("no base64!")),
        change("apigw-v1-webhook", "/headers", json!("none")),
        change(
            "apigw-v2-webhook",
            "/requestContext/http/method",
            json!("A B"),
        ),
        change("function-url-webhook", "/headers/host", json!("a b[")),
    ] {
        let error = world.invoke(broken).await.unwrap_err();
        assert_eq!(error.error_type(), "MalformedEvent", "{error}");
    }
    for odd in [
        change(
            "apigw-v2-webhook",
            "/rawPath",
            json!("/a b/\u{e4}\"<>^`{|}\\/webhook"),
        ),
        change("apigw-v2-webhook", "/rawQueryString", json!("q=%zz&%00")),
        change("function-url-webhook", "/rawPath", json!("/../webhook")),
    ] {
        let answer = world.invoke(odd).await.unwrap();
        assert_eq!(answer["statusCode"], 202, "{answer}");
    }
    world.finish();
}
