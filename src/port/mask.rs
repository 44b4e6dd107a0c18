//! Hiding credentials in what leaves the process as an example or a log. Works on copies: the data itself stays.

use std::borrow::Cow;
use std::sync::LazyLock;

use anyhow::Context as _;
use regex::Regex;
use serde_json::Value;

use crate::own_secrets::{HIDDEN, OwnSecrets};

/// What credentials look like.
const PATTERNS: [&str; 13] = [
    // URLs with a password, up to the first part of their path; connection strings are such URLs.
    r#"[A-Za-z][A-Za-z0-9+.-]*://[^/\s"']*:[^/\s"']+@[^/\s"']+(?:/[^/\s"']+)?"#,
    // Bitbucket: app passwords, API tokens, access tokens of repositories, projects and workspaces.
    r"\b(?:ATBB|ATATT|ATCTT)[A-Za-z0-9_=.+/-]+",
    // Keys and secrets next to their names.
    r#"(?i)(?:api_?key|secret).{0,60}?["'][0-9a-z]{32,45}["']"#,
    r#"(?i)github.{0,60}?["'][0-9a-z]{35,40}["']"#,
    // GitHub and Slack tokens.
    r"\bgh[opsur]_[A-Za-z0-9]{20,}",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    // Google API keys, hosts of Firebase, access tokens.
    r"AIza[0-9A-Za-z_-]{35}",
    r"(?i)[a-z0-9.-]+\.firebaseio\.com",
    r"\bya29\.[0-9A-Za-z_-]+",
    // AWS access key ids.
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    // Private keys, the key itself included, whether or not the end is there.
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\z)",
    // HTTP credentials and bare JSON web tokens.
    r"(?i)\b(?:bearer|basic) +[A-Za-z0-9._~+/-]{8,}=*",
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
];

/// Keys whose text value is a credential, whatever it looks like.
const SECRET_KEY: &str =
    r"(?i)(?:secret|password|passwd|api_?key|private_?key|access_?token|refresh_?token)$";

type Compiled = LazyLock<Result<Regex, regex::Error>>;

static COMPILED_PATTERNS: Compiled = LazyLock::new(|| Regex::new(&PATTERNS.join("|")));
static COMPILED_SECRET_KEY: Compiled = LazyLock::new(|| Regex::new(SECRET_KEY));

/// Replaces credentials by `[REDACTED]`.
#[derive(Clone, Debug)]
pub struct Masker {
    patterns: Regex,
    secret_key: Regex,
    /// Our own secrets, whatever they look like.
    own: OwnSecrets,
}

impl Masker {
    /// `own` are hidden even where they look like nothing.
    pub fn new(own: OwnSecrets) -> anyhow::Result<Masker> {
        let compiled = |pattern: &Compiled| (**pattern).clone().context("a masking pattern");
        Ok(Masker {
            patterns: compiled(&COMPILED_PATTERNS)?,
            secret_key: compiled(&COMPILED_SECRET_KEY)?,
            own,
        })
    }

    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.own.hide(text) {
            Cow::Borrowed(text) => self.patterns.replace_all(text, HIDDEN),
            Cow::Owned(text) => Cow::Owned(self.patterns.replace_all(&text, HIDDEN).into_owned()),
        }
    }

    /// A copy in which all texts are masked, and those under names like `password` are hidden altogether.
    pub fn mask_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(text).into_owned()),
            Value::Array(values) => {
                Value::Array(values.iter().map(|value| self.mask_value(value)).collect())
            }
            Value::Object(values) => {
                let pair = |(name, value): (&String, &Value)| {
                    let value = match value {
                        Value::String(text)
                            if !text.is_empty() && self.secret_key.is_match(name) =>
                        {
                            HIDDEN.into()
                        }
                        value => self.mask_value(value),
                    };
                    (self.mask(name).into_owned(), value)
                };
                Value::Object(values.iter().map(pair).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::own_secrets::SecretOwner;

    fn masker(own: &[&str]) -> Masker {
        let known = OwnSecrets::default();
        let own = own
            .iter()
            .map(|secret| SecretString::from(*secret))
            .collect();
        known.learn(SecretOwner::Bitbucket, own);
        Masker::new(known).unwrap()
    }

    /// Where more is hidden than Ocean hides, on purpose.
    const BETTER: [(&str, &str); 3] = [
        // The key itself, not only its first line.
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "[REDACTED]"),
        // Bitbucket's tokens and HTTP credentials.
        ("ATBBxyz123", "[REDACTED]"),
        ("Bearer eyJhbGciOi", "[REDACTED]"),
    ];

    #[test]
    fn the_golden_vectors_are_hidden_at_least() {
        let golden: Value = serde_json::from_str(include_str!(
            "../../tests/fixtures/vectors/port-golden.json"
        ))
        .unwrap();
        let vectors = golden["mask_string"].as_array().unwrap();
        assert_eq!(vectors.len(), 14);
        let masker = masker(&[]);
        for vector in vectors {
            let text = vector["in"].as_str().unwrap();
            let better = BETTER.iter().find(|(better, _)| *better == text);
            let expected =
                better.map_or(vector["full_hide"].as_str().unwrap(), |(_, hidden)| hidden);
            assert_eq!(masker.mask(text), expected, "{text}");
        }
    }

    #[test]
    fn other_credentials_are_hidden_too() {
        let masker = masker(&[]);
        for (text, expected) in [
            (
                "clone https://x:ATCTT3xFfGN0-_=.a@bitbucket.org now",
                "clone [REDACTED] now",
            ),
            ("token=ATATT3xFfGF0abc_-=B1 end", "token=[REDACTED] end"),
            ("basic dXNlcjpwYXNzd29yZA==", "[REDACTED]"),
            (
                "a -----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- b",
                "a [REDACTED] b",
            ),
            ("ghp_0123456789abcdefghij", "[REDACTED]"),
            ("the bearer of news", "the bearer of news"),
            (
                "https://host:443/path and a@b.c",
                "https://host:443/path and a@b.c",
            ),
        ] {
            assert_eq!(masker.mask(text), expected);
        }
    }

    #[test]
    fn a_copy_of_a_value_is_masked_and_the_value_stays() {
        let masker = masker(&["own-secret", "own-secret-longer", "ab"]);
        let value = json!({
            "text": ["an own-secret-longer, ab", 1, null],
            "clientSecret": "plain",
            "password": "",
            "own-secret": { "private_key": { "nested": "own-secret" } },
        });
        let before = value.clone();
        insta::assert_snapshot!(masker.mask_value(&value), @r#"{"text":["an [REDACTED], ab",1,null],"clientSecret":"[REDACTED]","password":"","[REDACTED]":{"private_key":{"nested":"[REDACTED]"}}}"#);
        assert_eq!(value, before);
    }

    proptest! {
        // Each case compiles the patterns.
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn an_own_secret_never_shows(
            secret in r"[!-~]{6,40}",
            before in r"[ -~]{0,60}",
            after in r"[ -~]{0,60}",
        ) {
            prop_assume!(!"[REDACTED]".contains(&secret));
            let masker = masker(&[&secret]);
            let text = format!("{before} {secret} {after}");
            let masked = masker.mask(&text);
            prop_assert!(!masked.contains(&secret), "{}", masked);
        }
    }
}
