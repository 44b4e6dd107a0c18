//! The command line as its users start it: a process, its variables, its output and its exit code.

use sandbox::bitbucket::Bitbucket;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{ended, ferry};
use crate::support::{PORT_CLIENT_SECRET, WEBHOOK_SECRET, World};

#[tokio::test]
async fn once_is_one_resync_and_a_truthful_exit() {
    let world = World::demo().await;
    let mut once = ferry(&world);
    once.env("OCEAN__EVENT_LISTENER", r#"{"type":"ONCE"}"#)
        .env("OCEAN__INITIALIZE_PORT_RESOURCES", "true")
        .env("OCEAN__SEND_RAW_DATA_EXAMPLES", "true");
    let (code, out, log) = ended(&mut once).await;
    assert_eq!(code, 0, "{log}");
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

    let (code, _, log) = ended(ferry(&world).args(["resync", "--mapping", "/nowhere.yml"])).await;
    assert!(code == 64 && log.contains("/nowhere.yml"), "{log}");

    world.bitbucket.revoke(Bitbucket::TOKEN);
    let (code, out, log) = ended(&mut once).await;
    assert_eq!((code, out.as_str()), (1, ""));
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
    let (code, _, log) = ended(command.arg("resync")).await;
    assert_eq!(code, 64, "it was asked wrongly");
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
async fn the_webhook_is_installed_looked_at_and_removed_by_hand() {
    let world = World::demo().await;
    let webhook = |action: &'static str| {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .args(["webhook", action, "--url", "https://ferry.example.com"]);
        command
    };
    let (code, _, log) = ended(&mut webhook("status")).await;
    assert!(code == 1 && log.contains("ferry webhook install"), "{log}");
    for action in ["install", "status", "remove"] {
        let (code, out, log) = ended(&mut webhook(action)).await;
        assert_eq!(code, 0, "{action}: {out}{log}");
    }
    let (code, _, log) = ended(ferry(&world).args(["webhook", "status"])).await;
    assert!(code == 1 && log.contains("OCEAN__BASE_URL"), "{log}");
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
        let (code, _, log) = ended(&mut command).await;
        assert_eq!(code, 0, "{log}");
        assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
        world.finish();
    }
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
    let (code, out, log) = ended(preview().arg("--json")).await;
    assert_eq!(code, 2, "{log}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let repositories = &found["blueprints"]["bitbucketRepository"];
    assert_eq!(repositories["created"][0]["identifier"], "brand-new");
    assert_eq!(repositories["deleted"][0]["identifier"], "perl-scripts");
    let title = json!({"field": "title", "before": "Payments API", "after": "Takes money"});
    let changed = repositories["changed"].as_array().unwrap();
    let is_it = |change: &&Value| change["identifier"] == "payments-api";
    let change = changed.iter().find(is_it).unwrap();
    assert!(
        change["fields"].as_array().unwrap().contains(&title),
        "{change}"
    );

    let (code, out, log) = ended(preview().args(["--diff", "--limit", "100"])).await;
    assert_eq!(code, 2, "{log}");
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
        (&["-h"], "Keep a Port catalogue in step"),
        (&["man"], "waiting out rate limits"),
        (&["resync", "--help"], "Exits with 0"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
        let (code, out, log) = ended(command.env_clear().args(arguments)).await;
        assert!(code == 0 && out.contains(part), "{arguments:?}: {out}{log}");
    }
}
