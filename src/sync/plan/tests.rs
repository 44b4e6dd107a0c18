//! Random worlds of items that claim the same few entities: whatever is looked at, in whatever order, Port holds in the
//! end what the items claim, and nothing that is claimed was deleted in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::entity::Identifier;
use crate::identity::{ItemId, RepositoryId};
use crate::mapping::Mapping;
use crate::store::documents::{Entry, Stamp};
use crate::sync::image::{Image, Made};
use crate::sync::settle::{Fate, Results, announced, differs_from_record, settle};

const BLUEPRINT: &str = "thing";

/// Keys that items share.
const KEYS: u8 = 4;

/// Three sources; each of two neighbours writes one field in common.
fn sources() -> Sources {
    let resource = |kind: &str, fields: &[&str]| {
        let properties: Map<String, Value> = fields
            .iter()
            .map(|field| ((*field).to_owned(), json!(format!(".{field}"))))
            .collect();
        json!({
            "kind": kind,
            "selector": {"query": "true"},
            "port": {"entity": {"mappings": {
                "identifier": ".name",
                "blueprint": format!("\"{BLUEPRINT}\""),
                "properties": properties,
            }}},
        })
    };
    let config = json!({"resources": [
        resource("project", &["a", "b"]),
        resource("repository", &["b", "c"]),
        resource("pull-request", &["c", "d"]),
    ]});
    Sources::new(Arc::new(Mapping::from_config(&config).unwrap()))
}

/// One whole item, and two of each source that is read by repository.
fn items(sources: &Sources) -> Vec<ItemRef> {
    let repositories = ["{1}", "{2}"].map(RepositoryId::new);
    let mut items = Vec::new();
    for (position, group) in sources.groups().iter().enumerate() {
        match position {
            0 => items.push(group.partition(None).item(ItemId::Whole)),
            1 => items.extend(
                repositories
                    .iter()
                    .map(|one| group.partition(Some(one)).item(ItemId::Whole)),
            ),
            _ => items.extend((1..3).map(|id| {
                group
                    .partition(repositories.first())
                    .item(ItemId::Number(id))
            })),
        }
    }
    items
}

fn key(number: u8) -> EntityKey {
    EntityKey::new(BLUEPRINT, number.to_string())
}

/// What an item becomes: the entities that it claims, each in a version of its own, and those that it leads to.
#[derive(Clone, Debug, Default)]
struct Truth {
    claims: BTreeMap<u8, u8>,
    targets: BTreeSet<u8>,
}

fn image(sources: &Sources, item: &ItemRef, truth: &Truth) -> Image {
    let resource = &sources.group(&item.partition.source).unwrap().resources[0];
    let entity = |(number, version): (&u8, &u8)| {
        let value = |field: &str| {
            (
                field.to_owned(),
                json!(format!("{item:?} {field} {version}")),
            )
        };
        Entity {
            blueprint: BLUEPRINT.to_owned(),
            identifier: Identifier::Text(number.to_string()),
            title: None,
            icon: None,
            team: None,
            properties: Some(resource.property_names().map(value).collect()),
            relations: None,
        }
    };
    Image {
        made: vec![Made {
            resource: Arc::clone(resource),
            member: String::new(),
            entities: truth.claims.iter().map(entity).collect(),
            targets: truth.targets.iter().map(|number| key(*number)).collect(),
            searched: Vec::new(),
            filtered_out: 0,
            is_remarkable: false,
            failed: 0,
            incomplete: false,
            unread: false,
            lost: None,
        }],
        basis: None,
    }
}

#[derive(Clone, Debug)]
struct Commit {
    /// Items whose truth changes to this.
    changes: BTreeMap<usize, Truth>,
    /// Which of its calls Port does not answer.
    lost: Vec<bool>,
    backwards: bool,
}

#[derive(Default)]
struct World {
    port: BTreeMap<EntityKey, Map<String, Value>>,
    entries: BTreeMap<ItemRef, Entry>,
    truths: BTreeMap<ItemRef, Truth>,
    stamp: u64,
}

