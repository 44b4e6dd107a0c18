//! What `ferry install` and `ferry uninstall` work with: the AWS of a region, and how an installation sees Bitbucket and
//! Port.

use std::io::{self, IsTerminal as _};

use dialoguer::Confirm;
use ferry::app::App;
use ferry::aws;
use ferry::config::{Config, Given, InvalidConfig};
use ferry::deadline::Clock;
use ferry::http::Http;
use ferry::own_secrets::OwnSecrets;
use indicatif::{MultiProgress, ProgressBar};

use super::AskedWrongly;
use super::terminal::{GOOD, painted, print};
use crate::PATIENCE;
use crate::stack::{Cloud, Stack};

/// Parameters of the template that name an installation towards Bitbucket and Port.
pub(crate) const WORKSPACE: &str = "BitbucketWorkspace";
pub(crate) const PORT_URL: &str = "PortBaseUrl";
pub(crate) const IDENTIFIER: &str = "IntegrationIdentifier";

/// The parameter with the ARN of a secret that the stack has not created.
pub(crate) const OWN_SECRET: &str = "CredentialsSecretArn";

/// Where the template takes the function's code from.
pub(crate) const CODE_BUCKET: &str = "CodeBucket";
pub(crate) const CODE_KEY: &str = "CodeKey";

pub(crate) struct Installer {
    pub(crate) config: Config,
    pub(crate) http: Http,
    pub(crate) cloud: Cloud,
}

/// What an installation is called on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) workspace: String,
    pub(crate) port_url: String,
    pub(crate) identifier: String,
}

/// Whom questions go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    Terminal,
    /// Everything has been said, or has its default.
    Nobody,
}

impl Asking {
    /// Without a terminal the user has to give `--yes`.
    pub(crate) fn of(yes: bool) -> Result<Asking, AskedWrongly> {
        match (yes, io::stdin().is_terminal()) {
            (true, _) => Ok(Asking::Nobody),
            (false, true) => Ok(Asking::Terminal),
            (false, false) => Err(AskedWrongly(
                "there is no terminal to ask at: give --yes, and what is to be different from its default".to_owned(),
            )),
        }
    }

    /// Whether to go on; `question` has a yes or a no for an answer.
    pub(crate) fn agrees(self, question: &str) -> anyhow::Result<bool> {
        match self {
            Asking::Nobody => Ok(true),
            Asking::Terminal => Ok(Confirm::new().with_prompt(question).interact()?),
        }
    }
}

impl Installer {
    pub(crate) async fn open(config: Config, own: OwnSecrets) -> anyhow::Result<Installer> {
        let http = Http::behind(config.proxies.clone(), Clock::System)?;
        let http = http.with_timeout(config.client_timeout).patient(PATIENCE);
        let http = http.hiding(own);
        let cloud = Cloud::connect(&aws::of_machine(&http).await)?;
        Ok(Installer {
            config,
            http,
            cloud,
        })
    }

    /// Works as the functions of `stack` do, with their credentials, webhook secret and table.
    pub(crate) fn app_of(&self, stack: &Stack, subject: &Subject) -> anyhow::Result<App> {
        let output = |name: &str| stack.output(name).map(str::to_owned);
        // Of a stack that is going, the table may be gone.
        let table = output("StateTableName").filter(|_| !stack.is_being_deleted());
        let config = Config {
            secret_id: output(OWN_SECRET),
            derives_webhook_secret: true,
            state_table: table,
            queue_url: output("EventQueueUrl"),
            ..subject.config(&self.config)?
        };
        self.app(config)
    }

    /// Works with the credentials in the secret `arn`, and remembers nothing.
    pub(crate) fn app_with_secret(&self, arn: &str, subject: &Subject) -> anyhow::Result<App> {
        let config = Config {
            secret_id: Some(arn.to_owned()),
            ..subject.config(&self.config)?
        };
        self.app(config)
    }

    fn app(&self, config: Config) -> anyhow::Result<App> {
        let sdk = Some(self.cloud.sdk());
        Ok(App::connect(config, self.http.clone(), sdk)?)
    }
}

