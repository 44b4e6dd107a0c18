//! A file that Bitbucket does not give costs the items that hold it, and nothing else: in runs and after events.

use sandbox::server::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{every_kind_with_files, follow, open_pull_request, property, world};
use crate::support::World;

/// In the ways that pass by themselves, and in those that do not.
fn ways() -> Vec<FaultKind> {
    vec![
        FaultKind::refused(403),
        FaultKind::refused(500),
        FaultKind::Truncate,
    ]
}

/// A resource of each kind that files go along with, a pull request among them; and one more file that nothing goes
/// along with.
async fn begin() -> World {
    let mut resources = every_kind_with_files();
    resources.push(super::resource(
        "file",
        json!({"files": {"path": "/", "filenames": ["catalog.yml"]}}),
        ".repo.slug",
        json!({"content": ".content"}),
    ));
    let world = world(resources).await;
    open_pull_request(&world, "checkout-service", "feature");
    world.resync().await;
    world
}

const FOLDER: &str = "checkout-service/apps/web";
const FILE: &str = "checkout-service/apps/web/deploy/catalog.yml";

/// Each file by which kind of item holds it, and the items that do.
fn held() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    vec![
        ("apps/web/deploy/catalog.yml", vec![("file", FILE)]),
        (
            "apps/web/README.md",
            vec![("folder", FOLDER), ("file", FILE)],
        ),
        ("docs/index.md", vec![("repository", "checkout-service")]),
    ]
}

fn push(world: &World) -> Vec<sandbox::webhook::Delivery> {
    let files = [
        ("README.md", Some("# New\n")),
        ("apps/web/README.md", Some("# New web\n")),
        ("apps/web/deploy/catalog.yml", Some("tier: off\n")),
        ("catalog.yml", Some("team: c\n")),
        ("docs/index.md", Some("# New docs\n")),
    ];
    world
        .bitbucket
        .push("checkout-service", "main", &files)
        .unwrap()
        .1
}

/// What is as it was of `lost`, and new of everything else.
fn assert_only(lost: &[(&str, &str)], before: &Value, now: &Value, story: &str) {
    for (kind, identifier, name) in [
        ("repository", "checkout-service", "files"),
        ("folder", FOLDER, "files"),
        ("file", FILE, "content"),
        ("file", "checkout-service", "content"),
        ("pull-request", "acme/checkout-service/1", "files"),
    ] {
        let then = property(before, kind, identifier, name);
        let now = property(now, kind, identifier, name);
        match lost.contains(&(kind, identifier)) {
            true => assert_eq!(then, now, "{story}: {kind} {identifier}"),
            false => assert_ne!(then, now, "{story}: {kind} {identifier}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_a_run_cannot_read_costs_what_holds_it() {
    for (path, lost) in held() {
        for way in ways() {
            let story = format!("{path} {way}");
            let world = begin().await;
            let before = world.port.catalogue();
            push(&world);
            let server = world.bitbucket.server();
            server.misbehave(Fault::new(path, way).always());
            let outcome = world.resync_with_losses().await;
            let now = world.port.catalogue();
            assert_only(&lost, &before, &now, &story);
            let failed = outcome["failed_partitions"].to_string();
            assert!(failed.contains(path), "{story}: {failed}");
            server.behave();
            world.resync().await;
            assert_only(&[], &before, &world.port.catalogue(), &story);
            world.finish();
        }
    }
}

/// What holds the file is looked at again by itself, and the rest has not waited for it.
#[tokio::test]
async fn a_file_that_an_event_cannot_read_costs_what_holds_it() {
    for (path, lost) in held() {
        for way in ways() {
            let story = format!("{path} {way}");
            let world = begin().await.with_queue().await;
            let before = world.port.catalogue();
            let deliveries = push(&world);
            let server = world.bitbucket.server();
            server.misbehave(Fault::new(path, way).always());
            world.accept(&deliveries).await;
            world.work_off().await;
            let now = world.port.catalogue();
            assert_only(&lost, &before, &now, &story);
            server.behave();
            world.drain().await;
            let after = follow(&world, &[]).await;
            assert_only(&[], &before, &after, &story);
            world.finish();
        }
    }
}

/// The files of all pull requests into one branch are read once, and fail at once.
#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_its_pull_requests() {
    let world = begin().await;
    let before = world.port.catalogue();
    open_pull_request(&world, "payments", "other");
    let pushed = world.bitbucket.push(
        "checkout-service",
        "main",
        &[("README.md", Some("# New\n"))],
    );
    let (head, _) = pushed.unwrap();
    let fault = Fault::status(format!("/{head}/README.md"), 500).always();
    world.bitbucket.server().misbehave(fault);
    let outcome = world.resync_with_losses().await;
    let now = world.port.catalogue();
    let of = |catalogue: &Value| catalogue["pull-request"]["acme/checkout-service/1"].clone();
    assert_eq!(of(&before), of(&now));
    assert!(!of(&now).is_null());
    let failed = outcome["failed_partitions"].to_string();
    assert!(failed.contains("README.md"), "{failed}");
    world.finish();
}
