//! What the guide for those who come from Ocean says is what they see.

use sandbox::server::{Fault, FaultKind, Response};
use serde_json::{Value, json};

use crate::program::{StateDir, ended, ferry};
use crate::support::World;

const GUIDE: &str = include_str!("../../../../docs/migrating-from-ocean.md");
const MAPPING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/ocean-default-mapping.yml"
);

/// The repositories of the demo workspace but one.
const NAMED_BY_SLUG: [&str; 8] = [
    "a.b_c",
    "checkout-service",
    "empty-repo",
    "monorepo",
    "old-billing-archived",
    "payments-api",
    "payments-api-luis",
    "perl-scripts",
];

/// The blocks of the guide, without the line that opens each.
fn blocks(language: &str) -> Vec<String> {
    let parts = GUIDE.split("```").skip(1).step_by(2);
    let own = parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n'));
    own.map(str::to_owned).collect()
}

/// The demo workspace as Ocean has left it in Port: its lists of pull requests hold nobody who takes part.
async fn left_by_ocean() -> World {
    let world = World::demo().await;
    // Whoever lives with that mapping calls repositories by names without blanks, or does without most of them.
    for slug in NAMED_BY_SLUG {
        world.bitbucket.rename_repository(slug, slug).unwrap();
    }
    let blueprints: Value =
        serde_json::from_str(include_str!("../../../../src/port/blueprints.json")).unwrap();
    for blueprint in blueprints.as_array().unwrap() {
        world.port.put_blueprint(blueprint).unwrap();
    }
    let without_people = FaultKind::rewrite("lists nobody", |_, mut response: Response| {
        let mut page: Value = serde_json::from_slice(&response.body).unwrap();
        for pull_request in page["values"].as_array_mut().into_iter().flatten() {
            let pull_request = pull_request.as_object_mut().unwrap();
            pull_request.remove("participants");
            pull_request.remove("reviewers");
        }
        response.body = page.to_string().into_bytes();
        response
    });
    let fault = Fault::new("/pullrequests", without_people).always();
    world.bitbucket.server().misbehave(fault);
    let (_, _, log) = ended(ferry(&world).args(["resync", "--mapping", MAPPING])).await;
    assert!(log.contains("resync completed"), "{log}");
    world.bitbucket.server().behave();
    world
}

#[tokio::test]
async fn the_preview_of_oceans_default_mapping_is_what_the_guide_shows() {
    let world = left_by_ocean().await;
    let (code, out, log) = ended(ferry(&world).args(["preview", "--mapping", MAPPING])).await;
    assert_eq!(code, 2, "{out}{log}");
    let shown = &blocks("text")[0];
    assert_eq!(*shown, out, "the guide shows something else");

    // With the lines changed that the guide names.
    let mut mapping = std::fs::read_to_string(MAPPING).unwrap();
    for block in blocks("diff") {
        let lines: Vec<&str> = block.lines().map(str::trim).collect();
        for pair in lines.chunks(2) {
            let [before, after] = pair else { continue };
            let before = before.strip_prefix('-').unwrap().trim();
            let after = after.strip_prefix('+').unwrap().trim();
            assert!(mapping.contains(before), "{before} is not in the mapping");
            mapping = mapping.replace(before, after);
        }
    }
    let folder = StateDir::new("migrating");
    std::fs::create_dir_all(&folder.0).unwrap();
    let changed = folder.0.join("mapping.yml");
    std::fs::write(&changed, mapping).unwrap();
    let (code, out, log) = ended(
        ferry(&world)
            .args(["preview", "--json", "--mapping"])
            .arg(&changed),
    )
    .await;
    assert_eq!(code, 2, "{out}{log}");
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["mapping_problems"], json!([]), "{out}");
    assert_eq!(plan["failed_partitions"], json!([]), "{out}");
    let fields = plan["blueprints"]["bitbucketPullRequest"]["changed"].as_array();
    let mut fields = fields
        .unwrap()
        .iter()
        .flat_map(|one| one["fields"].as_array().unwrap());
    let names = |field: &Value| {
        let after = field["after"].as_array();
        field["field"] == "properties.reviewers" && after.is_some_and(|after| !after.is_empty())
    };
    assert!(fields.any(names), "{out}");
    world.finish();
}
