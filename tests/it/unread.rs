//! What a resync cannot read costs its own freshness, and nothing is deleted for it.

use sandbox::bitbucket::Bitbucket;
use sandbox::server::{Fault, FaultKind, Response};
use serde_json::json;

use crate::support::World;

/// Every way in which a repository's pull requests may be unreadable costs their freshness, never their existence.
#[tokio::test]
async fn pull_requests_that_cannot_be_read_stay() {
    for kind in [
        FaultKind::Answer(Response::empty(500)),
        FaultKind::Answer(Response::empty(403)),
        FaultKind::Answer(Response::empty(404)),
        FaultKind::Answer(Response::empty(410)),
        FaultKind::Refuse,
        FaultKind::Truncate,
        FaultKind::Answer(Response::text(200, "<html>maintenance</html>")),
        FaultKind::Answer(Response::json(200, &json!({}))),
    ] {
        let world = World::demo().await;
        world.resync().await;
        let before = world.port.catalogue();
        let uuid = world.bitbucket.repository_uuid("payments-api").unwrap();
        let part = format!("%7B{}%7D/pullrequests", uuid.trim_matches(['{', '}']));
        world
            .bitbucket
            .server()
            .misbehave(Fault::new(part, kind.clone()).always());
        let outcome = world.resync_with_losses().await;
        assert_eq!(world.port.catalogue(), before, "{kind:?}");
        let failed = outcome["failed_partitions"].as_array().unwrap();
        assert_eq!(failed.len(), 1, "{kind:?}: {failed:?}");
        assert!(
            failed[0].as_str().unwrap().contains("payments-api"),
            "{failed:?}"
        );
        world.finish();
    }
}

#[tokio::test]
async fn a_list_of_repositories_that_cannot_be_read_deletes_nothing() {
    for status in [500, 403, 404] {
        let world = World::demo().await;
        world.resync().await;
        let before = world.port.catalogue();
        world
            .bitbucket
            .server()
            .misbehave(Fault::status("/repositories/acme-platform?", status).always());
        world.resync_with_losses().await;
        assert_eq!(world.port.catalogue(), before, "{status}");
        world.finish();
    }
}

/// Of the demo's repositories: more than a tenth of what there is.
pub(crate) fn delete_four_of_nine(world: &World) {
    for slug in [
        "checkout-service",
        "payments-api",
        "monorepo",
        "perl-scripts",
    ] {
        world.bitbucket.delete_repository(slug).unwrap();
    }
}

#[tokio::test]
async fn too_large_a_share_is_not_deleted() {
    let world = World::demo().await;
    world.resync().await;
    delete_four_of_nine(&world);
    let mut config = world.port.integration().unwrap()["config"].clone();
    config["entityDeletionThreshold"] = json!(0.1);
    world.port.set_config(config);
    let before = world.identifiers();
    let outcome = world.resync_with_losses().await;
    assert_eq!(world.identifiers(), before);
    let kept = outcome["kept"].as_str().unwrap();
    assert!(kept.contains("entityDeletionThreshold"), "{kept}");
    world.finish();
}

#[tokio::test]
async fn passing_troubles_are_sat_out() {
    let world = World::demo().await;
    let bitbucket = world.bitbucket.server();
    bitbucket.misbehave(Fault::status("/projects", 503).times(1));
    bitbucket.misbehave(Fault::new("/pullrequests", FaultKind::Reset).times(2));
    let port = world.port.server();
    port.misbehave(Fault::status("/bulk", 502).times(1));
    port.misbehave(Fault::new("/search", FaultKind::Refuse).times(1));
    world.port.expire_tokens();
    world.resync().await;
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn a_refused_token_says_so_and_deletes_nothing() {
    let world = World::demo().await;
    world.resync().await;
    let before = world.port.catalogue();
    world.bitbucket.revoke(Bitbucket::TOKEN);
    let error = world.invoke(json!({"action": "resync"})).await.unwrap_err();
    assert_eq!(error.error_type(), "BitbucketCredentials");
    assert_eq!(world.port.catalogue(), before);
    assert_eq!(
        world.port.resync_states().last().unwrap()["status"],
        "failed"
    );
    assert_eq!(
        world.tick().await.unwrap(),
        json!({"status": "idle"}),
        "the schedule will ask again, not every tick"
    );
    world.finish();
}

#[tokio::test]
async fn an_invalid_mapping_is_reported_whole_and_costs_nothing() {
    let world = World::demo().await;
    world.resync().await;
    let before = world.port.catalogue();
    world.port.set_config(json!({"resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {"identifier": ".slug"}}}},
        {"kind": "teapot", "selector": {"query": "true"}, "port": {"entity": {"mappings": {"identifier": ".a", "blueprint": "'b'"}}}},
    ]}));
    let error = world.invoke(json!({"action": "resync"})).await.unwrap_err();
    let shown = ferry::telemetry::chain(&error);
    assert!(
        shown.contains("resources[0].port.entity.mappings.blueprint"),
        "{shown}"
    );
    assert!(shown.contains("resources[1].kind"), "{shown}");
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}
