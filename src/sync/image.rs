//! What an item becomes under the mapping, before anybody knows who else claims the same.
//!
//! Knows resources and raw items. Knows nothing of records, of Port or of where an item was read.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::blueprints::Blueprints;
use super::left_out::LeftOutReport;
use crate::counts::{Counts, IdentifierCounts};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::mapping::jq::Input;
use crate::mapping::{Dropped, Kind, Mapped, MappingReport, Resource};
use crate::port::LeftOut;
use crate::store::run::ANY;

/// All that an item becomes.
#[derive(Clone, Default)]
pub struct Image {
    /// In the order of the mapping, and of the members for each resource.
    pub made: Vec<Made>,
}

/// What one resource makes of an item, or of one member of it.
#[derive(Clone)]
pub struct Made {
    pub resource: Arc<Resource>,
    /// See [`Claim::member`](crate::store::documents::Claim).
    pub member: String,
    /// Addressed by their identifiers.
    pub entities: Vec<Entity>,
    /// Entities that their relations lead to; known after [`Image::resolve`].
    pub targets: BTreeSet<EntityKey>,
    /// Addressed by a search query: somebody else's, which this item enriches. They are nobody's claim.
    pub searched: Vec<Entity>,
    /// Part of it could not be read or mapped. What was claimed before stays claimed.
    pub incomplete: bool,
    /// Nothing is known of it but that it is there: all it claimed before stays.
    pub unread: bool,
}

/// Why an item that is not mapped costs its resource nothing: the items that it should hold are not there.
const NO_ITEMS: &str = "port.itemsToParse";

impl Image {
    /// The entities that the item claims, those of several resources merged, the later ones winning: as Port would
    /// hold them after one write for each.
    pub fn entities(&self, merge: bool) -> BTreeMap<EntityKey, Entity> {
        let mut all: BTreeMap<EntityKey, Entity> = BTreeMap::new();
        for entity in self.made.iter().flat_map(|made| &made.entities) {
            let Some(key) = entity.key() else { continue };
            match all.get_mut(&key) {
                Some(earlier) if merge => merge_into(earlier, entity),
                Some(earlier) => *earlier = entity.clone(),
                None => {
                    all.insert(key, entity.clone());
                }
            }
        }
        all
    }

    pub fn searched(&self) -> impl Iterator<Item = &Entity> {
        self.made.iter().flat_map(|made| &made.searched)
    }

    /// Leaves out of its entities what Port would refuse, says what that is, and finds out what their relations lead to.
    pub fn resolve(&mut self, blueprints: &Blueprints) -> Vec<LeftOut> {
        let mut left_out = Vec::new();
        for made in &mut self.made {
            for entity in made.entities.iter_mut().chain(&mut made.searched) {
                left_out.extend(blueprints.fit(entity));
            }
            made.targets = made.targets(blueprints);
        }
        left_out
    }

    /// All that it writes, in the order of the mapping.
    pub fn all_entities(&self) -> impl Iterator<Item = &Entity> + Clone {
        let made = self.made.iter();
        made.flat_map(|made| made.entities.iter().chain(&made.searched))
    }

    /// Blueprints of the entities that it claims.
    pub fn blueprints(&self) -> BTreeSet<&str> {
        let entities = self.made.iter().flat_map(|made| &made.entities);
        entities.map(|entity| entity.blueprint.as_str()).collect()
    }
}

impl Made {
    /// A member of which only that is known that it is there.
    pub fn unread(resource: Arc<Resource>, member: String) -> Made {
        Made {
            resource,
            member,
            entities: Vec::new(),
            targets: BTreeSet::new(),
            searched: Vec::new(),
            incomplete: true,
            unread: true,
        }
    }

    /// Entities that its relations lead to, as far as `blueprints` tell where they lead.
    fn targets(&self, blueprints: &Blueprints) -> BTreeSet<EntityKey> {
        let mut targets = BTreeSet::new();
        for entity in &self.entities {
            for (relation, value) in entity.relations.iter().flatten() {
                let Some(blueprint) = blueprints.target(&entity.blueprint, relation) else {
                    continue;
                };
                let values = match value {
                    Value::Array(values) => values.as_slice(),
                    value => std::slice::from_ref(value),
                };
                let identifiers = values.iter().filter_map(Value::as_str);
                targets.extend(identifiers.map(|target| EntityKey::new(blueprint, target)));
            }
        }
        targets
    }
}

fn merge_into(earlier: &mut Entity, later: &Entity) {
    let Entity {
        blueprint: _,
        identifier: _,
        title,
        icon,
        team,
        properties,
        relations,
    } = later.clone();
    earlier.title = title.or(earlier.title.take());
    earlier.icon = icon.or(earlier.icon.take());
    earlier.team = team.or(earlier.team.take());
    for (into, from) in [
        (&mut earlier.properties, properties),
        (&mut earlier.relations, relations),
    ] {
        if let Some(from) = from {
            into.get_or_insert_default().extend(from);
        }
    }
}

/// Examples kept of each kind.
const EXAMPLES_PER_KIND: usize = 5;

/// Maps raw items, and remembers what the mapping could not do.
#[derive(Default)]
pub struct Mapper {
    noted: Mutex<Noted>,
    keeps_examples: bool,
}

