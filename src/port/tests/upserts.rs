//! Batches, refusals, second tries, and what is left when Port fails.

use sandbox::server::{Fault, FaultKind};

use super::*;

/// Identifiers of each bulk call, in order of arrival.
fn batches(port: &Port) -> Vec<Vec<String>> {
    let bulk = |request: &Request| request.path.ends_with("/bulk");
    port.server
        .take_requests()
        .iter()
        .filter(|request| bulk(request))
        .map(|request| {
            let body = request.json();
            let entities = body["entities"].as_array().unwrap();
            let name = |entity: &Value| match &entity["identifier"] {
                Value::String(text) => text.clone(),
                query => query.to_string(),
            };
            entities.iter().map(name).collect()
        })
        .collect()
}

#[tokio::test]
async fn entities_go_in_batches_of_twenty_and_only_what_is_mapped_is_sent() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities = many(45);
    entities[0].title = Some(Value::Null);
    entities[1].relations = None;
    let options = UpsertOptions {
        event: WriteEvent::Resync { id: "run-1".into() },
        ..live(true)
    };
    let report = port
        .client
        .upsert(&entities, &options, &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.written, report.failed.len()), (45, 0));
    assert!(report.stopped.is_none());
    let first = port
        .server
        .requests()
        .into_iter()
        .find(|request| request.json()["entities"][0]["identifier"] == "0")
        .unwrap();
    insta::assert_snapshot!(first.target(), @"/v1/blueprints/b/entities/bulk?upsert=true&merge=true&create_missing_related_entities=true&validation_only=false&ocean_info_event_type=resync&ocean_info_resync_id=run-1");
    let body = first.json();
    assert_eq!(
        [&body["entities"][0], &body["entities"][1]],
        [
            &json!({ "identifier": "0", "title": null, "properties": { "at": 0 }, "relations": {} }),
            &json!({ "identifier": "1", "properties": { "at": 1 } }),
        ]
    );
    let mut sizes: Vec<usize> = batches(&port).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 20, 20]);
}

#[tokio::test]
async fn a_lower_bulk_size_is_honoured() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.state().max_bulk = Some(7);
    for (count, expected) in [(3, vec![3]), (16, vec![2, 7, 7])] {
        let (options, deadline) = (live(true), port.deadline());
        let report = port.client.upsert(&many(count), &options, &deadline).await;
        assert_eq!(report.unwrap().written, count);
        let mut sizes: Vec<usize> = batches(&port).iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, expected);
    }
}

#[tokio::test]
async fn batches_stay_below_a_mebibyte_and_a_larger_entity_fails_alone() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities = many(6);
    for (at, size) in [(0, 400_000), (1, 400_000), (2, 400_000), (4, 1 << 20)] {
        entities[at].properties = json!({ "text": "x".repeat(size) }).as_object().cloned();
    }
    let report = port
        .client
        .upsert(&entities, &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.written, 5);
    let failed = &report.failed[0];
    assert_eq!((failed.index, failed.status), (4, Some(413)));
    assert!(!failed.retryable);
    for request in port.server.requests() {
        assert!(request.body.len() <= 1 << 20);
    }
    assert_eq!(batches(&port).len(), 2);
}

#[tokio::test]
async fn a_body_that_port_finds_too_large_is_halved_down_to_one() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.server.misbehave(Fault::status("bulk", 413).times(3));
    let report = port
        .client
        .upsert(&many(4), &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.written, 3);
    assert_eq!(report.failed[0].index, 0);
    let sizes: Vec<usize> = batches(&port).iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 2, 1, 1, 2]);
}

#[tokio::test]
async fn one_bad_entity_costs_only_itself() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities = many(20);
    entities[7].identifier = Identifier::Text("a b".into());
    let report = port
        .client
        .upsert(&entities, &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.written, 19);
    insta::assert_debug_snapshot!(report.failed, @r#"
    [
        FailedEntity {
            key: Some(
                b/a b,
            ),
            index: 7,
            status: Some(
                422,
            ),
            code: "invalid_request",
            message: "no",
            retryable: false,
        },
    ]
    "#);
    assert!(batches(&port).len() <= 10);
}

