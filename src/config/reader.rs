//! Reading the environment: what each variable means, one method for each form of value, and the problems found.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::environment::Environment;
use super::listener::Listener;
use super::without_effect::{FAMILIES, WITHOUT_EFFECT};
use super::{Config, ConfigProblem, ContentsOver, Given, PublicAddress, address};
use crate::http::Proxies;

const IDENTIFIER: &str = "OCEAN__INTEGRATION__IDENTIFIER";
const INTERVAL: &str = "OCEAN__SCHEDULED_RESYNC_INTERVAL";
const LIVE_RESERVE: &str = "FERRY__LIVE_RESERVE";
const CONTENTS: &str = "FERRY__CONTENTS";
const FIGURES: &str = "FERRY__FIGURES";
const SLICE_SECONDS: &str = "FERRY__SLICE_SECONDS";
const PORT_URL: &str = "OCEAN__PORT__BASE_URL";
const BITBUCKET_URL: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL";

/// The first that is set.
const LOG_LEVEL: [&str; 4] = [
    "FERRY__LOG",
    "OCEAN__APPLICATION__LOG_LEVEL",
    "APPLICATION__LOG_LEVEL",
    "AWS_LAMBDA_LOG_LEVEL",
];

/// The first that is set.
const LISTEN_PORT: [&str; 2] = ["FERRY__PORT", "APPLICATION__PORT"];

pub(super) struct VariableReader<'a> {
    pub(super) environment: &'a Environment,
    /// Whether it is a problem that credentials are missing.
    pub(super) needs_credentials: bool,
    pub(super) problems: Vec<ConfigProblem>,
}

