//! Where credentials come from, how long they are kept, and what is said when they are missing.

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials as Keys, Region};
use sandbox::aws::SecretsManager;
use sandbox::server::{Fault, FaultKind};
use secrecy::ExposeSecret as _;

use super::*;
use crate::http::Http;

const ID: &str = "ferry/webhook";

/// Long ago: older than every cache.
const OLD: i64 = 1_800_000_000;

/// Of Port's client secret `one`, for the installation `test`.
const ONE: &str = "2742aae8854e5d07c323593c3be8a362455142d4b4cbc4ad607d145497ced3b5";

/// The moment at which the secret is rotated.
const ROTATED: i64 = 1_800_100_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn secrets(manager: &SecretsManager, clock: &Clock, name: &str) -> Secrets {
    let config = Config::read([
        ("OCEAN__PORT__CLIENT_ID", "x"),
        ("OCEAN__PORT__CLIENT_SECRET", "x"),
        ("OCEAN__INTEGRATION__IDENTIFIER", "test"),
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE", "acme"),
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN", "x"),
        (name, ID),
    ]);
    let http = Http::new(Clock::System).unwrap();
    let client = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(manager.url())
        .credentials_provider(Keys::new("AKIAIOSFODNN7EXAMPLE", "x", None, None, "test"))
        .http_client(crate::aws::http_client(&http))
        .build();
    let client = Client::from_conf(client);
    Secrets::new(&config.unwrap(), Some(client), clock.clone())
}

async fn counting(secrets: &Secrets, clock: &Clock) -> Vec<String> {
    let deadline = Deadline::after(clock, Duration::from_secs(9));
    let counting = secrets.webhook_secrets(&deadline).await.unwrap();
    let counting = counting.iter().map(|secret| secret.expose_secret());
    counting.map(str::to_owned).collect()
}

