//! `ferry explain`.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{Log, StateDir, ended, ferry, free_port};
use crate::support::World;

fn explain(world: &World, state: &StateDir, entity: &str) -> Command {
    let mut command = ferry(world);
    command
        .env("FERRY__STATE_DIR", &state.0)
        .args(["explain", entity]);
    command
}

async fn as_json(command: &mut Command) -> Value {
    let (code, out, log) = ended(command.arg("--json")).await;
    assert_eq!(code, 0, "{log}");
    serde_json::from_str(&out).unwrap()
}

#[tokio::test]
async fn an_entity_is_explained_by_what_makes_it_and_by_what_would_delete_it() {
    let world = World::demo().await;
    let state = StateDir::new("explain");
    let mut resync = ferry(&world);
    resync.env("FERRY__STATE_DIR", &state.0).arg("resync");
    let (code, out, log) = ended(&mut resync).await;
    assert_eq!(code, 0, "{log}");
    let outcome: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let service = "bitbucketRepository/payments-api";

    let found = as_json(&mut explain(&world, &state, service)).await;
    assert_eq!(found["in_port"], "ours");
    let claims = found["claims"].as_array().unwrap();
    let own: Vec<&Value> = claims
        .iter()
        .filter(|claim| claim["how"] == "writes")
        .collect();
    let [own] = own.as_slice() else {
        panic!("{found:#}");
    };
    assert!(own["resource"].as_str().unwrap().ends_with("(repository)"));
    let name = format!("{}/payments-api", world.bitbucket.workspace());
    assert_eq!(own["repository"], name);
    assert_eq!(own["last_write"]["cause"]["event"], "resync");
    assert_eq!(own["last_write"]["cause"]["request_id"], outcome["run"]);
    assert_eq!(found["rule"]["stays_because"], json!([]));

    let (code, out, _) = ended(&mut explain(&world, &state, service)).await;
    assert_eq!(code, 0);
    for part in ["in Port, and ours", "written by", &name, "goes when"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let mut kept = explain(&world, &state, service);
    let found = as_json(kept.env("FERRY__DELETE", "off")).await;
    let stays = found["rule"]["stays_because"].to_string();
    assert!(stays.contains("FERRY__DELETE"), "{stays}");

    world.port.take_writes();
    let found = as_json(&mut explain(&world, &state, "bitbucketRepository/nobody")).await;
    assert_eq!(
        (&found["in_port"], &found["claims"]),
        (&json!("absent"), &json!([]))
    );
    let (code, _, log) = ended(&mut explain(&world, &state, "no-identifier")).await;
    assert!(code == 64 && log.contains("service/cart"), "{log}");
    assert!(world.port.take_writes().is_empty());

    let nothing = StateDir::new("explain-nothing");
    let (code, _, log) = ended(&mut explain(&world, &nothing, service)).await;
    assert!(code == 1 && log.contains("FERRY__STATE_TABLE"), "{log}");
    world.finish();
}

#[tokio::test]
async fn while_a_server_works_with_the_records_it_is_said_what_to_do() {
    let world = World::demo().await;
    let state = StateDir::new("explain-in-use");
    let mut server = ferry(&world);
    let mut server = server
        .env("FERRY__STATE_DIR", &state.0)
        .env("FERRY__PORT", free_port().to_string())
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = Log::of(&mut server);
    log.read_to("resync completed").await;
    let service = "bitbucketRepository/payments-api";
    let (code, _, said) = ended(&mut explain(&world, &state, service)).await;
    assert!(code == 1 && said.contains("SIGTERM"), "{said}");
    server.kill().await.unwrap();
    let (code, _, said) = ended(&mut explain(&world, &state, service)).await;
    assert_eq!(code, 0, "{said}");
    world.finish();
}