impl VariableReader<'_> {
    /// Reads every variable before it gives up on any.
    pub(super) fn config(&mut self) -> Option<Config> {
        let secret_id = self.text("FERRY__SECRET_ID");
        let given = Given::of(self.environment);
        if self.needs_credentials && secret_id.is_none() {
            self.problems.extend(given.problems());
        }
        let port_base_url = self.port_base_url();
        let bitbucket_base_url = self.bitbucket_base_url();
        let resync_interval = self.resync_interval();
        let listener = Listener::read(self);
        let path_prefix = self.path_prefix();
        let slice_seconds: Option<u16> =
            self.number(SLICE_SECONDS, "a whole number of seconds, such as 60");
        let listen_port =
            LISTEN_PORT.map(|name| self.number(name, "the number of a port, such as 8000"));
        let shutdown_wait = self.seconds("OCEAN__MAX_WAIT_SECONDS_BEFORE_SHUTDOWN");
        let config = Config {
            identifier: self.identifier(),
            initialize_port_resources: self.flag("OCEAN__INITIALIZE_PORT_RESOURCES", true),
            send_raw_data_examples: self.flag("OCEAN__SEND_RAW_DATA_EXAMPLES", true),
            resync_interval,
            base_url: self.base_url(&path_prefix),
            path_prefix,
            listen_port: listen_port.into_iter().flatten().next().unwrap_or(8000),
            event_listener: listener.kind,
            resync_on_start: listener.resync_on_start,
            poll_interval: listener.interval,
            shutdown_wait: shutdown_wait.unwrap_or(Duration::from_secs(8)),
            client_timeout: self.seconds("OCEAN__CLIENT_TIMEOUT"),
            deletes_off: !self.flag("FERRY__DELETE", true),
            reads_unchanged: !self.flag("FERRY__SKIP_UNCHANGED", true),
            live_reserve: self.live_reserve(),
            contents_over: self.contents_over(),
            slice_margin: Duration::from_secs(slice_seconds.unwrap_or(60).into()),
            state_dir: self.text("FERRY__STATE_DIR").map(PathBuf::from),
            secret_id,
            webhook_secret_id: self.text("FERRY__WEBHOOK_SECRET_ID"),
            derives_webhook_secret: self.derives_webhook_secret(),
            state_table: self.text("FERRY__STATE_TABLE"),
            queue_url: self.text("FERRY__QUEUE_URL"),
            metrics_namespace: self.text("FERRY__METRICS_NAMESPACE"),
            all_figures: self.all_figures(),
            log_level: self.first(&LOG_LEVEL),
            process: self.process(),
            proxies: self.proxies(),
            aws_endpoints: self.environment.beginning_with("AWS_ENDPOINT_URL"),
            without_effect: self.without_effect(),
            // Known only when all has been read.
            unknown: Vec::new(),
            given,
            port_base_url: port_base_url?,
            bitbucket_base_url: bitbucket_base_url?,
        };
        Some(config)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.environment.text(name)
    }

    /// The first that is set; all are asked for.
    fn first(&self, names: &[&str]) -> Option<String> {
        let texts: Vec<Option<String>> = names.iter().map(|name| self.text(name)).collect();
        texts.into_iter().flatten().next()
    }

    fn port_base_url(&mut self) -> Option<Url> {
        let default = "https://api.getport.io";
        let url = self.url(PORT_URL, default)?;
        Some(address::of_port(url))
    }

    fn bitbucket_base_url(&mut self) -> Option<Url> {
        let default = "https://api.bitbucket.org/2.0";
        let url = self.url(BITBUCKET_URL, default)?;
        let url = address::of_bitbucket(url);
        self.or_report(BITBUCKET_URL, url, default)
    }

    fn url(&mut self, name: &str, default: &str) -> Option<Url> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        self.or_report(name, address::of_api(&text), default)
    }

    fn or_report(&mut self, name: &str, url: Result<Url, String>, example: &str) -> Option<Url> {
        match url {
            Ok(url) => Some(url),
            Err(reason) => {
                let remedy = format!("give an https URL such as {example}");
                self.report(name, reason, &remedy);
                None
            }
        }
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

    fn derives_webhook_secret(&mut self) -> bool {
        const NAME: &str = "FERRY__WEBHOOK_SECRET";
        let text = self.text(NAME).unwrap_or_default();
        let derives = text.eq_ignore_ascii_case("derived");
        if !derives && !text.is_empty() {
            // It may be a secret that was meant for another variable: not shown.
            let reason = "is something else than `derived`";
            let remedy = "a secret of your own goes into OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET, or as `webhookSecret` into the secret";
            self.report(NAME, reason, remedy);
        }
        derives
    }

    fn resync_interval(&mut self) -> Option<Duration> {
        let minutes: Option<u32> = self.number(INTERVAL, "a whole number of minutes, such as 1440");
        if minutes == Some(0) {
            self.report(
                INTERVAL,
                "is `0`: one resync would follow the other",
                "use a whole number of minutes from 1 on, or leave it out for none",
            );
        }
        minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60))
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => true,
            "false" | "0" | "no" | "off" | "f" | "n" => false,
            _ => {
                self.report(name, format!("is `{text}`"), "use `true` or `false`");
                default
            }
        }
    }

    /// A whole number may come as Terraform and others write it: `60.0`, `6e1`.
    pub(super) fn number<T: std::str::FromStr>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let text = self.text(name)?;
        let whole = || {
            let number: f64 = text.parse().ok()?;
            let is_whole = number.is_finite() && number.fract() == 0.0;
            is_whole.then(|| format!("{number:.0}").parse().ok())?
        };
        let number = text.parse().ok().or_else(whole);
        if number.is_none() {
            self.report(name, format!("is `{text}`"), &format!("use {wanted}"));
        }
        number
    }

    fn seconds(&mut self, name: &str) -> Option<Duration> {
        let wanted = "a whole number of seconds from 1 on, such as 60";
        let number: Option<u32> = self.number(name, wanted);
        if number == Some(0) {
            self.report(name, "is `0`", "use a whole number of seconds from 1 on");
        }
        number.map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn all_figures(&mut self) -> bool {
        match self.text(FIGURES).map(|text| text.to_ascii_lowercase()) {
            None => false,
            Some(text) if text == "health" => false,
            Some(text) if text == "all" => true,
            Some(text) => {
                self.report(FIGURES, format!("is `{text}`"), "use `all` or `health`");
                false
            }
        }
    }

    fn contents_over(&mut self) -> ContentsOver {
        let Some(text) = self.text(CONTENTS) else {
            return ContentsOver::default();
        };
        match text.to_ascii_lowercase().as_str() {
            "auto" => ContentsOver::Auto,
            "rest" => ContentsOver::Rest,
            "git" => ContentsOver::Git,
            _ => {
                let remedy = "use `auto`, `rest` or `git`";
                self.report(CONTENTS, format!("is `{text}`"), remedy);
                ContentsOver::default()
            }
        }
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

    fn base_url(&self, prefix: &str) -> Option<PublicAddress> {
        let names = ["OCEAN__BASE_URL", "OCEAN__INTEGRATION__CONFIG__APP_HOST"];
        let address = self.first(&names)?;
        let address = address.trim_end_matches('/');
        Some(PublicAddress::new(format!("{address}{prefix}")))
    }

    /// With a slash before it and none after it.
    fn path_prefix(&self) -> String {
        let prefix = self.text("OCEAN__PATH_PREFIX").unwrap_or_default();
        match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        }
    }

    /// The names that everybody reads, in the case that everybody writes.
    fn process(&self) -> String {
        let stream = self.environment.plain(&["AWS_LAMBDA_LOG_STREAM_NAME"]);
        stream.unwrap_or_else(|| format!("process {}", std::process::id()))
    }

    fn proxies(&self) -> Option<Proxies> {
        let plain = |names: &[&str]| self.environment.plain(names);
        let all = plain(&["ALL_PROXY", "all_proxy"]);
        let http = plain(&["HTTP_PROXY", "http_proxy"]).or_else(|| all.clone());
        let https = plain(&["HTTPS_PROXY", "https_proxy"]).or(all);
        Proxies::new(http, https, &plain(&["NO_PROXY", "no_proxy"])?)
    }

    /// Comes last: what has been asked for until then has an effect.
    fn without_effect(&self) -> Vec<ConfigProblem> {
        let mut set: Vec<(String, &str)> = Vec::new();
        for (name, reason) in WITHOUT_EFFECT {
            if self.text(name).is_some() {
                set.push((self.environment.place(name), reason));
            }
        }
        for (family, reason) in FAMILIES {
            let places = self.environment.of_family(family);
            set.extend(places.into_iter().map(|place| (place, reason)));
        }
        set.into_iter()
            .map(|(place, reason)| ConfigProblem::new(place, "has no effect", reason))
            .collect()
    }

    /// `name` is shown as it is written where it stands.
    pub(super) fn report(&mut self, name: &str, reason: impl Into<String>, remedy: &str) {
        let place = self.environment.place(name);
        self.problems
            .push(ConfigProblem::new(place, reason, remedy));
    }
}
