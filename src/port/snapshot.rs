//! What Port holds, as digests: enough to tell whether writing an entity would change anything.
//!
//! Pure. Says nothing about how the entities were read; see `search`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::digest::{Digest, NULL, digests, find, hash_of};
use super::rehearsal::Changed;
use crate::entity::{Entity, Identifier};

/// The properties and relations that a mapping writes to one blueprint. Port may hold more; nothing else is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedFields {
    pub properties: BTreeSet<String>,
    pub relations: BTreeSet<String>,
    /// The items decide: any property and relation may be written, whatever is listed.
    pub anything: bool,
}

/// Those entities of one blueprint that belong to us, sixteen bytes per field.
///
/// Fifty thousand entities of eight fields take seven megabytes. Two different values share a digest once in 2⁶⁴;
/// the price would be one write that is left out.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Sorted by `identifier`.
    entries: Vec<Entry>,
    /// Of all entities, each one's share sorted by field.
    digests: Vec<Digest>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    identifier: u64,
    start: u32,
    len: u32,
}

/// What counts as a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Ocean,
    Merge,
}

impl MappedFields {
    pub fn of<'a>(entities: impl IntoIterator<Item = &'a Entity>) -> MappedFields {
        let mut fields = MappedFields::default();
        for entity in entities {
            fields.add(entity);
        }
        fields
    }

    pub fn add(&mut self, entity: &Entity) {
        let pairs = [
            (&mut self.properties, &entity.properties),
            (&mut self.relations, &entity.relations),
        ];
        for (names, values) in pairs {
            for name in values.iter().flat_map(Map::keys) {
                if !names.contains(name) {
                    names.insert(name.clone());
                }
            }
        }
    }
}

impl Snapshot {
    /// Whether `entity` differs from what Port holds, as Ocean judges it before it writes.
    ///
    /// Title, team (lists in any order), properties and relations count; the icon does not. A null in Port equals an
    /// absent key, a null property or relation of `entity` does not. What Port has and `entity` leaves out counts
    /// too, although a merging write would leave it alone: there, [`changed_by_merge`](Snapshot::changed_by_merge)
    /// is exact. An entity with a search query as identifier or relation always differs: only Port can resolve it.
    pub fn differs(&self, entity: &Entity) -> bool {
        self.compare(entity, Rule::Ocean)
    }

    /// Whether a merging write of `entity` would change what Port holds: only what `entity` names counts, and null
    /// equals absent on both sides.
    pub fn changed_by_merge(&self, entity: &Entity) -> bool {
        self.compare(entity, Rule::Merge)
    }

    /// Whether there are entities, and none of them has any of the fields that the mapping writes.
    pub(super) fn lacks_fields(&self) -> bool {
        let meta = [hash_of(&(0_u8, "title")), hash_of(&(0_u8, "team"))];
        !self.is_empty()
            && self
                .digests
                .iter()
                .all(|digest| meta.contains(&digest.field))
    }

    /// The same after `changed`, by identifiers.
    pub(super) fn after(
        mut self,
        changed: BTreeMap<String, Changed>,
        fields: &MappedFields,
    ) -> Snapshot {
        let hashes: BTreeSet<u64> = changed.keys().map(hash_of).collect();
        let (were_there, kept): (Vec<Entry>, Vec<Entry>) = self
            .entries
            .into_iter()
            .partition(|entry| hashes.contains(&entry.identifier));
        let were_there: BTreeSet<u64> = were_there.iter().map(|entry| entry.identifier).collect();
        self.entries = kept;
        let mut builder = SnapshotBuilder {
            fields,
            snapshot: self,
        };
        for (identifier, Changed { entity, is_ours }) in changed {
            let is_ours = is_ours || were_there.contains(&hash_of(&identifier));
            if let Some(entity) = entity.filter(|_| is_ours) {
                builder.add(&identifier, &entity);
            }
        }
        builder.finish()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn compare(&self, entity: &Entity, rule: Rule) -> bool {
        let Identifier::Text(identifier) = &entity.identifier else {
            return true;
        };
        let by_search = |value: &Value| value.is_object();
        let relations = entity.relations.iter().flat_map(Map::values);
        if relations.chain(&entity.team).any(by_search) {
            return true;
        }
        let Some(port) = self.digests_of(hash_of(identifier.as_str())) else {
            return true;
        };
        let ours = digests(
            entity.title.as_ref(),
            entity.team.as_ref(),
            entity.properties.as_ref(),
            entity.relations.as_ref(),
            None,
        );
        let in_port = |digest: &Digest| match find(port, digest.field) {
            Some(value) => value == digest.value,
            None => rule == Rule::Merge && digest.value == NULL,
        };
        let in_ours = |digest: &Digest| {
            rule == Rule::Merge || digest.value == NULL || find(&ours, digest.field).is_some()
        };
        !(ours.iter().all(in_port) && port.iter().all(in_ours))
    }

    /// Of the entity whose identifier has the hash `wanted`.
    pub(super) fn digests_of(&self, wanted: u64) -> Option<&[Digest]> {
        let at = self
            .entries
            .binary_search_by_key(&wanted, |entry| entry.identifier)
            .ok()?;
        let Entry { start, len, .. } = *self.entries.get(at)?;
        let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
        self.digests.get(start..start + len)
    }
}

/// Collects what Port answers, one entity at a time.
pub(super) struct SnapshotBuilder<'a> {
    fields: &'a MappedFields,
    snapshot: Snapshot,
}

