//! Several items that stand for one entity, and differ: one of them writes it, always the same one, and it is told.

use serde_json::json;

use super::{assert_settled, repositories};
use crate::doubt::{assert_fresh, blueprint, resource, retitle};
use crate::support::{IDENTIFIER, World};

async fn world() -> World {
    let world = World::demo().await;
    blueprint(&world, "owner", &[]);
    blueprint(&world, "repository", &[]);
    world.port.install(IDENTIFIER, json!({"resources": [
        // One entity for each project: its repositories disagree about the name.
        repositories(json!({"identifier": ".project.key", "blueprint": "\"owner\"", "properties": {"name": ".name"}})),
        // One for each author: her pull requests do.
        resource("pull-request", json!({}), "repository", json!("(.author.uuid // \"{nobody}\")[1:-1]")),
    ]}));
    world
}

/// Lines that name an entity and the items that differ.
fn told(outcome: &serde_json::Value) -> Vec<String> {
    let problems = outcome["mapping_problems"].as_array().unwrap().iter();
    let lines = problems.map(|line| line.as_str().unwrap().to_owned());
    lines
        .filter(|line| line.contains("several items that differ"))
        .collect()
}

#[tokio::test]
async fn items_that_differ_are_told_once_with_both_and_the_same_one_writes() {
    let world = world().await;
    let outcome = world.resync().await;
    let first = told(&outcome);
    assert!(
        first
            .iter()
            .any(|line| line.contains(".mappings.identifier: owner/PAY ")),
        "{outcome:#}"
    );
    let mut keys: Vec<&str> = first
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), first.len(), "each once: {first:#?}");
    assert!(
        first[0].contains("acme-platform/"),
        "names of both: {first:#?}"
    );
    // Nothing has changed: nothing is written, and it is told again.
    let again = assert_settled(&world, "completed", "nothing has changed").await;
    assert_eq!(told(&again), first);
    // Whatever is told in whatever order, the same ones write.
    for repository in world.bitbucket.repositories() {
        let news = world.bitbucket.set_language(&repository, "rust").unwrap();
        world.accept(&news).await;
        assert_fresh(&world, &format!("after {repository}")).await;
    }
    let all = world.bitbucket.pull_requests("payments-api").unwrap();
    let open = all
        .into_iter()
        .filter(|(_, state)| state.as_str() == "OPEN");
    for (id, _) in open.collect::<Vec<_>>().into_iter().rev() {
        let news = retitle(
            &world.bitbucket,
            "payments-api",
            id,
            &format!("retitled {id}"),
        );
        world.accept(&news).await;
        assert_fresh(&world, &format!("after {id}")).await;
    }
    assert_settled(&world, "completed", "after events").await;
    world.finish();
}

#[tokio::test]
async fn a_writer_that_leaves_is_followed_by_the_next_and_comes_back_as_the_first() {
    let world = world().await;
    world.resync().await;
    for repository in world.bitbucket.repositories().into_iter().take(4) {
        world.port.take_writes();
        let news = world.bitbucket.delete_repository(&repository).unwrap();
        world.accept(&news).await;
        world.settle().await;
        assert_fresh(&world, &format!("without {repository}")).await;
    }
    for number in 0..4 {
        world.port.take_writes();
        let (_, news) = world
            .bitbucket
            .create_repository("PAY", &format!("new {number}"))
            .unwrap();
        world.accept(&news).await;
        world.settle().await;
        assert_fresh(&world, &format!("with new {number}")).await;
    }
    assert_settled(&world, "completed", "in the end").await;
    world.finish();
}

/// Two branches of a repository that stand for one entity are members of one item.
#[tokio::test]
async fn members_of_one_item_that_differ_are_told_as_well() {
    let world = World::demo().await;
    blueprint(&world, "branches", &[]);
    let mut config = resource("branch", json!({}), "branches", json!(".repo.slug"));
    config["port"]["entity"]["mappings"]["properties"]["name"] = json!(".branch.name");
    world
        .port
        .install(IDENTIFIER, json!({"resources": [config]}));
    world
        .bitbucket
        .create_branch("payments-api", "aaa", None)
        .unwrap();
    let outcome = world.resync().await;
    let problems = outcome["mapping_problems"].to_string();
    assert!(
        problems.contains("branches/payments-api stands for"),
        "{problems}"
    );
    let news = world
        .bitbucket
        .create_branch("payments-api", "zzz", None)
        .unwrap();
    world.accept(&news).await;
    assert_fresh(&world, "another branch").await;
    assert_settled(&world, "completed", "another branch").await;
    world.finish();
}
