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

#[tokio::test]
async fn what_is_wrong_with_the_mapping_is_told_once_and_mistakes_at_the_begin() {
    let world = World::demo().await;
    world.resync().await;
    let mut config = world.port.integration().unwrap()["config"].clone();
    let [projects, repositories] = [0, 1].map(|index| format!("resources[{index}]"));
    config["resources"][0]["selector"]["query"] = json!(".key == 'NONE'");
    let resource = &mut config["resources"][1];
    resource["selector"]["repoFilter"] = json!("rust");
    resource["port"]["entity"]["mappings"]["properties"]["url"] = json!(".links.hmtl.href");
    world.port.set_config(config);
    let before = world.port.logs().len();
    let outcome = world.resync().await;
    let told = lines(&world).split_off(before);
    let place = format!("{repositories}.port.entity.mappings.properties.url");
    let expected = [
        (
            "WARNING",
            format!(
                "{repositories}.selector.repoFilter: is not known and does nothing: write repoQuery"
            ),
        ),
        ("WARNING", format!("{place}: is null for all 9 entities")),
        (
            "INFO",
            format!("{projects}.selector.query: is true for none of 3 items"),
        ),
    ];
    for (level, begin) in &expected {
        let lines = told.iter().filter(|line| {
            let message = line[3].as_str().unwrap();
            line[0] == *level && message.starts_with(begin)
        });
        assert_eq!(lines.count(), 1, "{begin}: {told:#?}");
    }
    assert!(
        told[1][3].as_str().unwrap().contains("repoFilter"),
        "{told:#?}"
    );
    let problems = outcome["mapping_problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[1]
            .as_str()
            .unwrap()
            .ends_with("did you mean \"html\"?")
    );
    world.finish();
}
