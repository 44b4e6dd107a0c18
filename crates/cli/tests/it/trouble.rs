//! What stands in the way of the program itself: addresses that lead nowhere, closed pipes, full disks.

use std::fs::File;
use std::process::Stdio;

use sandbox::bitbucket::Bitbucket;
use sandbox::fault::{Fault, FaultKind};
use tokio::process::Command;

use crate::program::{StateDir, ended, ferry, free_port};
use crate::support::World;

const PORT_URL: &str = "OCEAN__PORT__BASE_URL";
const BITBUCKET_URL: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL";

/// Commands that ask both sides, and have nothing to say if one of them is not there.
const COMMANDS: &[&[&str]] = &[&["resync"], &["preview"], &["check"]];

#[tokio::test]
async fn an_address_that_leads_nowhere_is_an_error_at_once_that_names_its_variable() {
    let world = World::demo().await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    // The sandbox speaks no TLS.
    let no_tls = world.port.url().replacen("http:", "https:", 1);
    // No resolver asks anybody for a label of more than 63 letters.
    let unknown = format!("https://{}.invalid", "x".repeat(64));
    for (variable, url, parts) in [
        (
            PORT_URL,
            nobody.clone(),
            [PORT_URL, "the connection is refused"],
        ),
        (
            BITBUCKET_URL,
            nobody.clone(),
            ["BITBUCKET_HOST_URL", "HTTPS_PROXY"],
        ),
        (PORT_URL, no_tls, ["TLS fails", "SSL_CERT_FILE"]),
        (PORT_URL, unknown, ["its name is not known", "HTTPS_PROXY"]),
    ] {
        for arguments in COMMANDS {
            let mut command = ferry(&world);
            let (code, out, log) = ended(command.env(variable, &url).args(*arguments)).await;
            let said = format!("{out}{log}");
            assert_eq!(code, 1, "{variable} {arguments:?}: {said}");
            for part in parts {
                assert!(said.contains(part), "{part}: {arguments:?}: {said}");
            }
            assert!(!said.contains("asking again"), "{arguments:?}: {said}");
        }
    }
    let mut command = ferry(&world);
    let proxied = command
        .env("HTTPS_PROXY", &nobody)
        .env(PORT_URL, "https://api.example.com")
        .arg("resync");
    let (code, _, log) = ended(proxied).await;
    assert!(code == 1 && log.contains("HTTPS_PROXY"), "{log}");
    world.finish();
}

/// A side that has answered once is waited for like any other that is down for a moment.
#[tokio::test]
async fn a_host_that_has_answered_is_asked_again() {
    let world = World::demo().await;
    let down = Fault::status("/repositories", 503).times(2);
    world.bitbucket.server().misbehave(down);
    let (code, _, log) = ended(ferry(&world).arg("resync")).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(log.matches("asking again").count(), 1, "{log}");
    world.finish();
}

/// What was told before a process died was told at once.
#[tokio::test]
async fn check_tells_each_line_as_it_is_known() {
    let world = World::demo().await;
    let mut command = ferry(&world);
    let process = command
        .arg("check")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = process.id().unwrap();
    let killed = FaultKind::before(move |_| crate::program::signal(pid, "KILL"));
    let killed = Fault::new("/workspaces", killed).times(1);
    world.bitbucket.server().misbehave(killed);
    let ended = process.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), None);
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(
        told.contains("Port: ") && !told.contains("workspace"),
        "{told}"
    );
    world.finish();
}

/// Each with something to say: there was a resync with `state`.
async fn commands(world: &World, state: &StateDir) -> Vec<(&'static str, Command)> {
    let mut first = ferry(world);
    first.env("FERRY__STATE_DIR", &state.0).arg("resync");
    assert_eq!(ended(&mut first).await.0, 0);
    let all: &[&[&str]] = &[
        &["preview", "--json"],
        &["preview"],
        &["check"],
        &["check", "--json"],
        &["resync"],
        &["status"],
        &["explain", "bitbucketProject/PAY"],
        &["webhook", "status", "--json"],
        &["completions", "bash"],
        &["man"],
    ];
    let command = |arguments: &&[&'static str]| {
        let mut command = ferry(world);
        command
            .env("FERRY__STATE_DIR", &state.0)
            .env("OCEAN__BASE_URL", "https://ferry.example.com")
            .args(*arguments);
        (arguments[0], command)
    };
    all.iter().map(command).collect()
}

/// `ferry preview | head`
#[tokio::test]
async fn a_closed_pipe_is_an_error_and_no_panic() {
    let world = World::demo().await;
    let state = StateDir::new("closed");
    for (name, mut command) in commands(&world, &state).await {
        // Closed before the process begins: however fast it is, nobody reads.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        let ended = process.wait_with_output().await.unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert!(!log.contains("panicked"), "{name}: {log}");
        assert_eq!(ended.status.code(), Some(1), "{name}: {log}");
    }
    world.finish();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_an_error_and_no_panic() {
    let world = World::demo().await;
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let state = StateDir::new("full");
    for (name, mut command) in commands(&world, &state).await {
        command.stdout(full()).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        let ended = process.wait_with_output().await.unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert!(!log.contains("panicked"), "{name}: {log}");
        assert_eq!(ended.status.code(), Some(1), "{name}: {log}");
        if !["completions", "man"].contains(&name) {
            assert!(log.contains("standard output"), "{name}: {log}");
        }
    }
    // Nor is a log that nobody can read.
    let mut silent = ferry(&world);
    silent.arg("resync").stdout(Stdio::null()).stderr(full());
    assert_eq!(silent.status().await.unwrap().code(), Some(0));
    world.bitbucket.revoke(Bitbucket::TOKEN);
    let mut silent = ferry(&world);
    silent.arg("resync").stdout(full()).stderr(full());
    assert_eq!(silent.status().await.unwrap().code(), Some(1));
    world.finish();
}

/// Nobody is kept waiting by a process that was killed: the lock is the operating system's.
#[tokio::test]
async fn a_resync_that_is_killed_does_not_block_the_next_one() {
    let world = World::demo().await;
    let state = StateDir::new("killed");
    let resync = || {
        let mut command = ferry(&world);
        command.env("FERRY__STATE_DIR", &state.0).arg("resync");
        command
    };
    let mut process = resync()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = process.id().unwrap();
    let killed = FaultKind::before(move |_| crate::program::signal(pid, "KILL"));
    let killed = Fault::new("/pullrequests", killed).nth(4);
    world.bitbucket.server().misbehave(killed);
    assert_eq!(process.wait().await.unwrap().code(), None);
    let (code, _, log) = ended(&mut resync()).await;
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("is at work"), "{log}");
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}