impl World {
    fn others(&self, seen: &[Seen]) -> Others {
        let mut others = Others::default();
        for (item, entry) in &self.entries {
            if seen.iter().any(|seen| seen.item == *item) {
                continue;
            }
            for claim in &entry.claims {
                for held in &claim.content {
                    let items = others.content.entry(held.key.clone()).or_default();
                    items.insert(item.clone(), held.written);
                }
                others.targets.extend(claim.targets.iter().cloned());
            }
        }
        others
    }

    fn look(&self, sources: &Sources, item: &ItemRef) -> Seen {
        let truth = self.truths.get(item).cloned().unwrap_or_default();
        let sight = match truth.claims.is_empty() && truth.targets.is_empty() {
            true => Sight::Gone,
            false => Sight::Present(image(sources, item, &truth)),
        };
        Seen {
            item: item.clone(),
            before: self.entries.get(item).cloned(),
            sight,
        }
    }

    /// Commits what is seen of `items`. Returns what is to be looked at again, and the number of calls of Port.
    fn commit(
        &mut self,
        sources: &Sources,
        items: &BTreeSet<ItemRef>,
        (lost, backwards): (&[bool], bool),
        is_woken: bool,
    ) -> (BTreeSet<ItemRef>, usize) {
        let mut seen: Vec<Seen> = items.iter().map(|item| self.look(sources, item)).collect();
        // As the looks do that are taken because an item was woken.
        for entry in seen.iter_mut().filter_map(|seen| seen.before.as_mut()) {
            entry.sure &= !is_woken;
        }
        let others = self.others(&seen);
        let plan = plan(&Situation {
            sources,
            seen: &seen,
            others: &others,
            differs: &differs_from_record,
            keep_all: None,
            distrusted: &Distrusted::default(),
            is_complete: true,
        });
        self.stamp += 1;
        let stamp = Stamp(self.stamp);
        for (seen, claims) in seen.iter().zip(&plan.claims) {
            let entry = announced(seen, claims, stamp);
            self.entries.insert(seen.item.clone(), entry);
        }
        let answers = |position: usize| !lost.get(position).copied().unwrap_or_default();
        let mut results = Results {
            writes: vec![Fate::Later; plan.writes.len()],
            deletes: BTreeMap::new(),
        };
        let mut order: Vec<usize> = (0..plan.writes.len()).collect();
        if backwards {
            order.reverse();
        }
        for position in order {
            let write = &plan.writes[position];
            let written = self.port.entry(write.entity.key().unwrap()).or_default();
            written.extend(write.entity.properties.clone().unwrap());
            if answers(position) {
                results.writes[position] = Fate::Done;
            }
            let made = match &seen[write.seen].sight {
                Sight::Present(image) => &image.made[0],
                Sight::Gone => panic!("an item that is gone writes"),
            };
            for target in &made.targets {
                self.port.entry(target.clone()).or_default();
            }
        }
        for (position, key) in plan.deletes.iter().enumerate() {
            self.assert_may_go(key);
            self.port.remove(key);
            let deletion = match answers(plan.writes.len() + position) {
                true => Fate::Done,
                false => Fate::Later,
            };
            results.deletes.insert(key.clone(), deletion);
        }
        let calls = plan.writes.len() + plan.deletes.len();
        let at = (stamp, Timestamp::UNIX_EPOCH);
        let settlement = settle(&seen, &plan, &results, sources, at);
        self.entries.extend(settlement.entries);
        let mut again = plan.wakes;
        again.extend(settlement.later);
        (again, calls)
    }

