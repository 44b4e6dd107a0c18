//! Deletes: bulk, order, fallbacks.

use sandbox::server::Fault;

use super::*;

impl Port {
    fn hold(&self, blueprint: &str, identifier: &str, relations: Value) {
        let entity = json!({ "identifier": identifier, "relations": relations });
        let key = (blueprint.to_owned(), identifier.to_owned());
        self.state().entities.insert(key, entity);
    }
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
        .delete(&keys, true, &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.deleted, report.failed.len()), (150, 0));
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
        .delete(&keys, false, &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.deleted, report.failed.len()), (3, 0));
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
        .delete(&keys, false, &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.deleted, 3);
    let failed = &report.failed[0];
    assert_eq!((failed.index, failed.code.as_str()), (3, "has_dependents"));
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
        .delete(&keys, true, &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.deleted, 2);
}

#[tokio::test]
async fn without_the_bulk_route_each_is_deleted_alone() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.hold("b", "x", json!({}));
    port.server.misbehave(Fault::status("bulk/entities", 404));
    let keys = keys(&[("b", "x"), ("b", "y")]);
    let report = port
        .client
        .delete(&keys, true, &port.deadline())
        .await
        .unwrap();
    assert_eq!(report.deleted, 2);
    assert!(port.state().entities.is_empty());
}

#[tokio::test]
async fn an_outage_is_an_error_or_told_in_the_report() {
    let port = Port::start(&[("b", json!({})), ("c", json!({}))]).await;
    port.server
        .misbehave(Fault::status("/c/bulk", 503).always());
    let keys = keys(&[("b", "x"), ("c", "y")]);
    let report = port
        .client
        .delete(&keys, true, &port.deadline())
        .await
        .unwrap();
    assert_eq!((report.deleted, report.failed.len()), (1, 1));
    assert!(report.failed[0].retryable);
    assert!(report.stopped.is_some());
    let error = port.client.delete(&keys[1..], true, &port.deadline()).await;
    assert!(error.unwrap_err().is_retryable());
}
