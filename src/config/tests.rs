//! What the environment says, and what is said about what it says wrongly.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::*;

const COMPLETE: &[(&str, &str)] = &[
    ("OCEAN__PORT__CLIENT_ID", "id"),
    ("OCEAN__PORT__CLIENT_SECRET", "hush"),
    ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE", "acme"),
    (
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
        "a-token",
    ),
];

fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    // Of two of one name the last counts.
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Config::read(variables)
}

fn with(more: &[(&'static str, &'static str)]) -> Result<Config, InvalidConfig> {
    read(&[COMPLETE, more].concat())
}

#[test]
fn four_variables_are_enough() {
    let config = with(&[]).unwrap();
    assert_eq!(config.identifier, "my-bitbucket-cloud-integration");
    assert_eq!(config.port_base_url.as_str(), "https://api.getport.io/");
    assert_eq!(
        config.bitbucket_base_url.as_str(),
        "https://api.bitbucket.org/2.0"
    );
    assert!(config.initialize_port_resources && config.send_raw_data_examples);
    assert_eq!(config.event_listener, EventListener::Serve);
}

#[test]
fn every_problem_is_reported_at_once_with_its_remedy() {
    let error = read(&[
        ("OCEAN__PORT__BASE_URL", "http://port.example"),
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL", "nonsense"),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
            "me@example.com",
        ),
        ("OCEAN__INTEGRATION__IDENTIFIER", "a/b"),
        ("OCEAN__INITIALIZE_PORT_RESOURCES", "maybe"),
        ("OCEAN__SCHEDULED_RESYNC_INTERVAL", "soon"),
        ("OCEAN__EVENT_LISTENER", r#"{"type":"SOMETIMES"}"#),
        ("FERRY__LIVE_RESERVE", "2"),
    ])
    .unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the configuration has 11 problem(s):
      - OCEAN__PORT__CLIENT_ID is missing: copy it from Port (… menu > Credentials), or put `portClientId` into the secret
      - OCEAN__PORT__CLIENT_SECRET is missing: copy it from Port (… menu > Credentials), or put `portClientSecret` into the secret
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE is missing: give the workspace's slug, the first part of its Bitbucket address
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN is missing: it goes together with OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL
      - OCEAN__PORT__BASE_URL is `http://port.example`, which would send credentials unencrypted: give an https URL such as https://api.getport.io
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL is `nonsense`, which is not a URL (relative URL without a base): give an https URL such as https://api.bitbucket.org/2.0
      - OCEAN__SCHEDULED_RESYNC_INTERVAL is `soon`: use a whole number of minutes, such as 1440
      - `type` in OCEAN__EVENT_LISTENER is `SOMETIMES`, which is no known listener: use `{"type":"ONCE"}` for a single resync or `{"type":"POLLING"}` to serve
      - OCEAN__INTEGRATION__IDENTIFIER is `a/b`, which cannot name an integration: use lower-case letters, digits and dashes, such as `my-bitbucket`
      - OCEAN__INITIALIZE_PORT_RESOURCES is `maybe`: use `true` or `false`
      - FERRY__LIVE_RESERVE is `2`: use a share from 0 to 0.9, such as 0.1
    "#);
}

#[test]
fn credentials_may_be_left_to_the_secret() {
    let config = read(&[("FERRY__SECRET_ID", "ferry")]).unwrap();
    assert_eq!(config.secret_id.as_deref(), Some("ferry"));
    assert_eq!(config.given.problems().len(), 4);
}

