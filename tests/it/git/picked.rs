//! Where git is not spoken, Bitbucket picks out of a tree what a mapping looks for: one page instead of all of them.

use sandbox::bitbucket::Workspace;
use sandbox::server::{Fault, FaultKind};
use serde_json::json;

use super::{resource, world};
use crate::support::World;

/// 250 files that nobody looks for in each of three repositories, and one that is.
fn workspace() -> Workspace {
    let paths: Vec<String> = (0..250).map(|at| format!("src/{at}.rs")).collect();
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
    files.push(("deploy/prod/catalog.yml", "a: 1\n"));
    let workspace = Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap();
    ["One", "Two", "Three"]
        .into_iter()
        .fold(workspace, |workspace, name| {
            workspace.with_repository("SHOP", name, &files).unwrap()
        })
}

async fn large_world() -> World {
    let one = resource(
        "file",
        json!({"files": {"path": "**/catalog.yml"}}),
        "[.repo.slug, .file.path]",
    );
    let mut world = world(workspace(), "rest", &[one]).await;
    // Otherwise what has not changed would not be listed at all.
    world.app_mut().config.reads_unchanged = true;
    world
}

/// How many pages of trees were asked for, with a query and without.
fn listings(world: &World) -> (usize, usize) {
    let (requests, _) = world.take_requests();
    let listings = requests
        .iter()
        .filter(|it| it.query("max_depth").is_some() || it.query("page").is_some())
        .filter(|it| it.path.contains("/src/"));
    let (with, without): (Vec<_>, Vec<_>) = listings.partition(|it| it.query("q").is_some());
    (with.len(), without.len())
}

#[tokio::test]
async fn one_page_of_matches_takes_the_place_of_all_pages() {
    let world = large_world().await;
    world.resync().await;
    // Which of them is the first to prove it depends on who asks first; from then on nothing is walked.
    let (with, without) = listings(&world);
    assert!(1 <= with && 3 <= without, "{with} {without}");
    let catalogue = world.port.catalogue();
    assert_eq!(catalogue["file"].as_object().unwrap().len(), 3);
    world.resync().await;
    assert_eq!(listings(&world), (3, 0));
    assert_eq!(world.port.catalogue(), catalogue);
    world.finish();
}

/// Bitbucket answers a query that it cannot read with 500 and a page, one that takes too long with 555.
#[tokio::test]
async fn a_tree_is_walked_where_the_query_is_refused() {
    let calm = large_world().await;
    calm.resync().await;
    for (name, kind, queries) in [
        ("500", FaultKind::html(500), 1),
        ("400", FaultKind::refused(400), 1),
        ("555", FaultKind::refused(555), 3),
        ("a page", FaultKind::html(200), 1),
    ] {
        let world = large_world().await;
        world.resync().await;
        listings(&world);
        let fault = Fault::new("/src/", kind).with_query("q", "catalog.yml");
        world.bitbucket.server().misbehave(fault.always());
        // Several are asked at once before one is refused.
        world.resync().await;
        let (with, without) = listings(&world);
        assert!(queries <= with && with <= 3, "{name}: {with}");
        assert_eq!(without, 9, "{name}");
        world.resync().await;
        let expected = if name == "555" { 3 } else { 0 };
        assert_eq!(listings(&world), (expected, 9), "{name}");
        assert_eq!(world.port.catalogue(), calm.port.catalogue(), "{name}");
        world.finish();
    }
    calm.finish();
}