impl<'a> SnapshotBuilder<'a> {
    pub(super) fn new(fields: &'a MappedFields) -> SnapshotBuilder<'a> {
        SnapshotBuilder {
            fields,
            snapshot: Snapshot::default(),
        }
    }

    /// Takes an entity as Port shows it. Fields that the mapping does not write are dropped here, whether Port was
    /// asked to leave them out or not.
    pub(super) fn add(&mut self, identifier: &str, entity: &Map<String, Value>) {
        let digests = digests(
            entity.get("title"),
            entity.get("team"),
            entity.get("properties").and_then(Value::as_object),
            entity.get("relations").and_then(Value::as_object),
            Some(self.fields).filter(|fields| !fields.anything),
        );
        let snapshot = &mut self.snapshot;
        // Beyond 2³² digests an entity is not recorded, and so is written.
        if let (Ok(start), Ok(len)) = (
            u32::try_from(snapshot.digests.len()),
            u32::try_from(digests.len()),
        ) {
            snapshot.entries.push(Entry {
                identifier: hash_of(identifier),
                start,
                len,
            });
            snapshot.digests.extend(digests);
        }
    }

    pub(super) fn finish(self) -> Snapshot {
        let mut snapshot = self.snapshot;
        snapshot.entries.sort_by_key(|entry| entry.identifier);
        snapshot.entries.dedup_by_key(|entry| entry.identifier);
        snapshot.entries.shrink_to_fit();
        snapshot.digests.shrink_to_fit();
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::port::digest::tests::entity;

    /// All that `port` and `new` name is mapped.
    fn snapshot(port: &Value, new: &Value) -> Snapshot {
        let fields = MappedFields::of(&[entity(port), entity(new)]);
        let mut builder = SnapshotBuilder::new(&fields);
        builder.add("x", port.as_object().unwrap());
        builder.finish()
    }

    #[test]
    fn differences_are_those_of_the_golden_vectors() {
        let golden: Value = serde_json::from_str(include_str!(
            "../../tests/fixtures/vectors/port-golden.json"
        ))
        .unwrap();
        let vectors = golden["entity_diff"].as_array().unwrap();
        assert_eq!(vectors.len(), 15);
        for vector in vectors {
            let snapshot = snapshot(&vector["port"], &vector["new"]);
            let differs = snapshot.differs(&entity(&vector["new"]));
            assert_eq!(differs, vector["different"] == true, "{}", vector["name"]);
        }
    }

    #[test]
    fn a_merge_changes_only_what_is_named() {
        for (port, new, changed) in [
            (
                json!({ "properties": { "a": 1, "z": 2 } }),
                json!({ "properties": { "a": 1 } }),
                false,
            ),
            (json!({ "team": ["a"], "title": "t" }), json!({}), false),
            (
                json!({ "properties": {} }),
                json!({ "properties": { "z": null } }),
                false,
            ),
            (
                json!({ "properties": { "z": 1 } }),
                json!({ "properties": { "z": null } }),
                true,
            ),
            (
                json!({ "relations": { "r": "a" } }),
                json!({ "relations": { "r": ["a"] } }),
                true,
            ),
            (json!({}), json!({ "title": "t" }), true),
        ] {
            let snapshot = snapshot(&port, &new);
            assert_eq!(
                snapshot.changed_by_merge(&entity(&new)),
                changed,
                "{port} {new}"
            );
        }
    }

    #[test]
    fn what_the_mapping_does_not_write_is_not_compared() {
        let new = entity(&json!({ "properties": { "a": 1 } }));
        let fields = MappedFields::of([&new]);
        let mut builder = SnapshotBuilder::new(&fields);
        let port = json!({ "properties": { "a": 1, "age": 9 }, "relations": { "owner": "me" } });
        builder.add("x", port.as_object().unwrap());
        assert!(!builder.finish().differs(&new));
    }

    #[test]
    fn what_only_port_can_resolve_always_differs() {
        let query = json!({ "combinator": "and", "rules": [] });
        let new = json!({ "relations": { "r": query } });
        assert!(snapshot(&new, &new).differs(&entity(&new)));
        let mut searched = entity(&json!({}));
        searched.identifier = Identifier::Search(query);
        assert!(snapshot(&json!({}), &json!({})).differs(&searched));
    }

    #[test]
    fn fifty_thousand_entities_stay_within_ten_megabytes() {
        let names: Vec<String> = (0..8).map(|name| format!("property{name}")).collect();
        let properties: Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!(1))).collect();
        let port = json!({ "title": "t", "properties": properties });
        let fields = MappedFields::of([&entity(&port)]);
        let mut builder = SnapshotBuilder::new(&fields);
        for at in 0..50_000 {
            builder.add(&at.to_string(), port.as_object().unwrap());
        }
        let snapshot = builder.finish();
        assert_eq!(snapshot.len(), 50_000);
        let bytes = snapshot.entries.capacity() * size_of::<Entry>()
            + snapshot.digests.capacity() * size_of::<Digest>();
        assert!(bytes < 10_000_000, "{bytes}");
    }

    proptest! {
        #[test]
        fn an_entity_equals_itself_and_differs_from_any_other_value(
            values in proptest::collection::btree_map("[a-d]", "[a-z]{0,3}", 1..4),
            other in "[a-z]{4}",
        ) {
            let properties: Map<String, Value> =
                values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let new = json!({ "properties": properties });
            let snapshot = snapshot(&new, &new);
            prop_assert!(!snapshot.differs(&entity(&new)));
            for name in values.keys() {
                let mut changed = new.clone();
                changed["properties"][name] = json!(other);
                prop_assert!(snapshot.differs(&entity(&changed)));
                prop_assert!(snapshot.changed_by_merge(&entity(&changed)));
            }
        }
    }
}
