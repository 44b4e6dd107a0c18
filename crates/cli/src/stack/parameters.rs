//! Which values a deployment gives to the parameters of its template. Pure.

use std::collections::BTreeMap;

use ferry::nearest::nearest;

/// A parameter that a template takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) default: Option<String>,
    /// The only values that it takes; empty where there are others.
    pub(crate) allowed: Vec<String>,
}

/// What a parameter is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The empty text clears it.
    To(String),
    /// As the stack has it.
    AsBefore,
}

impl Declared {
    /// What the stack has, as long as the template takes it: the package of another processor takes only that one.
    fn before<'a>(&self, before: Option<&'a BTreeMap<String, String>>) -> Option<&'a String> {
        let value = before?.get(&self.name)?;
        (self.allowed.is_empty() || self.allowed.contains(value)).then_some(value)
    }
}

/// What each parameter is set to: as it is `wanted`, else as the stack has it, else as the template has it, which needs no
/// setting. `before`: the parameters of the stack, where there is one. Fails with a line for each thing that is wrong.
pub(crate) fn settle(
    declared: &[Declared],
    before: Option<&BTreeMap<String, String>>,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Setting>, Vec<String>> {
    let names = || declared.iter().map(|one| one.name.as_str());
    let is_unknown = |name: &&String| names().all(|known| known != name.as_str());
    let mut wrong: Vec<String> = wanted
        .keys()
        .filter(is_unknown)
        .map(|name| match nearest(name, names()) {
            Some(near) => format!("the template has no parameter {name}: is {near} meant?"),
            None => format!("the template has no parameter {name}"),
        })
        .collect();
    let mut settings = BTreeMap::new();
    for one in declared {
        let name = &one.name;
        let setting = match wanted.get(name) {
            Some(value) => Setting::To(value.clone()),
            None if one.before(before).is_some() => Setting::AsBefore,
            None if one.default.is_some() => continue,
            None => {
                wrong.push(format!("{name} is missing: give --parameter {name}=VALUE"));
                continue;
            }
        };
        settings.insert(name.clone(), setting);
    }
    match wrong.is_empty() {
        true => Ok(settings),
        false => Err(wrong),
    }
}

/// The value that the parameter `name` will have; `None` where nobody has said one.
pub(crate) fn effective<'a>(
    name: &str,
    declared: &'a [Declared],
    before: Option<&'a BTreeMap<String, String>>,
    wanted: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    let declared = declared.iter().find(|one| one.name == name)?;
    let before = || declared.before(before);
    let default = || declared.default.as_ref();
    let value = wanted.get(name).or_else(before).or_else(default);
    value.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Declared> {
        [
            ("BitbucketWorkspace", None),
            ("AlarmEmail", Some("")),
            ("LogLevel", Some("INFO")),
            ("Architecture", Some("arm64")),
        ]
        .map(|(name, default)| Declared {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            allowed: match name {
                "Architecture" => vec!["arm64".to_owned()],
                _ => Vec::new(),
            },
        })
        .to_vec()
    }

    fn map(values: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        values.iter().map(owned).collect()
    }

    #[test]
    fn a_new_stack_leaves_defaults_to_the_template() {
        let settings = settle(&declared(), None, &map(&[("BitbucketWorkspace", "acme")])).unwrap();
        let expected = (
            "BitbucketWorkspace".to_owned(),
            Setting::To("acme".to_owned()),
        );
        assert_eq!(settings, BTreeMap::from([expected]));
    }

    #[test]
    fn an_update_keeps_what_nobody_names_and_clears_what_is_named_as_empty() {
        let before = map(&[
            ("BitbucketWorkspace", "acme"),
            ("AlarmEmail", "a@b"),
            // The package for the other processor had it.
            ("Architecture", "x86_64"),
            // Earlier templates had it.
            ("PortClientId", "x"),
        ]);
        let wanted = map(&[("AlarmEmail", "")]);
        let settings = settle(&declared(), Some(&before), &wanted).unwrap();
        let expected = [
            ("BitbucketWorkspace".to_owned(), Setting::AsBefore),
            ("AlarmEmail".to_owned(), Setting::To(String::new())),
        ];
        assert_eq!(settings, BTreeMap::from(expected));
        let declared = declared();
        let value = |name| effective(name, &declared, Some(&before), &wanted);
        assert_eq!(value("BitbucketWorkspace"), Some("acme"));
        assert_eq!(value("AlarmEmail"), Some(""));
        assert_eq!(value("LogLevel"), Some("INFO"));
        assert_eq!(value("Architecture"), Some("arm64"));
        assert_eq!(value("Other"), None);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let wrong = settle(&declared(), None, &map(&[("AlarmMail", "a@b")])).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("is AlarmEmail meant?"), "{wrong:?}");
        assert!(
            wrong[1].contains("BitbucketWorkspace is missing"),
            "{wrong:?}"
        );
    }
}
