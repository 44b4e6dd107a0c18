//! `ferry install` and `ferry uninstall`, as far as they go without AWS. `.ci/installed.py` has the rest.

use std::process::Stdio;

use sandbox::bitbucket::Bitbucket;

use crate::program::{ended, ferry};
use crate::support::{PORT_CLIENT_SECRET, World};

/// The variables of [`ferry`] that hold credentials.
const CREDENTIALS: [&str; 3] = [
    "OCEAN__PORT__CLIENT_ID",
    "OCEAN__PORT__CLIENT_SECRET",
    "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
];

#[tokio::test]
async fn commands_are_printed_without_a_word_to_anybody() {
    let world = World::demo().await;
    let workspace = world.bitbucket.workspace();
    let mut command = ferry(&world);
    command.args(["install", "--print", "--bucket", "deployments"]);
    command.args(["--parameter", "AlarmEmail=team@example.com"]);
    let (code, shown, log) = ended(&mut command).await;
    assert_eq!(code, 0, "{log}");
    let version = env!("CARGO_PKG_VERSION");
    for part in [
        format!("/releases/download/v{version}/ferry-{version}-arm64.yaml"),
        format!("aws s3 cp ferry-{version}-arm64.zip s3://deployments/ferry/"),
        format!("BitbucketWorkspace={workspace}"),
        "IntegrationIdentifier=ferry-tests".to_owned(),
        "AlarmEmail=team@example.com".to_owned(),
        "ferry secret put".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part} in\n{shown}");
    }
    assert!(!shown.contains(PORT_CLIENT_SECRET) && !shown.contains(Bitbucket::TOKEN));
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    world.finish();
}

#[tokio::test]
async fn what_is_missing_is_told_as_a_wrong_question() {
    let world = World::demo().await;
    for (arguments, part) in [
        (vec!["install", "--print"], "--bucket"),
        (vec!["install"], "give --yes"),
        (vec!["uninstall"], "give --yes"),
        (vec!["install", "--yes", "--parameter", "x"], "NAME=VALUE"),
        (
            vec!["install", "--template", "s3://bucket"],
            "s3://BUCKET/KEY",
        ),
        (
            vec!["uninstall", "--yes", "--delete-entities"],
            "FERRY__DELETE is off",
        ),
    ] {
        let mut command = ferry(&world);
        command.args(&arguments).stdin(Stdio::null());
        command.env("FERRY__DELETE", "off");
        // There may be none yet.
        for name in CREDENTIALS {
            command.env_remove(name);
        }
        let (code, _, log) = ended(&mut command).await;
        assert_eq!(code, 64, "{arguments:?}: {log}");
        assert!(log.contains(part), "{part} in {log}");
    }
    world.finish();
}

/// Who has no region, no rights or no network is told so, in words.
#[tokio::test]
async fn an_aws_that_cannot_be_reached_is_told_in_words() {
    let world = World::demo().await;
    let nobody = format!("http://127.0.0.1:{}", crate::program::free_port());
    for (variables, part) in [
        (vec![], "set AWS_REGION"),
        (
            vec![
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
                ("AWS_ENDPOINT_URL", &nobody),
                ("AWS_MAX_ATTEMPTS", "1"),
            ],
            "cannot look at the stack `ferry`",
        ),
    ] {
        let mut command = ferry(&world);
        command.args(["uninstall", "--yes"]).envs(variables);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let (code, _, log) = ended(&mut command).await;
        assert_eq!(code, 1, "{log}");
        assert!(log.contains(part), "{part} in {log}");
        for debug in ["SdkError", "DispatchFailure", "ConnectorError", " { "] {
            assert!(!log.contains(debug), "{debug} in {log}");
        }
    }
    world.finish();
}
