//! Credentials as the environment or a secret gives them, and what is missing of them.

use secrecy::SecretString;

use super::Problem;
use super::reader::WORKSPACE;

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
