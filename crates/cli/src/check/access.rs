//! Whether Bitbucket lets us in: tokens by their kind, and the workspace.
//!
//! Knows nothing of the mapping.

use ferry::bitbucket::{self, BitbucketClient, Credential};
use ferry::class::Class;
use ferry::deadline::Deadline;
use ferry::telemetry::chain;
use secrecy::ExposeSecret as _;

use super::{Findings, reason_of};

/// Bitbucket answers a token of the wrong kind with a plain 401. Tokens begin with what they are (Atlassian support,
/// "Using API tokens", "Using access tokens").
pub(super) fn check_tokens(credentials: &[Credential], findings: &mut Findings<'_>) {
    for (index, credential) in credentials.iter().enumerate() {
        let what = format!(
            "Bitbucket credential {} of {}",
            index + 1,
            credentials.len()
        );
        let secret = credential.secret().expose_secret();
        let is_token = matches!(credential, Credential::Token(_));
        let mistake = match (secret.get(..5), is_token) {
            (Some("ATATT"), true) => Some((
                "it is the API token of a user, and is sent as if it were an access token",
                "move it to BITBUCKET_USER_SCOPED_TOKEN, with the account's e-mail address as BITBUCKET_USER_EMAIL",
            )),
            (Some("ATCTT"), false) => Some((
                "it is an access token, and is sent as if it were a user's",
                "move it to BITBUCKET_WORKSPACE_TOKEN; it needs no e-mail address",
            )),
            (Some(start), _) if start.starts_with("ATBB") => Some((
                "it is an app password, and Bitbucket has taken none since 28 July 2026",
                "create a workspace access token, or an API token with scopes",
            )),
            _ if secret.contains(char::is_whitespace) => Some((
                "it holds a blank or a line break",
                "copy it again, without what surrounds it",
            )),
            _ => None,
        };
        if let Some((reason, remedy)) = mistake {
            findings.wrong(what, reason, remedy);
        }
    }
}

/// Whether there is any use in asking for what is in it.
pub(super) async fn check_workspace(
    bitbucket: &BitbucketClient,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) -> bool {
    let what = "Bitbucket workspace";
    match bitbucket.workspace(deadline).await {
        Ok(workspace) => {
            let name = workspace.get("name").and_then(|name| name.as_str());
            findings.fine(what, format!("{} can be read", name.unwrap_or("it")));
            true
        }
        Err(error @ bitbucket::Error::NotFound { .. }) => {
            let remedy = "give the slug of the workspace, the first part of its address, and a token of that workspace";
            findings.wrong(what, chain(&error), remedy);
            false
        }
        // Repository data may be open to a token that may not see the workspace itself.
        Err(
            error @ (bitbucket::Error::Forbidden { .. } | bitbucket::Error::NotForThisToken { .. }),
        ) => {
            findings.doubtful(
                what,
                chain(&error),
                "give the token the scope account (read)",
            );
            true
        }
        Err(error) => {
            let remedy = match error.class() {
                Class::Later => "look at the network, and try again",
                _ => {
                    "create a workspace access token, or an API token with scopes; app passwords are refused"
                }
            };
            findings.wrong(what, reason_of(&error), remedy);
            false
        }
    }
}
