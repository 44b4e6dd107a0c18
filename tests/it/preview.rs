//! What preview announces is what happens, and preview itself makes nothing happen.

use std::collections::BTreeSet;

use ferry::deadline::Deadline;
use ferry::resync::{Preview, Scope, preview};
use sandbox::fault::Fault;
use sandbox::port::WriteKind;
use serde_json::json;

use crate::convergence::every_kind;
use crate::foretold::compare;
use crate::support::World;

async fn look(world: &World, kind: Option<&str>) -> Preview {
    let scope = Scope {
        kind: kind.map(str::to_owned),
    };
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    world.port.take_writes();
    world.take_requests();
    let found = preview(world.app(), &scope, &deadline).await.unwrap();
    assert!(world.port.take_writes().is_empty());
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.iter().all(|request| request.method == "GET"));
    for request in port {
        let reads = ["search", "datasource-entities", "access_token"];
        let reads = reads.iter().any(|route| request.path.contains(route));
        assert!(request.method == "GET" || reads, "{}", request.target());
    }
    found
}

fn announced(found: &Preview) -> [BTreeSet<String>; 3] {
    let created = found
        .created
        .iter()
        .map(|entity| entity.key().unwrap().to_string());
    let changed = found.changed.iter().map(|change| change.key.to_string());
    let deleted = found
        .deleted
        .iter()
        .map(|deletion| deletion.key.to_string());
    [created.collect(), changed.collect(), deleted.collect()]
}

#[tokio::test]
async fn what_is_announced_happens() {
    for world in [World::demo().await, every_kind().await] {
        world.resync().await;
        for seed in 0..25 {
            world.bitbucket.change_at_random(seed).unwrap();
        }
        let found = look(&world, None).await;
        let announced = announced(&found);
        assert!(
            announced.iter().all(|list| !list.is_empty()),
            "{announced:?}"
        );
        assert!(found.changed.iter().all(|change| !change.fields.is_empty()));
        let before = world.port.catalogue();
        world.resync().await;
        let verdict = compare(&found, &before, &world.port.catalogue());
        verdict.unwrap_or_else(|wrong| panic!("{wrong}"));
        let after = look(&world, None).await;
        let nothing = [
            &after.created.len(),
            &after.changed.len(),
            &after.deleted.len(),
        ];
        assert_eq!(nothing, [&0; 3]);
        world.finish();
    }
}

#[tokio::test]
async fn a_new_installation_is_previewed_with_the_default_mapping() {
    let world = World::demo().await;
    let found = look(&world, None).await;
    assert!(world.port.integration().is_none(), "it is not registered");
    assert!(found.deleted.is_empty() && found.changed.is_empty());
    let before = world.port.catalogue();
    world.resync().await;
    let verdict = compare(&found, &before, &world.port.catalogue());
    verdict.unwrap_or_else(|wrong| panic!("{wrong}"));
    world.finish();
}

#[tokio::test]
async fn one_kind_says_nothing_about_deletions() {
    let world = World::demo().await;
    world.resync().await;
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    world
        .bitbucket
        .rename_project("PAY", "Payments and more")
        .unwrap();
    let found = look(&world, Some("project")).await;
    assert_eq!(found.changed.len(), 1);
    let fields: Vec<(&str, &serde_json::Value)> = found.changed[0]
        .fields
        .iter()
        .map(|field| (field.name.as_str(), &field.after))
        .collect();
    assert_eq!(fields, [("title", &json!("Payments and more"))]);
    assert!(found.deleted.is_empty() && found.kept.is_some());
    world.finish();
}

/// What a repository holds is kept where it cannot be read: a preview that does not know the records would announce the end
/// of all of it.
#[tokio::test]
async fn what_cannot_be_read_is_not_announced_as_deleted() {
    let world = World::demo().await;
    world.resync().await;
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    let forbidden = Fault::refused("/pullrequests", 403);
    world.bitbucket.server().misbehave(forbidden.always());
    let found = look(&world, None).await;
    assert!(!found.failed_partitions.is_empty());
    let [_, _, announced] = announced(&found);
    assert!(!announced.is_empty());
    world.port.take_writes();
    world.resync_with_losses().await;
    let writes = world.port.take_writes().into_iter();
    let deletions = writes.filter(|write| write.kind == WriteKind::Deleted);
    let carried_out: BTreeSet<String> = deletions
        .map(|write| format!("{}/{}", write.blueprint, write.identifier))
        .collect();
    assert_eq!(carried_out, announced);
    world.bitbucket.server().behave();
    world.finish();
}

#[tokio::test]
async fn a_preview_that_knows_no_resync_says_what_it_cannot_know() {
    let world = World::demo().await;
    let found = look(&world, None).await;
    assert_eq!(found.unknown.len(), 1, "{:?}", found.unknown);
    world.resync().await;
    let found = look(&world, None).await;
    assert!(found.unknown.is_empty(), "{:?}", found.unknown);
    world.finish();
}

/// Of a mapping of which only a part is looked at, places are those of the whole.
#[tokio::test]
async fn one_kind_is_told_by_its_place_in_the_whole_mapping() {
    let world = World::demo().await;
    world.resync().await;
    let resource = |kind: &str, query: &str| {
        json!({"kind": kind, "selector": {"query": query}, "port": {"entity": {"mappings": {
            "identifier": ".key // .slug", "blueprint": "'nowhere'"}}}})
    };
    let resources = [
        resource("pull-request", "true"),
        resource("repository", "true"),
        resource("project", "true"),
        resource("project", "true ||"),
    ];
    world.port.set_config(json!({ "resources": resources }));
    let found = look(&world, Some("project")).await;
    let problems = &found.problems;
    assert!(
        problems[0].starts_with("resources[3].selector.query"),
        "{problems:?}"
    );
    let refused: Vec<&String> = found.refused.iter().flat_map(|it| &it.resources).collect();
    assert!(
        refused.contains(&&"resources[2] (project)".to_owned()),
        "{refused:?}"
    );
    assert_eq!(found.mapping["resources"], json!(resources));
    world.finish();
}
