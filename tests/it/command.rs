//! The command line as its users start it: a process, its variables, its output and its exit code.

use std::process::{Output, Stdio};

use sandbox::bitbucket::{Bitbucket, NewPullRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{PORT_CLIENT_ID, PORT_CLIENT_SECRET, WEBHOOK_SECRET, World};

/// `ferry` with the variables of an existing Ocean installation, and nothing of this process's own.
fn ferry(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command
        .env_clear()
        .env("OCEAN__PORT__BASE_URL", world.port.url())
        .env("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID)
        .env("OCEAN__PORT__CLIENT_SECRET", PORT_CLIENT_SECRET)
        .env("OCEAN__INTEGRATION__IDENTIFIER", "ferry-tests")
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            world.bitbucket.url(),
        )
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            world.bitbucket.workspace(),
        )
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            Bitbucket::TOKEN,
        )
        .kill_on_drop(true);
    command
}

async fn ended(command: &mut Command) -> (bool, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

#[tokio::test]
async fn once_is_one_resync_and_a_truthful_exit() {
    let world = World::demo().await;
    let mut once = ferry(&world);
    once.env("OCEAN__EVENT_LISTENER", r#"{"type":"ONCE"}"#)
        .env("OCEAN__INITIALIZE_PORT_RESOURCES", "true")
        .env("OCEAN__SEND_RAW_DATA_EXAMPLES", "true");
    let (done, out, log) = ended(&mut once).await;
    assert!(done, "{log}");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (outcome, progress) = lines.split_last().unwrap();
    assert_eq!(outcome["status"], "completed");
    assert_eq!(outcome["failed_partitions"], json!([]));
    let last = &progress.last().unwrap()["progress"];
    assert_eq!(last["run"], outcome["run"]);
    let parts = last["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    for part in parts {
        assert_eq!(part["done"], part["total"], "{part}");
    }
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);

    let (done, _, log) = ended(ferry(&world).args(["resync", "--mapping", "/nowhere.yml"])).await;
    assert!(!done && log.contains("/nowhere.yml"), "{log}");

    world.bitbucket.revoke(Bitbucket::TOKEN);
    let (done, out, log) = ended(&mut once).await;
    assert!(!done && out.is_empty());
    assert!(log.contains("Bitbucket refuses the credentials"), "{log}");
    assert!(!log.contains(Bitbucket::TOKEN) && !log.contains(PORT_CLIENT_SECRET));
    world.finish();
}

#[tokio::test]
async fn what_is_missing_is_said_at_once_and_completely() {
    let world = World::demo().await;
    let mut command = ferry(&world);
    command
        .env_remove("OCEAN__PORT__CLIENT_SECRET")
        .env_remove("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN")
        .env("OCEAN__PORT__BASE_URL", "http://port.example.com");
    let (done, _, log) = ended(command.arg("resync")).await;
    assert!(!done);
    for name in [
        "OCEAN__PORT__CLIENT_SECRET",
        "BITBUCKET_WORKSPACE_TOKEN",
        "OCEAN__PORT__BASE_URL",
    ] {
        assert!(log.contains(name), "{name} in {log}");
    }
    world.finish();
}

#[tokio::test]
async fn serve_resyncs_subscribes_and_takes_webhooks_until_it_is_stopped() {
    let world = World::demo().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address = format!("http://127.0.0.1:{port}");
    let mut server = ferry(&world)
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("OCEAN__BASE_URL", &address)
        .env("FERRY__PORT", port.to_string())
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut wait_for = async |part: &str| {
        let mut seen = String::new();
        while let Some(line) = log.next_line().await.unwrap() {
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(part) {
                return;
            }
        }
        panic!("`{part}` is not in the log:\n{seen}");
    };
    wait_for("resync completed").await;
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (_, opened) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    for delivery in &opened {
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [202]);
    }
    // What was accepted is worked off before the end.
    let pid = server.id().unwrap().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.await.unwrap().success());
    wait_for("stopping").await;
    while log.next_line().await.unwrap().is_some() {}
    assert!(server.wait().await.unwrap().success());
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn the_webhook_is_installed_looked_at_and_removed_by_hand() {
    let world = World::demo().await;
    let webhook = |action: &'static str| {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .args(["webhook", action, "--url", "https://ferry.example.com"]);
        command
    };
    let (done, _, log) = ended(&mut webhook("status")).await;
    assert!(!done && log.contains("ferry webhook install"), "{log}");
    for action in ["install", "status", "remove"] {
        let (done, out, log) = ended(&mut webhook(action)).await;
        assert!(done, "{action}: {out}{log}");
    }
    let (done, _, log) = ended(ferry(&world).args(["webhook", "status"])).await;
    assert!(!done && log.contains("OCEAN__BASE_URL"), "{log}");
    world.finish();
}

