//! Where credentials come from, what happens when they change, and what happens when they are wrong.

use sandbox::aws::SecretsManager;
use sandbox::bitbucket::Bitbucket;
use sandbox::server::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{
    IDENTIFIER, PORT_CLIENT_ID, PORT_CLIENT_SECRET, Settings, WEBHOOK_SECRET, World,
};

pub(crate) const SECRET_ID: &str = "ferry/credentials";
pub(crate) const WEBHOOK_SECRET_ID: &str = "ferry/webhook";

/// The environment of a function whose credentials are in Secrets Manager.
pub(crate) fn from_secrets() -> Settings {
    Settings::from([
        ("OCEAN__PORT__CLIENT_ID", String::new()),
        ("OCEAN__PORT__CLIENT_SECRET", String::new()),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            String::new(),
        ),
        ("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", String::new()),
        ("FERRY__SECRET_ID", SECRET_ID.to_owned()),
        ("FERRY__WEBHOOK_SECRET_ID", WEBHOOK_SECRET_ID.to_owned()),
    ])
}

pub(crate) fn document(client_secret: &str, token: &str) -> String {
    json!({
        "portClientId": PORT_CLIENT_ID,
        "portClientSecret": client_secret,
        "bitbucketWorkspaceToken": token,
        "somebodyElses": "key",
    })
    .to_string()
}

pub(crate) async fn secrets() -> SecretsManager {
    let secrets = SecretsManager::start().await.unwrap();
    secrets.put(SECRET_ID, &document(PORT_CLIENT_SECRET, Bitbucket::TOKEN));
    secrets.put(WEBHOOK_SECRET_ID, WEBHOOK_SECRET);
    secrets
}

async fn refusal(world: &World) -> String {
    let error = world.invoke(json!({"action": "resync"})).await.unwrap_err();
    let shown = ferry::telemetry::chain(&error);
    let trace_ids = regex::Regex::new("sandbox-trace-[0-9]+").unwrap();
    let shown = trace_ids.replace_all(&shown, "sandbox-trace-#");
    format!("{}: {shown}", error.error_type())
}

#[tokio::test]
async fn secrets_are_read_once_and_again_after_five_minutes() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    world.resync().await;
    world.resync().await;
    assert_eq!(secrets.count(), 1);
    world.clock.advance(std::time::Duration::from_secs(5 * 60));
    world.resync().await;
    assert_eq!(secrets.count(), 2);
    world.finish();
}

#[tokio::test]
async fn rotated_credentials_are_found_at_the_first_refusal() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    world.resync().await;
    let before = secrets.count();

    world.bitbucket.accept_token("rotated");
    world.bitbucket.revoke(Bitbucket::TOKEN);
    secrets.put(SECRET_ID, &document(PORT_CLIENT_SECRET, "rotated"));
    world.resync().await;
    assert_eq!(secrets.count(), before + 1);

    world.port.rotate_secret("rotated too");
    world.port.expire_tokens();
    secrets.put(SECRET_ID, &document("rotated too", "rotated"));
    world.resync().await;
    assert_eq!(secrets.count(), before + 2);
    world.finish();
}

#[tokio::test]
async fn a_live_event_survives_a_rotation() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    world.resync().await;
    world.bitbucket.accept_token("rotated");
    world.bitbucket.revoke(Bitbucket::TOKEN);
    secrets.put(SECRET_ID, &document(PORT_CLIENT_SECRET, "rotated"));
    let deliveries = world
        .bitbucket
        .describe_repository("payments-api", "Described anew")
        .unwrap();
    assert_eq!(world.deliver(&deliveries).await, [202]);
    world.assert_converged().await;
    world.finish();
}

/// While a webhook secret changes, deliveries come signed with either.
#[tokio::test]
async fn both_versions_of_the_webhook_secret_count() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    world.resync().await;
    secrets.put(WEBHOOK_SECRET_ID, "the next one");
    let deliveries = world
        .bitbucket
        .describe_repository("payments-api", "Described anew")
        .unwrap();
    let [delivery] = deliveries.as_slice() else {
        panic!("one delivery");
    };
    for (secret, status) in [
        ("the next one", 202),
        (WEBHOOK_SECRET, 202),
        ("a guess", 401),
    ] {
        assert_eq!(world.post(delivery, secret).await, status, "{secret}");
    }
    world.finish();
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_so() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    secrets
        .server()
        .misbehave(Fault::new("/", SecretsManager::access_denied()));
    let mut refusals = vec![refusal(&world).await];
    for value in ["not JSON", "{}", r#"{"portClientId": 7}"#] {
        secrets.put(SECRET_ID, value);
        refusals.push(refusal(&world).await);
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    SecretsManager: cannot read the secret `ferry/credentials`: AccessDeniedException: not authorized to perform: secretsmanager:GetSecretValue
    Configuration: the configuration has 1 problem(s):
      - the secret `ferry/credentials` is not a JSON object of texts (line 1, column 2): store an object such as {"portClientId":"…","portClientSecret":"…","bitbucketWorkspaceToken":"…"}
    Configuration: the configuration has 3 problem(s):
      - OCEAN__PORT__CLIENT_ID is missing: copy it from Port (… menu > Credentials), or put `portClientId` into the secret
      - OCEAN__PORT__CLIENT_SECRET is missing: copy it from Port (… menu > Credentials), or put `portClientSecret` into the secret
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN is missing: create a workspace access token in Bitbucket, or give BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN
    Configuration: the configuration has 1 problem(s):
      - the secret `ferry/credentials` is not a JSON object of texts (line 1, column 18): store an object such as {"portClientId":"…","portClientSecret":"…","bitbucketWorkspaceToken":"…"}
    "#);
    assert!(world.port.entities().is_empty());
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    world.finish();
}

