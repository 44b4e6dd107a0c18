//! What a resource has given, and what of that somebody should look at: a query that selects nothing, fields that are always
//! null.
//!
//! Pure. Neither is wrong by itself, so nothing is refused for it. What a mapping is wrong in whatever the items are is found
//! when it is read (`read`, `mistaken`); what fails for some items is in `report`, what Port would not take in
//! `sync::left_out`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::evaluate::Mapped;
use super::items::missing_key;
use super::problem::Problem;
use super::report::label;
use super::resource::Resource;
use crate::nearest::nearest;

/// What one resource has given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceFigures {
    /// Items that the query turned away.
    filtered_out: usize,
    /// Items of which something could not be mapped.
    lost: usize,
    /// Entities, by the position of the entity mapping.
    entities: BTreeMap<usize, usize>,
    /// How often a field was null, by its path below the resource. Fields that never were are not among them.
    nulls: BTreeMap<String, usize>,
    /// The first item.
    sample: Option<Value>,
}

/// How often a field was null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFigures {
    /// `resources[0].port.entity.mappings.properties.url`
    pub path: String,
    /// Of how many entities.
    pub entities: usize,
    /// At least one.
    pub nulls: usize,
}

impl ResourceFigures {
    /// Counts what has become of `raw`.
    pub fn add(&mut self, raw: &Value, mapped: &Mapped) {
        self.filtered_out += mapped.filtered_out;
        self.lost += mapped.dropped.len() + mapped.failures.len();
        let selected = mapped.entities.iter().filter(|entity| entity.selected);
        for position in selected.filter_map(|entity| entity.mapping) {
            *self.entities.entry(position).or_default() += 1;
        }
        // Where an expression fails that is told as what it is.
        for null in mapped.nulls.iter().filter(|null| null.error.is_none()) {
            match self.nulls.get_mut(&null.path) {
                Some(count) => *count += 1,
                None => {
                    self.nulls.insert(null.path.clone(), 1);
                }
            }
        }
        if self.sample.is_none() {
            self.sample = Some(raw.clone());
        }
    }

    fn sample(&self) -> String {
        self.sample.as_ref().map(label).unwrap_or_default()
    }
}

impl Resource {
    /// Fields that were null, in the order of the mapping.
    pub fn null_fields(&self, figures: &ResourceFigures) -> Vec<FieldFigures> {
        let mut fields = Vec::new();
        for (position, entity) in self.entities.iter().enumerate() {
            let entities = figures.entities.get(&position).copied().unwrap_or(0);
            entity.each(&mut |field, _| {
                if let Some(nulls) = figures.nulls.get(&entity.path_of(&field)) {
                    fields.push(FieldFigures {
                        path: format!("{}.{field}", entity.path),
                        entities,
                        nulls: *nulls,
                    });
                }
            });
        }
        fields
    }

    /// Fields that are null because their expression reads a key that no item has, and that is like one it has.
    pub fn slips(&self, figures: &ResourceFigures) -> Vec<Problem> {
        let fields = self.always_null(figures);
        let slips = fields.filter_map(|field| {
            let remedy = self.slip(&field.path, figures)?;
            Some(field.told(figures, &remedy))
        });
        let mut slips: Vec<Problem> = slips.collect();
        if figures.entities.is_empty() && 0 < figures.lost {
            slips.extend(self.slips_of_identifiers(figures));
        }
        slips
    }

    /// The same of identifiers, where nothing has any.
    fn slips_of_identifiers(&self, figures: &ResourceFigures) -> impl Iterator<Item = Problem> {
        self.entities.iter().filter_map(|entity| {
            let path = format!("{}.identifier", entity.path);
            let slip = self.slip(&path, figures)?;
            let sample = figures.sample();
            Some(Problem {
                path,
                line: None,
                message: format!("is null for all items, such as {sample}: {slip}"),
            })
        })
    }

    /// What is not wrong by itself, and worth a look.
    pub fn notes(&self, figures: &ResourceFigures) -> Vec<Problem> {
        let mut notes: Vec<Problem> = Vec::new();
        if 0 < figures.filtered_out && figures.entities.is_empty() && figures.lost == 0 {
            notes.push(Problem {
                path: format!("resources[{}].selector.query", self.index),
                line: None,
                message: format!(
                    "is true for none of {} items, such as {}, so nothing is selected: look at one with \
                     `ferry mapping test`, or take the resource out",
                    figures.filtered_out,
                    figures.sample()
                ),
            });
        }
        let fields = self.always_null(figures);
        let fields = fields.filter(|field| self.slip(&field.path, figures).is_none());
        let remedy = "look at one with `ferry mapping test`, or take the field out";
        notes.extend(fields.map(|field| field.told(figures, remedy)));
        notes
    }

    fn always_null(&self, figures: &ResourceFigures) -> impl Iterator<Item = FieldFigures> {
        let fields = self.null_fields(figures).into_iter();
        fields.filter(|field| 0 < field.entities && field.entities <= field.nulls)
    }

    /// Where the expression at `path` reads a key that the sample lacks, and that is like one it has.
    fn slip(&self, path: &str, figures: &ResourceFigures) -> Option<String> {
        // The elements of a list are not at hand any more.
        let sample = figures.sample.as_ref().filter(|_| self.items.is_none())?;
        let mut slip = None;
        for entity in &self.entities {
            entity.each(&mut |field, expression| {
                if path == format!("{}.{field}", entity.path)
                    && let Some(source) = expression.source()
                    && let Some((missing, keys)) = missing_key(source, sample)
                    && let Some(meant) = nearest(&missing, keys)
                {
                    slip = Some(format!(
                        "it has no key {missing:?}: did you mean {meant:?}?"
                    ));
                }
            });
        }
        slip
    }
}

