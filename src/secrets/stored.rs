//! The document in the secret `FERRY__SECRET_ID`: what it may hold, how it is read, and that it can be written.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Secrets, SecretsError, reason};
use crate::config::{ConfigProblem, Given, InvalidConfig};
use crate::deadline::Deadline;

/// The JSON object in the secret `FERRY__SECRET_ID`. Unknown keys are none of our business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    port_client_id: Option<String>,
    port_client_secret: Option<SecretString>,
    bitbucket_workspace: Option<String>,
    bitbucket_workspace_token: Option<SecretString>,
    bitbucket_user_email: Option<String>,
    bitbucket_user_scoped_token: Option<SecretString>,
    bitbucket_username: Option<String>,
    bitbucket_app_password: Option<SecretString>,
    webhook_secret: Option<SecretString>,
}

/// The credentials in the JSON object `text`; `place` is what messages call it.
pub fn parse(place: &str, text: &SecretString) -> Result<Given, InvalidConfig> {
    let document: Document = serde_json::from_str(text.expose_secret()).map_err(|error| {
        // Neither the text nor serde's rendering of it: both may hold a secret.
        let reason = format!("is not a JSON object of texts (line {}, column {})", error.line(), error.column());
        let remedy = "store an object such as {\"portClientId\":\"…\",\"portClientSecret\":\"…\",\"bitbucketWorkspaceToken\":\"…\"}";
        InvalidConfig(vec![ConfigProblem::new(place, reason, remedy)])
    })?;
    Ok(document.into())
}

impl Secrets {
    /// Makes `text` the current value of the secret with the credentials; what was current becomes previous.
    pub async fn put(&self, text: &SecretString, deadline: &Deadline) -> Result<(), SecretsError> {
        let id = self.secret_id.clone().unwrap_or_default();
        let unavailable = |reason: String| SecretsError::NotWritten {
            id: id.clone(),
            reason,
        };
        let client = self
            .client
            .as_ref()
            .ok_or_else(|| unavailable("no AWS client is set up".to_owned()))?;
        let request = client
            .put_secret_value()
            .secret_id(&id)
            .secret_string(text.expose_secret())
            .send();
        let answer = tokio::time::timeout(deadline.remaining(), request)
            .await
            .map_err(|_| unavailable("no answer before the deadline".to_owned()))?;
        answer.map_err(|error| unavailable(reason(error)))?;
        Ok(())
    }
}

impl From<Document> for Given {
    fn from(document: Document) -> Given {
        let Document {
            port_client_id,
            port_client_secret,
            bitbucket_workspace,
            bitbucket_workspace_token,
            bitbucket_user_email,
            bitbucket_user_scoped_token,
            bitbucket_username,
            bitbucket_app_password,
            webhook_secret,
        } = document;
        let text = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
        let secret = |value: Option<SecretString>| {
            value.filter(|value| !value.expose_secret().trim().is_empty())
        };
        let given = Given {
            port_client_id: text(port_client_id),
            port_client_secret: secret(port_client_secret),
            bitbucket_workspace: text(bitbucket_workspace),
            bitbucket_workspace_token: secret(bitbucket_workspace_token),
            bitbucket_user_email: text(bitbucket_user_email),
            bitbucket_user_scoped_token: secret(bitbucket_user_scoped_token),
            bitbucket_username: text(bitbucket_username),
            bitbucket_app_password: secret(bitbucket_app_password),
            webhook_secret: secret(webhook_secret),
        };
        given.understood()
    }
}