/// Bitbucket sends again what it could not deliver.
#[tokio::test]
async fn a_webhook_waits_for_secrets_manager() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    let deliveries = world
        .bitbucket
        .describe_repository("payments-api", "Described anew")
        .unwrap();
    secrets
        .server()
        .misbehave(Fault::new("/", FaultKind::Refuse).always());
    assert_eq!(world.deliver(&deliveries).await, [503]);
    secrets.server().behave();
    world.resync().await;
    assert_eq!(world.deliver(&deliveries).await, [202]);
    world.finish();
}

#[tokio::test]
async fn each_kind_of_bitbucket_credential_works() {
    let token = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN";
    let user = [
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN",
    ];
    let app_password = [
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USERNAME",
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_APP_PASSWORD",
    ];
    for variables in [user, app_password] {
        let mut world = World::demo().await;
        world.bitbucket.revoke(Bitbucket::TOKEN);
        world
            .bitbucket
            .accept_basic("someone@example.com", "scoped");
        world.replace_function(Settings::from([
            (token, String::new()),
            (variables[0], "someone@example.com".to_owned()),
            (variables[1], "scoped".to_owned()),
        ]));
        world.resync().await;
        world.finish();
    }
    let mut world = World::demo().await;
    world.bitbucket.accept_token("second");
    world.replace_function(Settings::from([(
        token,
        format!("{}, second,", Bitbucket::TOKEN),
    )]));
    world.resync().await;
    let (requests, _) = world.take_requests();
    let by = |token: &str| {
        let authorization = format!("Bearer {token}");
        requests
            .iter()
            .filter(|request| request.header("authorization") == Some(&authorization))
            .count()
    };
    assert!(
        0 < by(Bitbucket::TOKEN) && 0 < by("second"),
        "both share the work"
    );
    world.finish();
}

/// Every way of not getting in says which credential and what to do, and costs nothing in the catalogue.
#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let mut world = World::demo().await;
    world.resync().await;
    let before = world.port.catalogue();
    let mut refusals = Vec::new();
    for (variable, value) in [
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            "no-such-workspace",
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            "revoked",
        ),
        ("OCEAN__PORT__CLIENT_SECRET", "wrong"),
    ] {
        world.replace_function(Settings::from([(variable, value.to_owned())]));
        refusals.push(format!("{variable}={value}\n  {}", refusal(&world).await));
        assert_eq!(world.port.catalogue(), before, "{variable}");
    }
    insta::assert_snapshot!(refusals.join("\n"), @"
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE=no-such-workspace
      Bitbucket: nothing could be read from Bitbucket: /2.0/workspaces/no-such-workspace/projects: not found, or not visible to these credentials (No workspace with identifier 'no-such-workspace'.): check OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE, and what the credentials may read
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN=revoked
      BitbucketCredentials: Bitbucket refuses the credentials (Token is invalid, expired, or not supported for this endpoint.): check BITBUCKET_WORKSPACE_TOKEN, or BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN
    OCEAN__PORT__CLIENT_SECRET=wrong
      PortCredentials: Port refused the credentials (POST /v1/auth/access_token) (Port trace id sandbox-trace-#): check OCEAN__PORT__CLIENT_ID and OCEAN__PORT__CLIENT_SECRET, and that OCEAN__PORT__BASE_URL is the region of your organisation
    ");
    world.finish();
}

/// Nothing is lost when Port goes away in the middle, and nothing is deleted.
#[tokio::test]
async fn port_goes_down_in_the_middle_of_a_load() {
    let world = World::demo().await;
    world
        .port
        .server()
        .misbehave(Fault::new("bitbucketRepository/entities/bulk", FaultKind::Refuse).always());
    let outcome = world.invoke(json!({"action": "resync"})).await.unwrap();
    assert_eq!(outcome["status"], "paused", "{outcome:#}");
    world.port.server().behave();
    let mut outcome = Value::Null;
    for _ in 0..10 {
        outcome = world.tick().await.unwrap();
        if outcome["status"] == "completed" {
            break;
        }
    }
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    let untroubled = World::demo().await;
    untroubled.resync().await;
    assert_eq!(world.port.catalogue(), untroubled.port.catalogue());
    assert_eq!(world.port.integration().unwrap()["identifier"], IDENTIFIER);
    untroubled.finish();
    world.finish();
}
