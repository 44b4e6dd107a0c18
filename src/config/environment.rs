//! The variables of the process, found under every spelling that deployment tools give them.
//!
//! A name is read without regard to case, and to underscores that are not doubled: `OCEAN__PORT__CLIENTID` is
//! `OCEAN__PORT__CLIENT_ID`. A variable that holds a JSON object (`OCEAN__PORT`, `OCEAN__INTEGRATION`) stands for those
//! whose names its keys continue, in camel or snake case, as Port's Terraform modules write them. Knows no setting.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ConfigProblem;
use super::pasted::unquoted;

/// Variables that hold an object, if they hold anything.
const OBJECTS: [&str; 3] = [
    "OCEAN__PORT",
    "OCEAN__INTEGRATION",
    "OCEAN__INTEGRATION__CONFIG",
];

/// Names that begin so are ours, whatever they are.
const OURS: [&str; 2] = ["OCEAN__", "FERRY__"];

/// How alike two names have to be for one to be meant by the other, from 0 to 1.
const ALIKE: f64 = 0.6;

pub(super) struct Environment {
    /// By [`key`]; of several, the first counts.
    found: BTreeMap<String, Vec<Found>>,
    /// As they are, for names that are not ours.
    plain: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

/// One value, and where it stands.
struct Found {
    /// The variable.
    name: String,
    /// Where in the variable's object; empty where it is none.
    path: Vec<String>,
    value: String,
}

impl Environment {
    pub(super) fn of(
        variables: impl IntoIterator<Item = (String, String)>,
        problems: &mut Vec<ConfigProblem>,
    ) -> Environment {
        let plain: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(name, value)| is_set(name, value))
            .collect();
        let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for (name, value) in &plain {
            let object = match serde_json::from_str(unquoted(value)) {
                Ok(Value::Object(object)) if may_hold_object(name) => Some(Value::Object(object)),
                _ => None,
            };
            if object.is_none() && OBJECTS.contains(&key(name).as_str()) {
                // Not shown: it may hold secrets.
                let remedy =
                    "give an object such as {\"clientId\":\"…\"}, or one variable for each setting";
                problems.push(ConfigProblem::new(name, "holds no JSON object", remedy));
                continue;
            }
            let mut values = Vec::new();
            match object {
                Some(object) => leaves(object, &mut Vec::new(), &mut values),
                None => values.push((Vec::new(), value.trim().to_owned())),
            }
            for (path, value) in values {
                let whole = [std::slice::from_ref(name), &path].concat().join("__");
                let name = name.clone();
                found
                    .entry(key(&whole))
                    .or_default()
                    .push(Found { name, path, value });
            }
        }
        for several in found.values_mut() {
            // The most precise variable goes first, as in Ocean; of equals, the first by its name.
            several.sort_by_key(|found| found.path.len());
        }
        Environment {
            found,
            plain,
            asked: RefCell::default(),
        }
    }

    /// The value of `name`, without quotes around it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.raw(name)?;
        let text = unquoted(&text);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The value of `name` as it is.
    pub(super) fn raw(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.find(name).map(|found| found.value.clone())
    }

