//! Mapping raw items, and remembering what the mapping could not do: problems, counts, examples.
//!
//! Knows resources and raw items. Knows nothing of records, of Port or of where an item was read.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::image::{Made, Twins};
use super::left_out::{LeftOutAt, LeftOutReport};
use crate::counts::{Counts, IdentifierCounts, Tallied};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::locked::locked;
use crate::mapping::jq::Input;
use crate::mapping::{Dropped, Kind, Mapped, MappingReport, Resource, ResourceFigures};
use crate::store::run::ANY;

/// Why an item that is not mapped costs its resource nothing: the items that it should hold are not there.
const NO_ITEMS: &str = "port.itemsToParse";

/// Entities made twice of one item that are named.
const MOST_TWINS: usize = 50;

/// Examples kept of each kind.
const EXAMPLES_PER_KIND: usize = 5;

/// Maps raw items, and remembers what the mapping could not do.
#[derive(Default)]
pub struct Mapper {
    noted: Mutex<Noted>,
    keeps_examples: bool,
}

/// What a run has to know of what was mapped. [`ANY`] stands for every blueprint.
#[derive(Default)]
pub struct Noticed {
    pub counts: Counts,
    /// Files that a selector matches and that are no items, by the position of its resource.
    pub skipped: BTreeMap<usize, usize>,
    /// What came of identifiers, by the fingerprints of their resources.
    pub identifiers: BTreeMap<String, IdentifierCounts>,
    /// Blueprints of which something could not be mapped, or may not have been seen.
    pub unsound: BTreeSet<String>,
    /// Blueprints of which a list of several pages, which cannot be read by key, may have overlooked something.
    pub open: BTreeSet<String>,
}

#[derive(Default)]
struct Noted {
    report: MappingReport,
    left_out: LeftOutReport,
    /// What is said of entities that one item makes twice, and differently.
    twins: BTreeMap<EntityKey, String>,
    noticed: Noticed,
    /// What each resource has given, by its position.
    figures: BTreeMap<usize, ResourceFigures>,
    /// Raw items by kind, those whose names have the smallest digests: the same ones in each run.
    examples: BTreeMap<Kind, BTreeMap<u64, Value>>,
}

/// The blueprint of which something may be missing where an item of `resource` is; [`ANY`] where it may be any.
pub fn blueprint_or_any(resource: &Resource) -> &str {
    resource.constant_blueprint().unwrap_or(ANY)
}

/// Of each of `resources`, as [`blueprint_or_any`] says.
pub fn blueprints_of(resources: &[Arc<Resource>]) -> impl Iterator<Item = String> {
    let blueprints = resources.iter().map(|one| blueprint_or_any(one));
    blueprints.map(str::to_owned)
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
        noted.noticed.counts.extracted += 1;
        let make = |resource: &Arc<Resource>| {
            if self.keeps_examples {
                noted.keep_example(resource.kind, raw);
            }
            let mapped = resource.map_input(&input);
            noted.report.add(resource, raw, &mapped);
            let figures = noted.figures.entry(resource.index).or_default();
            figures.add(raw, &mapped);
            let lost = |dropped: &&Dropped| dropped.path != NO_ITEMS;
            let lost = mapped.dropped.iter().filter(lost).count() + mapped.failures.len();
            let is_remarkable = MappingReport::says_anything_of(&mapped);
            noted.noticed.counts.not_mapped += lost;
            noted.noticed.counts.filtered_out += mapped.filtered_out;
            if 0 < lost {
                let blueprint = blueprint_or_any(resource);
                noted.noticed.unsound.insert(blueprint.to_owned());
            }
            noted.count_identifiers(resource, &mapped);
            let selected = mapped.entities.into_iter().filter(|item| item.selected);
            let (entities, searched): (Vec<Entity>, Vec<Entity>) = selected
                .map(|item| item.entity)
                .partition(|entity| matches!(entity.identifier, Identifier::Text(_)));
            noted.noticed.counts.transformed += entities.len() + searched.len();
            Made {
                resource: Arc::clone(resource),
                member: member.to_owned(),
                entities,
                targets: BTreeSet::new(),
                searched,
                filtered_out: mapped.filtered_out,
                is_remarkable,
                failed: lost,
                incomplete: 0 < lost,
                unread: false,
                lost: None,
            }
        };
        resources.iter().map(make).collect()
    }

    /// Files that the selector of `resources` matches and that are no items.
    pub fn skipped(&self, resources: &[Arc<Resource>], files: usize) {
        let mut noted = self.noted();
        noted.noticed.counts.skipped += files;
        if let Some(resource) = resources.first().filter(|_| 0 < files) {
            *noted.noticed.skipped.entry(resource.index).or_default() += files;
        }
    }

    /// Values of mapped entities that Port would refuse.
    pub fn left_out(&self, values: Vec<LeftOutAt>) {
        if values.is_empty() {
            return;
        }
        let mut noted = self.noted();
        for value in values {
            noted.noticed.counts.left_out += usize::from(value.value.misfit.is_loss());
            noted.left_out.add(value);
        }
    }

    /// Entities that one item makes twice, and differently.
    pub fn twins(&self, twins: Vec<Twins>) {
        if twins.is_empty() {
            return;
        }
        let known = &mut self.noted().twins;
        for Twins {
            key,
            place,
            members,
        } in twins
        {
            if known.len() < MOST_TWINS || known.contains_key(&key) {
                let [first, last] = members;
                let what = match first.is_empty() && last.is_empty() {
                    true => format!(
                        "{key} is made twice of one item, and differently: the last one is written"
                    ),
                    false => format!(
                        "{key} stands for {first} and {last}, which differ: {last} is written"
                    ),
                };
                let line = format!("{place}: {what}; make the identifier name one of them");
                known.insert(key, line);
            }
        }
    }

    /// Every problem of the mapping and of what it gave since this was asked last, each once with its count.
    pub fn take_problems(&self) -> Vec<Tallied> {
        let mut noted = self.noted();
        let report = std::mem::take(&mut noted.report);
        let left_out = std::mem::take(&mut noted.left_out);
        let twins = std::mem::take(&mut noted.twins);
        let mut lines = report.lines();
        lines.extend(left_out.lines());
        lines.extend(twins.into_values().map(Tallied::single));
        lines
    }

    /// What else was noticed since this was asked last.
    pub fn take_noticed(&self) -> Noticed {
        std::mem::take(&mut self.noted().noticed)
    }

    /// What the resource has given since this was made.
    pub fn figures(&self, resource: &Resource) -> ResourceFigures {
        let figures = &self.noted().figures;
        figures.get(&resource.index).cloned().unwrap_or_default()
    }

    /// Something of `resources` may not have been seen.
    pub fn doubt(&self, resources: &[Arc<Resource>]) {
        self.noted()
            .noticed
            .unsound
            .extend(blueprints_of(resources));
    }

    /// A list of several pages, which cannot be read by key, may have overlooked something of `resources`.
    pub fn leave_open(&self, resources: &[Arc<Resource>]) {
        self.noted().noticed.open.extend(blueprints_of(resources));
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
        locked(&self.noted)
    }
}

impl Noted {
    fn count_identifiers(&mut self, resource: &Resource, mapped: &Mapped) {
        let counts = IdentifierCounts {
            usable: mapped.entities.iter().filter(|item| item.selected).count(),
            unusable: mapped.unidentified,
        };
        if let Some(known) = self.noticed.identifiers.get_mut(&resource.fingerprint) {
            *known += counts;
        } else {
            self.noticed
                .identifiers
                .insert(resource.fingerprint.clone(), counts);
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