#[tokio::test]
async fn both_secrets_count_until_the_new_one_is_older_than_every_cache() {
    let manager = SecretsManager::start().await.unwrap();
    manager.put_at(ID, "old", at(OLD));
    let clock = Clock::simulated(at(ROTATED));
    let warm = secrets(&manager, &clock, "FERRY__WEBHOOK_SECRET_ID");
    assert_eq!(counting(&warm, &clock).await, ["old"]);
    assert_eq!(manager.count(), 1, "nobody asks for a version before it");

    manager.put_at(ID, "new", at(ROTATED));
    let mut seen = Vec::new();
    for minute in 0..12 {
        let cold = secrets(&manager, &clock, "FERRY__WEBHOOK_SECRET_ID");
        let (warm, cold) = (counting(&warm, &clock).await, counting(&cold, &clock).await);
        assert_eq!(
            warm.len() == 1,
            !(5..10).contains(&minute),
            "{minute}: {warm:?}"
        );
        // What Bitbucket is to sign with counts with everybody.
        let signs = cold.first().unwrap();
        assert!(warm.contains(signs), "{minute}: {signs} {warm:?}");
        seen.push(cold.join("+"));
        clock.advance(Duration::from_secs(60));
    }
    let expected = [vec!["old+new"; 6], vec!["new+old"; 4], vec!["new"; 2]].concat();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_secret_within_the_document_is_rotated_alike() {
    let manager = SecretsManager::start().await.unwrap();
    let clock = Clock::simulated(at(ROTATED));
    manager.put_at(ID, r#"{"webhookSecret": "old"}"#, at(OLD));
    manager.put_at(ID, r#"{"webhookSecret": "new"}"#, at(ROTATED));
    let cold = secrets(&manager, &clock, "FERRY__SECRET_ID");
    assert_eq!(counting(&cold, &clock).await, ["old", "new"]);
}

/// One document, read once for both; another Port secret is another secret of webhooks, and both count for ten minutes.
#[tokio::test]
async fn a_derived_secret_changes_with_the_credentials_and_yields_to_a_chosen_one() {
    let manager = SecretsManager::start().await.unwrap();
    let clock = Clock::simulated(at(ROTATED));
    let put = |text: &str, at: Timestamp| manager.put_at(ID, text, at);
    put(r#"{"portClientSecret":"one"}"#, at(OLD));
    let with = |identifier: &str| {
        let mut secrets = secrets(&manager, &clock, "FERRY__SECRET_ID");
        secrets.derives_for = Some(identifier.to_owned());
        secrets
    };
    let warm = with("test");
    let first = counting(&warm, &clock).await;
    // printf "ferry: secret of webhooks\\ntest" | openssl dgst -sha256 -hmac one
    assert_eq!(first, [ONE], "every edition derives the same");
    assert_ne!(counting(&with("other"), &clock).await, first);
    manager.server().take_requests();
    let deadline = Deadline::after(&clock, Duration::from_secs(9));
    warm.credentials(&deadline).await.unwrap();
    assert!(manager.server().take_requests().is_empty(), "asked twice");

    put(r#"{"portClientSecret":"two"}"#, at(ROTATED));
    let both = counting(&with("test"), &clock).await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    put(
        r#"{"portClientSecret":"two","webhookSecret":"chosen"}"#,
        at(OLD),
    );
    assert_eq!(counting(&with("test"), &clock).await, ["chosen"]);
    put(" ", at(OLD));
    let empty = with("test").webhook_secrets(&deadline).await.unwrap_err();
    assert!(matches!(empty, SecretsError::Empty { .. }), "{empty}");
}

#[tokio::test]
async fn a_new_secret_has_no_version_before_it() {
    let manager = SecretsManager::start().await.unwrap();
    let clock = Clock::simulated(at(ROTATED));
    manager.put_at(ID, "first", at(ROTATED - 60));
    let cold = secrets(&manager, &clock, "FERRY__WEBHOOK_SECRET_ID");
    assert_eq!(counting(&cold, &clock).await, ["first"]);
}

/// Else a delivery that is signed with it would be refused for good.
#[tokio::test]
async fn a_previous_secret_that_cannot_be_read_now_is_not_taken_for_none() {
    let manager = SecretsManager::start().await.unwrap();
    let clock = Clock::simulated(at(ROTATED));
    manager.put_at(ID, "old", at(OLD));
    manager.put_at(ID, "new", at(ROTATED));
    let fault = FaultKind::Answer(sandbox::server::Response::bytes(
        500,
        "text/plain",
        Vec::new(),
    ));
    manager
        .server()
        .misbehave(Fault::new("/", fault).after(1).times(9));
    let cold = secrets(&manager, &clock, "FERRY__WEBHOOK_SECRET_ID");
    let deadline = Deadline::after(&clock, Duration::from_secs(9));
    let read = cold.webhook_secrets(&deadline).await;
    assert!(matches!(read, Err(SecretsError::Unavailable { .. })));
}

#[tokio::test]
async fn an_empty_secret_is_said_once_an_hour_and_is_not_a_missing_one() {
    let manager = SecretsManager::start().await.unwrap();
    let clock = Clock::simulated(at(OLD));
    let secrets = secrets(&manager, &clock, "FERRY__SECRET_ID");
    let deadline = Deadline::after(&clock, Duration::from_secs(86_400));
    let missing = secrets.credentials_if_filled(&deadline).await.unwrap_err();
    assert!(
        matches!(missing, SecretsError::Unavailable { .. }),
        "{missing}"
    );
    manager.create(ID);
    let mut said = Vec::new();
    for _ in 0..150 {
        let filled = secrets.credentials_if_filled(&deadline).await.unwrap();
        assert!(filled.is_none());
        said.extend(*secrets.reminded_at.lock().unwrap());
        clock.advance(Duration::from_secs(60));
    }
    said.dedup();
    assert_eq!(said, [at(OLD), at(OLD + 3_600), at(OLD + 7_200)]);

    manager.put(ID, " \n");
    let filled = secrets.credentials_if_filled(&deadline).await.unwrap();
    assert!(filled.is_none(), "a blank text is no document");

    let text = SecretString::from(r#"{"portClientId":"id","portClientSecret":"s"}"#);
    secrets.put(&text, &deadline).await.unwrap();
    let filled = secrets.credentials_if_filled(&deadline).await.unwrap();
    assert_eq!(filled.unwrap().port_client_id, "id");
}
