//! What somebody may do in the playground, by a button or by words. Pure.

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Repositories are named by slug, projects by key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Action {
    Rename {
        repository: String,
        name: String,
    },
    /// Pushes a new README.md to the main branch.
    Push {
        repository: String,
    },
    Open {
        repository: String,
        title: String,
    },
    Merge {
        repository: String,
        id: u64,
    },
    Decline {
        repository: String,
        id: u64,
    },
    Delete {
        repository: String,
    },
    Create {
        project: String,
        name: String,
    },
    /// One of twenty kinds of change.
    Random,
    /// The next webhook is lost on its way, or not after all.
    Lose {
        lost: bool,
    },
    Port {
        up: bool,
    },
    Token {
        valid: bool,
    },
    /// Saves another mapping in Port: YAML, or JSON.
    Map {
        text: String,
    },
    /// The schedule's resync, now.
    Resync,
    /// What waits in the queue need not wait any longer.
    Hurry,
}

pub(super) const WORDS: &str = "\
  rename REPOSITORY NAME   merge REPOSITORY NUMBER    lose            the next webhook is lost
  push REPOSITORY          decline REPOSITORY NUMBER  port down|up
  open REPOSITORY TITLE    create PROJECT NAME        token revoke|restore
  delete REPOSITORY        random                     hurry           nothing waits in the queue any longer
  resync                   map FILE                   status          what differs from a fresh resync
  list                     repositories and pull requests
  quit";

impl Action {
    /// As they are typed at the prompt. `map` is not among them, for it names a file.
    ///
    /// # Errors
    /// When they are none; the message says what was expected.
    pub(super) fn of_words(line: &str) -> anyhow::Result<Action> {
        let (verb, rest) = split(line);
        let (first, others) = split(rest);
        let named = |what: &str, usage: &str| {
            let missing = format!("{what} is missing: {usage}");
            match first {
                "" => Err(anyhow::anyhow!(missing)),
                name => Ok(name.to_owned()),
            }
        };
        let text = |what: &str, usage: &str| match others {
            "" => bail!("{what} is missing: {usage}"),
            text => Ok(text.to_owned()),
        };
        let number = |usage: &str| {
            let number = others.trim_start_matches('#').parse();
            number.with_context(|| format!("a number is missing: {usage}"))
        };
        Ok(match verb {
            "rename" => Action::Rename {
                repository: named("the repository", "rename checkout-service Cart")?,
                name: text("the new name", "rename checkout-service Cart")?,
            },
            "push" => Action::Push {
                repository: named("the repository", "push monorepo")?,
            },
            "open" => Action::Open {
                repository: named("the repository", "open monorepo Tidy up")?,
                title: text("the title", "open monorepo Tidy up")?,
            },
            "merge" => Action::Merge {
                repository: named("the repository", "merge payments-api 1")?,
                id: number("merge payments-api 1")?,
            },
            "decline" => Action::Decline {
                repository: named("the repository", "decline payments-api 1")?,
                id: number("decline payments-api 1")?,
            },
            "delete" => Action::Delete {
                repository: named("the repository", "delete monorepo")?,
            },
            "create" => Action::Create {
                project: named("the project", "create PAY Ledger")?,
                name: text("the name", "create PAY Ledger")?,
            },
            "random" => Action::Random,
            "lose" => Action::Lose { lost: true },
            "port" => Action::Port {
                up: one_of(first, "port", "up", "down")?,
            },
            "token" => Action::Token {
                valid: one_of(first, "token", "restore", "revoke")?,
            },
            "resync" => Action::Resync,
            "hurry" => Action::Hurry,
            _ => bail!("there is no word {verb:?}; these are:\n{WORDS}"),
        })
    }
}

/// The first word, and the rest.
pub(super) fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (first, rest.trim_start())
}

/// Whether it is the first of two words.
fn one_of(word: &str, verb: &str, yes: &str, no: &str) -> anyhow::Result<bool> {
    match word {
        word if word == yes => Ok(true),
        word if word == no => Ok(false),
        _ => bail!("say `{verb} {yes}` or `{verb} {no}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_buttons_say_the_same() {
        for (words, json) in [
            (
                "rename checkout The Cart",
                r#"{"do":"rename","repository":"checkout","name":"The Cart"}"#,
            ),
            ("push a.b_c", r#"{"do":"push","repository":"a.b_c"}"#),
            (
                "open x  Two  blanks",
                r#"{"do":"open","repository":"x","title":"Two  blanks"}"#,
            ),
            ("merge x #3", r#"{"do":"merge","repository":"x","id":3}"#),
            ("decline x 3", r#"{"do":"decline","repository":"x","id":3}"#),
            ("delete x", r#"{"do":"delete","repository":"x"}"#),
            (
                "create PAY Ledger",
                r#"{"do":"create","project":"PAY","name":"Ledger"}"#,
            ),
            ("random", r#"{"do":"random"}"#),
            ("lose", r#"{"do":"lose","lost":true}"#),
            ("port down", r#"{"do":"port","up":false}"#),
            (" token  restore ", r#"{"do":"token","valid":true}"#),
            ("resync", r#"{"do":"resync"}"#),
            ("hurry", r#"{"do":"hurry"}"#),
        ] {
            let button: Action = serde_json::from_str(json).unwrap();
            assert_eq!(Action::of_words(words).unwrap(), button, "{words}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_an_example() {
        for (words, part) in [
            (
                "rename",
                "the repository is missing: rename checkout-service Cart",
            ),
            ("rename x", "the new name is missing"),
            ("merge x one", "a number is missing: merge payments-api 1"),
            ("port sideways", "say `port up` or `port down`"),
            ("dance", "there is no word \"dance\""),
        ] {
            let error = Action::of_words(words).unwrap_err().to_string();
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