    /// The first of `names` that is set, exactly so. They are not ours.
    pub(super) fn plain(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.plain.get(*name)).cloned()
    }

    /// All variables whose names begin with `start`, exactly so.
    pub(super) fn beginning_with(&self, start: &str) -> BTreeMap<String, String> {
        let named = self
            .plain
            .iter()
            .filter(|(name, _)| name.starts_with(start));
        named
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Where the value of `name` stands, for whoever has to change it.
    pub(super) fn place(&self, name: &str) -> String {
        match self.find(name) {
            Some(found) => found.place(),
            None => name.to_owned(),
        }
    }

    /// The names that were asked for.
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Where each setting stands whose name is `family`, or continues it, and that nobody has asked for.
    pub(super) fn of_family(&self, family: &str) -> Vec<String> {
        let asked: BTreeSet<String> = self.asked.borrow().iter().map(|name| key(name)).collect();
        let others = self.found.iter().filter(|(key, _)| !asked.contains(*key));
        let members = others.filter(|(key, _)| belongs(key, family));
        let members = members.flat_map(|(_, found)| found.iter());
        members.map(Found::place).collect()
    }

    /// What looks like ours, is none of `known` and belongs to none of `families`, each with the nearest that is known.
    pub(super) fn unknown(
        &self,
        known: &BTreeSet<String>,
        families: &[&str],
    ) -> Vec<ConfigProblem> {
        let keys: BTreeSet<String> = known.iter().map(|name| key(name)).collect();
        let is_known =
            |key: &str| keys.contains(key) || families.iter().any(|family| belongs(key, family));
        let strange = self.found.iter().filter(|(key, _)| !is_known(key));
        let strange = strange.flat_map(|(key, found)| found.iter().map(move |found| (key, found)));
        let ours = strange.filter(|(_, found)| is_ours(&found.name));
        ours.map(|(unknown, found)| {
            let alike = |name: &&String| likeness(unknown, &key(name));
            let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
            let remedy = match nearest.filter(|name| ALIKE <= alike(name)) {
                Some(nearest) => format!("perhaps {nearest} is meant"),
                None => "docs/configuration.md names all that are read".to_owned(),
            };
            ConfigProblem::new(found.place(), "is not known", remedy)
        })
        .collect()
    }

    fn find(&self, name: &str) -> Option<&Found> {
        let several = self.found.get(&key(name))?;
        let exact = several.iter().find(|found| found.name == name);
        exact.or_else(|| several.first())
    }
}

impl Found {
    fn place(&self) -> String {
        match self.path.is_empty() {
            true => self.name.clone(),
            false => format!("`{}` in {}", self.path.join("."), self.name),
        }
    }
}

/// Azure Pipelines leaves the name of a variable that is not set where its value should be; Helm writes `<nil>` into a
/// secret whose value is null.
fn is_set(name: &str, value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && value != "<nil>" && value != format!("$({name})")
}

fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    OURS.iter().any(|start| name.starts_with(start))
}

/// The settings themselves are texts, even where a secret looks like an object.
fn may_hold_object(name: &str) -> bool {
    let key = key(name);
    let is_outer = key.starts_with("OCEAN__") && key.split("__").count() == 2;
    is_outer || OBJECTS.contains(&key.as_str())
}

/// What all spellings of a name have in common.
fn key(name: &str) -> String {
    let parts = name.split("__").map(|part| part.replace('_', ""));
    parts.collect::<Vec<_>>().join("__").to_ascii_uppercase()
}

/// Whether a key is `family`, or continues it.
fn belongs(of: &str, family: &str) -> bool {
    let rest = of.strip_prefix(&key(family));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
}

/// How alike two keys are, from 0 to 1. A last part that holds the other's is about the same thing.
fn likeness(one: &str, other: &str) -> f64 {
    let last = |key: &str| key.rsplit("__").next().unwrap_or_default().to_owned();
    let (part, known) = (last(one), last(other));
    let holds = 5 < known.len() && part.contains(&known) || 5 < part.len() && known.contains(&part);
    let likeness = strsim::normalized_damerau_levenshtein(one, other);
    match holds {
        // The longer of two that are held says more.
        true => likeness.max(0.9 + known.len() as f64 / 1000.0),
        false => likeness,
    }
}

/// The texts, numbers and switches in an object, by the keys that lead to them. `null` and blanks are unset.
fn leaves(value: Value, path: &mut Vec<String>, values: &mut Vec<(Vec<String>, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                path.push(name);
                leaves(value, path, values);
                path.pop();
            }
        }
        Value::Null => {}
        Value::String(text) if text.trim().is_empty() => {}
        Value::String(text) => values.push((path.clone(), text.trim().to_owned())),
        other => values.push((path.clone(), other.to_string())),
    }
}
