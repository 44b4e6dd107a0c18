//! All of it in one workspace at once: everything else is there, and the run says what was left out, by kind, with a count
//! and one sample.

use sandbox::bitbucket::NewPullRequest;
use sandbox::server::{Fault, FaultKind, Request};
use serde_json::{Value, json};

use super::values::{nameless, service, services};
use super::{assert_settled, repositories};
use crate::doubt::{NUMBERED, blueprint, is_write, resource, retitle};
use crate::support::{IDENTIFIER, World};

fn mapping(uuids: &[String]) -> Value {
    let mut pulls = resource("pull-request", json!({}), "pull", json!(NUMBERED));
    pulls["port"]["entity"]["mappings"]["properties"]["people"] =
        json!("[.author.display_name, .author.nothing, .title]");
    json!({"entityDeletionThreshold": 1.0, "resources": [
        services(uuids),
        // Their repositories disagree about a project's name.
        repositories(json!({"identifier": ".project.key", "blueprint": "\"owner\"", "properties": {"name": ".name"}})),
        // Half of them have none.
        repositories(json!({"identifier": "if .slug < \"m\" then null else (.slug | length) end",
            "blueprint": "\"half\""})),
        pulls,
    ]})
}

async fn world() -> World {
    let world = World::demo().await;
    let uuids = world.bitbucket.repositories();
    world.port.put_blueprint(&service()).unwrap();
    for identifier in ["owner", "half"] {
        blueprint(&world, identifier, &[]);
    }
    let pull = json!({"identifier": "pull", "title": "Pull", "relations": {}, "schema": {"required": [], "properties": {
        "name": {"type": "string"}, "people": {"type": "array", "items": {"type": "string"}}}}});
    world.port.put_blueprint(&pull).unwrap();
    for number in 0..25 {
        let new = NewPullRequest::new(format!("more {number}"), "Dana Okafor");
        world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
    }
    world.port.install(IDENTIFIER, mapping(&uuids));
    world
}

/// Port forbids one pull request, refuses one search, and misunderstands another.
fn misbehave(world: &World) {
    let forbidden = |request: &Request| {
        is_write(request) && String::from_utf8_lossy(&request.body).contains("Payments-API/6\"")
    };
    let narrow = |request: &Request| {
        request.path.ends_with("service/entities/search") && !request.json()["include"].is_null()
    };
    for fault in [
        Fault::new("", FaultKind::refused(403)).when(forbidden),
        Fault::refused("owner/entities/search", 403),
        Fault::new("", FaultKind::without_identifiers()).when(narrow),
    ] {
        world.port.server().misbehave(fault.always());
    }
    world.bitbucket.server().misbehave(nameless());
}

#[tokio::test]
async fn all_of_it_at_once_costs_each_its_own() {
    let world = world().await;
    misbehave(&world);
    let outcome = world.resync_with_losses().await;
    let found = world.identifiers();
    let count = |blueprint: &str| found.get(blueprint).map_or(0, Vec::len);
    let open = world
        .bitbucket
        .repositories()
        .iter()
        .flat_map(|one| world.bitbucket.pull_requests(one).unwrap())
        .filter(|(_, state)| state.as_str() == "OPEN")
        .count();
    assert_eq!(
        [count("service"), count("owner"), count("pull")],
        [9 + 4, 3, open - 1],
        "{found:#?}"
    );
    assert!(0 < count("half"), "{found:#?}");
    let counts = &outcome["counts"];
    assert_eq!(
        (&counts["refused"], &counts["left_out"]),
        (&json!(1), &json!(9)),
        "{outcome:#}"
    );
    let told = format!(
        "{} {}",
        outcome["mapping_problems"], outcome["failed_partitions"]
    );
    for part in [
        "properties.size: 1 value left out of service: not of the type number",
        "properties.people: ",
        "null in a list",
        "owner/PAY stands for several items that differ",
        "of 9 identifiers are null or refused by Port",
        "gives no identifier; ",
    ] {
        assert!(told.contains(part), "{part}: {outcome:#}");
    }
    // An event in the midst of it, and the same run again.
    let news = retitle(&world.bitbucket, "payments-api", 7, "retitled");
    world.accept(&news).await;
    assert_eq!(
        world
            .port
            .entity("pull", "Payments-API/7")
            .unwrap()
            .properties["name"],
        json!("retitled")
    );
    assert_settled(&world, "completed_with_losses", "again").await;
    world.finish();
}
