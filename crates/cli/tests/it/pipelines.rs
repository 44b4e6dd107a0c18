//! The recipes of docs/pipelines.md, and the `docker run` of Port's own, run as they stand.
//!
//! A `docker` of our own takes the place of Docker: it starts the binary with the variables it is given, and no other.

use std::path::PathBuf;

use sandbox::bitbucket::Bitbucket;
use tokio::process::Command;

use crate::support::{PORT_CLIENT_ID, PORT_CLIENT_SECRET, World};

/// `docker run`: options, an image, nothing after it. The addresses are those of the test.
const DOCKER: &str = r#"#!/bin/bash
set -euo pipefail
[ "$1" = run ] || exit 64
shift
variables=()
while [ $# -gt 1 ]; do
    case "$1" in
    --rm | -i | --platform=*) shift ;;
    -e | --env)
        case "$2" in
        *=*) variables+=("$2") ;;
        *) [ -z "${!2+set}" ] || variables+=("$2=${!2}") ;;
        esac
        shift 2
        ;;
    *) exit 64 ;;
    esac
done
exec env -i "${variables[@]}" OCEAN__PORT__BASE_URL="$TEST_PORT" \
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL="$TEST_BITBUCKET" "$TEST_FERRY"
"#;

/// As Port's installation page has it for Jenkins and GitLab.
const OCEANS_OWN: &str = r#"
image_name="ghcr.io/port-labs/port-ocean-bitbucket-cloud:latest"
docker run -i --rm --platform=linux/amd64 \
    -e OCEAN__EVENT_LISTENER='{"type":"ONCE"}' \
    -e OCEAN__INITIALIZE_PORT_RESOURCES=true \
    -e OCEAN__SEND_RAW_DATA_EXAMPLES=true \
    -e OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL=$OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL \
    -e OCEAN__INTEGRATION__CONFIG__BITBUCKET_USERNAME=$OCEAN__INTEGRATION__CONFIG__BITBUCKET_USERNAME \
    -e OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE=$OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE \
    -e OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN=$OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN \
    -e OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN=$OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN \
    -e OCEAN__PORT__CLIENT_ID=$OCEAN__PORT__CLIENT_ID \
    -e OCEAN__PORT__CLIENT_SECRET=$OCEAN__PORT__CLIENT_SECRET \
    -e OCEAN__PORT__BASE_URL='https://api.getport.io' \
    $image_name

exit $?
"#;

/// Each `docker run` with the lines that belong to it.
fn recipes(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let begins = line.trim_start().starts_with("docker run");
        if begins {
            found.push(String::new());
        }
        if begins || inside {
            let recipe = found.last_mut().unwrap();
            recipe.push_str(line.trim_start());
            recipe.push('\n');
            inside = line.ends_with('\\');
        }
    }
    found
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for such things.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn folder_with_docker() -> Folder {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("ferry-docker-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let docker = path.join("docker");
    std::fs::write(&docker, DOCKER).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    Folder(path)
}

#[tokio::test]
async fn the_commands_of_every_recipe_do_one_resync_or_fail_with_a_reason() {
    let mut scripts = recipes(include_str!("../../../../docs/pipelines.md"));
    assert_eq!(scripts.len(), 4, "GitHub, Jenkins, Azure, GitLab");
    scripts.push(OCEANS_OWN.to_owned());
    let folder = folder_with_docker();
    for (number, script) in scripts.iter().enumerate() {
        let world = World::demo().await;
        world
            .bitbucket
            .accept_basic("ci@example.com", "an-api-token");
        let run = |port_client_secret: &str, with_api_token: bool| {
            let mut shell = Command::new("bash");
            shell
                .arg("-c")
                .arg(format!("PATH=\"$TEST_DOCKER:$PATH\"\n{script}"))
                .env("TEST_DOCKER", &folder.0)
                .env("TEST_FERRY", env!("CARGO_BIN_EXE_ferry"))
                .env("TEST_PORT", world.port.url())
                .env("TEST_BITBUCKET", world.bitbucket.url())
                .env("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID)
                .env("OCEAN__PORT__CLIENT_SECRET", port_client_secret)
                .env(
                    "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
                    world.bitbucket.workspace(),
                );
            // Secrets that do not exist are empty in GitHub Actions.
            let (email, scoped_token, token) = match with_api_token {
                true => ("ci@example.com", "an-api-token", ""),
                false => ("", "", Bitbucket::TOKEN),
            };
            for (name, value) in [
                ("USER_EMAIL", email),
                ("USER_SCOPED_TOKEN", scoped_token),
                ("WORKSPACE_TOKEN", token),
            ] {
                shell.env(
                    format!("OCEAN__INTEGRATION__CONFIG__BITBUCKET_{name}"),
                    value,
                );
            }
            shell
        };
        let ended = run(PORT_CLIENT_SECRET, false).output().await.unwrap();
        let log = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{number}: {log}");
        assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
        let states = world.port.resync_states();
        let told = serde_json::Value::from(states).to_string();
        assert_eq!(told.matches("completed").count(), 1, "{told}");
        if script.contains("USER_SCOPED_TOKEN") {
            let ended = run(PORT_CLIENT_SECRET, true).output().await.unwrap();
            assert!(ended.status.success(), "{number}");
        }

        let refused = run("another", false).output().await.unwrap();
        assert_eq!(refused.status.code(), Some(1), "{number}");
        let log = String::from_utf8(refused.stderr).unwrap();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{log}");
        assert!(errors[0].contains("Port refused"), "{log}");
        world.finish();
    }
}