#[tokio::test]
async fn a_missing_blueprint_fails_its_group_at_once_and_no_other() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities: Vec<Entity> = (0..60)
        .map(|at| entity("gone", &at.to_string(), json!({}), json!({})))
        .collect();
    entities.extend(many(2));
    let report = port
        .client
        .upsert(&entities, &live(false), &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.written, report.failed.len()), (2, 60));
    let failed = &report.failed[59];
    assert_eq!(
        failed.message,
        "blueprint `gone` does not exist in Port (Port trace id t-1)"
    );
    assert!(!failed.retryable);
    // Three calls were under way before the first answer; none is split or tried again.
    assert!(batches(&port).len() <= 4);
}

#[tokio::test]
async fn missing_targets_are_met_by_a_second_try_with_the_whole_entity() {
    let port = Port::start(&[("b", json!({})), ("a", json!({}))]).await;
    let entities = [
        entity(
            "a",
            "grandchild",
            json!({ "kept": 1 }),
            json!({ "r": "child" }),
        ),
        entity("a", "child", json!({ "kept": 2 }), json!({ "r": "parent" })),
        entity("b", "parent", json!({}), json!({})),
        entity("b", "orphan", json!({}), json!({ "r": "nobody" })),
    ];
    let report = port
        .client
        .upsert(&entities, &live(false), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.written, 3);
    assert_eq!(report.failed[0].key, Some(EntityKey::new("b", "orphan")));
    assert_eq!(report.failed[0].code, "not_found");
    let held = port.state().entities[&("a".into(), "grandchild".into())].clone();
    assert_eq!(held["properties"], json!({ "kept": 1 }));
    assert_eq!(
        batches(&port),
        [
            vec!["grandchild", "child"],
            vec!["parent", "orphan"],
            vec!["child"],
            vec!["orphan"],
            vec!["grandchild"],
        ]
    );
}

#[tokio::test]
async fn there_is_no_second_try_when_port_creates_the_targets() {
    let port = Port::start(&[("b", json!({}))]).await;
    let unmet = json!({ "entities": [], "errors": [
        { "index": 0, "statusCode": 404, "error": "not_found", "message": "_user" },
    ]});
    let unmet = FaultKind::Answer(Response::json(207, &unmet));
    port.server.misbehave(Fault::new("bulk", unmet).always());
    let report = port
        .client
        .upsert(&many(1), &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.written, report.failed.len()), (0, 1));
    assert_eq!(batches(&port).len(), 1);
}

#[tokio::test]
async fn the_same_key_twice_is_written_in_order() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities: Vec<Entity> = (0..3)
        .map(|at| entity("b", "same", json!({ "at": at }), json!({})))
        .collect();
    let (options, deadline) = (live(true), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    assert_eq!(report.unwrap().written, 3);
    let held = port.state().entities[&("b".into(), "same".into())].clone();
    assert_eq!(held["properties"]["at"], 2);
    assert_eq!(batches(&port).len(), 3);
}

#[tokio::test]
async fn lost_answers_and_outages_are_repeated_within_the_deadline() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.server.misbehave(Fault::new("bulk", FaultKind::Reset));
    port.server.misbehave(Fault::status("bulk", 502).times(2));
    let report = port
        .client
        .upsert(&many(3), &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.written, 3);
    assert_eq!(batches(&port).len(), 4);
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
        .await
        .unwrap();
    assert_eq!((report.written, report.failed.len()), (20, 30));
    assert!(
        report
            .failed
            .iter()
            .all(|failed| failed.retryable && 20 <= failed.index)
    );
    assert!(matches!(
        report.stopped,
        Some(Error::Unavailable {
            status: Some(503),
            ..
        })
    ));
}

