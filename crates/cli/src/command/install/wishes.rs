//! The values that the user wishes for the template's parameters: arguments, answers and the environment give them. Pure.

use std::collections::BTreeMap;

use ferry::config::Config;

use crate::command::AskedWrongly;
use crate::command::installation::{IDENTIFIER, PORT_URL, Subject, WORKSPACE};
use crate::stack::{Declared, Setting, effective, settle};

/// What parameters are set to, and what they have been.
pub(super) type Parameters<'a> = (&'a BTreeMap<String, Setting>, &'a BTreeMap<String, String>);

/// Values by parameter; an empty one clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes(BTreeMap<String, String>);

impl Wishes {
    /// Out of arguments `NAME=VALUE`.
    pub(super) fn read(arguments: &[String]) -> Result<Wishes, AskedWrongly> {
        let mut wishes = BTreeMap::new();
        for argument in arguments {
            let Some((name, value)) = argument.split_once('=') else {
                return Err(AskedWrongly(format!(
                    "--parameter {argument}: expected NAME=VALUE"
                )));
            };
            if wishes.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(AskedWrongly(format!("--parameter {name} is given twice")));
            }
        }
        Ok(Wishes(wishes))
    }

    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The wish, or what is said otherwise.
    pub(super) fn or(&self, name: &str, otherwise: String) -> String {
        self.0.get(name).cloned().unwrap_or(otherwise)
    }

    /// Takes over what the environment says of a new installation, beside what is wished and what is the default anyway.
    pub(super) fn take_from(&mut self, environment: &Subject) {
        let nobody = || {
            Config::read_without_credentials::<String, String>([])
                .map(|config| Subject::of_environment(&config))
        };
        let defaults = nobody().ok();
        let default = |value: fn(&Subject) -> &String| defaults.as_ref().map(value);
        for (name, value, default) in [
            (
                WORKSPACE,
                &environment.workspace,
                default(|one| &one.workspace),
            ),
            (
                PORT_URL,
                &environment.port_url,
                default(|one| &one.port_url),
            ),
            (
                IDENTIFIER,
                &environment.identifier,
                default(|one| &one.identifier),
            ),
        ] {
            if !value.is_empty() && Some(value) != default {
                self.0
                    .entry(name.to_owned())
                    .or_insert_with(|| value.clone());
            }
        }
    }

    pub(super) fn settings(
        &self,
        declared: &[Declared],
        before: Option<&BTreeMap<String, String>>,
    ) -> Result<BTreeMap<String, Setting>, AskedWrongly> {
        settle(declared, before, &self.0).map_err(|wrong| AskedWrongly(wrong.join("\n")))
    }

    /// The value that a parameter will have; empty where it has none.
    pub(super) fn effective(
        &self,
        name: &str,
        declared: &[Declared],
        before: Option<&BTreeMap<String, String>>,
    ) -> String {
        let value = effective(name, declared, before, &self.0);
        value.unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_names_and_values() {
        let read = |arguments: &[&str]| {
            let owned: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
            Wishes::read(&owned)
        };
        let wishes = read(&["AlarmEmail=", "RolePath=/a=b/"]).unwrap();
        assert_eq!(wishes.all()["AlarmEmail"], "");
        assert_eq!(wishes.all()["RolePath"], "/a=b/");
        assert!(
            read(&["AlarmEmail"])
                .unwrap_err()
                .to_string()
                .contains("NAME=VALUE")
        );
        assert!(
            read(&["A=1", "A=2"])
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
    }

    /// The environment says what a new installation is called; what it does not say is the template's business.
    #[test]
    fn the_environment_is_taken_over_where_it_says_something() {
        let mut wishes = Wishes::read(&["BitbucketWorkspace=wished".to_owned()]).unwrap();
        let config = Config::read_without_credentials([
            ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE", "acme"),
            ("OCEAN__INTEGRATION__IDENTIFIER", "ours"),
        ]);
        wishes.take_from(&Subject::of_environment(&config.unwrap()));
        let expected = [(WORKSPACE, "wished"), (IDENTIFIER, "ours")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(wishes, Wishes(BTreeMap::from(expected)));
    }
}
