//! Each setting has an effect: what happens with it, next to what happens without it.

use std::collections::BTreeSet;
use std::time::Duration;

use ferry::config::{Config, EventListener, PublicAddress};
use sandbox::bitbucket::Workspace;
use serde_json::json;

use crate::support::{Settings, World, event};

async fn with(settings: &[(&'static str, &str)]) -> World {
    let settings = settings.iter();
    let settings: Settings = settings
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    World::new(Workspace::demo().unwrap(), settings).await
}

#[test]
fn every_variable_is_documented_and_every_documented_one_is_read() {
    let text = include_str!("../../docs/configuration.md");
    let documented: BTreeSet<String> = text
        .split('`')
        .filter(|word| {
            let mut characters = word.chars();
            word.contains("__")
                && !word.ends_with('_')
                && characters.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .map(str::to_owned)
        .collect();
    let read = Config::variables();
    let set_by_lambda = "AWS_LAMBDA_LOG_LEVEL";
    let undocumented: Vec<&String> = read
        .difference(&documented)
        .filter(|name| *name != set_by_lambda)
        .collect();
    // Objects that hold what others name.
    let objects = [
        "OCEAN__PORT",
        "OCEAN__INTEGRATION",
        "OCEAN__INTEGRATION__CONFIG",
    ];
    let unread: Vec<&String> = documented
        .difference(&read)
        .filter(|name| !objects.contains(&name.as_str()))
        .collect();
    assert!(
        undocumented.is_empty() && unread.is_empty(),
        "not documented: {undocumented:?}; documented and not read: {unread:?}"
    );
}

#[tokio::test]
async fn initialize_port_resources() {
    let world = with(&[("OCEAN__INITIALIZE_PORT_RESOURCES", "false")]).await;
    let outcome = world.resync_with_losses().await;
    assert!(world.port.blueprints().is_empty());
    assert_eq!(outcome["counts"]["refused"], 18, "nothing has a blueprint");
    world.finish();
    let world = with(&[]).await;
    world.resync().await;
    assert_eq!(world.port.blueprints().len(), 3);
    world.finish();
}

#[tokio::test]
async fn send_raw_data_examples() {
    for (wanted, kinds) in [("false", 0), ("true", 3)] {
        let world = with(&[("OCEAN__SEND_RAW_DATA_EXAMPLES", wanted)]).await;
        world.resync().await;
        assert_eq!(world.port.examples().len(), kinds, "{wanted}");
        world.finish();
    }
}

#[tokio::test]
async fn scheduled_resync_interval() {
    let world = with(&[("OCEAN__SCHEDULED_RESYNC_INTERVAL", "90")]).await;
    world.resync().await;
    let states = world.port.resync_states();
    let last = states.last().unwrap().to_string();
    // The run began at 07:00.
    assert!(last.contains("2026-11-23T08:30:00"), "{last}");
    world.finish();
}

#[tokio::test]
async fn identifier() {
    let world = with(&[("OCEAN__INTEGRATION__IDENTIFIER", "another-one")]).await;
    world.resync().await;
    let integration = world.port.integration().unwrap();
    assert_eq!(integration["installationId"], "another-one");
    world.finish();
}

#[tokio::test]
async fn live_reserve() {
    for (reserve, most) in [("0.9", 100), ("0.8", 200)] {
        let workspace = Workspace::generate(2, 300, 1, 7).unwrap();
        let settings = Settings::from([("FERRY__LIVE_RESERVE", reserve.to_owned())]);
        let world = World::new(workspace, settings).await;
        let outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
        assert_eq!(outcome["status"], "paused", "{outcome}");
        let (bitbucket, _) = world.take_requests();
        let api = bitbucket
            .iter()
            .filter(|request| !request.path.contains("/src/"));
        assert_eq!(api.count(), most);
        world.finish();
    }
}

#[tokio::test]
async fn slice_seconds() {
    // An invocation has 900 s, of which these leave ten.
    let world = with(&[("FERRY__SLICE_SECONDS", "890")]).await;
    let clock = world.clock.clone();
    let slow = move |_: &sandbox::server::Request| clock.advance(Duration::from_secs(3));
    world.bitbucket.server().before_each(slow);
    let outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(outcome["status"], "paused", "{outcome}");
    let (bitbucket, _) = world.take_requests();
    // Sixteen files may be under way when the time is over, and no request goes after it.
    assert!(bitbucket.len() < 20, "{}", bitbucket.len());
    world.finish();
}

#[test]
fn listeners_prefixes_and_waits_are_read_as_ocean_reads_them() {
    let read = |variables: &[(&str, &str)]| {
        let complete = [
            ("OCEAN__PORT__CLIENT_ID", "id"),
            ("OCEAN__PORT__CLIENT_SECRET", "hush"),
            ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE", "acme"),
            (
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
                "token",
            ),
        ];
        Config::read([&complete, variables].concat())
    };
    let plain = read(&[]).unwrap();
    assert!(plain.resync_on_start && plain.path_prefix.is_empty());
    let seconds = Duration::from_secs;
    assert_eq!(
        (
            plain.poll_interval,
            plain.shutdown_wait,
            plain.client_timeout
        ),
        (seconds(60), seconds(8), None)
    );
    let listener = json!({"type": "POLLING", "resyncOnStart": false, "interval": 30}).to_string();
    let config = read(&[
        ("OCEAN__EVENT_LISTENER", &listener),
        ("OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN", "20"),
        ("OCEAN__CLIENT_TIMEOUT", "120"),
        (
            "OCEAN__INTEGRATION__CONFIG__APP_HOST",
            "https://ferry.example.com/",
        ),
        ("OCEAN__PATH_PREFIX", "tools/ferry/"),
        ("APPLICATION__LOG_LEVEL", "DEBUG"),
        ("OCEAN__EVENT_WORKERS_COUNT", "4"),
    ])
    .unwrap();
    assert_eq!(config.event_listener, EventListener::Serve);
    assert!(!config.resync_on_start);
    assert_eq!(
        (
            config.poll_interval,
            config.shutdown_wait,
            config.client_timeout
        ),
        (seconds(30), seconds(20), Some(seconds(120)))
    );
    assert_eq!(
        config.base_url.as_ref().map(PublicAddress::as_str),
        Some("https://ferry.example.com/tools/ferry")
    );
    assert_eq!(config.log_level.as_deref(), Some("DEBUG"));
    let told: Vec<String> = config
        .without_effect
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("OCEAN__EVENT_WORKERS_COUNT has no effect"),
        "{told:?}"
    );

    let single = read(&[
        ("OCEAN__EVENT_LISTENER__TYPE", "ONCE"),
        ("OCEAN__EVENT_LISTENER__RESYNC_ON_START", "false"),
        ("OCEAN__EVENT_LISTENER__INTERVAL", "5"),
        ("OCEAN__BASE_URL", "https://ferry.example.com"),
    ])
    .unwrap();
    assert_eq!(single.event_listener, EventListener::Once);
    assert!(!single.resync_on_start);
    assert_eq!(single.poll_interval, seconds(5));
    assert_eq!(
        single.base_url.as_ref().map(PublicAddress::as_str),
        Some("https://ferry.example.com")
    );

    let wrong = read(&[
        ("OCEAN__EVENT_LISTENER__INTERVAL", "0"),
        ("OCEAN__CLIENT_TIMEOUT", "soon"),
        ("OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN", "0"),
        ("OCEAN__SCHEDULED_RESYNC_INTERVAL", "0"),
    ])
    .unwrap_err();
    assert_eq!(wrong.0.len(), 4, "{wrong}");
}