#[test]
fn one_resync_is_asked_for_in_either_form() {
    for name in ["OCEAN__EVENT_LISTENER", "OCEAN__EVENT_LISTENER__TYPE"] {
        assert_eq!(
            with(&[(name, "once")]).unwrap().event_listener,
            EventListener::Once,
            "{name}"
        );
    }
    let json = with(&[("OCEAN__EVENT_LISTENER", r#"{"type": "ONCE"}"#)]).unwrap();
    assert_eq!(json.event_listener, EventListener::Once);
}

#[test]
fn plain_http_stays_on_the_machine() {
    for url in [
        "http://127.0.0.1:8080",
        "http://localhost:1",
        "http://[::1]:1",
        "https://api.us.getport.io",
    ] {
        assert!(
            read(&[COMPLETE, &[("OCEAN__PORT__BASE_URL", url)]].concat()).is_ok(),
            "{url}"
        );
    }
    for url in [
        "http://10.0.0.1",
        "ftp://localhost",
        "http://localhost.example",
    ] {
        assert!(
            read(&[COMPLETE, &[("OCEAN__PORT__BASE_URL", url)]].concat()).is_err(),
            "{url}"
        );
    }
}

#[test]
fn secrets_do_not_print() {
    let shown = format!("{:?}", with(&[]).unwrap());
    assert!(
        !shown.contains("hush") && !shown.contains("a-token"),
        "{shown}"
    );
}

/// The one that is missing in [`COMPLETE`] in each of the ways in which it may be given.
fn without(name: &str, more: &[(&'static str, &'static str)]) -> Result<Config, InvalidConfig> {
    let others = COMPLETE.iter().filter(|(known, _)| *known != name);
    read(&others.chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn a_name_is_read_in_any_case_and_with_any_single_underscores() {
    for name in [
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
        "OCEAN__INTEGRATION__CONFIG__BITBUCKETWORKSPACE",
        "ocean__integration__config__bitbucket_workspace",
        "OCEAN__INTEGRATION__CONFIG__bitbucketWorkspace",
        "Ocean__Integration__Config__BitbucketWorkspace",
    ] {
        let config = without(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            &[(name, "other")],
        );
        let config = config.unwrap();
        assert_eq!(config.given.bitbucket_workspace.as_deref(), Some("other"));
        assert_eq!(config.unknown, [], "{name}");
    }
    let both = with(&[("ocean__integration__config__bitbucketworkspace", "other")]);
    let workspace = both.unwrap().given.bitbucket_workspace;
    assert_eq!(workspace.as_deref(), Some("acme"), "the usual name first");
}

/// As Port's Terraform modules and its charts write them.
#[test]
fn settings_may_come_as_json_objects() {
    for variables in [
        vec![
            (
                "OCEAN__PORT",
                r#"{"client_id": "id", "client_secret": "hush", "base_url": "https://api.us.getport.io"}"#,
            ),
            (
                "OCEAN__INTEGRATION",
                r#"{"identifier": "mine", "type": "bitbucket-cloud", "config": {"bitbucket_workspace": "acme",
                    "bitbucket_workspace_token": "a-token", "bitbucket_user_email": null, "app_host": ""}}"#,
            ),
            (
                "OCEAN__EVENT_LISTENER",
                r#"{"type": "ONCE", "interval": 30.0}"#,
            ),
            ("OCEAN__INITIALIZE_PORT_RESOURCES", "False"),
            ("OCEAN__SCHEDULED_RESYNC_INTERVAL", "60.0"),
        ],
        vec![
            (
                "OCEAN__PORT",
                r#"'{"clientId": "id", "clientSecret": "hush", "baseUrl": "https://api.us.getport.io/v1"}'"#,
            ),
            ("OCEAN__INTEGRATION", r#"{"identifier": "mine"}"#),
            (
                "OCEAN__INTEGRATION__CONFIG",
                r#"{"bitbucketWorkspace": "acme", "bitbucketWorkspaceToken": "a-token"}"#,
            ),
            ("OCEAN__EVENT_LISTENER", r#"{"type": "ONCE"}"#),
            ("OCEAN__EVENT_LISTENER__INTERVAL", "3e1"),
            ("ocean__initialize_port_resources", "0"),
            ("OCEAN__SCHEDULEDRESYNCINTERVAL", "60"),
        ],
    ] {
        let config = read(&variables).unwrap();
        let given = &config.given;
        assert_eq!(given.port_client_id.as_deref(), Some("id"));
        assert_eq!(given.bitbucket_workspace.as_deref(), Some("acme"));
        let secrets = [&given.port_client_secret, &given.bitbucket_workspace_token];
        let secrets = secrets.map(|secret| secret.as_ref().unwrap().expose_secret());
        assert_eq!(secrets, ["hush", "a-token"]);
        assert_eq!(config.port_base_url.as_str(), "https://api.us.getport.io/");
        assert_eq!(config.identifier, "mine");
        assert_eq!(config.event_listener, EventListener::Once);
        assert_eq!(config.poll_interval, Duration::from_secs(30));
        assert!(!config.initialize_port_resources);
        assert_eq!(config.resync_interval, Some(Duration::from_secs(3600)));
        assert_eq!(config.unknown, []);
    }
}

#[test]
fn of_a_variable_and_an_object_the_variable_counts() {
    let config = with(&[
        (
            "OCEAN__PORT",
            r#"{"clientId": "another", "clientSecret": "another"}"#,
        ),
        (
            "OCEAN__INTEGRATION",
            r#"{"config": {"bitbucketUserEmail": "a@b.c", "webhookSecret": "outer"}}"#,
        ),
        (
            "OCEAN__INTEGRATION__CONFIG",
            r#"{"webhookSecret": "'inner'"}"#,
        ),
    ])
    .unwrap();
    assert_eq!(config.given.port_client_id.as_deref(), Some("id"));
    assert_eq!(config.given.bitbucket_user_email.as_deref(), Some("a@b.c"));
    let secret = config.given.webhook_secret.unwrap();
    assert_eq!(secret.expose_secret(), "'inner'", "letter by letter");
    let name = "OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET";
    let config = with(&[(name, r#"{"a": 1}"#)]).unwrap();
    let secret = config.given.webhook_secret.unwrap();
    assert_eq!(secret.expose_secret(), r#"{"a": 1}"#);
}

#[test]
fn what_is_wrong_in_an_object_is_found_there_and_no_secret_is_shown() {
    let error = with(&[
        ("OCEAN__PORT", "{'clientSecret': 'very-secret'}"),
        (
            "OCEAN__INTEGRATION",
            r#"{"identifier": "a/b", "config": {"bitbucketHostUrl": "https://me:very-secret@bb"}}"#,
        ),
        (
            "OCEAN__EVENT_LISTENER",
            r#"{"type": "SOMETIMES", "interval": "soon"}"#,
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN",
            "very secret",
        ),
    ])
    .unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the configuration has 6 problem(s):
      - OCEAN__PORT holds no JSON object: give an object such as {"clientId":"…"}, or one variable for each setting
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN holds a blank or a line break: give the token alone, as Bitbucket showed it
      - `config.bitbucketHostUrl` in OCEAN__INTEGRATION is `https://…@bb`, with a user or password, which would be sent beside the token: give an https URL such as https://api.bitbucket.org/2.0
      - `interval` in OCEAN__EVENT_LISTENER is `soon`: use a whole number of seconds from 1 on, such as 60
      - `type` in OCEAN__EVENT_LISTENER is `SOMETIMES`, which is no known listener: use `{"type":"ONCE"}` for a single resync or `{"type":"POLLING"}` to serve
      - `identifier` in OCEAN__INTEGRATION is `a/b`, which cannot name an integration: use lower-case letters, digits and dashes, such as `my-bitbucket`
    "#);
    assert!(!error.to_string().contains("very"));
}

#[test]
fn a_name_that_is_not_known_is_named_with_the_nearest() {
    let config = with(&[
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WEBHOOK_SECRET", "x"),
        (
            "OCEAN__INTEGRATION",
            r#"{"config": {"bitbucketWorkspaceTokn": "x"}}"#,
        ),
        ("FERRY__LIVE_RESERVES", "0.2"),
        ("FERRY__SOMETHING_ELSE_ENTIRELY", "x"),
        ("OCEAN__CLIENT_TIMEOUTS", "5"),
        ("SOMEBODY__ELSES", "x"),
        ("FERRY__BLANK", " "),
    ])
    .unwrap();
    let unknown: Vec<String> = config.unknown.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(unknown.join("\n"), @r#"
    FERRY__LIVE_RESERVES is not known: perhaps FERRY__LIVE_RESERVE is meant
    FERRY__SOMETHING_ELSE_ENTIRELY is not known: docs/configuration.md names all that are read
    OCEAN__CLIENT_TIMEOUTS is not known: perhaps OCEAN__CLIENT_TIMEOUT is meant
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_WEBHOOK_SECRET is not known: perhaps OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET is meant
    `config.bitbucketWorkspaceTokn` in OCEAN__INTEGRATION is not known: perhaps OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN is meant
    "#);
}

#[test]
fn base_urls_are_understood_or_the_mistake_is_named() {
    let port = |url| with(&[("OCEAN__PORT__BASE_URL", url)]);
    for url in [
        "https://api.getport.io",
        "https://api.getport.io/",
        "https://api.getport.io/v1",
        "https://api.getport.io/v1/",
        "\"https://api.getport.io/v1\"",
    ] {
        let config = port(url).unwrap();
        assert_eq!(
            config.port_base_url.as_str(),
            "https://api.getport.io/",
            "{url}"
        );
    }
    let behind = port("https://proxy.example/port/v1").unwrap();
    assert_eq!(behind.port_base_url.as_str(), "https://proxy.example/port");

    let bitbucket = |url| with(&[("OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL", url)]);
    for (url, expected) in [
        ("https://api.bitbucket.org", "https://api.bitbucket.org/2.0"),
        (
            "https://api.bitbucket.org/",
            "https://api.bitbucket.org/2.0",
        ),
        (
            "https://api.bitbucket.org/2.0/",
            "https://api.bitbucket.org/2.0/",
        ),
        ("https://proxy.example/bb", "https://proxy.example/bb/2.0"),
    ] {
        let config = bitbucket(url).unwrap();
        assert_eq!(config.bitbucket_base_url.as_str(), expected, "{url}");
    }
    let mistakes = [
        port("https://app.getport.io/settings"),
        port("https://me:hush@api.getport.io"),
        port("http://me:hush@api.getport.io"),
        port("me:hush@api.getport.io"),
        bitbucket("https://bitbucket.org/acme"),
        bitbucket("https://api.bitbucket.org/1.0"),
    ];
    let shown = mistakes.map(|config| config.unwrap_err().0[0].to_string());
    assert!(!shown.concat().contains("hush"));
    insta::assert_snapshot!(shown.join("\n"), @r#"
    OCEAN__PORT__BASE_URL is `app.getport.io`, a web page: its API is at https://api.getport.io: give an https URL such as https://api.getport.io
    OCEAN__PORT__BASE_URL is `https://…@api.getport.io`, with a user or password, which would be sent beside the token: give an https URL such as https://api.getport.io
    OCEAN__PORT__BASE_URL is `http://…@api.getport.io`, with a user or password, which would be sent beside the token: give an https URL such as https://api.getport.io
    OCEAN__PORT__BASE_URL is `…@api.getport.io`, which is not a web address: give an https URL such as https://api.getport.io
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL is `bitbucket.org`, a web page: its API is at https://api.bitbucket.org/2.0: give an https URL such as https://api.bitbucket.org/2.0
    OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL is version 1.0 of the API, which Ferry does not speak: give an https URL such as https://api.bitbucket.org/2.0
    "#);
}

#[test]
fn what_was_pasted_is_understood() {
    let config = read(&[
        ("OCEAN__PORT__CLIENT_ID", "\"id\""),
        ("OCEAN__PORT__CLIENT_SECRET", "'hush'"),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            "https://bitbucket.org/acme/workspace/projects/",
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            "'one', Bearer two,\"Bearer three\",'four'",
        ),
    ])
    .unwrap();
    assert_eq!(config.given.bitbucket_workspace.as_deref(), Some("acme"));
    let tokens = config.given.bitbucket_workspace_token.unwrap();
    assert_eq!(tokens.expose_secret(), "one,two,three,four");
    let secret = config.given.port_client_secret.unwrap();
    assert_eq!(secret.expose_secret(), "hush");
    let workspace = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE";
    let wrong = without(workspace, &[(workspace, "Acme Platform")]).unwrap_err();
    insta::assert_snapshot!(wrong, @r#"
    the configuration has 1 problem(s):
      - OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE is `Acme Platform`, which names no workspace of Bitbucket Cloud: give the first part of its address: `acme` of https://bitbucket.org/acme
    "#);
}

#[test]
fn an_address_of_ours_shows_no_password() {
    let config = with(&[
        ("OCEAN__BASE_URL", "https://me:hush@ferry.example/"),
        ("OCEAN__PATH_PREFIX", "tools"),
    ])
    .unwrap();
    let address = config.base_url.as_ref().unwrap();
    assert_eq!(address.as_str(), "https://me:hush@ferry.example/tools");
    assert!(!format!("{address} {config:?}").contains("hush"));
    assert_eq!(config.reached_at("https://own.example/"), address.as_str());
    let config = with(&[("OCEAN__PATH_PREFIX", "/tools/")]).unwrap();
    assert_eq!(
        config.reached_at("https://own.example/"),
        "https://own.example/tools"
    );
}
