//! Configuration: the environment read once, into values the rest can rely on.
//!
//! The only file that reads environment variables. Reports every problem at once, each with the variable and the
//! remedy. Values that may also come from Secrets Manager are kept as [`Given`] and completed by `secrets`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

mod given;
mod reader;

pub use given::Given;
use reader::Reader;

/// Everything about a deployment that is not a credential.
#[derive(Clone, Debug)]
pub struct Config {
    /// `OCEAN__PORT__BASE_URL`: the Port API without `/v1`; default `https://api.getport.io`.
    pub port_base_url: Url,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL`: the Bitbucket API with its version; default
    /// `https://api.bitbucket.org/2.0`.
    pub bitbucket_base_url: Url,
    /// `OCEAN__INTEGRATION__IDENTIFIER`: names the installation in Port and owns its entities; default
    /// `my-bitbucket-cloud-integration`.
    pub identifier: String,
    /// `OCEAN__INITIALIZE_PORT_RESOURCES`: offer default blueprints and mapping to a new installation; default true.
    pub initialize_port_resources: bool,
    /// `OCEAN__SEND_RAW_DATA_EXAMPLES`: send masked sample items to Port's mapping editor; default true.
    pub send_raw_data_examples: bool,
    /// `OCEAN__SCHEDULED_RESYNC_INTERVAL`, minutes: when the next resync is due, as told to Port.
    pub resync_interval: Option<Duration>,
    /// `OCEAN__BASE_URL`, or `OCEAN__INTEGRATION__CONFIG__APP_HOST`: where Bitbucket reaches `ferry serve`, the path
    /// prefix included; the webhook is kept leading there.
    pub base_url: Option<String>,
    /// `OCEAN__PATH_PREFIX`: what comes before the paths of `ferry serve`, with its slash; empty by default.
    pub path_prefix: String,
    /// `OCEAN__EVENT_LISTENER` (JSON) or `OCEAN__EVENT_LISTENER__TYPE`.
    pub event_listener: EventListener,
    /// `OCEAN__EVENT_LISTENER__RESYNC_ON_START`: whether `ferry serve` begins with a resync; default true.
    pub resync_on_start: bool,
    /// `OCEAN__EVENT_LISTENER__INTERVAL`, seconds: how often `ferry serve` asks Port for resync requests; default 60.
    pub poll_interval: Duration,
    /// `OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN`: how long `ferry serve` finishes what is in hand; default 8.
    pub shutdown_wait: Duration,
    /// `OCEAN__CLIENT_TIMEOUT`, seconds: how long one answer may take; default 60.
    pub client_timeout: Option<Duration>,
    /// `FERRY__LIVE_RESERVE`: the share of each Bitbucket rate limit a resync leaves to live events; default 0.1.
    pub live_reserve: f64,
    /// `FERRY__DELETE`: `off` keeps every entity, and lists what would go; default on.
    pub deletes_off: bool,
    /// `FERRY__SLICE_SECONDS`: how long before the end of its invocation a resync stops and saves; default 60.
    pub slice_margin: Duration,
    /// `FERRY__STATE_DIR`: where `ferry` keeps its state off Lambda; memory when unset.
    pub state_dir: Option<PathBuf>,
    /// `FERRY__SECRET_ID`: name or ARN of the secret with the credentials.
    pub secret_id: Option<String>,
    /// `FERRY__WEBHOOK_SECRET_ID`: name or ARN of the secret whose whole value signs webhooks.
    pub webhook_secret_id: Option<String>,
    /// `FERRY__STATE_TABLE`: the DynamoDB table in which the function keeps its state; goes before `FERRY__STATE_DIR`.
    pub state_table: Option<String>,
    /// `FERRY__QUEUE_URL`: the SQS FIFO queue in which webhooks wait.
    pub queue_url: Option<String>,
    /// `FERRY__METRICS_NAMESPACE`: where CloudWatch keeps the figures that the function prints; none without it.
    pub metrics_namespace: Option<String>,
    /// `FERRY__LOG`, `OCEAN__APPLICATION__LOG_LEVEL`, `APPLICATION__LOG_LEVEL` or `AWS_LAMBDA_LOG_LEVEL` (set by
    /// Lambda): a level, or a filter such as `ferry=debug`.
    pub log_level: Option<String>,
    /// Settings of Ocean that are there and have nothing to set here, each with the reason.
    pub without_effect: Vec<Problem>,
    /// What the environment says about values that a secret may replace.
    pub given: Given,
}

/// When resyncs happen off Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventListener {
    /// One resync, then exit.
    Once,
    /// Serve until stopped, look for resync requests meanwhile.
    Serve,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable, or the key of the secret.
    pub place: String,
    pub reason: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(
        place: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem {
            place: place.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.place, self.reason, self.remedy)
    }
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the configuration has {} problem(s):{}", .0.len(), list(.0))]
pub struct InvalidConfig(pub Vec<Problem>);

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  - {problem}"))
        .collect()
}

impl Config {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn from_env() -> Result<Config, InvalidConfig> {
        Config::read(|name| std::env::var(name).ok())
    }

    /// Reads the configuration through `lookup`. Empty and blank values count as unset, as deployment tools leave
    /// them behind.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, InvalidConfig> {
        let mut reader = Reader {
            lookup: &lookup,
            problems: Vec::new(),
        };
        match reader.config() {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(InvalidConfig(reader.problems)),
        }
    }

    /// Whether anything of it lies in AWS.
    pub fn uses_aws(&self) -> bool {
        let names = [
            &self.secret_id,
            &self.webhook_secret_id,
            &self.state_table,
            &self.queue_url,
        ];
        names.iter().any(|name| name.is_some())
    }
}

#[cfg(test)]
mod tests {
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
        Config::read(|name| {
            variables
                .iter()
                .rev()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
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
          - OCEAN__INTEGRATION__IDENTIFIER is `a/b`, which cannot name an integration: use lower-case letters, digits and dashes, such as `my-bitbucket`
          - OCEAN__INITIALIZE_PORT_RESOURCES is `maybe`: use `true` or `false`
          - OCEAN__SCHEDULED_RESYNC_INTERVAL is `soon`: use a whole number of minutes, such as 1440
          - OCEAN__EVENT_LISTENER is `SOMETIMES`, which is no known listener: use `{"type":"ONCE"}` for a single resync or `{"type":"POLLING"}` to serve
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
}
