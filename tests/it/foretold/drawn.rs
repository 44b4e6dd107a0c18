//! How made-up worlds are drawn.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::made_up::{
    Arity, BLUEPRINTS, ByHand, IDENTIFIERS, KINDS, MadeUp, MadeUpBlueprint, MadeUpMapping,
    MadeUpResource, PROPERTIES, RELATIONS, TARGETS, TEAMS, TITLES, VALUES, definitions,
};

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
