//! Configuration: the environment read once, into values the rest can rely on.
//!
//! The only module that reads environment variables. Reports every problem at once, each with the variable and the
//! remedy. Values that may also come from Secrets Manager are kept as [`Given`] and completed by `secrets`.
//!
//! `environment` finds a variable under the spellings in use, `reader` reads each, `address` and `pasted` understand what
//! people paste.

mod address;
mod environment;
mod given;
mod listener;
mod pasted;
mod reader;
mod without_effect;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

pub use address::PublicAddress;
use environment::Environment;
pub use given::Given;
pub use listener::EventListener;
use reader::VariableReader;

use crate::http::Proxies;

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
    /// `OCEAN__BASE_URL`, or `OCEAN__INTEGRATION__CONFIG__APP_HOST`: where Bitbucket reaches Ferry, the path prefix
    /// included; the webhook is kept leading there.
    pub base_url: Option<PublicAddress>,
    /// `OCEAN__PATH_PREFIX`: what comes before our paths in the address that Bitbucket uses, with its slash; empty by
    /// default.
    pub path_prefix: String,
    /// `FERRY__PORT`, or Ocean's `APPLICATION__PORT`: where `ferry serve` listens; default 8000.
    pub listen_port: u16,
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
    /// `FERRY__CONTENTS`: how trees and files of repositories are read; default `auto`.
    pub contents_over: ContentsOver,
    /// `FERRY__DELETE`: `off` keeps every entity, and lists what would go; default on.
    pub deletes_off: bool,
    /// `FERRY__SKIP_UNCHANGED`: `off` has each resync read all contents, those that have not changed included; default on.
    pub reads_unchanged: bool,
    /// `FERRY__SLICE_SECONDS`: how long before the end of its invocation a resync stops and saves; default 60.
    pub slice_margin: Duration,
    /// `FERRY__STATE_DIR`: where `ferry` keeps its state off Lambda; memory when unset.
    pub state_dir: Option<PathBuf>,
    /// `FERRY__SECRET_ID`: name or ARN of the secret with the credentials.
    pub secret_id: Option<String>,
    /// `FERRY__WEBHOOK_SECRET_ID`: name or ARN of the secret whose whole value signs webhooks.
    pub webhook_secret_id: Option<String>,
    /// `FERRY__WEBHOOK_SECRET`: `derived` makes what signs webhooks of Port's client secret, where nobody has chosen it.
    pub derives_webhook_secret: bool,
    /// `FERRY__STATE_TABLE`: the DynamoDB table in which the function keeps its state; goes before `FERRY__STATE_DIR`.
    pub state_table: Option<String>,
    /// `FERRY__QUEUE_URL`: the SQS FIFO queue in which webhooks wait.
    pub queue_url: Option<String>,
    /// `FERRY__METRICS_NAMESPACE`: where CloudWatch keeps the figures that the function prints; none without it.
    pub metrics_namespace: Option<String>,
    /// `FERRY__FIGURES`: `all` prints the figures of the dashboard, too; default `health`, the one of the alarm.
    pub all_figures: bool,
    /// `FERRY__LOG`, `OCEAN__APPLICATION__LOG_LEVEL`, `APPLICATION__LOG_LEVEL` or `AWS_LAMBDA_LOG_LEVEL` (set by
    /// Lambda): a level, or a filter such as `ferry=debug`.
    pub log_level: Option<String>,
    /// What this process is called where others name it: `AWS_LAMBDA_LOG_STREAM_NAME` (set by Lambda), else its number.
    pub process: String,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, where the HTTP library would not understand them.
    pub proxies: Option<Proxies>,
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, by their names (AWS SDKs reference, service-specific
    /// endpoints).
    pub aws_endpoints: BTreeMap<String, String>,
    /// Settings of Ocean that are there and have nothing to set here, each with the reason.
    pub without_effect: Vec<ConfigProblem>,
    /// Variables that look like ours and are not, each with the one that may be meant.
    pub unknown: Vec<ConfigProblem>,
    /// What the environment says about values that a secret may replace.
    pub given: Given,
}

/// How trees and files of repositories are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentsOver {
    /// Git, where the server says that it does what is needed; else REST.
    #[default]
    Auto,
    /// REST only.
    Rest,
    /// Git, without asking whether the server does what is needed; REST where that fails.
    Git,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The variable, or the key of the secret.
    pub place: String,
    pub reason: String,
    pub remedy: String,
}

impl ConfigProblem {
    pub fn new(
        place: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigProblem {
        ConfigProblem {
            place: place.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.place, self.reason, self.remedy)
    }
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the configuration has {} problem(s):{}", .0.len(), list(.0))]
pub struct InvalidConfig(pub Vec<ConfigProblem>);

fn list(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  - {problem}"))
        .collect()
}

impl Config {
    pub fn from_env() -> Result<Config, InvalidConfig> {
        Config::read(Config::variables_of_process())
    }

    /// The same before there are credentials: what is missing of them is no problem.
    pub fn from_env_without_credentials() -> Result<Config, InvalidConfig> {
        Config::read_without_credentials(Config::variables_of_process())
    }

    /// A variable that is no text is none of ours.
    fn variables_of_process() -> impl Iterator<Item = (String, String)> {
        let texts = std::env::vars_os();
        texts
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
    }

    /// Reads the configuration out of names and values. Empty and blank values count as unset, as deployment tools leave
    /// them behind.
    pub fn read<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, InvalidConfig> {
        Config::read_as(variables, true)
    }

    /// The same, where what is missing of credentials is no problem.
    pub fn read_without_credentials<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, InvalidConfig> {
        Config::read_as(variables, false)
    }

    fn read_as<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
        needs_credentials: bool,
    ) -> Result<Config, InvalidConfig> {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let mut problems = Vec::new();
        let environment = Environment::of(variables, &mut problems);
        let mut reader = VariableReader {
            environment: &environment,
            needs_credentials,
            problems,
        };
        match reader.config() {
            Some(config) if reader.problems.is_empty() => Ok(Config {
                unknown: environment.unknown(&Config::variables(), &without_effect::families()),
                ..config
            }),
            _ => Err(InvalidConfig(reader.problems)),
        }
    }

    /// The names of all variables that are read.
    pub fn variables() -> BTreeSet<String> {
        let environment = Environment::of([], &mut Vec::new());
        let mut reader = VariableReader {
            environment: &environment,
            needs_credentials: false,
            problems: Vec::new(),
        };
        // Of an empty environment every name is asked for; that something is missing is no news.
        let _incomplete = reader.config();
        environment.asked()
    }

    /// Says what is set and has no effect, once, at the start.
    pub fn tell_what_has_no_effect(&self) {
        for ConfigProblem { place, remedy, .. } in &self.without_effect {
            tracing::info!(variable = place, reason = remedy, "setting without effect");
        }
        for ConfigProblem { place, remedy, .. } in &self.unknown {
            tracing::warn!(variable = place, remedy, "unknown setting");
        }
    }

    /// Where Bitbucket reaches us: as configured, else at `own`, below the configured prefix.
    pub fn reached_at(&self, own: &str) -> String {
        match &self.base_url {
            Some(address) => address.as_str().to_owned(),
            None => format!("{}{}", own.trim_end_matches('/'), self.path_prefix),
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
mod tests;