/// The variables of Port's recipes for Jenkins, Azure Pipelines and GitLab, as those pass them: every way to reach
/// Bitbucket at once, some of them empty, and on Azure the name of a variable where it is not set.
#[tokio::test]
async fn the_variables_of_pipelines_drive_one_resync() {
    for (email, scoped_token, workspace_token) in [
        ("ci@example.com", "an-api-token", ""),
        ("", "", Bitbucket::TOKEN),
        (
            "$(OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL)",
            "$(OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN)",
            Bitbucket::TOKEN,
        ),
    ] {
        let world = World::demo().await;
        world
            .bitbucket
            .accept_basic("ci@example.com", "an-api-token");
        let mut command = ferry(&world);
        command
            .env("OCEAN__EVENT_LISTENER", r#"{"type":"ONCE"}"#)
            .env("OCEAN__INITIALIZE_PORT_RESOURCES", "true")
            .env("OCEAN__SEND_RAW_DATA_EXAMPLES", "true")
            .env("OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL", email)
            .env("OCEAN__INTEGRATION__CONFIG__BITBUCKET_USERNAME", "ci-user")
            .env(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN",
                scoped_token,
            )
            .env(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
                workspace_token,
            );
        let (done, _, log) = ended(&mut command).await;
        assert!(done, "{log}");
        assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
        world.finish();
    }
}

#[tokio::test]
async fn check_finds_what_is_wrong_and_says_what_to_do() {
    let world = World::demo().await;
    world.resync().await;
    let check = || {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("OCEAN__BASE_URL", "https://ferry.example.com")
            .arg("check");
        command
    };
    let (done, out, _) = ended(&mut check()).await;
    assert!(!done && out.contains("ferry webhook install"), "{out}");
    let mut install = ferry(&world);
    install
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .args(["webhook", "install", "--url", "https://ferry.example.com"]);
    assert!(ended(&mut install).await.0);
    let mut status = ferry(&world);
    status
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .args([
            "webhook",
            "status",
            "--json",
            "--url",
            "https://ferry.example.com",
        ]);
    let (done, out, _) = ended(&mut status).await;
    let standing: Value = serde_json::from_str(&out).unwrap();
    assert!(done && standing["right"] == true, "{out}");
    world.port.take_writes();
    let (done, out, log) = ended(&mut check()).await;
    assert!(done, "{out}{log}");
    assert!(!out.contains("wrong"), "{out}");

    let mapping = json!({"resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".slug", "blueprint": "'bitbucketRepository'", "properties": {"nowhere": ".x"}}}}},
        {"kind": "project", "selector": {"query": "true ||"}, "port": {"entity": {"mappings": {
            "identifier": ".key", "blueprint": "'unknownBlueprint'"}}}},
    ]});
    world.port.set_config(mapping);
    let scopes = ["repository", "webhook", "account"];
    world
        .bitbucket
        .set_scopes(Bitbucket::TOKEN, Some(&scopes))
        .unwrap();
    let (done, out, _) = ended(&mut check()).await;
    assert!(!done);
    for part in [
        "`nowhere`",
        "unknownBlueprint",
        "resources[1].selector.query",
        "scope project (read)",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let (done, out, _) = ended(check().arg("--json")).await;
    assert!(!done && serde_json::from_str::<Value>(&out).unwrap().is_array());
    assert!(world.port.take_writes().is_empty());
    world.finish();
}

#[tokio::test]
async fn check_foresees_what_port_would_refuse_and_knows_tokens_by_their_kind() {
    let world = World::demo().await;
    world.resync().await;
    let mapping = json!({"createMissingRelatedEntities": false, "resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".slug + \" (repository)\"", "blueprint": "'bitbucketRepository'"}}}},
        {"kind": "pull-request", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".id | tostring", "blueprint": "'bitbucketPullRequest'",
            "relations": {"repository": "'nobody-' + .destination.repository.name"}}}}},
    ]});
    // The repositories of relations are somebody else's business here.
    let mut relations_only = mapping.clone();
    relations_only["resources"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    for (mapping, part) in [
        (mapping, "port.entity.mappings.identifier"),
        (
            relations_only,
            "do not exist, such as bitbucketRepository/nobody-",
        ),
    ] {
        world.port.set_config(mapping);
        let (done, out, _) = ended(ferry(&world).arg("check")).await;
        assert!(!done && out.contains(part), "{part} in {out}");
    }
    for (name, token, part) in [
        (
            "WORKSPACE_TOKEN",
            "ATATT3xFfGF0",
            "BITBUCKET_USER_SCOPED_TOKEN",
        ),
        ("WORKSPACE_TOKEN", "ATBBabcdef", "app password"),
        (
            "USER_SCOPED_TOKEN",
            "ATCTT3xFfGN0",
            "BITBUCKET_WORKSPACE_TOKEN",
        ),
    ] {
        let mut check = ferry(&world);
        check
            .env_remove("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN")
            .env(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
                "ci@example.com",
            )
            .env(
                format!("OCEAN__INTEGRATION__CONFIG__BITBUCKET_{name}"),
                token,
            )
            .arg("check");
        let (done, out, _) = ended(&mut check).await;
        assert!(!done && out.contains(part), "{part} in {out}");
        assert!(!out.contains(token), "{out}");
    }
    world.finish();
}

