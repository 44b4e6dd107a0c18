//! The credentials of this process, and texts without them.
//!
//! Whoever is sent a credential may quote it in an answer, and an answer ends up in errors, logs and reports. Those who
//! send credentials name them here; those who show what came from outside hide them. Knows nobody who does either.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[REDACTED]";

/// Shorter ones are not looked for: they would hide half of every text.
const SHORTEST: usize = 6;

/// Whose credential it is. Each has a set of them, which rotates as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretOwner {
    Bitbucket,
    PortClient,
    PortToken,
    Webhooks,
}

/// Clones share what they know.
#[derive(Clone, Default)]
pub struct OwnSecrets(Arc<RwLock<SecretSets>>);

#[derive(Default)]
struct SecretSets {
    /// The present set and the one before: what is on its way may still quote that.
    sets: BTreeMap<SecretOwner, [Vec<SecretString>; 2]>,
    /// Every way in which a text may show one of them; the longest first, for one may begin with another.
    forms: Vec<SecretString>,
}

impl OwnSecrets {
    /// `secrets` are what `owner` goes by from now on.
    pub fn learn(&self, owner: SecretOwner, secrets: Vec<SecretString>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let [present, before] = known.sets.entry(owner).or_default();
        let exposed = |set: &[SecretString]| -> Vec<String> {
            set.iter().map(|it| it.expose_secret().to_owned()).collect()
        };
        if exposed(present) == exposed(&secrets) {
            return;
        }
        *before = std::mem::replace(present, secrets);
        let all = known.sets.values().flatten().flatten();
        let mut forms: Vec<String> = all
            .flat_map(|secret| forms(secret.expose_secret()))
            .collect();
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        forms.dedup();
        known.forms = forms.into_iter().map(SecretString::from).collect();
    }

    /// `text` without any of them.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = Cow::Borrowed(text);
        for form in &known.forms {
            if text.contains(form.expose_secret()) {
                text = Cow::Owned(text.replace(form.expose_secret(), HIDDEN));
            }
        }
        text
    }

    /// The same of a body; `None` where it shows none.
    pub fn hide_in(&self, body: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(body);
        match self.hide(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(hidden) => Some(hidden.into_bytes()),
        }
    }
}

/// As it is, within a JSON text, within a URL.
fn forms(secret: &str) -> Vec<String> {
    if secret.chars().count() < SHORTEST {
        return Vec::new();
    }
    let quoted = Value::from(secret).to_string();
    let within_json = quoted.trim_start_matches('"');
    let within_json = within_json.strip_suffix('"').unwrap_or(within_json);
    let within_url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    vec![secret.to_owned(), within_json.to_owned(), within_url]
}

impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn every_form_is_hidden_and_the_longest_first() {
        let own = OwnSecrets::default();
        own.learn(
            SecretOwner::Bitbucket,
            secrets(&["a\"secret/", "a\"secret/longer", "short"]),
        );
        for (text, expected) in [
            ("no a\"secret/longer here", "no [REDACTED] here"),
            ("no a\"secret/ here", "no [REDACTED] here"),
            (r#"{"m":"a\"secret/"}"#, r#"{"m":"[REDACTED]"}"#),
            ("/x?k=a%22secret%2F&y", "/x?k=[REDACTED]&y"),
            ("short stays", "short stays"),
        ] {
            assert_eq!(own.hide(text), expected);
            let in_body = own.hide_in(text.as_bytes());
            assert_eq!(
                in_body.is_some_and(|body| body == expected.as_bytes()),
                text != expected
            );
        }
        assert_eq!(format!("{own:?}"), "OwnSecrets");
    }

    #[test]
    fn a_rotation_hides_the_new_and_the_last_of_its_owner() {
        let own = OwnSecrets::default();
        own.learn(SecretOwner::PortToken, secrets(&["token-1"]));
        own.learn(SecretOwner::Webhooks, secrets(&["webhook-1"]));
        for _ in 0..2 {
            own.learn(SecretOwner::PortToken, secrets(&["token-2"]));
        }
        assert_eq!(
            own.hide("token-1 token-2 webhook-1"),
            "[REDACTED] [REDACTED] [REDACTED]"
        );
        own.learn(SecretOwner::PortToken, secrets(&["token-3"]));
        assert_eq!(own.hide("token-1 token-2"), "token-1 [REDACTED]");
    }
}