    fn assert_may_go(&self, key: &EntityKey) {
        let number: u8 = key.identifier.parse().unwrap();
        for (item, truth) in &self.truths {
            // An item that is to be looked at yet may come to claim it; then it is written again.
            let is_recorded = self.entries.get(item).is_some_and(|entry| {
                let mut content = entry.claims.iter().flat_map(|claim| &claim.content);
                entry.sure && content.any(|held| held.key == *key)
            });
            assert!(
                !(is_recorded && truth.claims.contains_key(&number)),
                "{key} is deleted, which {item:?} claims"
            );
        }
    }

    /// What Port should hold of each entity: of each source the first that claims it, the later source winning.
    fn expected(&self, sources: &Sources) -> BTreeMap<EntityKey, Map<String, Value>> {
        let mut expected: BTreeMap<EntityKey, Map<String, Value>> = BTreeMap::new();
        for group in sources.groups() {
            let mut written = BTreeSet::new();
            let own = |item: &&ItemRef| item.partition.source == group.id;
            for item in self.truths.keys().filter(own) {
                for made in image(sources, item, &self.truths[item]).made {
                    for entity in made.entities {
                        let key = entity.key().unwrap();
                        if written.insert(key.clone()) {
                            let properties = entity.properties.unwrap_or_default();
                            expected.entry(key).or_default().extend(properties);
                        }
                    }
                }
            }
        }
        expected
    }
}

fn truth() -> impl Strategy<Value = Truth> {
    let claims = proptest::collection::btree_map(0..KEYS, 0..3_u8, 0..3);
    let targets = proptest::collection::btree_set(0..KEYS, 0..2);
    (claims, targets).prop_map(|(claims, targets)| Truth {
        // Only an entity that is written leads anywhere.
        targets: match claims.is_empty() {
            true => BTreeSet::new(),
            false => targets,
        },
        claims,
    })
}

fn history() -> impl Strategy<Value = Vec<Commit>> {
    let changes = proptest::collection::btree_map(0..5_usize, truth(), 1..4);
    let lost = proptest::collection::vec(proptest::bool::weighted(0.2), 12);
    let commit = (changes, lost, any::<bool>()).prop_map(|(changes, lost, backwards)| Commit {
        changes,
        lost,
        backwards,
    });
    proptest::collection::vec(commit, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn port_holds_in_the_end_what_the_items_claim(history in history()) {
        let sources = sources();
        let items = items(&sources);
        let mut world = World::default();
        let mut again = BTreeSet::new();
        for commit in &history {
            let mut changed = BTreeSet::new();
            for (position, truth) in &commit.changes {
                world.truths.insert(items[*position].clone(), truth.clone());
                changed.insert(items[*position].clone());
            }
            let (more, _) = world.commit(&sources, &changed, (&commit.lost, commit.backwards), false);
            again.extend(more);
        }
        // One after the other, as events would have it.
        for _ in 0..1000 {
            let Some(item) = again.pop_first() else { break };
            let (more, _) = world.commit(&sources, &BTreeSet::from([item]), (&[], false), true);
            again.extend(more);
        }
        prop_assert!(again.is_empty(), "it never comes to rest");
        let expected = world.expected(&sources);
        let targets = world.truths.values().flat_map(|truth| &truth.targets);
        let targets: BTreeSet<EntityKey> = targets.map(|number| key(*number)).collect();
        for key in world.port.keys() {
            prop_assert!(expected.contains_key(key) || targets.contains(key), "{} stays", key);
        }
        for (key, fields) in &expected {
            let held = world.port.get(key);
            prop_assert!(held.is_some(), "{} is missing", key);
            for (field, value) in fields {
                let found = held.and_then(|held| held.get(field));
                prop_assert_eq!(found, Some(value), "{} {}", key, field);
            }
        }
        let all: BTreeSet<ItemRef> = world.truths.keys().cloned().collect();
        // What was announced and came to nothing may cost a write more.
        world.commit(&sources, &all, (&[], false), false);
        let (woken, calls) = world.commit(&sources, &all, (&[], false), false);
        prop_assert_eq!((woken.len(), calls), (0, 0), "what is in step is not touched");
    }
}
