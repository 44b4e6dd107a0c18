//! What the first items say of the mapping beyond what fails: fields that are null, queries that take nothing, identifiers
//! that several items share.
//!
//! Knows what the mapping has made of the items. Asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use ferry::entity::{Entity, EntityKey};
use ferry::mapping::Resource;
use ferry::port::Blueprint;
use ferry::sync::image::Image;
use ferry::sync::mapper::Mapper;
use ferry::sync::sources::Sources;
use serde_json::Value;

use super::Findings;

/// Fields of one resource that are named.
const FIELDS: usize = 8;

/// Properties that the blueprint requires and the mapping does not give.
pub(super) fn tell_required(
    resource: &Resource,
    identifier: &str,
    blueprint: &Blueprint,
    findings: &mut Findings<'_>,
) {
    // Where the items say what they write, nobody knows before they are read.
    if resource.writes_anything() {
        return;
    }
    let given: BTreeSet<&str> = resource.property_names().collect();
    for name in &blueprint.required {
        if !given.contains(name.as_str()) {
            let place = resource.place_of(identifier, &format!("properties.{name}"));
            let reason =
                format!("{place}: is missing, and the blueprint `{identifier}` requires it");
            let remedy =
                "map it, or let the blueprint not require it: Port refuses an entity without it";
            findings.wrong(resource.name(), reason, remedy);
        }
    }
}

/// Fields that read a key which no item has.
pub(super) fn slips(sources: &Sources, mapper: &Mapper) -> Vec<String> {
    let resources = sources.mapping().resources().iter();
    let slips = resources.flat_map(|resource| resource.slips(&mapper.figures(resource)));
    slips.map(|slip| slip.to_string()).collect()
}

/// Entities that several items make, and differently; the first of each resource and blueprint.
pub(super) fn clashes(sample: &Image) -> Vec<String> {
    let mut first: BTreeMap<(usize, EntityKey), &Entity> = BTreeMap::new();
    let mut clashes: BTreeMap<(usize, String), String> = BTreeMap::new();
    let all = sample.made.iter();
    let all = all.flat_map(|made| made.entities.iter().map(move |entity| (made, entity)));
    for (made, entity) in all {
        let Some(key) = entity.key() else { continue };
        let index = made.resource.index;
        let before = *first.entry((index, key.clone())).or_insert(entity);
        if before == entity {
            continue;
        }
        let of = (index, entity.blueprint.clone());
        clashes.entry(of).or_insert_with(|| {
            let place = made.resource.place_of(&entity.blueprint, "identifier");
            let titles = match (title(before), title(entity)) {
                (Some(one), Some(other)) => format!(" ({one:?} and {other:?})"),
                _ => String::new(),
            };
            format!("{place}: {key} stands for several items that differ{titles}: make the identifier name one of them")
        });
    }
    clashes.into_values().collect()
}

fn title(entity: &Entity) -> Option<&str> {
    entity.title.as_ref().and_then(Value::as_str)
}

/// Queries that take nothing, and how often which fields are null.
pub(super) fn tell(sources: &Sources, mapper: &Mapper, findings: &mut Findings<'_>) {
    for resource in sources.mapping().resources() {
        let notes = resource.notes(&mapper.figures(resource)).into_iter();
        let queries = notes.filter(|note| note.path.ends_with(".selector.query"));
        for note in queries {
            let remedy = "the first items may be others than those that are meant: `ferry preview` judges all of them";
            findings.doubtful("first items of each kind", note.to_string(), remedy);
        }
        if let Some(line) = nulls(resource, mapper) {
            findings.fine(resource.name(), line);
        }
    }
}

fn nulls(resource: &Resource, mapper: &Mapper) -> Option<String> {
    let fields = resource.null_fields(&mapper.figures(resource));
    let shares = fields.iter().take(FIELDS).map(|field| {
        let (_, name) = field.path.rsplit_once(".mappings").unwrap_or_default();
        let name = name.trim_start_matches('.');
        format!("{name} {} of {}", field.nulls, field.entities)
    });
    let mut shares: Vec<String> = shares.collect();
    if FIELDS < fields.len() {
        shares.push(format!("{} more fields", fields.len() - FIELDS));
    }
    let told = format!("null for some of the first items: {}", shares.join(", "));
    (!fields.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use ferry::mapping::Mapping;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_identifier_that_items_share_is_told_with_two_of_them() {
        let config = json!({"resources": [{
            "kind": "pull-request", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
                "identifier": ".author", "blueprint": "'pull'", "title": ".title",
            }}},
        }]});
        let mapping = Mapping::from_config(&config).unwrap();
        let mapper = Mapper::default();
        let mut sample = Image::default();
        for (author, title) in [
            ("ann", "one"),
            ("bob", "two"),
            ("ann", "one"),
            ("ann", "three"),
        ] {
            let raw = json!({"author": author, "title": title});
            sample
                .made
                .extend(mapper.map(mapping.resources(), &raw, ""));
        }
        assert_eq!(
            clashes(&sample),
            [
                "resources[0].port.entity.mappings.identifier: pull/ann stands for several items that differ (\"one\" and \"three\"): make the identifier name one of them"
            ]
        );
    }
}
