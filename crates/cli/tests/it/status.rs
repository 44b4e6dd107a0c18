//! `ferry status`, and `GET /status` of `ferry serve`.

use std::process::Stdio;

use ferry::deadline::Clock;
use ferry::http::Http;
use sandbox::fault::Fault;
use serde_json::Value;
use tokio::process::Command;

use crate::program::{Log, StateDir, ended, ferry, free_port};
use crate::support::{WEBHOOK_SECRET, World};

fn kept_in(world: &World, state: &StateDir) -> Command {
    let mut command = ferry(world);
    command.env("FERRY__STATE_DIR", &state.0);
    command
}

async fn status(command: &mut Command) -> (i32, Value, String) {
    let (code, out, log) = ended(command.args(["status", "--json"])).await;
    let found = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{log}"));
    (code, found, log)
}

#[tokio::test]
async fn status_says_what_is_wrong_and_exits_with_1_then() {
    let world = World::demo().await;
    let state = StateDir::new("status");
    let (code, _, log) = ended(kept_in(&world, &state).arg("resync")).await;
    assert_eq!(code, 0, "{log}");
    world.take_requests();
    let (code, found, log) = status(&mut kept_in(&world, &state)).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(found["is_healthy"], true, "{found:#}");
    assert_eq!(found["last_run"]["entities"], 18);
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty(), "nobody is asked");

    let forbidden = Fault::status("/pullrequests", 403).nth(2);
    world.bitbucket.server().misbehave(forbidden);
    let (code, _, log) = ended(kept_in(&world, &state).arg("resync")).await;
    assert_eq!(code, 3, "{log}");
    let (code, text, log) = ended(kept_in(&world, &state).arg("status")).await;
    assert_eq!(code, 1, "{log}");
    assert!(text.contains("30 run-losses since"), "{text}");
    assert!(
        text.contains("1 parts not read") && text.contains("rights of the token"),
        "{text}"
    );
    assert!(text.contains("with losses; 18 entities"), "{text}");
    world.finish();
}

/// The status, as `ferry serve` gives it to whoever sends these headers.
async fn asked(port: u16, header: Option<(&str, &str)>) -> (u16, String) {
    let http = Http::new(Clock::System).unwrap();
    let mut request = http.client().get(format!("http://127.0.0.1:{port}/status"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_server_tells_how_it_stands_to_its_own_machine_alone() {
    let world = World::demo().await;
    let (state, port) = (StateDir::new("status-of-serve"), free_port());
    let on = || {
        let mut command = kept_in(&world, &state);
        command
            .env("FERRY__PORT", port.to_string())
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET);
        command
    };
    let mut server = on().arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = Log::of(&mut server);
    log.read_to("resync completed").await;
    let (code, text) = asked(port, None).await;
    assert_eq!(code, 200, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["queue"]["dead_letters"], 0);
    for name in ["X-Forwarded-For", "Forwarded", "Via"] {
        let (code, text) = asked(port, Some((name, "for=192.0.2.1"))).await;
        assert_eq!((code, text.as_str()), (404, ""), "{name}");
    }
    // The server has the directory, so it is asked.
    let (code, found, log) = status(&mut on()).await;
    assert_eq!(code, 0, "{found:#}\n{log}");
    assert_eq!(found["identifier"], "ferry-tests");
    let (code, _, log) = ended(
        on().env("FERRY__PORT", free_port().to_string())
            .arg("status"),
    )
    .await;
    assert_eq!(code, 1);
    assert!(log.contains("FERRY__PORT"), "{log}");
    server.kill().await.unwrap();
    world.finish();
}
