//! `ferry secret put`: the credentials, asked for or read from standard input, checked, and stored for the functions.
//!
//! A credential is never an argument: those show in lists of processes and in the histories of shells.

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dialoguer::{Input, Password};
use ferry::app::App;
use ferry::aws;
use ferry::config::{Config, Given};
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::secrets::{Secrets, parse};
use ferry::store::Store;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::check::line_of;
use super::terminal::{GOOD, painted, print};
use crate::check::{Finding, Findings, check_credentials};

/// For both sides to say what they think of the credentials, and for Secrets Manager to take them.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Ask for the credentials, or read them as a JSON object from standard input; check them; store them.
    ///
    /// Stores nothing that Port or Bitbucket refuses. docs/configuration.md lists the keys of the object.
    Put,
}

/// Fails where the credentials are refused, and leaves the secret alone then.
pub(crate) async fn run(action: Action, config: Config) -> anyhow::Result<ExitCode> {
    let Action::Put = action;
    let Some(id) = config.secret_id.clone() else {
        bail!(
            "FERRY__SECRET_ID is missing: give the ARN of the secret, which is the stack's output CredentialsSecretArn"
        );
    };
    let text = SecretString::from(match io::stdin().is_terminal() {
        true => ask()?,
        false => read()?,
    });
    let given = parse("standard input", &text)?;
    let http = Http::new(Clock::System)?.with_timeout(config.client_timeout);
    let http = http.failing_fast();
    let deadline = Deadline::after(http.clock(), PATIENCE);
    let findings = Findings::telling(|finding| print(line_of(finding)));
    let trial = trial(&config, given, &http);
    let findings = check_credentials(&trial, findings, &deadline).await?;
    if findings.iter().any(Finding::is_wrong) {
        bail!("nothing is stored: the credentials do not work");
    }
    let aws = aws::of_machine(&http).await;
    let secrets = Secrets::connect(&config, Some(&aws), http.clock().clone());
    secrets.put(&text, &deadline).await?;
    print(painted(GOOD, format!("stored in {id}")))?;
    Ok(ExitCode::SUCCESS)
}

/// As the functions will see it: these credentials, and no others that the environment may hold.
fn trial(config: &Config, given: Given, http: &Http) -> App {
    let workspace = Given {
        bitbucket_workspace: config.given.bitbucket_workspace.clone(),
        ..Given::default()
    };
    let config = Config {
        secret_id: None,
        given: workspace.overlaid(given),
        ..config.clone()
    };
    let secrets = Secrets::connect(&config, None, http.clock().clone());
    App::new(config, http.clone(), secrets, Store::memory())
}

fn read() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .context("cannot read the credentials from standard input")?;
    Ok(text)
}

/// At a terminal; secrets are not shown.
fn ask() -> anyhow::Result<String> {
    let shown = |prompt: &str, may_be_empty: bool| {
        Input::<String>::new()
            .with_prompt(prompt)
            .allow_empty(may_be_empty)
            .interact_text()
    };
    let hidden = |prompt: &str| Password::new().with_prompt(prompt).interact();
    let mut credentials = Map::new();
    let mut take = |key: &str, value: String| {
        credentials.insert(key.to_owned(), Value::String(value.trim().to_owned()));
    };
    take("portClientId", shown("Port client id", false)?);
    take("portClientSecret", hidden("Port client secret")?);
    let email = shown(
        "E-mail address of the Atlassian account (empty: workspace access token)",
        true,
    )?;
    if email.trim().is_empty() {
        let tokens = hidden("Bitbucket workspace access token, or several separated by commas")?;
        take("bitbucketWorkspaceToken", tokens);
    } else {
        take("bitbucketUserEmail", email);
        let token = hidden("Bitbucket API token of this account")?;
        take("bitbucketUserScopedToken", token);
    }
    Ok(Value::Object(credentials).to_string())
}
