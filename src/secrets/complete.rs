//! A complete set of credentials out of what is given: which way to Bitbucket is taken, and what is missing.
//!
//! Pure, but for a warning about what Bitbucket takes no longer.

use secrecy::{ExposeSecret as _, SecretString};

use super::Credentials;
use crate::bitbucket::Credential;
use crate::config::{ConfigProblem, Given, InvalidConfig};

/// Ocean's precedence: workspace tokens, then the user's scoped token, then the app password.
pub(super) fn complete(given: Given) -> Result<Credentials, InvalidConfig> {
    let problems = given.problems();
    let basic = |user: Option<String>, password: Option<SecretString>| {
        Some(Credential::Basic {
            user: user?,
            password: password?,
        })
    };
    let tokens: Vec<Credential> = given
        .bitbucket_workspace_token
        .iter()
        .flat_map(|tokens| tokens.expose_secret().split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .map(|token| Credential::Token(SecretString::from(token)))
        .collect();
    let user = basic(
        given.bitbucket_user_email,
        given.bitbucket_user_scoped_token,
    );
    let app_password = basic(given.bitbucket_username, given.bitbucket_app_password);
    let bitbucket = match (tokens, user, app_password) {
        (tokens, _, _) if !tokens.is_empty() => tokens,
        (_, Some(user), _) => vec![user],
        (_, None, Some(app_password)) => {
            tracing::warn!(
                remedy = "create an API token with scopes and set BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN",
                "Bitbucket refuses app passwords since 28 July 2026"
            );
            vec![app_password]
        }
        (_, None, None) => Vec::new(),
    };
    match (
        given.port_client_id,
        given.port_client_secret,
        given.bitbucket_workspace,
    ) {
        (Some(port_client_id), Some(port_client_secret), Some(workspace))
            if problems.is_empty() && !bitbucket.is_empty() =>
        {
            Ok(Credentials {
                port_client_id,
                port_client_secret,
                workspace,
                bitbucket,
            })
        }
        _ if problems.is_empty() => Err(InvalidConfig(vec![ConfigProblem::new(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            "holds no token",
            "give one token, or several separated by commas",
        )])),
        _ => Err(InvalidConfig(problems)),
    }
}
