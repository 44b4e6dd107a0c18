//! Webhook subscriptions of the workspace (Bitbucket REST API, workspace webhooks).

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::BitbucketClient;
use super::error::Error;
use crate::deadline::Deadline;

/// A subscription, as far as it concerns us. Its secret is never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// With braces.
    pub uuid: String,
    pub url: String,
    pub active: bool,
    pub events: Vec<String>,
    /// Whether there is a secret; `None` where Bitbucket does not say.
    pub secret_set: Option<bool>,
}

/// What a subscription is to be.
#[derive(Clone, Debug)]
pub struct HookSettings<'a> {
    pub description: &'a str,
    pub url: &'a str,
    pub events: &'a [&'a str],
    pub secret: &'a SecretString,
}

impl BitbucketClient {
    /// All subscriptions of the workspace. Only its administrators may see them.
    pub async fn hooks(&self, deadline: &Deadline) -> Result<Vec<Hook>, Error> {
        let mut pages = self.list(
            ["workspaces", self.workspace_name(), "hooks"],
            &[("pagelen", "100")],
        );
        let mut hooks = Vec::new();
        while let Some(values) = pages.next(deadline).await? {
            // One that cannot be read is not ours.
            hooks.extend(
                values
                    .into_iter()
                    .filter_map(|value| serde_json::from_value(value).ok()),
            );
        }
        Ok(hooks)
    }

    pub async fn create_hook(
        &self,
        settings: &HookSettings<'_>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let url = self.url(["workspaces", self.workspace_name(), "hooks"], &[]);
        self.write(Method::POST, &url, Some(&body(settings)), deadline)
            .await
    }

    pub async fn update_hook(
        &self,
        uuid: &str,
        settings: &HookSettings<'_>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let url = self.url(["workspaces", self.workspace_name(), "hooks", uuid], &[]);
        self.write(Method::PUT, &url, Some(&body(settings)), deadline)
            .await
    }

    pub async fn delete_hook(&self, uuid: &str, deadline: &Deadline) -> Result<(), Error> {
        let url = self.url(["workspaces", self.workspace_name(), "hooks", uuid], &[]);
        self.write(Method::DELETE, &url, None, deadline).await
    }
}

fn body(settings: &HookSettings<'_>) -> Value {
    let HookSettings {
        description,
        url,
        events,
        secret,
    } = settings;
    json!({
        "description": description, "url": url, "active": true, "events": events, "secret": secret.expose_secret(),
    })
}
