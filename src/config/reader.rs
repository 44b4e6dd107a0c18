//! Reading variables: each as its type wants it, each problem noted.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::{Host, Url};

use super::{Config, EventListener, Given, Problem};

const IDENTIFIER: &str = "OCEAN__INTEGRATION__IDENTIFIER";
const INTERVAL: &str = "OCEAN__SCHEDULED_RESYNC_INTERVAL";
const LIVE_RESERVE: &str = "FERRY__LIVE_RESERVE";
const SLICE_SECONDS: &str = "FERRY__SLICE_SECONDS";
const LISTENER: &str = "OCEAN__EVENT_LISTENER";
const LISTENER_TYPE: &str = "OCEAN__EVENT_LISTENER__TYPE";
pub(super) const WORKSPACE: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE";

/// The first that is set.
const LOG_LEVEL: [&str; 4] = [
    "FERRY__LOG",
    "OCEAN__APPLICATION__LOG_LEVEL",
    "APPLICATION__LOG_LEVEL",
    "AWS_LAMBDA_LOG_LEVEL",
];

/// Settings of Ocean for what is done otherwise here, or not at all.
pub(super) const WITHOUT_EFFECT: [(&str, &str); 20] = [
    ("OCEAN__INTEGRATION__TYPE", "it is always bitbucket-cloud"),
    ("OCEAN__RUNTIME", "there is one kind of installation"),
    (
        "OCEAN__CREATE_PORT_RESOURCES_ORIGIN",
        "default blueprints and mapping are created here",
    ),
    (
        "OCEAN__PORT__FEATURE_FLAGS_CACHE_TTL_SECONDS",
        "no feature flags are read",
    ),
    (
        "OCEAN__PORT__PORT_APP_CONFIG_CACHE_TTL",
        "live events use the mapping of the last run, and a saved one begins a run",
    ),
    (
        "OCEAN__PORT__BLUEPRINT_CACHE_TTL_SECONDS",
        "a run reads a blueprint once",
    ),
    (
        "OCEAN__EVENT_WORKERS_COUNT",
        "events of one repository keep their order, those of others do not wait for them",
    ),
    (
        "OCEAN__MAX_EVENT_PROCESSING_SECONDS",
        "an event is tried ten times over two hours",
    ),
    (
        "OCEAN__UPSERT_ENTITIES_BATCH_MAX_LENGTH",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__UPSERT_ENTITIES_BATCH_MAX_SIZE_IN_BYTES",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__DELETE_ENTITIES_MAX_BATCH_SIZE",
        "batches are as large as Port takes them",
    ),
    (
        "OCEAN__YIELD_ITEMS_TO_PARSE_BATCH_SIZE",
        "items are mapped one by one",
    ),
    (
        "OCEAN__ALLOW_ENVIRONMENT_VARIABLES_JQ_ACCESS",
        "jq never sees the environment",
    ),
    ("OCEAN__PROCESSING_MODE", "items are mapped here"),
    ("OCEAN__LAKEHOUSE_ENABLED", "items are mapped here"),
    (
        "OCEAN__OAUTH_ACCESS_TOKEN_FILE_PATH",
        "credentials come from variables or a secret",
    ),
    (
        "OCEAN__SSL__PORT__VERIFY",
        "certificates are always verified; SSL_CERT_FILE adds an authority",
    ),
    (
        "OCEAN__SSL__THIRD_PARTY__VERIFY",
        "certificates are always verified; SSL_CERT_FILE adds an authority",
    ),
    (
        "OCEAN__STATUS_HEARTBEAT_INTERVAL_SECONDS",
        "no sync metrics are sent, so no heartbeats",
    ),
    (
        "OCEAN__METRICS__ENABLED",
        "figures are printed for CloudWatch; see FERRY__METRICS_NAMESPACE",
    ),
];

/// What `OCEAN__EVENT_LISTENER` says.
struct Listener {
    kind: EventListener,
    resync_on_start: bool,
    interval: Duration,
}

