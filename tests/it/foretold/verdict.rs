//! What was announced, against what people would say has happened: two catalogues, compared entity by entity and field by
//! field.

use std::collections::{BTreeMap, BTreeSet};

use ferry::resync::{Preview, RefusalCost};
use serde_json::{Map, Value, json};

/// What happens to entities, field by field: before and after. `created` says whether there is one at all.
type Fates = BTreeMap<String, BTreeMap<String, (Value, Value)>>;

/// What Port has refused.
pub(super) struct RefusedByPort<'a> {
    /// Those that Port has.
    pub(super) blueprints: &'a BTreeSet<String>,
    /// Blueprint, whether it is a deletion, identifier.
    pub(super) refused: &'a BTreeSet<(String, bool, String)>,
}

/// Whether `found` says what has become of `before`.
pub(crate) fn compare(found: &Preview, before: &Value, after: &Value) -> Result<(), String> {
    compare_but(found, (before, after), &BTreeSet::new())
}

/// The same, apart from the entities `but`.
pub(super) fn compare_but(
    found: &Preview,
    (before, after): (&Value, &Value),
    but: &BTreeSet<String>,
) -> Result<(), String> {
    let (announced, happened) = (announced(found), happened(before, after));
    let keys: BTreeSet<&String> = announced.keys().chain(happened.keys()).collect();
    for key in keys.into_iter().filter(|key| !but.contains(*key)) {
        let (said, done) = (announced.get(key), happened.get(key));
        if said != done {
            return Err(format!("{key}\nannounced {said:#?}\nhappened {done:#?}"));
        }
    }
    Ok(())
}

pub(super) fn compare_refusals(
    found: &Preview,
    RefusedByPort {
        blueprints,
        refused,
    }: &RefusedByPort<'_>,
) -> Result<(), String> {
    let mut met: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for (blueprint, is_deletion, _) in *refused {
        *met.entry((blueprint.clone(), *is_deletion)).or_default() += 1;
    }
    let foreseen = announced_refusals(found, blueprints);
    match foreseen == met {
        true => Ok(()),
        false => Err(format!("refusals foreseen {foreseen:?}, met {met:?}")),
    }
}

/// What the preview says of entities, each as the catalogue shows it.
fn announced(found: &Preview) -> Fates {
    let mut fates = Fates::new();
    for entity in &found.created {
        let mut fields = BTreeMap::new();
        let mut add = |name: String, value: &Value| {
            fields.insert(name, (Value::Null, value.clone()));
        };
        let heads = [
            ("title", &entity.title),
            ("icon", &entity.icon),
            ("team", &entity.team),
        ];
        for (name, value) in heads {
            value.iter().for_each(|value| add(name.to_owned(), value));
        }
        for (group, values) in [
            ("properties", &entity.properties),
            ("relations", &entity.relations),
        ] {
            for (name, value) in values.iter().flatten() {
                add(format!("{group}.{name}"), value);
            }
        }
        fields.insert("created".to_owned(), (json!(false), json!(true)));
        fates.insert(entity.key().unwrap().to_string(), fields);
    }
    for change in &found.changed {
        let fields = change.fields.iter();
        let fields = fields.map(|it| (it.name.clone(), (it.before.clone(), it.after.clone())));
        fates.insert(change.key.to_string(), fields.collect());
    }
    for deletion in &found.deleted {
        let gone = BTreeMap::from([("created".to_owned(), (json!(true), json!(false)))]);
        fates.insert(deletion.key.to_string(), gone);
    }
    fates
}

/// Entities of a catalogue by blueprint and identifier, their fields by name.
fn flat(catalogue: &Value) -> BTreeMap<String, BTreeMap<String, Value>> {
    let nothing = Map::new();
    let object = |value: &Value| {
        value
            .as_object()
            .cloned()
            .unwrap_or_else(|| nothing.clone())
    };
    let mut all = BTreeMap::new();
    for (blueprint, entities) in object(catalogue) {
        for (identifier, entity) in object(&entities) {
            let mut fields = BTreeMap::new();
            for (name, value) in object(&entity) {
                match name.as_str() {
                    "properties" | "relations" => {
                        let parts = object(&value).into_iter();
                        fields.extend(parts.map(|(part, value)| (format!("{name}.{part}"), value)));
                    }
                    _ => drop(fields.insert(name, value)),
                }
            }
            all.insert(format!("{blueprint}/{identifier}"), fields);
        }
    }
    all
}

/// What has become of entities between two catalogues.
fn happened(before: &Value, after: &Value) -> Fates {
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut fates = Fates::new();
    for key in keys {
        let (was, is) = (before.get(key), after.get(key));
        let fields = match (was, is) {
            (Some(_), None) => {
                BTreeMap::from([("created".to_owned(), (json!(true), json!(false)))])
            }
            _ => {
                let nothing = BTreeMap::new();
                let (was, is) = (was.unwrap_or(&nothing), is.unwrap_or(&nothing));
                let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
                let value = |fields: &BTreeMap<String, Value>, name: &String| {
                    fields.get(name).cloned().unwrap_or_default()
                };
                let fields = names
                    .into_iter()
                    .map(|name| (name.clone(), (value(was, name), value(is, name))));
                let mut fields: BTreeMap<String, (Value, Value)> =
                    fields.filter(|(_, (was, is))| was != is).collect();
                if !before.contains_key(key) {
                    fields.insert("created".to_owned(), (json!(false), json!(true)));
                }
                fields
            }
        };
        if !fields.is_empty() {
            fates.insert(key.clone(), fields);
        }
    }
    fates
}

/// Entities that were to be refused, by blueprint.
fn announced_refusals(
    found: &Preview,
    blueprints: &BTreeSet<String>,
) -> BTreeMap<(String, bool), usize> {
    let mut refusals = BTreeMap::new();
    for refusal in &found.refused {
        // Where Port lacks the blueprint, it is asked once for all.
        let is_asked = blueprints.contains(&refusal.blueprint);
        if refusal.costs != RefusalCost::Value && is_asked {
            let is_deletion = refusal.costs == RefusalCost::Deletion;
            let key = (refusal.blueprint.clone(), is_deletion);
            *refusals.entry(key).or_default() += refusal.count;
        }
    }
    refusals
}
