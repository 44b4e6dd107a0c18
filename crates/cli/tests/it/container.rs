//! What the image promises: its Dockerfile, its readiness, and the worker for events of Port's chart.

use std::process::Stdio;

use ferry::config::Config;
use sandbox::bitbucket::NewPullRequest;

use crate::program::{Log, ended, ferry, free_port, probe, signal};
use crate::support::{WEBHOOK_SECRET, World};

const DOCKERFILE: &str = include_str!("../../../../Dockerfile");

/// Each instruction, with the lines that continue it.
fn instructions() -> Vec<(String, String)> {
    let text = DOCKERFILE.lines().filter(|line| !line.starts_with('#'));
    let text = text.collect::<Vec<_>>().join("\n").replace("\\\n", "");
    let split = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        Some((name.to_owned(), rest.trim().to_owned()))
    };
    text.lines().filter_map(split).collect()
}

fn all(name: &str) -> Vec<String> {
    let found = instructions().into_iter().filter(|(each, _)| each == name);
    found.map(|(_, rest)| rest).collect()
}

#[test]
fn each_image_that_this_one_is_built_from_is_named_by_its_digest() {
    let stages: Vec<String> = all("FROM");
    let own: Vec<&str> = stages
        .iter()
        .filter_map(|stage| stage.split_once(" AS ").map(|(_, name)| name))
        .collect();
    let outside: Vec<&String> = stages
        .iter()
        .filter(|stage| {
            !own.iter()
                .any(|name| stage.starts_with(&format!("{name} ")))
        })
        .collect();
    assert_eq!(outside.len(), 2, "{stages:?}");
    for stage in outside {
        let digest = stage.split_once("@sha256:").unwrap().1;
        let digest = digest.split(' ').next().unwrap();
        assert!(
            digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()),
            "{stage}"
        );
    }
}

#[test]
fn the_image_is_built_with_the_compiler_of_the_repository() {
    let file = include_str!("../../../../rust-toolchain.toml");
    let (_, version) = file.split_once("channel = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    let (minor, _) = version.rsplit_once('.').unwrap();
    assert!(
        DOCKERFILE.contains(&format!(" rust:{minor}-bookworm@")),
        "{minor}"
    );
}

#[test]
fn the_image_keeps_its_state_in_a_volume_of_its_user() {
    assert_eq!(all("VOLUME"), ["/state"]);
    assert_eq!(all("EXPOSE"), ["8000"], "the default of FERRY__PORT");
    let last = DOCKERFILE.rsplit_once("FROM ").unwrap().1;
    assert!(
        last.starts_with("gcr.io/distroless/cc-debian12:nonroot@"),
        "{last}"
    );
    assert!(last.contains("COPY --from=build --chown=nonroot:nonroot /owned/ /\n"));
    assert!(DOCKERFILE.contains("/owned/state"));
    let variables = all("ENV").pop().unwrap();
    assert!(variables.contains("FERRY__STATE_DIR=/state"), "{variables}");
    let known = Config::variables();
    for variable in variables.split_whitespace() {
        let name = variable.split_once('=').unwrap().0;
        assert!(
            known.contains(name) || name.starts_with("SSL_CERT_"),
            "{name}"
        );
    }
}

/// What is built is there: a member of the workspace that is left out would not build.
#[test]
fn the_image_is_built_from_all_that_the_workspace_names() {
    let ignored = include_str!("../../../../.dockerignore");
    let kept: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for wanted in [
        ".cargo",
        "Cargo.lock",
        "Cargo.toml",
        "benches",
        "crates",
        "src",
    ] {
        assert!(kept.contains(&wanted), "{wanted}");
    }
    let workspace = include_str!("../../../../Cargo.toml");
    let (_, members) = workspace.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(member.starts_with("crates/"), "{member}");
    }
}

/// Variables are the configuration's alone: with this feature clap would read others beside it.
#[test]
fn the_command_line_takes_no_value_from_a_variable_by_itself() {
    let manifest = include_str!("../../Cargo.toml");
    let clap = manifest
        .lines()
        .find(|line| line.starts_with("clap = "))
        .unwrap();
    assert!(!clap.contains("\"env\""), "{clap}");
}

#[tokio::test]
async fn the_image_is_ready_once_port_has_taken_the_credentials() {
    let world = World::demo().await;
    let port = free_port();
    let mut command = ferry(&world);
    command
        .env("FERRY__PORT", port.to_string())
        .stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut log = Log::of(&mut server);
    log.read_to("resync begun").await;
    assert_eq!(probe(port, "/health/ready").await, "200");
    signal(server.id().unwrap(), "TERM");
    server.wait().await.unwrap();
    world.finish();
}

#[tokio::test]
async fn the_image_is_not_ready_with_credentials_that_are_refused() {
    for (name, mistake) in [
        ("OCEAN__PORT__CLIENT_SECRET", "another"),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            "another",
        ),
    ] {
        let world = World::demo().await;
        let port = free_port();
        let mut command = ferry(&world);
        command
            .env("FERRY__PORT", port.to_string())
            .env(name, mistake);
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = Log::of(&mut server);
        log.read_to("resync failed").await;
        assert_eq!(probe(port, "/health/ready").await, "503", "{name}");
        // To start it anew would give it no others.
        assert_eq!(probe(port, "/health/live").await, "200", "{name}");
        server.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_worker_for_events_follows_them_and_makes_no_resync() {
    let world = World::demo().await;
    let (code, _, log) = ended(ferry(&world).arg("resync")).await;
    assert_eq!(code, 0, "{log}");
    let port = free_port();
    let mut command = ferry(&world);
    command
        .env("OCEAN__EVENT_LISTENER", r#"{"type":"WEBHOOKS_ONLY"}"#)
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("OCEAN__BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("FERRY__PORT", port.to_string());
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = Log::of(&mut server);
    log.read_to("the mapping is in force").await;
    assert_eq!(probe(port, "/health/ready").await, "200");
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let opened = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    for delivery in &opened.1 {
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [202]);
    }
    log.read_to("looks committed").await;
    signal(server.id().unwrap(), "TERM");
    log.read_to_the_end().await;
    assert!(server.wait().await.unwrap().success(), "{}", log.seen);
    assert!(!log.seen.contains("resync begun"), "{}", log.seen);
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}
