//! Installations of Ocean as others have made them start here: Port's Helm chart, its Terraform modules, its step for
//! GitHub. Each variable is read, refused with a word, or named with the reason why it has no effect.

use std::collections::BTreeMap;

use ferry::config::{Config, EventListener, InvalidConfig};
use secrecy::ExposeSecret as _;

/// What the chart's secret holds, with a value that somebody has left at null.
const SECRET: &str = "
OCEAN__PORT__CLIENT_ID=id
OCEAN__PORT__CLIENT_SECRET=hush
OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN=a-token
OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL=<nil>
OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN=<nil>
OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET=<nil>
";

/// What the chart's configuration map, deployment and extra settings hold when everything is set.
const CHART: &str = r#"
OCEAN__PORT__BASE_URL=https://api.us.getport.io/v1
OCEAN__PORT__INGEST_URL=https://ingest.getport.io
OCEAN__PORT__APP_URL=https://app.getport.io
OCEAN__INITIALIZE_PORT_RESOURCES=true
OCEAN__CREATE_PORT_RESOURCES_ORIGIN=Port
OCEAN__SEND_RAW_DATA_EXAMPLES=false
OCEAN__ALLOW_ENVIRONMENT_VARIABLES_JQ_ACCESS=true
OCEAN__SCHEDULED_RESYNC_INTERVAL=60
OCEAN__CLIENT_TIMEOUT=30
OCEAN__EVENT_LISTENER={"brokers":"b-1.example.com:9196,b-2.example.com:9196","type":"KAFKA"}
OCEAN__INTEGRATION__IDENTIFIER=mine
OCEAN__INTEGRATION__TYPE=bitbucket-cloud
OCEAN__INTEGRATION__INCREMENTAL_SYNC_ENABLED=true
OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE=acme
OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL=https://api.bitbucket.org/2.0
OCEAN__OAUTH_ACCESS_TOKEN_FILE_PATH=/app/.config/oauth_token
OCEAN__BASE_URL=https://ferry.example.com
OCEAN__PATH_PREFIX=/tools
OCEAN__LAKEHOUSE_ENABLED=true
OCEAN__PROCESSING_MODE=dsp
OCEAN__PROCESS_EXECUTION_MODE=multi_process
OCEAN__ACTIONS_PROCESSOR__ENABLED=true
OCEAN__ACTIONS_PROCESSOR__WORKERS_COUNT=3
OCEAN__IDENTITY_PROPAGATION__VAULT__AWS_ACCESS_KEY_ID=hush
OCEAN__IDENTITY_PROPAGATION__OAUTH__STATE_SIGNING_SECRET=hush
OCEAN__LIVE_EVENTS__IS_REDIS_STREAM_CONSUMER_ENABLED=true
OCEAN__LIVE_EVENTS__REDIS__PASSWORD=hush
OCEAN__DATABASE__HOST=port-ocean-postgresql
OCEAN__DATABASE__PASSWORD=hush
OCEAN__METRICS={"enabled":true,"webhookUrl":"https://example.com"}
OCEAN__STREAMING__ENABLED=true
OCEAN__SSL__THIRD_PARTY__VERIFY=false
OCEAN__SSL__PORT__X509__STRICT=false
APPLICATION__PORT=8080
APPLICATION__LOG_LEVEL=WARNING
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
"#;

fn read(texts: &[&str]) -> Result<Config, InvalidConfig> {
    let lines = texts.iter().flat_map(|text| text.lines());
    let variables: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
    Config::read(variables)
}

#[test]
fn every_value_of_the_chart_is_read_or_named_with_the_reason() {
    let config = read(&[SECRET, CHART]).unwrap();
    assert_eq!(config.unknown, []);
    assert_eq!(config.event_listener, EventListener::Serve);
    assert_eq!(config.listen_port, 8080);
    assert_eq!(config.log_level.as_deref(), Some("WARNING"));
    assert_eq!(config.identifier, "mine");
    assert_eq!(
        config.base_url.unwrap().as_str(),
        "https://ferry.example.com/tools"
    );
    let named: Vec<&str> = config
        .without_effect
        .iter()
        .map(|each| each.place.as_str())
        .collect();
    let set = CHART.lines().filter_map(|line| line.split_once('='));
    let others = [
        "OCEAN__PORT__BASE_URL",
        "OCEAN__INITIALIZE_PORT_RESOURCES",
        "OCEAN__SEND_RAW_DATA_EXAMPLES",
        "OCEAN__SCHEDULED_RESYNC_INTERVAL",
        "OCEAN__CLIENT_TIMEOUT",
        "OCEAN__INTEGRATION__IDENTIFIER",
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
        "OCEAN__BASE_URL",
        "OCEAN__PATH_PREFIX",
    ];
    for (name, _) in set.filter(|(name, _)| name.starts_with("OCEAN__")) {
        let is_named = named.iter().any(|place| place.ends_with(name));
        assert!(others.contains(&name) != is_named, "{name} in {named:?}");
    }
    assert!(!format!("{:?}", config.without_effect).contains("hush"));
}

