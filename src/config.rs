//! Configuration: the environment read once, into values the rest can rely on.
//!
//! The only file that reads environment variables. Reports every problem at once, each with the variable and the
//! remedy. Values that may also come from Secrets Manager are kept as [`Given`] and completed by `secrets`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::{Host, Url};

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
    /// `OCEAN__BASE_URL`: where Bitbucket reaches `ferry serve`; the webhook is kept leading there.
    pub base_url: Option<String>,
    /// `OCEAN__EVENT_LISTENER` (JSON) or `OCEAN__EVENT_LISTENER__TYPE`.
    pub event_listener: EventListener,
    /// `FERRY__LIVE_RESERVE`: the share of each Bitbucket rate limit a resync leaves to live events; default 0.1.
    pub live_reserve: f64,
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
    /// `AWS_LAMBDA_LOG_LEVEL` (set by Lambda) or `FERRY__LOG`: a level, or a filter such as `ferry=debug`.
    pub log_level: Option<String>,
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

/// Credentials as found in one place; every one may be missing there.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `OCEAN__PORT__CLIENT_ID`
    pub port_client_id: Option<String>,
    /// `OCEAN__PORT__CLIENT_SECRET`
    pub port_client_secret: Option<SecretString>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE`
    pub bitbucket_workspace: Option<String>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN`: one, or several separated by commas.
    pub bitbucket_workspace_token: Option<SecretString>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL`
    pub bitbucket_user_email: Option<String>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN`
    pub bitbucket_user_scoped_token: Option<SecretString>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_USERNAME`
    pub bitbucket_username: Option<String>,
    /// `OCEAN__INTEGRATION__CONFIG__BITBUCKET_APP_PASSWORD`: refused by Bitbucket since 28 July 2026.
    pub bitbucket_app_password: Option<SecretString>,
    /// `OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET`
    pub webhook_secret: Option<SecretString>,
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

const IDENTIFIER: &str = "OCEAN__INTEGRATION__IDENTIFIER";
const INTERVAL: &str = "OCEAN__SCHEDULED_RESYNC_INTERVAL";
const LIVE_RESERVE: &str = "FERRY__LIVE_RESERVE";
const SLICE_SECONDS: &str = "FERRY__SLICE_SECONDS";
const LISTENER: &str = "OCEAN__EVENT_LISTENER";
const LISTENER_TYPE: &str = "OCEAN__EVENT_LISTENER__TYPE";
const WORKSPACE: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE";

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

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reads every variable before it gives up on any.
    fn config(&mut self) -> Option<Config> {
        let secret_id = self.text("FERRY__SECRET_ID");
        let webhook_secret_id = self.text("FERRY__WEBHOOK_SECRET_ID");
        let given = self.given();
        if secret_id.is_none() {
            self.problems.extend(given.problems());
        }
        let port_base_url = self.url("OCEAN__PORT__BASE_URL", "https://api.getport.io");
        let bitbucket_base_url = self.url(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            "https://api.bitbucket.org/2.0",
        );
        let identifier = self.identifier();
        let initialize_port_resources = self.flag("OCEAN__INITIALIZE_PORT_RESOURCES", true);
        let send_raw_data_examples = self.flag("OCEAN__SEND_RAW_DATA_EXAMPLES", true);
        let resync_minutes: Option<u32> =
            self.number(INTERVAL, "a whole number of minutes, such as 1440");
        let event_listener = self.event_listener();
        let live_reserve = self.live_reserve();
        let slice_seconds: Option<u16> =
            self.number(SLICE_SECONDS, "a whole number of seconds, such as 60");
        Some(Config {
            port_base_url: port_base_url?,
            bitbucket_base_url: bitbucket_base_url?,
            identifier,
            initialize_port_resources,
            send_raw_data_examples,
            resync_interval: resync_minutes
                .map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
            base_url: self.text("OCEAN__BASE_URL"),
            event_listener,
            live_reserve,
            slice_margin: Duration::from_secs(slice_seconds.unwrap_or(60).into()),
            state_dir: self.text("FERRY__STATE_DIR").map(PathBuf::from),
            secret_id,
            webhook_secret_id,
            state_table: self.text("FERRY__STATE_TABLE"),
            queue_url: self.text("FERRY__QUEUE_URL"),
            metrics_namespace: self.text("FERRY__METRICS_NAMESPACE"),
            log_level: self
                .text("FERRY__LOG")
                .or_else(|| self.text("AWS_LAMBDA_LOG_LEVEL")),
            given,
        })
    }

    fn given(&self) -> Given {
        let setting = |name: &str| self.text(&format!("OCEAN__INTEGRATION__CONFIG__{name}"));
        let secret = |name: &str| setting(name).map(SecretString::from);
        Given {
            port_client_id: self.text("OCEAN__PORT__CLIENT_ID"),
            port_client_secret: self
                .text("OCEAN__PORT__CLIENT_SECRET")
                .map(SecretString::from),
            bitbucket_workspace: self.text(WORKSPACE),
            bitbucket_workspace_token: secret("BITBUCKET_WORKSPACE_TOKEN"),
            bitbucket_user_email: setting("BITBUCKET_USER_EMAIL"),
            bitbucket_user_scoped_token: secret("BITBUCKET_USER_SCOPED_TOKEN"),
            bitbucket_username: setting("BITBUCKET_USERNAME"),
            bitbucket_app_password: secret("BITBUCKET_APP_PASSWORD"),
            webhook_secret: secret("WEBHOOK_SECRET"),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        // Azure Pipelines leaves the name of a variable that is not set where its value should be.
        let unset = value.is_empty() || value == format!("$({name})");
        (!unset).then(|| value.to_owned())
    }

    /// Secrets travel on these connections: encrypted, or not leaving the machine.
    fn url(&mut self, name: &str, default: &str) -> Option<Url> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        let remedy = format!("give an https URL such as {default}");
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url) => {
                return Some(url);
            }
            Ok(url) if url.scheme() == "http" => {
                self.report(
                    name,
                    format!("is `{text}`, which would send credentials unencrypted"),
                    &remedy,
                );
            }
            Ok(_) => self.report(
                name,
                format!("is `{text}`, which is not a web address"),
                &remedy,
            ),
            Err(error) => self.report(
                name,
                format!("is `{text}`, which is not a URL ({error})"),
                &remedy,
            ),
        }
        None
    }

    /// Port looks entities up by this text, in lower case on its data source page (Port docs, integration
    /// identifier).
    fn identifier(&mut self) -> String {
        let identifier = self
            .text(IDENTIFIER)
            .unwrap_or_else(|| "my-bitbucket-cloud-integration".to_owned());
        let allowed = |c: char| c.is_alphanumeric() || "-_.@:=+".contains(c);
        if !identifier.chars().all(allowed) || 100 < identifier.chars().count() {
            let reason = format!("is `{identifier}`, which cannot name an integration");
            self.report(
                IDENTIFIER,
                reason,
                "use lower-case letters, digits and dashes, such as `my-bitbucket`",
            );
        }
        identifier
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.report(name, format!("is `{text}`"), "use `true` or `false`");
                default
            }
        }
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.report(name, format!("is `{text}`"), &format!("use {wanted}"));
        }
        number
    }

    fn live_reserve(&mut self) -> f64 {
        let wanted = "a share from 0 to 0.9, such as 0.1";
        match self.number::<f64>(LIVE_RESERVE, wanted) {
            Some(share) if !(0.0..=0.9).contains(&share) => {
                self.report(
                    LIVE_RESERVE,
                    format!("is `{share}`"),
                    &format!("use {wanted}"),
                );
                0.1
            }
            share => share.unwrap_or(0.1),
        }
    }

    fn event_listener(&mut self) -> EventListener {
        let from_json = self.text(LISTENER).map(|text| {
            let kind = serde_json::from_str::<Value>(&text).ok();
            let kind = kind
                .as_ref()
                .and_then(|value| value.get("type"))
                .and_then(Value::as_str);
            (LISTENER, kind.map_or(text.clone(), str::to_owned))
        });
        let (name, kind) = match (self.text(LISTENER_TYPE), from_json) {
            (Some(kind), _) => (LISTENER_TYPE, kind),
            (None, Some(found)) => found,
            (None, None) => return EventListener::Serve,
        };
        match kind.to_ascii_uppercase().as_str() {
            "ONCE" => EventListener::Once,
            "POLLING" | "KAFKA" | "WEBHOOK" | "WEBHOOKS_ONLY" | "ACTIONS_ONLY" => {
                EventListener::Serve
            }
            _ => {
                let remedy = "use `{\"type\":\"ONCE\"}` for a single resync or `{\"type\":\"POLLING\"}` to serve";
                self.report(
                    name,
                    format!("is `{kind}`, which is no known listener"),
                    remedy,
                );
                EventListener::Serve
            }
        }
    }

    fn report(&mut self, place: &str, reason: impl Into<String>, remedy: &str) {
        self.problems.push(Problem::new(place, reason, remedy));
    }
}

