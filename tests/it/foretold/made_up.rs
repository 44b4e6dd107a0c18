//! Blueprints, mappings and earlier catalogues that nobody thought of, as plain data.

use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// Blueprints that mappings name; which of them Port has is drawn.
pub(super) const BLUEPRINTS: [&str; 4] = ["b0", "b1", "b2", "b3"];

pub(super) const PROPERTIES: [&str; 4] = ["p0", "p1", "p2", "p3"];
pub(super) const RELATIONS: [&str; 3] = ["r0", "r1", "r2"];

/// What a property may be.
pub(super) fn definitions() -> Vec<Value> {
    vec![
        json!({"type": "string"}),
        json!({"type": "string"}),
        json!({"type": "string"}),
        json!({"type": "number"}),
        json!({"type": "boolean"}),
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"type": "string", "format": "url"}),
        json!({"type": "string", "format": "date-time"}),
        json!({"type": "string", "format": "email"}),
        json!({"type": "string", "enum": ["main", "OPEN", "api"]}),
        json!({"type": "string", "pattern": "^[a-z-]+$"}),
        json!({"type": "string", "maxLength": 4}),
        json!({"type": "number", "minimum": 2, "maximum": 3}),
        json!({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        json!({"type": "array", "items": {"type": "number"}, "maxItems": 2}),
    ]
}

/// What a property may be mapped from.
pub(super) const VALUES: [&str; 20] = [
    ".name // .title",
    ".name",
    "\"text\"",
    ".name // .id",
    "null",
    "\"api\"",
    "\"main\"",
    "1",
    "2.5",
    "true",
    "{a: 1}",
    "[]",
    "[\"a\", null, \"c\"]",
    "[1, 2, 3]",
    ".created_on",
    ".links.html.href",
    ".name // .title",
    ".mainbranch.name // .state",
    ".id",
    ".no | .such | error",
];

/// What identifiers are mapped from. Each kind has fields of its own: of another kind they are null.
pub(super) const IDENTIFIERS: [&str; 9] = [
    ".slug // .key // (.id | tostring)",
    ".slug",
    ".key",
    "(.id | tostring)",
    "\"pr-\" + (.id | tostring)",
    ".name",
    "\"shared\"",
    ".project.key",
    ".destination.repository.name",
];

/// What relations are mapped from.
pub(super) const TARGETS: [&str; 12] = [
    "null",
    "\"shared\"",
    "\"nobody\"",
    ".project.key",
    ".destination.repository.name",
    "[\"shared\", \"nobody\"]",
    "[.slug, null]",
    "[]",
    "1",
    "\"no identifier\"",
    ".slug // .key",
    "[.project.key]",
];

pub(super) const TITLES: [Option<&str>; 4] =
    [None, Some(".name"), Some("null"), Some(".title // [1]")];
pub(super) const TEAMS: [Option<&str>; 4] =
    [None, Some("\"a\""), Some("[\"b\", \"a\"]"), Some("null")];
pub(super) const KINDS: [&str; 4] = ["project", "repository", "pull-request", "branch"];