#[test]
fn a_secret_that_helm_has_left_at_nil_is_not_set() {
    let config = read(&[SECRET, CHART]).unwrap();
    let given = &config.given;
    assert_eq!(given.bitbucket_user_email, None);
    assert!(given.bitbucket_user_scoped_token.is_none() && given.webhook_secret.is_none());
    let missing = "OCEAN__PORT__CLIENT_SECRET=<nil>";
    let error = read(&[SECRET, CHART, missing]).unwrap_err().to_string();
    assert!(
        error.contains("OCEAN__PORT__CLIENT_SECRET is missing"),
        "{error}"
    );
}

#[test]
fn a_worker_for_events_makes_no_resyncs_and_one_for_actions_is_refused() {
    let events = r#"OCEAN__EVENT_LISTENER={"type":"WEBHOOKS_ONLY"}"#;
    let config = read(&[SECRET, CHART, events]).unwrap();
    assert_eq!(config.event_listener, EventListener::Events);
    let actions = r#"OCEAN__EVENT_LISTENER={"type":"ACTIONS_ONLY"}"#;
    let error = read(&[SECRET, CHART, actions]).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    the configuration has 1 problem(s):
      - `type` in OCEAN__EVENT_LISTENER is `ACTIONS_ONLY`, and Ferry runs no actions: leave this one out (`actionsProcessor.worker.enabled: false` in Port's chart)
    "#);
}

#[test]
fn a_schedule_of_the_charts_cron_job_is_refused_where_minutes_belong() {
    let cron = "OCEAN__SCHEDULED_RESYNC_INTERVAL=0 */1 * * *";
    let error = read(&[SECRET, CHART, cron]).unwrap_err().to_string();
    assert!(error.contains("use a whole number of minutes"), "{error}");
}

/// Two objects, and what the module leaves out where it has no value.
#[test]
fn an_installation_by_the_terraform_module_starts() {
    let config = read(&[r#"
OCEAN__PORT={"base_url":"https://api.getport.io","client_id":"id","client_secret":"hush"}
OCEAN__INTEGRATION={"config":{"bitbucket_workspace":"acme","bitbucket_workspace_token":"a-token","app_host":"https://lb.example.com"},"identifier":"mine","type":"bitbucket-cloud"}
OCEAN__INITIALIZE_PORT_RESOURCES=true
OCEAN__SCHEDULED_RESYNC_INTERVAL=1440
OCEAN__EVENT_LISTENER={"type":"POLLING","resync_on_start":true,"interval":60}
"#])
    .unwrap();
    assert_eq!(config.unknown, []);
    assert_eq!(config.base_url.unwrap().as_str(), "https://lb.example.com");
    assert_eq!(
        config.given.port_client_secret.unwrap().expose_secret(),
        "hush"
    );
    // Settings inside of the object, encoded once more.
    let nested = read(&[r#"
OCEAN__PORT={"clientId":"id","clientSecret":"hush"}
OCEAN__INTEGRATION={"identifier":"mine"}
OCEAN__INTEGRATION__CONFIG={"bitbucketWorkspace":"acme","bitbucketWorkspaceToken":"a-token"}
"#])
    .unwrap();
    assert_eq!(nested.given.bitbucket_workspace.as_deref(), Some("acme"));
}

/// It writes the names of a camel case configuration in capitals, without underscores.
#[test]
fn the_step_for_github_works_as_it_stands() {
    let config = read(&[r#"
OCEAN__EVENT_LISTENER={"type":"ONCE"}
OCEAN__INITIALIZE_PORT_RESOURCES=true
OCEAN__PORT__CLIENT_ID=id
OCEAN__PORT__CLIENT_SECRET=hush
OCEAN__INTEGRATION__CONFIG__BITBUCKETWORKSPACE=acme
OCEAN__INTEGRATION__CONFIG__BITBUCKETUSEREMAIL=me@example.com
OCEAN__INTEGRATION__CONFIG__BITBUCKETUSERSCOPEDTOKEN=a-token
OCEAN__INTEGRATION__CONFIG__BITBUCKETHOSTURL=https://api.bitbucket.org/2.0
OCEAN__INTEGRATION__CONFIG__WEBHOOKSECRET=signs
"#])
    .unwrap();
    assert_eq!(config.unknown, []);
    assert_eq!(config.event_listener, EventListener::Once);
    assert_eq!(
        config.given.bitbucket_user_email.as_deref(),
        Some("me@example.com")
    );
    assert_eq!(
        config.given.webhook_secret.unwrap().expose_secret(),
        "signs"
    );
}
