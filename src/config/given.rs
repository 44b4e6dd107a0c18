//! Credentials as the environment or a secret gives them, and what is missing of them.

use secrecy::{ExposeSecret as _, SecretString};

use super::environment::Environment;
use super::{ConfigProblem, pasted};

const WORKSPACE: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE";
const WORKSPACE_TOKEN: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN";
const USER_TOKEN: &str = "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN";

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
    pub(super) fn of(environment: &Environment) -> Given {
        let setting = |name: &str| environment.text(&format!("OCEAN__INTEGRATION__CONFIG__{name}"));
        let secret = |name: &str| setting(name).map(SecretString::from);
        let given = Given {
            port_client_id: environment.text("OCEAN__PORT__CLIENT_ID"),
            port_client_secret: environment
                .text("OCEAN__PORT__CLIENT_SECRET")
                .map(SecretString::from),
            bitbucket_workspace: environment.text(WORKSPACE),
            bitbucket_workspace_token: secret("BITBUCKET_WORKSPACE_TOKEN"),
            bitbucket_user_email: setting("BITBUCKET_USER_EMAIL"),
            bitbucket_user_scoped_token: secret("BITBUCKET_USER_SCOPED_TOKEN"),
            bitbucket_username: setting("BITBUCKET_USERNAME"),
            bitbucket_app_password: secret("BITBUCKET_APP_PASSWORD"),
            // Bitbucket has it letter by letter, quotes included.
            webhook_secret: environment
                .raw("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET")
                .map(SecretString::from),
        };
        given.understood()
    }

    /// The same, with what is meant in the place of what was pasted: a workspace's address, a token with its quotes or
    /// with `Bearer `.
    #[must_use]
    pub fn understood(self) -> Given {
        let text = |value: Option<String>| value.map(|value| pasted::unquoted(&value).to_owned());
        let secret = |value: Option<SecretString>, read: fn(&str) -> String| {
            value.map(|value| SecretString::from(read(value.expose_secret())))
        };
        let plain = |text: &str| pasted::unquoted(text).to_owned();
        Given {
            port_client_id: text(self.port_client_id),
            port_client_secret: secret(self.port_client_secret, plain),
            bitbucket_workspace: self
                .bitbucket_workspace
                .map(|text| pasted::workspace(&text)),
            bitbucket_workspace_token: secret(self.bitbucket_workspace_token, |tokens| {
                let tokens = pasted::unquoted(tokens).split(',').map(pasted::token);
                let tokens: Vec<&str> = tokens.filter(|token| !token.is_empty()).collect();
                tokens.join(",")
            }),
            bitbucket_user_email: text(self.bitbucket_user_email),
            bitbucket_user_scoped_token: secret(self.bitbucket_user_scoped_token, |text| {
                pasted::token(text).to_owned()
            }),
            bitbucket_username: text(self.bitbucket_username),
            bitbucket_app_password: secret(self.bitbucket_app_password, plain),
            webhook_secret: self.webhook_secret,
        }
    }

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
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.mistaken();
        let mut require = |present: bool, place: &str, remedy: &str| {
            if !present {
                problems.push(ConfigProblem::new(place, "is missing", remedy));
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
            WORKSPACE_TOKEN,
            "create a workspace access token in Bitbucket, or give BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN",
        );
        problems
    }

    /// What is there and cannot be what it should be. No secret is shown.
    fn mistaken(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let workspace = self.bitbucket_workspace.as_deref();
        if let Some(workspace) = workspace.filter(|text| !pasted::is_workspace(text)) {
            // What is that long may be a token.
            let shown = match workspace.chars().count() {
                ..=62 => format!("is `{}`, which", pasted::without_password(workspace)),
                _ => "is something that".to_owned(),
            };
            problems.push(ConfigProblem::new(
                WORKSPACE,
                format!("{shown} names no workspace of Bitbucket Cloud"),
                "give the first part of its address: `acme` of https://bitbucket.org/acme",
            ));
        }
        let tokens = [
            (WORKSPACE_TOKEN, &self.bitbucket_workspace_token),
            (USER_TOKEN, &self.bitbucket_user_scoped_token),
        ];
        for (name, token) in tokens {
            let is_cut = |c: char| c.is_whitespace() || c.is_control();
            if token
                .as_ref()
                .is_some_and(|token| token.expose_secret().contains(is_cut))
            {
                problems.push(ConfigProblem::new(
                    name,
                    "holds a blank or a line break",
                    "give the token alone, as Bitbucket showed it",
                ));
            }
        }
        problems
    }
}