#[tokio::test]
async fn an_outage_from_the_start_is_an_error() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.server.misbehave(Fault::status("bulk", 503).always());
    let error = port
        .client
        .upsert(&many(30), &live(true), &port.deadline())
        .await
        .unwrap_err();
    assert!(error.is_retryable());

    port.server.behave();
    port.server.misbehave(Fault::status("bulk", 401).always());
    let error = port
        .client
        .upsert(&many(3), &live(true), &port.deadline())
        .await;
    assert!(matches!(error, Err(Error::Unauthorized { .. })));
}

#[tokio::test]
async fn a_defect_that_one_entity_triggers_does_not_stop_the_others() {
    let port = Port::start(&[("b", json!({}))]).await;
    // The batch of four, its first half, its first entity.
    port.server.misbehave(Fault::status("bulk", 500).times(3));
    let report = port
        .client
        .upsert(&many(4), &live(true), &port.deadline())
        .await
        .unwrap();
    // The second try met no defect any more.
    assert_eq!((report.written, report.failed.len()), (4, 0));

    port.server.misbehave(Fault::status("bulk", 500).always());
    port.took();
    let error = port
        .client
        .upsert(&many(20), &live(true), &port.deadline())
        .await;
    assert!(matches!(
        error,
        Err(Error::Unavailable {
            status: Some(500),
            ..
        })
    ));
    assert!(port.took().len() < 12);
}

#[tokio::test]
async fn an_error_without_an_index_costs_what_is_not_known_to_be_written() {
    let port = Port::start(&[("b", json!({}))]).await;
    let answer = json!({
        "entities": [{ "index": 1 }],
        "errors": [{ "identifier": "0", "statusCode": 422, "error": "invalid_request" }],
    });
    let answer = FaultKind::Answer(Response::json(207, &answer));
    port.server.misbehave(Fault::new("bulk", answer));
    let report = port
        .client
        .upsert(&many(3), &live(true), &port.deadline())
        .await
        .unwrap();
    let failed: Vec<usize> = report.failed.iter().map(|failed| failed.index).collect();
    assert_eq!((report.written, failed), (1, vec![0, 2]));
}

#[tokio::test]
async fn a_search_query_is_sent_as_it_is() {
    let port = Port::start(&[("b", json!({}))]).await;
    let query = json!({ "combinator": "and", "rules": [] });
    let mut found = many(1);
    found[0].identifier = Identifier::Search(query.clone());
    let refused = json!({ "errors": [
        { "index": 0, "identifier": "unknown", "statusCode": 422, "error": "invalid_request" },
    ]});
    let refused = FaultKind::Answer(Response::json(207, &refused));
    port.server.misbehave(Fault::new("bulk", refused));
    let report = port
        .client
        .upsert(&found, &live(true), &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.failed[0].key, None);
    assert_eq!(batches(&port), [vec![query.to_string()]]);
}

#[tokio::test]
async fn a_second_try_does_not_overtake_what_came_later() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities = [
        entity("b", "x", json!({ "at": 0 }), json!({ "r": "target" })),
        entity("b", "x", json!({ "at": 1 }), json!({})),
        entity("b", "target", json!({}), json!({})),
    ];
    let (options, deadline) = (live(false), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    assert_eq!(report.unwrap().written, 3);
    let held = port.state().entities[&("b".into(), "x".into())].clone();
    assert_eq!(held["properties"]["at"], 1);
    assert_eq!(batches(&port).len(), 4);
}

#[tokio::test]
async fn a_blueprint_without_a_name_costs_only_its_entities() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities = many(2);
    entities[0].blueprint = "..".into();
    let (options, deadline) = (live(true), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    let report = report.unwrap();
    assert_eq!((report.written, report.failed.len()), (1, 1));
    assert!(!report.failed[0].retryable);
    assert!(report.stopped.is_none());
}
