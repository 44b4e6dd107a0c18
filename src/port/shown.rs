//! How Port will show an entity once it has taken it, as one number: a later look at what Port holds tells from that number
//! alone whether it is still so.
//!
//! Pure. Where two numbers are the same, [`Snapshot`] finds no difference either; the other way round it need not be so.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::digest::{Digest, NULL, digests, hash_of};
use super::snapshot::Snapshot;
use crate::entity::{Entity, Identifier};

/// Which fields of an entity count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownFields {
    /// Digests of their names; `None`: all that Port is asked for.
    named: Option<BTreeSet<u64>>,
    /// Whether null is something else than nothing.
    nulls: bool,
}

impl ShownFields {
    /// Those that a writer names who adds to what others write. Null there is as good as nothing.
    pub fn merged<'a>(
        (title, team): (bool, bool),
        properties: impl Iterator<Item = &'a str>,
        relations: impl Iterator<Item = &'a str>,
    ) -> ShownFields {
        let meta = [("title", title), ("team", team)];
        let meta = meta.into_iter().filter(|(_, is_named)| *is_named);
        let names = meta
            .map(|(name, _)| (0_u8, name))
            .chain(properties.map(|name| (1, name)))
            .chain(relations.map(|name| (2, name)));
        ShownFields {
            named: Some(names.map(|name| hash_of(&name)).collect()),
            nulls: false,
        }
    }

    /// Everything: the writer's items decide what they name.
    pub fn anything() -> ShownFields {
        ShownFields::default()
    }

    /// Everything, nulls included: the writer replaces what was there.
    pub fn replaced() -> ShownFields {
        ShownFields {
            named: None,
            nulls: true,
        }
    }

    fn digest<'d>(&self, digests: impl Iterator<Item = &'d Digest>) -> u64 {
        let counts = |digest: &&Digest| {
            let is_named = |named: &BTreeSet<u64>| named.contains(&digest.field);
            self.named.as_ref().is_none_or(is_named) && (self.nulls || digest.value != NULL)
        };
        let counted = digests.filter(counts);
        let counted: Vec<(u64, u64)> = counted.map(|it| (it.field, it.value)).collect();
        hash_of(&counted)
    }
}

/// What [`Snapshot::shows`] compares `entity` by as long as Port holds it; `None` where only Port can tell, for a search query
/// stands in it.
pub fn shown(entity: &Entity, fields: &ShownFields) -> Option<u64> {
    if !matches!(entity.identifier, Identifier::Text(_)) {
        return None;
    }
    let relations = entity.relations.iter().flat_map(Map::values);
    if relations.chain(&entity.team).any(Value::is_object) {
        return None;
    }
    let digests = digests(
        entity.title.as_ref(),
        entity.team.as_ref(),
        entity.properties.as_ref(),
        entity.relations.as_ref(),
        None,
    );
    Some(fields.digest(digests.iter()))
}

/// Stands for an identifier where there are many.
pub fn identifier_digest(identifier: &str) -> u64 {
    hash_of(identifier)
}

impl Snapshot {
    /// Whether Port shows the entity, named by [`identifier_digest`], as [`shown`] has said.
    pub fn shows(&self, identifier: u64, fields: &ShownFields, shown: u64) -> bool {
        let Some(digests) = self.digests_of(identifier) else {
            return false;
        };
        let meta = [hash_of(&(0_u8, "title")), hash_of(&(0_u8, "team"))];
        // Whoever leaves title or team away does not mind what Port has there.
        let minded: &[[bool; 2]] = match fields.nulls {
            true => &[[true, true]],
            false => &[[true, true], [false, true], [true, false], [false, false]],
        };
        minded.iter().any(|minded| {
            let is_minded = |digest: &&Digest| {
                let mut meta = meta.iter().zip(minded);
                meta.all(|(field, is_minded)| digest.field != *field || *is_minded)
            };
            fields.digest(digests.iter().filter(is_minded)) == shown
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::port::digest::tests::entity;
    use crate::port::snapshot::{MappedFields, SnapshotBuilder};

    fn snapshot(port: &Value, new: &Entity) -> Snapshot {
        let fields = MappedFields::of(&[entity(port), new.clone()]);
        let mut builder = SnapshotBuilder::new(&fields);
        builder.add("x", port.as_object().unwrap());
        builder.finish()
    }

    fn names(new: &Entity) -> ShownFields {
        let names = |values: &Option<Map<String, Value>>| -> Vec<String> {
            values.iter().flat_map(Map::keys).cloned().collect()
        };
        let (properties, relations) = (names(&new.properties), names(&new.relations));
        ShownFields::merged(
            (new.title.is_some(), new.team.is_some()),
            properties.iter().map(String::as_str),
            relations.iter().map(String::as_str),
        )
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            (0..3_i32).prop_map(|number| json!(number)),
            Just(json!("a")),
            Just(json!(["a", "b"])),
        ]
    }

    fn fields() -> impl Strategy<Value = Value> {
        let values = || proptest::collection::btree_map("[a-c]", value(), 0..4);
        (values(), values(), prop::option::of(value())).prop_map(
            |(properties, relations, title)| {
                let mut fields = json!({"properties": properties, "relations": relations});
                if let Some(title) = title {
                    fields["title"] = title;
                }
                fields
            },
        )
    }

    proptest! {
        /// Whoever goes by the numbers leaves nothing unwritten that a comparison would have written.
        #[test]
        fn the_same_number_means_no_difference(port in fields(), new in fields()) {
            let new = entity(&new);
            let snapshot = snapshot(&port, &new);
            let id = identifier_digest("x");
            for fields in [names(&new), ShownFields::anything()] {
                if snapshot.shows(id, &fields, shown(&new, &fields).unwrap()) {
                    prop_assert!(!snapshot.changed_by_merge(&new), "{port}");
                }
            }
            if !snapshot.changed_by_merge(&new) {
                let fields = names(&new);
                prop_assert!(snapshot.shows(id, &fields, shown(&new, &fields).unwrap()));
            }
            let replaced = ShownFields::replaced();
            if snapshot.shows(id, &replaced, shown(&new, &replaced).unwrap()) {
                prop_assert!(!snapshot.differs(&new), "{port}");
            }
        }
    }

    #[test]
    fn what_only_port_can_resolve_has_no_number() {
        let query = json!({"combinator": "and", "rules": []});
        let fields = ShownFields::anything();
        for new in [json!({"relations": {"r": query}}), json!({"team": query})] {
            assert_eq!(shown(&entity(&new), &fields), None);
        }
        let mut searched = entity(&json!({}));
        searched.identifier = Identifier::Search(query);
        assert_eq!(shown(&searched, &fields), None);
        let gone = Snapshot::default();
        assert!(!gone.shows(identifier_digest("x"), &fields, 0));
    }
}