impl Subject {
    /// As the environment of this process names it; the workspace may be missing there.
    pub(crate) fn of_environment(config: &Config) -> Subject {
        let port_url = config.port_base_url.as_str().trim_end_matches('/');
        Subject {
            workspace: config.given.bitbucket_workspace.clone().unwrap_or_default(),
            port_url: port_url.to_owned(),
            identifier: config.identifier.clone(),
        }
    }

    /// As a stack has it, where that says it.
    pub(crate) fn of_stack(stack: &Stack, config: &Config) -> Subject {
        let own = Subject::of_environment(config);
        let parameter = |name: &str, otherwise: String| match stack.parameters.get(name) {
            Some(value) if !value.is_empty() => value.clone(),
            _ => otherwise,
        };
        Subject {
            workspace: parameter(WORKSPACE, own.workspace),
            port_url: parameter(PORT_URL, own.port_url),
            identifier: parameter(IDENTIFIER, own.identifier),
        }
    }

    /// The configuration of this process for this installation; it holds neither credentials nor a place for state.
    pub(crate) fn config(&self, own: &Config) -> Result<Config, InvalidConfig> {
        let read = Config::read_without_credentials([
            ("OCEAN__PORT__BASE_URL", self.port_url.as_str()),
            ("OCEAN__INTEGRATION__IDENTIFIER", self.identifier.as_str()),
            (
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
                self.workspace.as_str(),
            ),
        ])?;
        Ok(Config {
            port_base_url: read.port_base_url,
            identifier: read.identifier,
            given: Given {
                bitbucket_workspace: read.given.bitbucket_workspace,
                ..Given::default()
            },
            secret_id: None,
            webhook_secret_id: None,
            state_table: None,
            state_dir: None,
            queue_url: None,
            ..own.clone()
        })
    }

    /// Where Port shows the data source: its pages have the host of its API, with `app` in the place of `api`.
    pub(crate) fn page(&self) -> String {
        let host = self.port_url.strip_prefix("https://api.");
        match host {
            Some(rest) => format!("https://app.{rest}/settings/data-sources"),
            None => "the page of data sources".to_owned(),
        }
    }
}

/// Says that something is done.
pub(crate) fn tell_done(what: &str, how: &str) -> anyhow::Result<()> {
    print(format!("{} {what}: {how}", painted(GOOD, "ok    ")))
}

/// Something that turns while others work.
pub(crate) fn spinner(bars: &MultiProgress) -> ProgressBar {
    let spinner = bars.add(ProgressBar::new_spinner());
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(port_url: &str) -> Subject {
        Subject {
            workspace: "acme".to_owned(),
            port_url: port_url.to_owned(),
            identifier: "my-bitbucket".to_owned(),
        }
    }

    #[test]
    fn the_page_of_data_sources_is_in_the_same_region() {
        for (api, page) in [
            (
                "https://api.getport.io",
                "https://app.getport.io/settings/data-sources",
            ),
            (
                "https://api.us.getport.io",
                "https://app.us.getport.io/settings/data-sources",
            ),
            ("http://127.0.0.1:1", "the page of data sources"),
        ] {
            assert_eq!(subject(api).page(), page);
        }
    }

    #[test]
    fn an_installation_is_what_its_stack_says() {
        let own = Config::read_without_credentials([
            ("OCEAN__INTEGRATION__IDENTIFIER", "another"),
            ("OCEAN__PORT__CLIENT_ID", "client"),
            ("FERRY__STATE_DIR", "/somewhere"),
        ])
        .unwrap();
        let mut stack = Stack::default();
        for (name, value) in [(WORKSPACE, "acme"), (IDENTIFIER, "my-bitbucket")] {
            stack.parameters.insert(name.to_owned(), value.to_owned());
        }
        let found = Subject::of_stack(&stack, &own);
        assert_eq!(found, subject("https://api.getport.io"));
        let config = found.config(&own).unwrap();
        assert_eq!(config.identifier, "my-bitbucket");
        assert_eq!(config.given.bitbucket_workspace.as_deref(), Some("acme"));
        assert!(config.given.port_client_id.is_none() && config.state_dir.is_none());
    }
}
