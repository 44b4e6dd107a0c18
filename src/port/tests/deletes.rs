//! Deletes: bulk, order, fallbacks.

use sandbox::server::{Fault, FaultKind};

use super::*;

impl Port {
    fn hold(&self, blueprint: &str, identifier: &str, relations: Value) {
        let entity = json!({ "identifier": identifier, "relations": relations });
        let key = (blueprint.to_owned(), identifier.to_owned());
        self.state().entities.insert(key, entity);
    }
}

/// One letter for each outcome: deleted, absent, refused (`D`: for the sake of dependents), later.
fn letters(deletion: &DeleteReport) -> String {
    let letter = |outcome: &DeleteOutcome| match outcome {
        DeleteOutcome::Deleted => 'd',
        DeleteOutcome::WasAbsent => 'a',
        DeleteOutcome::Refused {
            by_dependents: true,
            ..
        } => 'D',
        DeleteOutcome::Refused { .. } => 'r',
        DeleteOutcome::Later(_) => 'l',
    };
    deletion.outcomes.iter().map(letter).collect()
}

#[tokio::test]
async fn a_hundred_go_at_a_time_and_absent_ones_count_as_deleted() {
    let port = Port::start(&[("b", json!({}))]).await;
    let keys: Vec<EntityKey> = (0..150)
        .map(|at| EntityKey::new("b", at.to_string()))
        .collect();
    port.hold("b", "7", json!({}));
    let report = port
        .client
        .delete(&keys, &deleting(true), &port.deadline())
        .await;
    let count = |wanted: &DeleteOutcome| {
        let outcomes = report.outcomes.iter();
        outcomes.filter(|outcome| *outcome == wanted).count()
    };
    assert_eq!(report.outcomes[7], DeleteOutcome::Deleted);
    assert_eq!(count(&DeleteOutcome::WasAbsent), 149);
    assert!(port.state().entities.is_empty());
    assert_eq!(
        port.took(),
        ["POST /v1/blueprints/b/bulk/entities/delete"; 2]
    );
}

#[tokio::test]
async fn dependents_go_first() {
    let port = Port::start(&[
        ("project", json!({})),
        ("repository", json!({ "project": { "target": "project" } })),
        (
            "request",
            json!({ "repository": { "target": "repository" } }),
        ),
    ])
    .await;
    port.hold("project", "P", json!({}));
    port.hold("repository", "r", json!({ "project": "P" }));
    port.hold("request", "r/1", json!({ "repository": "r" }));
    let keys = keys(&[("project", "P"), ("repository", "r"), ("request", "r/1")]);
    let report = port
        .client
        .delete(&keys, &deleting(false), &port.deadline())
        .await;
    assert_eq!(letters(&report), "ddd");
    let deletes: Vec<String> = port
        .took()
        .into_iter()
        .filter(|request| request.starts_with("POST"))
        .collect();
    assert_eq!(
        deletes,
        [
            "POST /v1/blueprints/request/bulk/entities/delete",
            "POST /v1/blueprints/repository/bulk/entities/delete",
            "POST /v1/blueprints/project/bulk/entities/delete",
        ]
    );
}

#[tokio::test]
async fn a_required_entity_falls_back_to_one_by_one_until_nothing_moves() {
    let port = Port::start(&[("f", json!({ "parent": { "target": "f" } }))]).await;
    port.hold("f", "a", json!({}));
    port.hold("f", "a/b", json!({ "parent": "a" }));
    port.hold("f", "a/b/c", json!({ "parent": "a/b" }));
    port.hold("f", "kept", json!({}));
    port.hold("f", "stays", json!({ "parent": "kept" }));
    let keys = keys(&[("f", "a"), ("f", "a/b"), ("f", "a/b/c"), ("f", "kept")]);
    let report = port
        .client
        .delete(&keys, &deleting(false), &port.deadline())
        .await;
    assert_eq!(letters(&report), "dddD");
    assert!(
        port.took()
            .contains(&"DELETE /v1/blueprints/f/entities/a%2Fb".to_owned())
    );
}

#[tokio::test]
async fn without_its_blueprint_an_entity_is_gone() {
    let port = Port::start(&[]).await;
    let keys = keys(&[("gone", "a"), ("gone", "b")]);
    let report = port
        .client
        .delete(&keys, &deleting(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "aa");
}

#[tokio::test]
async fn without_the_bulk_route_each_is_deleted_alone() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.hold("b", "x", json!({}));
    port.server.misbehave(Fault::status("bulk/entities", 404));
    let keys = keys(&[("b", "x"), ("b", "y")]);
    let report = port
        .client
        .delete(&keys, &deleting(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "da");
    assert!(port.state().entities.is_empty());
}

#[tokio::test]
async fn an_outage_stops_the_rest() {
    let port = Port::start(&[("b", json!({})), ("c", json!({}))]).await;
    port.server.misbehave(Fault::status("/c/", 503).always());
    let keys = keys(&[("b", "x"), ("c", "y"), ("c", "z"), ("c", "zz")]);
    let client = port.client.once();
    let report = client
        .delete(&keys, &deleting(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "alll");
    assert_eq!(
        report.stopped.map(|error| error.class()),
        Some(Class::Later)
    );
    assert_eq!(port.took().len(), 4, "two bulk calls, and two keys alone");
}

#[tokio::test]
async fn a_bulk_that_fails_costs_only_the_key_that_is_to_blame() {
    for status in [422, 500] {
        let port = Port::start(&[("b", json!({}))]).await;
        for name in ["x", "y", "z"] {
            port.hold("b", name, json!({}));
        }
        port.server.misbehave(Fault::status("bulk/", status));
        port.server
            .misbehave(Fault::status("/entities/y", status).always());
        let keys = keys(&[("b", "x"), ("b", "y"), ("b", "z")]);
        let client = port.client.once();
        let report = client
            .delete(&keys, &deleting(true), &port.deadline())
            .await;
        let expected = if status == 422 { "drd" } else { "dld" };
        assert_eq!(letters(&report), expected);
        assert_eq!(port.state().entities.len(), 1);
    }
}

#[tokio::test]
async fn what_went_along_is_told() {
    let port = Port::start(&[("b", json!({}))]).await;
    let answer = json!({ "ok": true, "deletedEntities": ["child", "x"] });
    let answer = FaultKind::Answer(Response::json(200, &answer));
    port.server.misbehave(Fault::new("bulk", answer));
    let report = port
        .client
        .delete(&keys(&[("b", "x")]), &deleting(true), &port.deadline())
        .await;
    assert_eq!(letters(&report), "d");
    assert_eq!(report.along, ["child"]);
}
