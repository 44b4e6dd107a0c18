//! The store in DynamoDB against answers that no emulator gives: throttling, lost answers, silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry::deadline::Deadline;
use ferry::telemetry::chain;
use sandbox::server::{Request, Response, Server};
use serde_json::Value;

use super::*;
use crate::emulated::sdk_config;

async fn store_on(
    model: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> (Store, Server, Clock) {
    let server = Server::start(model).await.unwrap();
    let client = aws_sdk_dynamodb::Client::new(&sdk_config(server.url()));
    let clock = Clock::simulated("2026-11-23T07:00:00Z".parse().unwrap());
    let store = Store::dynamodb(client, "ferry".to_owned(), clock.clone());
    (store, server, clock)
}

fn operation(request: &Request) -> String {
    let target = request.header("x-amz-target").unwrap();
    target.rsplit_once('.').unwrap().1.to_owned()
}

fn operations(server: &Server) -> Vec<String> {
    server.take_requests().iter().map(operation).collect()
}

fn error(status: u16, kind: &str) -> Response {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    Response::json(status, &json!({"__type": kind, "message": "so it is"}))
}

fn nothing() -> Response {
    Response::json(200, &json!({}))
}

/// Each of these many first requests is answered with `first`, the others with `then`.
fn after(
    count: usize,
    first: impl Fn(&Request) -> Response + Send + Sync + 'static,
    then: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> impl Fn(&Request) -> Response + Send + Sync + 'static {
    let seen = Arc::new(AtomicUsize::new(0));
    move |request| match seen.fetch_add(1, Ordering::Relaxed) {
        number if number < count => first(request),
        _ => then(request),
    }
}

#[tokio::test]
async fn a_throttled_request_is_made_again_with_longer_and_longer_pauses() {
    for (status, kind) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (500, "InternalServerError"),
        (503, "SomethingNew"),
    ] {
        let throttled = move |_: &Request| error(status, kind);
        let (store, server, clock) = store_on(after(4, throttled, |_| nothing())).await;
        let begun = clock.now();
        store
            .save(&key("a"), &record("1"), Revision::ABSENT)
            .await
            .unwrap();
        assert_eq!(operations(&server).len(), 5, "{kind}");
        let paused = Duration::try_from(clock.now().duration_since(begun)).unwrap();
        assert!(Duration::from_millis(750) <= paused, "{kind}: {paused:?}");
    }
}

#[tokio::test]
async fn patience_ends_with_the_deadline_or_after_ten_seconds() {
    let kind = "ProvisionedThroughputExceededException";
    let (store, server, clock) = store_on(move |_| error(400, kind)).await;
    for (seconds, left) in [(1, 0), (60, 50)] {
        let deadline = Deadline::after(&clock, Duration::from_secs(seconds));
        let refused = store.within(&deadline).load(&key("a")).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }));
        assert!(chain(&refused).contains(kind), "{refused:?}");
        let remaining = deadline.remaining();
        assert!(Duration::from_secs(left) <= remaining, "{remaining:?}");
        assert!(1 < operations(&server).len());
    }
    // Nothing is begun for which there is no time.
    let over = Deadline::after(&clock, Duration::ZERO);
    store.within(&over).load(&key("a")).await.unwrap_err();
    assert_eq!(operations(&server), [""; 0]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_asked_again() {
    let kind = "ResourceNotFoundException";
    let (store, server, _) = store_on(move |_| error(400, kind)).await;
    let refused = store
        .save(&key("a"), &record("1"), Revision::ABSENT)
        .await
        .unwrap_err();
    let text = chain(&refused);
    assert!(text.contains("`ferry`") && text.contains(kind), "{text}");
    assert_eq!(operations(&server), ["PutItem"]);
}

#[tokio::test]
async fn what_a_batch_leaves_undone_is_done_again() {
    let leave = |request: &Request| {
        let body: Value = request.json();
        match operation(request).as_str() {
            "BatchWriteItem" => {
                let left = body["RequestItems"]["ferry"].as_array().unwrap()[1..].to_vec();
                Response::json(200, &json!({"UnprocessedItems": {"ferry": left}}))
            }
            _ => Response::json(200, &json!({"UnprocessedKeys": body["RequestItems"]})),
        }
    };
    let (store, server, _) = store_on(after(2, leave, |_| nothing())).await;
    let documents = ["a", "b", "c"].map(|name| (key(name), record(name)));
    store.save_all(documents.into()).await.unwrap();
    let requests = server.take_requests();
    let sizes: Vec<usize> = requests
        .iter()
        .map(|request| {
            request.json()["RequestItems"]["ferry"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(sizes, [3, 2, 1]);

    let (store, server, _) = store_on(after(2, leave, |_| nothing())).await;
    store.load_all(&["a", "b"].map(key)).await.unwrap();
    assert_eq!(operations(&server), ["BatchGetItem"; 3]);

    let (store, server, _) = store_on(leave).await;
    let refused = store.load_all(&["a", "b"].map(key)).await.unwrap_err();
    assert!(chain(&refused).contains("throttles"), "{refused:?}");
    assert!(server.take_requests().len() < 50);
}

/// The item that the first write of `request` puts down.
fn put(request: &Request) -> Value {
    request.json()["Item"].clone()
}

#[tokio::test]
async fn a_conditional_write_whose_answer_was_lost_has_succeeded() {
    let lost = |_: &Request| error(500, "InternalServerError");
    let found = |request: &Request| {
        let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        Response::json(
            400,
            &json!({"__type": kind, "message": "", "Item": put(request)}),
        )
    };
    let (store, server, _) = store_on(after(1, lost, found)).await;
    store
        .save(&key("a"), &record("1"), Revision::ABSENT)
        .await
        .unwrap();
    assert_eq!(operations(&server), ["PutItem"; 2]);
}

#[tokio::test]
async fn a_repeated_write_does_not_take_its_own_parts_for_old_ones() {
    let answers = |request: &Request| match operation(request).as_str() {
        "PutItem" => Response::json(200, &json!({"Attributes": put(request)})),
        _ => nothing(),
    };
    let (store, server, _) = store_on(answers).await;
    store
        .save(&key("a"), &record(&noise(600_000)), Revision::ANYTHING)
        .await
        .unwrap();
    assert_eq!(operations(&server), ["BatchWriteItem", "PutItem"]);
}

#[tokio::test]
async fn the_pen_costs_one_read_and_two_writes() {
    let (store, server, clock) = store_on(|_| nothing()).await;
    let lease = attempt(&Leases::new(store, clock)).await.unwrap();
    assert_eq!(operations(&server), ["GetItem", "PutItem"]);
    lease.release().await.unwrap();
    assert_eq!(operations(&server), ["PutItem"]);
}

/// Nothing that lives for ever may carry a time at which the table removes it.
#[tokio::test]
async fn records_do_not_expire() {
    let (store, server, _) = store_on(|_| nothing()).await;
    store
        .save(&key("a"), &record("1"), Revision::ABSENT)
        .await
        .unwrap();
    let item = put(&server.take_requests()[0]);
    assert_eq!(item.get("expires"), None);
    assert_eq!(item["shape"], json!({"N": "1"}));
}
