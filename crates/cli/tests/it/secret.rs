//! `ferry secret put`.

use std::process::Stdio;

use sandbox::aws::SecretsManager;
use sandbox::bitbucket::Bitbucket;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::program::ferry;
use crate::support::{PORT_CLIENT_ID, PORT_CLIENT_SECRET, World};

const ID: &str = "ferry/credentials";

/// Without credentials in the environment.
fn put(world: &World, secrets: &SecretsManager) -> Command {
    let mut command = ferry(world);
    command
        .args(["secret", "put"])
        .env("FERRY__SECRET_ID", ID)
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn fed(command: &mut Command, text: &str) -> (i32, String) {
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let ended = process.wait_with_output().await.unwrap();
    let shown = [ended.stdout, ended.stderr].concat();
    (
        ended.status.code().unwrap(),
        String::from_utf8(shown).unwrap(),
    )
}

#[tokio::test]
async fn only_credentials_that_work_are_stored() {
    let world = World::demo().await;
    let secrets = SecretsManager::start().await.unwrap();
    secrets.create(ID);
    let right = json!({
        "portClientId": PORT_CLIENT_ID,
        "portClientSecret": PORT_CLIENT_SECRET,
        "bitbucketWorkspaceToken": Bitbucket::TOKEN,
    });
    for (key, value, code, part) in [
        ("portClientSecret", json!("wrong"), 1, "wrong  Port"),
        (
            "bitbucketWorkspaceToken",
            json!("wrong"),
            1,
            "wrong  Bitbucket workspace",
        ),
        // The environment of the command has one; the functions will not.
        (
            "bitbucketWorkspaceToken",
            json!(""),
            1,
            "BITBUCKET_WORKSPACE_TOKEN",
        ),
        (
            "portClientId",
            json!(7),
            64,
            "standard input is not a JSON object of texts",
        ),
    ] {
        let mut document = right.clone();
        document[key] = value;
        let (ended, shown) = fed(&mut put(&world, &secrets), &document.to_string()).await;
        assert_eq!(ended, code, "{key}: {shown}");
        assert!(shown.contains(part), "{part} in {shown}");
        assert_eq!(secrets.value(ID), None, "{key}");
    }
    let (ended, shown) = fed(&mut put(&world, &secrets), &right.to_string()).await;
    assert_eq!(ended, 0, "{shown}");
    assert!(!shown.contains(PORT_CLIENT_SECRET) && !shown.contains(Bitbucket::TOKEN));
    assert_eq!(secrets.value(ID), Some(right.to_string()));

    let mut nowhere = put(&world, &secrets);
    nowhere.env_remove("FERRY__SECRET_ID");
    let (ended, shown) = fed(&mut nowhere, &right.to_string()).await;
    assert!(
        ended == 1 && shown.contains("CredentialsSecretArn"),
        "{shown}"
    );
    let mut unknown = put(&world, &secrets);
    unknown.env("FERRY__SECRET_ID", "another");
    let (ended, shown) = fed(&mut unknown, &right.to_string()).await;
    assert!(
        ended == 1 && shown.contains("cannot write the secret `another`"),
        "{shown}"
    );
    world.port.take_writes();
    world.finish();
}
