//! What users read of a run in Port's log.

use sandbox::server::Fault;
use serde_json::{Value, json};

use crate::support::World;

fn lines(world: &World) -> Vec<Value> {
    let shown = |line: Value| {
        let extra = &line["extra"];
        let (event, run) = (&extra["event_id"], &extra["resync_id"]);
        assert!(event.as_str().is_some_and(|id| !id.is_empty()) && event == run);
        json!([
            line["level"],
            extra["etl_phase"],
            extra["kind"],
            line["message"]
        ])
    };
    world.port.logs().into_iter().map(shown).collect()
}

#[tokio::test]
async fn a_healthy_run_tells_its_begin_its_counts_and_its_end() {
    let world = World::demo().await;
    world.resync().await;
    let told = lines(&world);
    assert_eq!(told[0], json!(["INFO", "resync", null, "resync begun"]));
    let end = json!(["INFO", "resync", null, "resync completed"]);
    assert_eq!(told.last(), Some(&end));
    for expected in [
        json!(["INFO", "transform", "project", "3 items, 3 entities"]),
        json!([
            "INFO",
            "load",
            null,
            "18 entities written, 0 as they were, 0 refused"
        ]),
        json!(["INFO", "delete", null, "0 entities deleted, 0 kept"]),
    ] {
        assert!(told.contains(&expected), "{expected}: {told:#?}");
    }
    world.finish();
}

#[tokio::test]
async fn what_went_wrong_is_told_with_its_kind_and_phase() {
    let world = World::demo().await;
    let fault = Fault::refused("/pullrequests", 403).at_end();
    world.bitbucket.server().misbehave(fault);
    world.resync_with_losses().await;
    let told = lines(&world);
    let warning = told.iter().find(|line| line[0] == "WARNING").unwrap();
    assert_eq!(warning[1], "extract");
    assert_eq!(warning[2], "pull-request");
    let end = told.last().unwrap()[3].as_str().unwrap();
    assert_eq!(end, "resync completed with losses: 1 parts not read");
    world.finish();
}
