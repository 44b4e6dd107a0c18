//! Batches, their order, and what an answer says about each entity.

use sandbox::server::{Fault, FaultKind};

use super::*;

/// Identifiers of each bulk call, in order of arrival.
pub(super) fn batches(port: &Port) -> Vec<Vec<String>> {
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

/// One letter for each outcome: written, refused, lacks a target, later.
pub(super) fn letters(upserted: &Upserted) -> String {
    let letter = |outcome: &UpsertOutcome| match outcome {
        UpsertOutcome::Written { .. } => 'w',
        UpsertOutcome::Refused(_) => 'r',
        UpsertOutcome::LacksTarget(_) => 't',
        UpsertOutcome::Later(_) => 'l',
    };
    upserted.outcomes.iter().map(letter).collect()
}

fn refusal_of(outcome: &UpsertOutcome) -> &Refusal {
    match outcome {
        UpsertOutcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// An answer to a bulk call, whatever was sent.
fn told(answer: &Value) -> FaultKind {
    FaultKind::Answer(Response::json(207, answer))
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
        .await;
    assert_eq!(letters(&report), "w".repeat(45));
    assert_eq!(
        report.outcomes[7],
        UpsertOutcome::Written {
            created: Some(true),
            identifier: Some("7".into())
        }
    );
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
        assert_eq!(letters(&report), "w".repeat(count));
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
        .await;
    assert_eq!(letters(&report), "wwwwrw");
    assert_eq!(refusal_of(&report.outcomes[4]).status, 413);
    for request in port.server.requests() {
        assert!(request.body.len() <= 1 << 20);
    }
    assert_eq!(batches(&port).len(), 2);
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
        .await;
    assert_eq!(letters(&report), "r".repeat(60) + "ww");
    let refusal = refusal_of(&report.outcomes[59]);
    assert_eq!(
        refusal.message,
        "blueprint `gone` does not exist in Port (Port trace id t-1)"
    );
    // Three calls were under way before the first answer; none is split or tried again.
    assert!(batches(&port).len() <= 4);
}

#[tokio::test]
async fn the_same_key_twice_is_written_in_order() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities: Vec<Entity> = (0..3)
        .map(|at| entity("b", "same", json!({ "at": at }), json!({})))
        .collect();
    let (options, deadline) = (live(true), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    assert_eq!(letters(&report), "www");
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
        .await;
    assert_eq!(letters(&report), "www");
    assert_eq!(batches(&port).len(), 4);
}

#[tokio::test]
async fn an_outage_of_one_entity_of_a_bulk_is_tried_alone() {
    let port = Port::start(&[("b", json!({}))]).await;
    let answer = json!({
        "entities": [{ "index": 0, "created": false, "identifier": "0" }],
        "errors": [
            { "index": 1, "identifier": "1", "statusCode": 503, "error": "busy" },
            { "index": 2, "identifier": "2", "statusCode": 422, "error": "invalid_request", "message": "no" },
        ],
    });
    port.server.misbehave(Fault::new("bulk", told(&answer)));
    let report = port
        .client
        .upsert(&many(4), &live(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "wwrl");
    let known = UpsertOutcome::Written {
        created: Some(false),
        identifier: Some("0".into()),
    };
    assert_eq!(report.outcomes[0], known);
    insta::assert_snapshot!(refusal_of(&report.outcomes[2]), @"HTTP 422: invalid_request: no");
    assert_eq!(batches(&port), [vec!["0", "1", "2", "3"], vec!["1"]]);
}

/// 200, and not a word about them: they may or may not be there.
#[tokio::test]
async fn what_an_answer_does_not_mention_is_not_written() {
    let port = Port::start(&[("b", json!({}))]).await;
    let answer =
        json!({ "entities": [{ "index": 1, "created": true, "identifier": "1" }], "errors": [] });
    port.server.misbehave(Fault::new("bulk", told(&answer)));
    let report = port
        .client
        .upsert(&many(3), &live(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "lwl");
}

#[tokio::test]
async fn an_error_without_an_index_is_found_one_by_one() {
    let port = Port::start(&[("b", json!({}))]).await;
    let answer = json!({
        "entities": [{ "index": 1, "created": true, "identifier": "1" }],
        "errors": [{ "identifier": "0", "statusCode": 422, "error": "invalid_request" }],
    });
    port.server.misbehave(Fault::new("bulk", told(&answer)));
    let report = port
        .client
        .upsert(&many(3), &live(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "www");
    assert_eq!(batches(&port), [vec!["0", "1", "2"], vec!["0"], vec!["2"]]);
}

#[tokio::test]
async fn targets_in_the_same_call_come_first() {
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
        .await;
    assert_eq!(letters(&report), "wwwt");
    assert_eq!(
        batches(&port),
        [vec!["parent", "orphan"], vec!["child"], vec!["grandchild"]]
    );
}

#[tokio::test]
async fn what_came_later_under_a_key_has_the_last_word() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities = [
        entity("b", "x", json!({ "at": 0 }), json!({ "r": "target" })),
        entity("b", "x", json!({ "at": 1 }), json!({})),
        entity("b", "target", json!({}), json!({})),
    ];
    let (options, deadline) = (live(false), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    assert_eq!(letters(&report), "www");
    let held = port.state().entities[&("b".into(), "x".into())].clone();
    assert_eq!(held["properties"]["at"], 1);
    assert_eq!(batches(&port).len(), 3);
}

#[tokio::test]
async fn a_search_query_is_sent_as_it_is_and_what_it_finds_is_told() {
    let port = Port::start(&[("b", json!({}))]).await;
    let query = json!({ "combinator": "and", "rules": [] });
    let mut searched = many(1);
    searched[0].identifier = Identifier::Search(query.clone());
    let nothing = json!({ "entities": [], "errors": [
        { "index": 0, "identifier": "unknown", "statusCode": 404, "error": "not_found" },
    ]});
    let found = json!({ "entities": [{ "created": false, "identifier": "real", "index": 0 }], "errors": [] });
    port.server.misbehave(Fault::new("bulk", told(&nothing)));
    port.server.misbehave(Fault::new("bulk", told(&found)));
    let (options, deadline) = (live(true), port.deadline());
    let report = port.client.upsert(&searched, &options, &deadline).await;
    // Without relations there is no target to wait for.
    assert_eq!(letters(&report), "r");
    let report = port.client.upsert(&searched, &options, &deadline).await;
    let written = UpsertOutcome::Written {
        created: Some(false),
        identifier: Some("real".into()),
    };
    assert_eq!(report.outcomes, [written]);
    assert_eq!(batches(&port), vec![vec![query.to_string()]; 2]);
}

#[tokio::test]
async fn a_blueprint_without_a_name_costs_only_its_entities() {
    let port = Port::start(&[("b", json!({}))]).await;
    let mut entities = many(2);
    entities[0].blueprint = "..".into();
    let (options, deadline) = (live(true), port.deadline());
    let report = port.client.upsert(&entities, &options, &deadline).await;
    assert_eq!(letters(&report), "rw");
    assert!(report.stopped.is_none());
}
