//! Credentials on their way into the secret: where they come from, and whether both sides take them.
//!
//! A credential is never an argument: those show in lists of processes and in the histories of shells.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use dialoguer::{Input, Password};
use ferry::app::App;
use ferry::config::{Config, Given, InvalidConfig};
use ferry::deadline::Deadline;
use ferry::http::Http;
use ferry::secrets::{Secrets, parse};
use ferry::store::Store;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::check::line_of;
use super::terminal::print;
use crate::check::{Finding, Findings, check_credentials};

/// The document for the secret, and what it says.
pub(crate) struct Offer {
    pub(crate) text: SecretString,
    pub(crate) given: Given,
}

impl Offer {
    /// `place` is what messages call it.
    fn of(place: &str, text: String) -> Result<Offer, InvalidConfig> {
        let text = SecretString::from(text);
        let given = parse(place, &text)?;
        Ok(Offer { text, given })
    }

    pub(crate) fn read_from_input() -> anyhow::Result<Offer> {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the credentials from standard input")?;
        Ok(Offer::of("standard input", text)?)
    }

    /// From a file with the JSON object; `-` is standard input.
    pub(crate) fn read_from(path: &Path) -> anyhow::Result<Offer> {
        if path == Path::new("-") {
            return Offer::read_from_input();
        }
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the credentials from {place}"))?;
        Ok(Offer::of(&place, text)?)
    }

    /// What the environment gives, if that is all that is needed.
    pub(crate) fn of_environment(given: &Given) -> Option<Offer> {
        let secret = |value: &Option<SecretString>| {
            let value = value.as_ref()?;
            Some(value.expose_secret().to_owned())
        };
        let bitbucket = [
            (
                "bitbucketWorkspaceToken",
                secret(&given.bitbucket_workspace_token),
            ),
            ("bitbucketUserEmail", given.bitbucket_user_email.clone()),
            (
                "bitbucketUserScopedToken",
                secret(&given.bitbucket_user_scoped_token),
            ),
        ];
        let port = [
            ("portClientId", given.port_client_id.clone()),
            ("portClientSecret", secret(&given.port_client_secret)),
        ];
        let has_bitbucket = bitbucket.iter().any(|(_, value)| value.is_some());
        if !has_bitbucket || port.iter().any(|(_, value)| value.is_none()) {
            return None;
        }
        let document = port.into_iter().chain(bitbucket);
        let document: Map<String, Value> = document
            .filter_map(|(key, value)| Some((key.to_owned(), Value::String(value?))))
            .collect();
        Offer::of("the environment", Value::Object(document).to_string()).ok()
    }

    /// At a terminal; secrets are not shown.
    pub(crate) fn ask() -> anyhow::Result<Offer> {
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
            let tokens =
                hidden("Bitbucket workspace access token, or several separated by commas")?;
            take("bitbucketWorkspaceToken", tokens);
        } else {
            take("bitbucketUserEmail", email);
            let token = hidden("Bitbucket API token of this account")?;
            take("bitbucketUserScopedToken", token);
        }
        let text = Value::Object(credentials).to_string();
        Ok(Offer::of("what was typed", text)?)
    }

    /// As the functions will see it: these credentials, and no others that the environment may hold.
    pub(crate) fn trial(&self, config: &Config, http: &Http) -> App {
        let workspace = Given {
            bitbucket_workspace: config.given.bitbucket_workspace.clone(),
            ..Given::default()
        };
        let config = Config {
            secret_id: None,
            given: workspace.overlaid(self.given.clone()),
            ..config.clone()
        };
        let secrets = Secrets::connect(&config, None, http.clock().clone());
        App::new(config, http.clone(), secrets, Store::memory())
    }
}

/// Whether Port and Bitbucket take the credentials of `app`; says what each of them says.
pub(crate) async fn are_taken(app: &App, deadline: &Deadline) -> anyhow::Result<bool> {
    let findings = Findings::telling(|finding| print(line_of(finding)));
    let findings = check_credentials(app, findings, deadline).await?;
    Ok(!findings.iter().any(Finding::is_wrong))
}