impl FieldFigures {
    fn told(self, figures: &ResourceFigures, remedy: &str) -> Problem {
        let FieldFigures { path, entities, .. } = self;
        let all = match entities {
            1 => "the 1 entity".to_owned(),
            several => format!("all {several} entities"),
        };
        let sample = figures.sample();
        Problem {
            path,
            line: None,
            message: format!("is null for {all}, such as {sample}: {remedy}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Mapping;
    use super::*;

    fn resource(query: &str, mappings: &Value) -> Mapping {
        let config = json!({"resources": [{
            "kind": "repository", "selector": {"query": query}, "port": {"entity": {"mappings": mappings}},
        }]});
        Mapping::from_config(&config).unwrap()
    }

    fn figures(mapping: &Mapping, items: &[Value]) -> ResourceFigures {
        let mut figures = ResourceFigures::default();
        for raw in items {
            figures.add(raw, &mapping.resources()[0].map(raw));
        }
        figures
    }

    fn notes(mapping: &Mapping, items: &[Value]) -> String {
        let (resource, figures) = (&mapping.resources()[0], figures(mapping, items));
        let slips = resource.slips(&figures).into_iter();
        let slips = slips.map(|slip| format!("slip: {slip}"));
        let notes = resource.notes(&figures).into_iter();
        let all = slips.chain(notes.map(|note| format!("note: {note}")));
        all.collect::<Vec<_>>().join("\n")
    }

    fn items() -> [Value; 3] {
        let item = |slug: &str, size: Value| json!({"slug": slug, "full_name": format!("acme/{slug}"), "size": size, "mainbranch": {"name": "main"}});
        [
            item("one", Value::Null),
            item("two", json!(1)),
            item("three", Value::Null),
        ]
    }

    #[test]
    fn what_is_always_null_is_told_with_the_key_that_was_meant() {
        let mapping = resource(
            "true",
            &json!({"identifier": ".slug", "blueprint": "'service'", "title": ".nmae", "properties": {
                "branch": ".mainbranch.naem | ascii_downcase?", "size": ".size", "ok": ".full_name", "odd": ".x // .y",
            }}),
        );
        insta::assert_snapshot!(notes(&mapping, &items()), @r#"
        slip: resources[0].port.entity.mappings.properties.branch: is null for all 3 entities, such as acme/one: it has no key "naem": did you mean "name"?
        note: resources[0].port.entity.mappings.title: is null for all 3 entities, such as acme/one: look at one with `ferry mapping test`, or take the field out
        note: resources[0].port.entity.mappings.properties.odd: is null for all 3 entities, such as acme/one: look at one with `ferry mapping test`, or take the field out
        "#);
        let fields = mapping.resources()[0].null_fields(&figures(&mapping, &items()));
        let size = fields.iter().find(|field| field.path.ends_with("size"));
        let size = size.map(|field| (field.nulls, field.entities));
        assert_eq!(size, Some((2, 3)));
        assert!(!fields.iter().any(|field| field.path.ends_with(".ok")));
    }

    #[test]
    fn an_identifier_that_is_always_null_is_told_with_the_key_that_was_meant() {
        let mapping = resource(
            "true",
            &json!({"identifier": ".full_nam", "blueprint": "'service'", "title": ".nmae"}),
        );
        insta::assert_snapshot!(notes(&mapping, &items()), @r#"slip: resources[0].port.entity.mappings.identifier: is null for all items, such as acme/one: it has no key "full_nam": did you mean "full_name"?"#);
    }

    #[test]
    fn what_fails_is_not_told_as_null() {
        let mapping = resource(
            "true",
            &json!({"identifier": ".slug", "blueprint": "'service'", "title": ".[[", "icon": ".slug + 1"}),
        );
        assert_eq!(notes(&mapping, &items()), "");
    }

    #[test]
    fn a_query_that_takes_nothing_is_told() {
        let entity = json!({"identifier": ".slug", "blueprint": "'service'"});
        let never = resource(".slug == 'four'", &entity);
        insta::assert_snapshot!(notes(&never, &items()), @"note: resources[0].selector.query: is true for none of 3 items, such as acme/one, so nothing is selected: look at one with `ferry mapping test`, or take the resource out");
        let once = resource(".slug == 'two'", &entity);
        assert_eq!(notes(&once, &items()), "");
        assert_eq!(notes(&never, &[]), "");
        // Why these give nothing is told as what it is.
        let fails = resource(".slug | ltrimstr(1) == 7 | not | error", &entity);
        assert_eq!(notes(&fails, &items()), "");
    }

    #[test]
    fn each_of_several_mappings_has_its_own_figures() {
        let mapping = resource(
            "true",
            &json!([
                {"identifier": ".slug", "blueprint": "'a'", "title": ".size"},
                {"identifier": ".size | values | tostring", "blueprint": "'b'", "title": ".none"},
            ]),
        );
        let notes = notes(&mapping, &items());
        assert!(
            notes.contains("mappings[1].title: is null for the 1 entity"),
            "{notes}"
        );
        assert_eq!(notes.lines().count(), 1, "{notes}");
    }
}
