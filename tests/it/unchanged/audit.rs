//! The self-audit: what is taken for unchanged is read now and then, and one difference has the run read everything.

use std::collections::BTreeSet;
use std::time::Duration;

use ferry::deadline::Deadline;
use ferry::resync::{Scope, preview};
use sandbox::fault::{Fault, FaultKind};
use sandbox::server::{Request, Response};
use serde_json::json;

use super::{mapping, put_blueprints, synced, take_contents, workspace, world_of};
use crate::support::{IDENTIFIER, World};

/// Bitbucket gives other contents for the same commit.
fn other_contents() -> Fault {
    let change = |_: &Request, mut response: Response| {
        response.body = b"tier: lead\n".to_vec();
        response
    };
    Fault::new("/catalog.yml", FaultKind::rewrite("other contents", change)).always()
}

async fn conditions(world: &World) -> Vec<&'static str> {
    let deadline = Deadline::after(&world.clock, Duration::from_secs(60));
    let status = ferry::status::status(world.app(), &deadline).await.unwrap();
    let conditions = status.conditions.iter();
    conditions
        .map(|diagnosis| diagnosis.condition.name())
        .collect()
}

/// Nothing that the rule goes by has changed, and the contents have: the audit finds out, and the same run mends it.
#[tokio::test]
async fn one_difference_has_the_run_read_everything() {
    let world = synced(mapping()).await;
    let clock = world.clock.clone();
    let pass = move |_: &Request| clock.advance(Duration::from_secs(1));
    world.bitbucket.server().before_each(pass);
    world.bitbucket.server().misbehave(other_contents());
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 0);
    let catalogue = world.port.catalogue();
    for (file, entity) in catalogue["file"].as_object().unwrap() {
        assert_eq!(entity["properties"]["tier"], "lead", "{file}");
    }
    // What was taken over before the difference was met is not counted twice.
    assert_eq!(outcome["counts"]["transformed"], 9);
    assert_eq!(outcome["counts"]["extracted"], 9);
    assert_eq!(outcome["counts"]["written"], 3);
    assert_eq!(outcome["counts"]["unchanged"], 6);
    assert_eq!(conditions(&world).await, ["unread-changed"]);
    // The next run may take over again.
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 4);
    assert_eq!(conditions(&world).await, Vec::<&str>::new());
    world.finish();
}

/// Each repository has its turn once in a hundred runs.
#[tokio::test]
async fn the_audit_comes_to_every_repository() {
    let world = synced(mapping()).await;
    let mut audited = BTreeSet::new();
    for _ in 0..100 {
        world.resync().await;
        let asked = take_contents(&world);
        assert!(asked.len() <= 3, "{asked:#?}");
        audited.extend(asked);
    }
    // A file, a tree and what it holds of each of three.
    assert_eq!(audited.len(), 9, "{audited:#?}");
    world.finish();
}

/// A preview shows what is there: nobody asks for one to be told that all was well the last time.
#[tokio::test]
async fn a_preview_reads_everything() {
    let world = synced(mapping()).await;
    let deadline = Deadline::after(&world.clock, Duration::from_secs(600));
    preview(world.app(), &Scope::default(), &deadline)
        .await
        .unwrap();
    assert_eq!(take_contents(&world).len(), 9);
    world.finish();
}

/// Examples for Port's mapping editor are those of a run that has read them all.
#[tokio::test]
async fn an_unchanged_run_leaves_ports_examples_as_they_are() {
    let world = world_of(workspace(12), mapping()).await;
    world.resync().await;
    let before = world.port.examples();
    let kinds: Vec<&String> = before.keys().collect();
    assert_eq!(kinds, ["file", "folder", "repository"]);
    world.resync().await;
    assert_eq!(world.port.examples(), before);
    world.finish();
}

/// Identifiers that were not mapped again count for the share that is null.
#[tokio::test]
async fn a_few_bad_identifiers_among_many_that_were_not_read_are_no_reason_for_distrust() {
    let mut world = world_of(workspace(30), mapping()).await;
    put_blueprints(&world);
    let mut mapping = mapping();
    mapping["resources"][2]["port"]["entity"]["mappings"]["identifier"] =
        json!("if .content.tier == \"none\" then null else .repo.slug end");
    world.port.install(IDENTIFIER, mapping);
    world.resync().await;
    let files = [("apps/web/catalog.yml", Some("tier: none\n"))];
    world.bitbucket.push("service-7", "main", &files).unwrap();
    let outcome = world.resync_with_losses().await;
    assert_eq!(outcome["counts"]["not_mapped"], 1);
    assert_eq!(outcome["taken_over"], 2 * 30 - 4);
    assert_eq!(outcome["failed_partitions"], json!([]));
    world.app_mut().config.reads_unchanged = true;
    world.resync_with_losses().await;
    world.finish();
}