#[derive(Default)]
struct Noted {
    report: MappingReport,
    left_out: LeftOutReport,
    counts: Counts,
    /// Blueprints of which items could not be mapped.
    unsound: BTreeSet<String>,
    /// By the fingerprints of their resources.
    identifiers: BTreeMap<String, IdentifierCounts>,
    /// Raw items by kind, those whose names have the smallest digests: the same ones in each run.
    examples: BTreeMap<Kind, BTreeMap<u64, Value>>,
}

impl Mapper {
    /// With examples of raw items for Port's mapping editor, where it `keeps_examples`.
    pub fn new(keeps_examples: bool) -> Mapper {
        Mapper {
            keeps_examples,
            ..Mapper::default()
        }
    }

    /// What `resources` make of `raw`, which is `member` of its item.
    pub fn map(&self, resources: &[Arc<Resource>], raw: &Value, member: &str) -> Vec<Made> {
        let input = Input::new(raw);
        let mut noted = self.noted();
        noted.counts.extracted += 1;
        let make = |resource: &Arc<Resource>| {
            if self.keeps_examples {
                noted.keep_example(resource.kind, raw);
            }
            let mapped = resource.map_input(&input);
            noted.report.add(resource, raw, &mapped);
            let lost = |dropped: &&Dropped| dropped.path != NO_ITEMS;
            let lost = mapped.dropped.iter().filter(lost).count() + mapped.failures.len();
            noted.counts.not_mapped += lost;
            noted.counts.filtered_out += mapped.filtered_out;
            if 0 < lost {
                let blueprint = resource.constant_blueprint().unwrap_or(ANY);
                noted.unsound.insert(blueprint.to_owned());
            }
            noted.count_identifiers(resource, &mapped);
            let selected = mapped.entities.into_iter().filter(|item| item.selected);
            let (entities, searched): (Vec<Entity>, Vec<Entity>) = selected
                .map(|item| item.entity)
                .partition(|entity| matches!(entity.identifier, Identifier::Text(_)));
            noted.counts.transformed += entities.len() + searched.len();
            Made {
                resource: Arc::clone(resource),
                member: member.to_owned(),
                entities,
                targets: BTreeSet::new(),
                searched,
                incomplete: 0 < lost,
                unread: false,
            }
        };
        resources.iter().map(make).collect()
    }

    /// Files that a selector matches and that are no items.
    pub fn skipped(&self, files: usize) {
        self.noted().counts.skipped += files;
    }

    /// Values of mapped entities that Port would refuse.
    pub fn left_out(&self, values: Vec<LeftOut>) {
        if values.is_empty() {
            return;
        }
        let mut noted = self.noted();
        for value in values {
            noted.counts.left_out += usize::from(value.misfit.is_loss());
            noted.left_out.add(value);
        }
    }

    /// Every problem of the mapping and of what it gave since this was asked last, each once with its count.
    pub fn take_problems(&self) -> Vec<String> {
        let mut noted = self.noted();
        let report = std::mem::take(&mut noted.report);
        let left_out = std::mem::take(&mut noted.left_out);
        let mut lines = report.lines();
        lines.extend(left_out.lines());
        lines
    }

    /// What was counted since this was asked last.
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.noted().counts)
    }

    /// What came of identifiers since this was asked last, by the fingerprints of their resources.
    pub fn take_identifiers(&self) -> BTreeMap<String, IdentifierCounts> {
        std::mem::take(&mut self.noted().identifiers)
    }

    /// Blueprints of which something could not be mapped since this was asked last; [`ANY`] where it may be any.
    pub fn take_unsound(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.noted().unsound)
    }

    /// A few raw items of each kind.
    pub fn take_examples(&self) -> BTreeMap<Kind, Vec<Value>> {
        let examples = std::mem::take(&mut self.noted().examples);
        let examples = examples.into_iter();
        examples
            .map(|(kind, items)| (kind, items.into_values().collect()))
            .collect()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn count_identifiers(&mut self, resource: &Resource, mapped: &Mapped) {
        let counts = IdentifierCounts {
            usable: mapped.entities.iter().filter(|item| item.selected).count(),
            unusable: mapped.unidentified,
        };
        if let Some(known) = self.identifiers.get_mut(&resource.fingerprint) {
            *known += counts;
        } else {
            self.identifiers.insert(resource.fingerprint.clone(), counts);
        }
    }

    fn keep_example(&mut self, kind: Kind, raw: &Value) {
        let digest = name_digest(raw);
        let kept = self.examples.entry(kind).or_default();
        let is_wanted = kept.len() < EXAMPLES_PER_KIND
            || kept
                .last_key_value()
                .is_some_and(|(last, _)| digest < *last);
        if is_wanted && !kept.contains_key(&digest) {
            kept.insert(digest, raw.clone());
            if EXAMPLES_PER_KIND < kept.len() {
                kept.pop_last();
            }
        }
    }
}

/// Of what names a raw item, in whatever shape.
fn name_digest(raw: &Value) -> u64 {
    const NAMES: [&str; 9] = [
        "/uuid",
        "/key",
        "/id",
        "/user/uuid",
        "/destination/repository/uuid",
        "/repo/uuid",
        "/branch",
        "/folder/path",
        "/metadata/path",
    ];
    let mut hasher = DefaultHasher::new();
    for name in NAMES {
        raw.pointer(name).map(Value::to_string).hash(&mut hasher);
    }
    for part in ["branch", "tag", "pipeline", "deployment", "environment"] {
        for name in ["name", "uuid"] {
            let value = raw.get(part).and_then(|part| part.get(name));
            value.map(Value::to_string).hash(&mut hasher);
        }
    }
    hasher.finish()
}