impl Given {
    /// These values, with `over`'s in their place where it has any.
    #[must_use]
    pub fn overlaid(&self, over: Given) -> Given {
        let Given {
            port_client_id,
            port_client_secret,
            bitbucket_workspace,
            bitbucket_workspace_token,
            bitbucket_user_email,
            bitbucket_user_scoped_token,
            bitbucket_username,
            bitbucket_app_password,
            webhook_secret,
        } = self.clone();
        Given {
            port_client_id: over.port_client_id.or(port_client_id),
            port_client_secret: over.port_client_secret.or(port_client_secret),
            bitbucket_workspace: over.bitbucket_workspace.or(bitbucket_workspace),
            bitbucket_workspace_token: over.bitbucket_workspace_token.or(bitbucket_workspace_token),
            bitbucket_user_email: over.bitbucket_user_email.or(bitbucket_user_email),
            bitbucket_user_scoped_token: over
                .bitbucket_user_scoped_token
                .or(bitbucket_user_scoped_token),
            bitbucket_username: over.bitbucket_username.or(bitbucket_username),
            bitbucket_app_password: over.bitbucket_app_password.or(bitbucket_app_password),
            webhook_secret: over.webhook_secret.or(webhook_secret),
        }
    }

    /// What is missing for a complete set of credentials.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |present: bool, place: &str, remedy: &str| {
            if !present {
                problems.push(Problem::new(place, "is missing", remedy));
            }
        };
        require(
            self.port_client_id.is_some(),
            "OCEAN__PORT__CLIENT_ID",
            "copy it from Port (… menu > Credentials), or put `portClientId` into the secret",
        );
        require(
            self.port_client_secret.is_some(),
            "OCEAN__PORT__CLIENT_SECRET",
            "copy it from Port (… menu > Credentials), or put `portClientSecret` into the secret",
        );
        require(
            self.bitbucket_workspace.is_some(),
            WORKSPACE,
            "give the workspace's slug, the first part of its Bitbucket address",
        );
        let pairs = [
            (
                self.bitbucket_user_email.is_some(),
                self.bitbucket_user_scoped_token.is_some(),
            ),
            (
                self.bitbucket_username.is_some(),
                self.bitbucket_app_password.is_some(),
            ),
        ];
        let halves = [
            ("BITBUCKET_USER_EMAIL", "BITBUCKET_USER_SCOPED_TOKEN"),
            ("BITBUCKET_USERNAME", "BITBUCKET_APP_PASSWORD"),
        ];
        let enough = self.bitbucket_workspace_token.is_some()
            || pairs.iter().any(|&(name, secret)| name && secret);
        // Where one way in is complete, pipelines may name the half of another: their templates do.
        let halves = halves.into_iter().filter(|_| !enough);
        for ((has_name, has_secret), (name, secret)) in pairs.into_iter().zip(halves) {
            let remedy = format!(
                "it goes together with OCEAN__INTEGRATION__CONFIG__{}",
                if has_name { name } else { secret }
            );
            require(
                has_name || !has_secret,
                &format!("OCEAN__INTEGRATION__CONFIG__{name}"),
                &remedy,
            );
            require(
                has_secret || !has_name,
                &format!("OCEAN__INTEGRATION__CONFIG__{secret}"),
                &remedy,
            );
        }
        require(
            self.bitbucket_workspace_token.is_some()
                || pairs.iter().any(|&(name, secret)| name || secret),
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            "create a workspace access token in Bitbucket, or give BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN",
        );
        problems
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
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