pub(super) struct Reader<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reads every variable before it gives up on any.
    pub(super) fn config(&mut self) -> Option<Config> {
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
        if resync_minutes == Some(0) {
            self.report(
                INTERVAL,
                "is `0`: one resync would follow the other",
                "use a whole number of minutes from 1 on, or leave it out for none",
            );
        }
        let listener = self.listener();
        let live_reserve = self.live_reserve();
        let slice_seconds: Option<u16> =
            self.number(SLICE_SECONDS, "a whole number of seconds, such as 60");
        let mut seconds = |name: &str| {
            let number: Option<u32> =
                self.number(name, "a whole number of seconds from 1 on, such as 60");
            if number == Some(0) {
                self.report(name, "is `0`", "use a whole number of seconds from 1 on");
            }
            number.map(|seconds| Duration::from_secs(seconds.into()))
        };
        let client_timeout = seconds("OCEAN__CLIENT_TIMEOUT");
        let shutdown_wait =
            seconds("OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN").unwrap_or(Duration::from_secs(8));
        let deletes_off = !self.flag("FERRY__DELETE", true);
        Some(Config {
            port_base_url: port_base_url?,
            bitbucket_base_url: bitbucket_base_url?,
            identifier,
            initialize_port_resources,
            send_raw_data_examples,
            resync_interval: resync_minutes
                .map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
            base_url: self.base_url(),
            path_prefix: self.path_prefix(),
            event_listener: listener.kind,
            resync_on_start: listener.resync_on_start,
            poll_interval: listener.interval,
            shutdown_wait,
            client_timeout,
            deletes_off,
            live_reserve,
            slice_margin: Duration::from_secs(slice_seconds.unwrap_or(60).into()),
            state_dir: self.text("FERRY__STATE_DIR").map(PathBuf::from),
            secret_id,
            webhook_secret_id,
            state_table: self.text("FERRY__STATE_TABLE"),
            queue_url: self.text("FERRY__QUEUE_URL"),
            metrics_namespace: self.text("FERRY__METRICS_NAMESPACE"),
            log_level: LOG_LEVEL.iter().find_map(|name| self.text(name)),
            without_effect: self.without_effect(),
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

    fn base_url(&self) -> Option<String> {
        let address = self
            .text("OCEAN__BASE_URL")
            .or_else(|| self.text("OCEAN__INTEGRATION__CONFIG__APP_HOST"))?;
        Some(format!(
            "{}{}",
            address.trim_end_matches('/'),
            self.path_prefix()
        ))
    }

    /// With a slash before it and none after it.
    fn path_prefix(&self) -> String {
        let prefix = self.text("OCEAN__PATH_PREFIX").unwrap_or_default();
        match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        }
    }

    fn without_effect(&self) -> Vec<Problem> {
        let set = WITHOUT_EFFECT
            .iter()
            .filter(|(name, _)| self.text(name).is_some());
        set.map(|(name, reason)| Problem::new(*name, "has no effect", *reason))
            .collect()
    }

    /// From the variables, else from the JSON text.
    fn listener(&mut self) -> Listener {
        let json = self.text(LISTENER);
        let json: Value = json
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let either = |names: &[&str]| {
            let value = names.iter().find_map(|name| json.get(name))?;
            Some(value.as_str().map_or(value.to_string(), str::to_owned))
        };
        let start = either(&["resyncOnStart", "resync_on_start"]);
        let interval = either(&["interval"]);
        let seconds = "a whole number of seconds from 1 on, such as 60";
        let interval_name = "OCEAN__EVENT_LISTENER__INTERVAL";
        let interval = match (self.number::<u32>(interval_name, seconds), interval) {
            (Some(interval), _) => Some(interval),
            (None, Some(text)) => {
                let number = text.parse().ok();
                if number.is_none() {
                    let reason = format!("has the interval `{text}`");
                    self.report(LISTENER, reason, &format!("use {seconds}"));
                }
                number
            }
            (None, None) => None,
        };
        if interval == Some(0) {
            self.report(
                interval_name,
                "is `0`: Port would be asked without a pause",
                &format!("use {seconds}"),
            );
        }
        Listener {
            kind: self.event_listener(),
            resync_on_start: self.flag(
                "OCEAN__EVENT_LISTENER__RESYNC_ON_START",
                start.as_deref() != Some("false"),
            ),
            interval: Duration::from_secs(interval.unwrap_or(60).into()),
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

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
