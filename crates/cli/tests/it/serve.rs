//! `ferry serve`.

use std::process::Stdio;

use sandbox::bitbucket::NewPullRequest;
use sandbox::fault::{Fault, FaultKind};
use sandbox::webhook::Delivery;
use tokio::process::{Child, Command};

#[cfg(target_os = "linux")]
use crate::program::probe;
use crate::program::{Log, StateDir, ended, ferry, free_port, signal};
use crate::support::{WEBHOOK_SECRET, World};

/// `ferry` with a webhook secret, on `port`, where Bitbucket reaches it.
fn on(world: &World, port: u16) -> Command {
    let mut command = ferry(world);
    command
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("OCEAN__BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("FERRY__PORT", port.to_string())
        // It ends as soon as all is done; a busy machine may need longer than people wait.
        .env("OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN", "60");
    command
}

fn started(command: &mut Command) -> (Child, Log) {
    let mut server = command.arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::of(&mut server);
    (server, log)
}

fn open_pull_request(world: &World) -> Vec<Delivery> {
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    world
        .bitbucket
        .open_pull_request("monorepo", new)
        .unwrap()
        .1
}

/// As Bitbucket does, to wherever its hooks lead.
async fn deliver(world: &World, deliveries: &[Delivery]) {
    for delivery in deliveries {
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [202]);
    }
}

#[tokio::test]
async fn serve_resyncs_subscribes_and_takes_webhooks_until_it_is_stopped() {
    for name in ["TERM", "INT"] {
        let world = World::demo().await;
        let (mut server, mut log) = started(&mut on(&world, free_port()));
        log.read_to("resync completed").await;
        deliver(&world, &open_pull_request(&world)).await;
        signal(server.id().unwrap(), name);
        log.read_to("stopping").await;
        // What was accepted is worked off before the end.
        log.read_to_the_end().await;
        assert!(server.wait().await.unwrap().success(), "{}", log.seen);
        assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
        world.finish();
    }
}

#[tokio::test]
async fn serve_keeps_to_its_prefix_and_waits_with_the_first_resync_if_told_to() {
    let world = World::demo().await;
    let state = StateDir::new("prefix");
    let (code, _, log) = ended(
        ferry(&world)
            .env("FERRY__STATE_DIR", &state.0)
            .arg("resync"),
    )
    .await;
    assert_eq!(code, 0, "{log}");
    let port = free_port();
    let prefixed = || {
        let mut command = on(&world, port);
        command
            .env("OCEAN__PATH_PREFIX", "tools/ferry")
            .env("OCEAN__EVENT_LISTENER__RESYNC_ON_START", "false")
            .env("FERRY__STATE_DIR", &state.0);
        command
    };
    let (code, _, log) = ended(prefixed().args(["webhook", "install"])).await;
    assert_eq!(code, 0, "{log}");
    let (mut server, mut log) = started(&mut prefixed());
    log.read_to("serving").await;
    // The hook leads to the prefix.
    deliver(&world, &open_pull_request(&world)).await;
    log.read_to("looks committed").await;
    assert!(!log.seen.contains("resync begun"), "{}", log.seen);
    server.kill().await.unwrap();
    world.finish();
}

#[tokio::test]
async fn a_server_that_is_killed_goes_on_at_once_with_what_it_had_accepted() {
    let world = World::demo().await;
    let state = StateDir::new("killed");
    let port = free_port();
    let serve = || {
        let mut command = on(&world, port);
        command.env("FERRY__STATE_DIR", &state.0);
        command
    };
    let (mut server, mut log) = started(&mut serve());
    log.read_to("resync completed").await;
    let pid = server.id().unwrap();
    // The process is killed while it holds the pen: it never reads Port's answer.
    let kill = FaultKind::before(move |_| signal(pid, "KILL"));
    world
        .port
        .server()
        .misbehave(Fault::new("/entities/bulk", kill));
    deliver(&world, &open_pull_request(&world)).await;
    server.wait().await.unwrap();

    let (mut server, mut log) =
        started(serve().env("OCEAN__EVENT_LISTENER__RESYNC_ON_START", "false"));
    log.read_to("looks committed").await;
    assert!(!log.seen.contains("resync begun"), "{}", log.seen);
    signal(server.id().unwrap(), "TERM");
    assert!(server.wait().await.unwrap().success());
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn another_process_is_told_that_the_state_directory_is_in_use() {
    let world = World::demo().await;
    let state = StateDir::new("in-use");
    let (mut server, mut log) = started(on(&world, free_port()).env("FERRY__STATE_DIR", &state.0));
    log.read_to("serving").await;
    let (code, out, log) = ended(
        ferry(&world)
            .env("FERRY__STATE_DIR", &state.0)
            .arg("resync"),
    )
    .await;
    assert_eq!((code, out.as_str()), (1, ""), "{log}");
    assert!(
        log.contains("is in use by another process") && log.contains("FERRY__STATE_DIR"),
        "{log}"
    );
    server.kill().await.unwrap();
    world.finish();
}

/// `command` in a shell that lets the process outlive its disk: for a file that grows beyond a limit there is a signal.
#[cfg(target_os = "linux")]
fn without_signal(command: &Command) -> Command {
    let (program, variables) = (command.as_std().get_program(), command.as_std().get_envs());
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(program)
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .kill_on_drop(true);
    shell
}

/// How large files may get that a process writes.
#[cfg(target_os = "linux")]
fn limit(pid: u32, bytes: &str) {
    let prlimit = std::process::Command::new("prlimit")
        .args([
            "--pid",
            &pid.to_string(),
            &format!("--fsize={bytes}:unlimited"),
        ])
        .status();
    assert!(prlimit.unwrap().success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_was_full_for_a_moment_does_not_stop_the_server() {
    let world = World::demo().await;
    let state = StateDir::new("full");
    let port = free_port();
    let mut command = without_signal(on(&world, port).env("FERRY__STATE_DIR", &state.0));
    let (mut server, mut log) = started(&mut command);
    log.read_to("resync completed").await;
    let pid = server.id().unwrap();
    let deliveries = open_pull_request(&world);

    limit(pid, "4096");
    for delivery in &deliveries {
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [503]);
    }
    assert_eq!(probe(port, "/health/ready").await, "503");
    // To start it anew would give it no room.
    assert_eq!(probe(port, "/health/live").await, "200");
    log.read_to("File too large").await;
    assert!(log.seen.contains("ferry.redb"), "{}", log.seen);

    limit(pid, "unlimited");
    assert_eq!(probe(port, "/health/ready").await, "200");
    deliver(&world, &deliveries).await;
    log.read_to("looks committed").await;
    signal(pid, "TERM");
    log.read_to_the_end().await;
    assert!(server.wait().await.unwrap().success(), "{}", log.seen);
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn a_state_directory_that_is_none_is_told_by_its_variable() {
    let world = World::demo().await;
    let state = StateDir::new("none");
    std::fs::create_dir_all(state.0.join("database/ferry.redb")).unwrap();
    std::fs::write(state.0.join("file"), "").unwrap();
    for place in ["file", "file/below", "database"] {
        let (code, _, log) = ended(
            ferry(&world)
                .env("FERRY__STATE_DIR", state.0.join(place))
                .arg("resync"),
        )
        .await;
        assert_eq!(code, 1, "{log}");
        assert!(
            log.contains("FERRY__STATE_DIR has to name a directory") && log.contains(place),
            "{log}"
        );
    }
    world.finish();
}
