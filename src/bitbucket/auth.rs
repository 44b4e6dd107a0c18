//! Credentials and what they look like on a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::rate_limit::RateGroup;

/// One way to be somebody. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A workspace, project or repository access token.
    Token(SecretString),
    /// A user: e-mail and API token with scopes, or user name and app password.
    Basic {
        user: String,
        password: SecretString,
    },
}

/// What a credential is to Bitbucket: some endpoints take only one of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialKind {
    AccessToken,
    User,
}

impl Credential {
    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Credential::Token(_) => CredentialKind::AccessToken,
            Credential::Basic { .. } => CredentialKind::User,
        }
    }

    /// Tells credentials apart without giving them away: the beginning of a digest.
    pub(super) fn name(&self) -> String {
        let mut digest = hex::encode(Sha256::digest(self.secret().expose_secret()));
        digest.truncate(16);
        digest
    }

    /// The part that must not be shown.
    pub fn secret(&self) -> &SecretString {
        match self {
            Credential::Token(secret)
            | Credential::Basic {
                password: secret, ..
            } => secret,
        }
    }

    /// The value of `Authorization`; `None` when the secret holds characters that no header may hold.
    ///
    /// Git knows user names only: a token has one by its kind, and an e-mail address is none (Bitbucket Cloud, using
    /// access tokens, using API tokens).
    pub(super) fn header(&self, group: RateGroup) -> Option<HeaderValue> {
        let basic = |user: &str, password: &SecretString| {
            let pair = format!("{user}:{}", password.expose_secret());
            format!("Basic {}", STANDARD.encode(pair))
        };
        let is_git = matches!(group, RateGroup::Git);
        let text = match self {
            Credential::Token(token) if is_git => basic("x-token-auth", token),
            Credential::Token(token) => format!("Bearer {}", token.expose_secret()),
            Credential::Basic { user, password } if is_git && user.contains('@') => {
                basic("x-bitbucket-api-token-auth", password)
            }
            Credential::Basic { user, password } => basic(user, password),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What must not be shown: the secret itself, and what stands for it in a header.
    pub(super) fn forms(&self) -> Vec<SecretString> {
        let sent = [RateGroup::Api, RateGroup::Git]
            .into_iter()
            .filter_map(|group| {
                let header = self.header(group)?;
                let (_, sent) = header.to_str().ok()?.split_once(' ')?;
                Some(SecretString::from(sent))
            });
        sent.chain([self.secret().clone()]).collect()
    }

    pub(super) fn is(&self, other: &Credential) -> bool {
        let user = |credential: &Credential| match credential {
            Credential::Token(_) => None,
            Credential::Basic { user, .. } => Some(user.clone()),
        };
        user(self) == user(other) && self.secret().expose_secret() == other.secret().expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_secret() {
        let token = Credential::Token(SecretString::from("ATCTT-secret"));
        let basic = Credential::Basic {
            user: "a@b.c".to_owned(),
            password: SecretString::from("ATATT-secret"),
        };
        for credential in [token, basic] {
            let header = credential.header(RateGroup::Api).unwrap();
            assert!(header.is_sensitive());
            let shown = format!("{credential:?} {header:?}");
            assert!(
                !shown.contains("secret\"") && !shown.contains("ATCTT") && !shown.contains("ATATT"),
                "{shown}"
            );
        }
        assert!(
            Credential::Token(SecretString::from("two\nlines"))
                .header(RateGroup::Api)
                .is_none()
        );
    }

    #[test]
    fn a_user_is_written_in_base64() {
        let basic = Credential::Basic {
            user: "a@b.c".to_owned(),
            password: SecretString::from("p:w"),
        };
        let header = |credential: &Credential, group| credential.header(group).unwrap();
        assert_eq!(header(&basic, RateGroup::Api), "Basic YUBiLmM6cDp3");
        // x-bitbucket-api-token-auth:p:w
        let token = "Basic eC1iaXRidWNrZXQtYXBpLXRva2VuLWF1dGg6cDp3";
        assert_eq!(header(&basic, RateGroup::Git), token);
        let named = Credential::Basic {
            user: "ann".to_owned(),
            password: SecretString::from("p:w"),
        };
        assert_eq!(header(&named, RateGroup::Git), "Basic YW5uOnA6dw==");
        // x-token-auth:t
        let token = Credential::Token(SecretString::from("t"));
        assert_eq!(header(&token, RateGroup::Git), "Basic eC10b2tlbi1hdXRoOnQ=");
        for credential in [basic, named, token] {
            for group in [RateGroup::Api, RateGroup::Git] {
                let header = header(&credential, group);
                let (_, sent) = header.to_str().unwrap().split_once(' ').unwrap();
                let forms = credential.forms();
                assert!(forms.iter().any(|form| form.expose_secret() == sent));
            }
        }
    }
}