#[tokio::test]
async fn serve_keeps_to_its_prefix_and_waits_with_the_first_resync_if_told_to() {
    let world = World::demo().await;
    world.resync().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let ferry = || {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("OCEAN__BASE_URL", format!("http://127.0.0.1:{port}/"))
            .env("OCEAN__PATH_PREFIX", "tools/ferry")
            .env("OCEAN__EVENT_LISTENER__RESYNC_ON_START", "false")
            .env("FERRY__PORT", port.to_string());
        command
    };
    let (done, _, log) = ended(ferry().args(["webhook", "install"])).await;
    assert!(done, "{log}");
    let mut server = ferry().arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let mut read_to = async |part: &str| {
        while let Some(line) = log.next_line().await.unwrap() {
            seen.push_str(&line);
            if line.contains(part) {
                break;
            }
        }
        assert!(seen.contains(part), "`{part}` is not in the log: {seen}");
        seen.clone()
    };
    read_to("serving").await;
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (_, opened) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    for delivery in &opened {
        // The hook leads to the prefix.
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [202]);
    }
    let log = read_to("events applied").await;
    assert!(!log.contains("resync begun"), "{log}");
    server.kill().await.unwrap();
    world.finish();
}

#[tokio::test]
async fn a_preview_is_told_by_blueprint() {
    let world = World::demo().await;
    world.resync().await;
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    world
        .bitbucket
        .describe_repository("payments-api", "Takes money")
        .unwrap();
    world
        .bitbucket
        .create_repository("PLAT", "Brand New")
        .unwrap();
    let mapping = std::env::temp_dir().join(format!("ferry-preview-{}.yml", std::process::id()));
    std::fs::write(
        &mapping,
        "resources: [{kind: repository, selector: {query: 'true'}, port: {entity: {mappings: {identifier: .slug, \
         blueprint: \"'bitbucketRepository'\", title: '.description // .name'}}}}]",
    )
    .unwrap();
    let preview = || {
        let mut command = ferry(&world);
        command.arg("preview").arg("--mapping").arg(&mapping);
        command
    };
    let (done, out, log) = ended(preview().arg("--json")).await;
    assert!(done, "{log}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let repositories = &found["blueprints"]["bitbucketRepository"];
    assert_eq!(repositories["created"][0]["identifier"], "brand-new");
    assert_eq!(repositories["deleted"], json!(["perl-scripts"]));
    let title = json!({"field": "title", "before": "Payments API", "after": "Takes money"});
    let changed = repositories["changed"].as_array().unwrap();
    let is_it = |change: &&Value| change["identifier"] == "payments-api";
    let change = changed.iter().find(is_it).unwrap();
    assert!(
        change["fields"].as_array().unwrap().contains(&title),
        "{change}"
    );

    let (done, out, log) = ended(preview().args(["--diff", "--limit", "100"])).await;
    assert!(done, "{log}");
    for part in [
        "+ brand-new",
        "- perl-scripts",
        "~ payments-api",
        "title: \"Payments API\" -> \"Takes money\"",
        "nothing was written",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    std::fs::remove_file(&mapping).unwrap();
    world.finish();
}

#[tokio::test]
async fn shells_and_manuals_need_no_configuration() {
    for (arguments, part) in [
        (&["completions", "bash"][..], "complete -F"),
        (&["completions", "zsh"], "#compdef ferry"),
        (&["man"], "waiting out rate limits"),
        (&["resync", "--help"], "Exits with 0"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
        let (done, out, log) = ended(command.env_clear().args(arguments)).await;
        assert!(done && out.contains(part), "{arguments:?}: {out}{log}");
    }
}
