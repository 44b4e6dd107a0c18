//! Blueprints, mappings and earlier catalogues that nobody thought of, as plain data.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// Blueprints that mappings name; which of them Port has is drawn.
pub(super) const BLUEPRINTS: [&str; 4] = ["b0", "b1", "b2", "b3"];

const PROPERTIES: [&str; 4] = ["p0", "p1", "p2", "p3"];
const RELATIONS: [&str; 3] = ["r0", "r1", "r2"];

/// What a property may be.
fn definitions() -> Vec<Value> {
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
const VALUES: [&str; 20] = [
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
const IDENTIFIERS: [&str; 9] = [
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
const TARGETS: [&str; 12] = [
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

const TITLES: [Option<&str>; 4] = [None, Some(".name"), Some("null"), Some(".title // [1]")];
const TEAMS: [Option<&str>; 4] = [None, Some("\"a\""), Some("[\"b\", \"a\"]"), Some("null")];
const KINDS: [&str; 4] = ["project", "repository", "pull-request", "branch"];

#[derive(Clone, Debug)]
pub(super) struct MadeUpBlueprint {
    /// By name, positions in [`definitions`].
    properties: Vec<(&'static str, usize)>,
    required: Vec<&'static str>,
    /// Name, position of the target, one or many or required.
    relations: Vec<(&'static str, usize, Arity)>,
    inherits_team: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Arity {
    One,
    Many,
    Required,
}

#[derive(Clone, Debug)]
pub(super) struct MadeUpResource {
    kind: &'static str,
    blueprint: usize,
    identifier: &'static str,
    title: Option<&'static str>,
    team: Option<&'static str>,
    properties: Vec<(&'static str, &'static str)>,
    relations: Vec<(&'static str, &'static str)>,
    keeps: bool,
    query: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct MadeUpMapping {
    creates_targets: bool,
    merges: bool,
    takes_dependents: bool,
    threshold: f64,
    resources: Vec<MadeUpResource>,
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

fn some_of(names: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(names, 0..=names.len())
}

fn blueprint() -> impl Strategy<Value = MadeUpBlueprint> {
    let arity = || {
        prop_oneof![
            4 => Just(Arity::One),
            3 => Just(Arity::Many),
            1 => Just(Arity::Required),
        ]
    };
    let definition = 0..definitions().len();
    (
        prop::collection::vec(definition, PROPERTIES.len()),
        some_of(&PROPERTIES),
        prop::bool::weighted(0.15),
        some_of(&PROPERTIES),
        some_of(&RELATIONS),
        prop::collection::vec((0..BLUEPRINTS.len(), arity()), RELATIONS.len()),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(definitions, named, requires, required, related, ends, inherits_team)| {
                let properties = named.iter().zip(definitions);
                let relations = related.iter().zip(ends);
                MadeUpBlueprint {
                    properties: properties.map(|(name, it)| (*name, it)).collect(),
                    required: if requires { required } else { Vec::new() },
                    relations: relations
                        .map(|(name, (target, arity))| (*name, target, arity))
                        .collect(),
                    inherits_team,
                }
            },
        )
}

fn resource() -> impl Strategy<Value = MadeUpResource> {
    let mapped = |names: &'static [&'static str], from: &'static [&'static str]| {
        (
            some_of(names),
            prop::collection::vec(select(from), names.len()),
        )
            .prop_map(|(names, expressions)| {
                let fields = names.iter().zip(expressions);
                fields
                    .map(|(name, expression)| (*name, expression))
                    .collect::<Vec<_>>()
            })
    };
    (
        select(&KINDS[..]),
        0..BLUEPRINTS.len(),
        prop_oneof![5 => Just(IDENTIFIERS[0]), 1 => select(&IDENTIFIERS[..])],
        select(&TITLES[..]),
        select(&TEAMS[..]),
        mapped(&PROPERTIES, &VALUES),
        mapped(&RELATIONS, &TARGETS),
        prop::bool::weighted(0.1),
        prop_oneof![5 => Just("true"), 1 => Just(".is_private != true"), 1 => Just("false")],
    )
        .prop_map(
            |(kind, blueprint, identifier, title, team, properties, relations, keeps, query)| {
                MadeUpResource {
                    kind,
                    blueprint,
                    identifier,
                    title,
                    team,
                    properties,
                    relations,
                    keeps,
                    query,
                }
            },
        )
}

impl MadeUpMapping {
    /// The same, except that some resources write other things.
    fn altered(&self, others: Vec<(Index, MadeUpResource)>) -> MadeUpMapping {
        let mut altered = self.clone();
        for (index, other) in others {
            let resource = index.get(&self.resources).clone();
            let at = index.index(self.resources.len());
            altered.resources[at] = MadeUpResource {
                title: other.title,
                team: other.team,
                properties: other.properties,
                relations: other.relations,
                query: other.query,
                ..resource
            };
        }
        altered
    }
}

/// A mapping, and the one that an earlier resync followed, if there was one.
fn mappings() -> impl Strategy<Value = (Option<MadeUpMapping>, MadeUpMapping)> {
    let others = prop::collection::vec((any::<Index>(), resource()), 1..4);
    (mapping(), mapping(), others, 0..5).prop_map(|(mapping, other, others, choice)| {
        let earlier = match choice {
            0 => None,
            1 => Some(other),
            _ => Some(mapping.altered(others)),
        };
        (earlier, mapping)
    })
}

fn mapping() -> impl Strategy<Value = MadeUpMapping> {
    (
        any::<bool>(),
        prop::bool::weighted(0.7),
        any::<bool>(),
        select(&[1.0, 1.0, 1.0, 0.9, 0.3, 0.0][..]),
        prop::collection::vec(resource(), 1..4),
    )
        .prop_map(
            |(creates_targets, merges, takes_dependents, threshold, resources)| MadeUpMapping {
                creates_targets,
                merges,
                takes_dependents,
                threshold,
                resources,
            },
        )
}

fn by_hand() -> impl Strategy<Value = ByHand> {
    const LEFT: [&str; 7] = [
        "shared",
        "nobody",
        "SHOP",
        "api",
        "pr-1",
        "1",
        "left-behind",
    ];
    prop_oneof![
        3 => any::<Index>().prop_map(ByHand::Edit),
        2 => any::<Index>().prop_map(ByHand::TakeOver),
        2 => any::<Index>().prop_map(ByHand::Delete),
        2 => (0..BLUEPRINTS.len(), select(&LEFT[..]))
            .prop_map(|(blueprint, identifier)| ByHand::Create(blueprint, identifier)),
        1 => (0..BLUEPRINTS.len(), blueprint())
            .prop_map(|(position, blueprint)| ByHand::Redefine(position, blueprint)),
    ]
}

pub(super) fn made_up() -> impl Strategy<Value = MadeUp> {
    (
        prop::collection::vec(prop::option::weighted(0.9, blueprint()), BLUEPRINTS.len()),
        prop::collection::vec(by_hand(), 0..5),
        prop::collection::vec(any::<u64>(), 0..4),
        mappings(),
    )
        .prop_map(
            |(blueprints, by_hand, changes, (earlier, mapping))| MadeUp {
                blueprints,
                earlier,
                by_hand,
                changes,
                mapping,
            },
        )
}