#[derive(Clone, Debug)]
pub(super) struct MadeUpBlueprint {
    /// By name, positions in [`definitions`].
    pub(super) properties: Vec<(&'static str, usize)>,
    pub(super) required: Vec<&'static str>,
    /// Name, position of the target, one or many or required.
    pub(super) relations: Vec<(&'static str, usize, Arity)>,
    pub(super) inherits_team: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arity {
    One,
    Many,
    Required,
}

#[derive(Clone, Debug)]
pub(super) struct MadeUpResource {
    pub(super) kind: &'static str,
    pub(super) blueprint: usize,
    pub(super) identifier: &'static str,
    pub(super) title: Option<&'static str>,
    pub(super) team: Option<&'static str>,
    pub(super) properties: Vec<(&'static str, &'static str)>,
    pub(super) relations: Vec<(&'static str, &'static str)>,
    pub(super) keeps: bool,
    pub(super) query: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct MadeUpMapping {
    pub(super) creates_targets: bool,
    pub(super) merges: bool,
    pub(super) takes_dependents: bool,
    pub(super) threshold: f64,
    pub(super) resources: Vec<MadeUpResource>,
}

/// What somebody does in Port between two resyncs.
#[derive(Clone, Debug)]
pub(super) enum ByHand {
    /// Of the entity at this place: its title and one property.
    Edit(Index),
    /// It is somebody else's from now on.
    TakeOver(Index),
    Delete(Index),
    /// An entity of a blueprint, with an identifier that a mapping may give.
    Create(usize, &'static str),
    /// Another blueprint in place of the one at this position.
    Redefine(usize, MadeUpBlueprint),
}

#[derive(Clone, Debug)]
pub(super) struct MadeUp {
    /// In the order of [`BLUEPRINTS`]; `None`: Port does not have it.
    pub(super) blueprints: Vec<Option<MadeUpBlueprint>>,
    /// The mapping of an earlier resync, if there was one.
    pub(super) earlier: Option<MadeUpMapping>,
    pub(super) by_hand: Vec<ByHand>,
    /// Changes of the workspace.
    pub(super) changes: Vec<u64>,
    pub(super) mapping: MadeUpMapping,
}

impl MadeUp {
    /// No blueprint, no earlier resync, and a mapping that asks for nothing.
    pub(super) fn nothing() -> MadeUp {
        MadeUp {
            blueprints: vec![None; BLUEPRINTS.len()],
            earlier: None,
            by_hand: Vec::new(),
            changes: Vec::new(),
            mapping: MadeUpMapping {
                creates_targets: false,
                merges: true,
                takes_dependents: false,
                threshold: 1.0,
                resources: Vec::new(),
            },
        }
    }
}

impl MadeUpBlueprint {
    /// The body of the blueprint at `position`; relations to what is not among `present` are left out.
    pub(super) fn body(&self, position: usize, present: &[bool]) -> Value {
        let definitions = definitions();
        let properties = self.properties.iter();
        let properties: Map<String, Value> = properties
            .map(|(name, definition)| ((*name).to_owned(), definitions[*definition].clone()))
            .collect();
        let mut required = self.required.clone();
        required.retain(|name| properties.contains_key(*name));
        let relations = self.relations.iter();
        let relations: Map<String, Value> = relations
            .filter(|(_, target, _)| present[*target])
            .map(|(name, target, arity)| {
                let relation = json!({
                    "title": name, "target": BLUEPRINTS[*target],
                    "many": *arity == Arity::Many, "required": *arity == Arity::Required,
                });
                ((*name).to_owned(), relation)
            })
            .collect();
        let mut body = json!({
            "identifier": BLUEPRINTS[position], "title": "Any",
            "schema": {"properties": properties, "required": required},
            "relations": relations,
        });
        if self.inherits_team {
            body["ownership"] = json!({"type": "Inherited", "path": "r0"});
        }
        body
    }
}

impl MadeUpMapping {
    pub(super) fn written(&self) -> Value {
        let fields = |fields: &[(&str, &str)]| -> Map<String, Value> {
            let fields = fields.iter();
            fields
                .map(|(name, expression)| ((*name).to_owned(), json!(expression)))
                .collect()
        };
        let resources = self.resources.iter().map(|resource| {
            let mut entity = json!({
                "identifier": resource.identifier,
                "blueprint": format!("\"{}\"", BLUEPRINTS[resource.blueprint]),
            });
            for (name, expression) in [("title", resource.title), ("team", resource.team)] {
                if let Some(expression) = expression {
                    entity[name] = json!(expression);
                }
            }
            for (name, expressions) in [
                ("properties", &resource.properties),
                ("relations", &resource.relations),
            ] {
                if !expressions.is_empty() {
                    entity[name] = fields(expressions).into();
                }
            }
            let mut written = json!({
                "kind": resource.kind, "selector": {"query": resource.query},
                "port": {"entity": {"mappings": entity}},
            });
            if resource.keeps {
                written["enableDelete"] = json!(false);
            }
            written
        });
        json!({
            "createMissingRelatedEntities": self.creates_targets,
            "enableMergeEntity": self.merges,
            "deleteDependentEntities": self.takes_dependents,
            "entityDeletionThreshold": self.threshold,
            "resources": resources.collect::<Vec<_>>(),
        })
    }
}
