//! Transform and load: the one place where resync and live events meet.
//!
//! Raw items go in; entities are written to Port, and it is said which entities each item stands for. Knows neither
//! where items come from nor when anything is deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey, Identifier};
use crate::mapping::{Mapping, MappingReport};
use crate::port::{self, PortClient, Snapshot, UpsertOptions, WriteEvent};

/// One mapping, one target, one occasion.
pub struct Pipeline<'a> {
    port: &'a PortClient,
    mapping: &'a Mapping,
    options: UpsertOptions,
    /// What Port held of ours when a blueprint was first met; only a resync compares.
    snapshots: Option<Mutex<HashMap<String, Arc<OnceCell<Option<Snapshot>>>>>>,
    report: Mutex<MappingReport>,
}

/// Entities that one raw item (or several) stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    /// Selected and mapped, whether or not Port took them.
    pub keys: BTreeSet<EntityKey>,
    /// What their relations point at.
    pub targets: BTreeSet<Target>,
    /// Mapped, but not selected: they should not be in the catalogue.
    #[serde(skip)]
    pub unselected: BTreeSet<EntityKey>,
    /// Items of which it cannot be said what they stand for.
    #[serde(skip)]
    pub failures: usize,
}

/// The end of a relation: an entity that Port may have created for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Blueprint of the entity that has the relation; Port knows where the relation leads.
    pub source_blueprint: String,
    pub relation: String,
    pub identifier: String,
}

/// What became of a batch of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Raw items taken in.
    pub extracted: usize,
    /// Entities mapped and selected.
    pub transformed: usize,
    /// Items and entities that the selector turned away.
    pub filtered_out: usize,
    /// Items that could not be mapped, or stand for nothing Port would take.
    pub not_mapped: usize,
    /// Entities written.
    pub written: usize,
    /// Entities that Port already had as they are.
    pub unchanged: usize,
    /// Entities that Port refused.
    pub refused: usize,
    pub deleted: usize,
}

/// The outcome for a batch: what each raw item stands for, in order, and what was done.
#[derive(Debug, Default)]
pub struct Processed {
    pub items: Vec<Produced>,
    pub counts: Counts,
    /// The first few refusals of Port, for logs and for the report.
    pub refusals: Vec<String>,
}

/// Refusals kept per batch; the rest is counted.
const SHOWN_REFUSALS: usize = 5;

impl<'a> Pipeline<'a> {
    /// A resync reads what Port holds and writes only what differs.
    pub fn for_resync(port: &'a PortClient, mapping: &'a Mapping, run_id: &str) -> Pipeline<'a> {
        let event = WriteEvent::Resync { id: run_id.to_owned() };
        Pipeline { snapshots: Some(Mutex::default()), ..Pipeline::for_live(port, mapping).with_event(event) }
    }

    /// A live event writes what it finds: asking first would cost as much.
    pub fn for_live(port: &'a PortClient, mapping: &'a Mapping) -> Pipeline<'a> {
        let options = UpsertOptions {
            merge: mapping.settings().enable_merge_entity,
            create_missing_related: mapping.settings().create_missing_related_entities,
            event: WriteEvent::Live,
        };
        Pipeline { port, mapping, options, snapshots: None, report: Mutex::default() }
    }

    fn with_event(mut self, event: WriteEvent) -> Pipeline<'a> {
        self.options.event = event;
        self
    }

    /// Maps `raw` for `resources` and writes the result. Returns only after Port has answered for every entity.
    pub async fn process(
        &self,
        resources: &[usize],
        raw: &[Value],
        deadline: &Deadline,
    ) -> Result<Processed, port::Error> {
        let (items, entities, mut counts) = self.transform(resources, raw);
        counts.transformed = entities.len();
        let mut changed = Vec::new();
        for entity in merged(entities, self.options.merge) {
            if self.differs(&entity, deadline).await? { changed.push(entity) } else { counts.unchanged += 1 }
        }
        let mut refusals = Vec::new();
        if !changed.is_empty() {
            let report = self.port.upsert(&changed, &self.options, deadline).await?;
            counts.written = report.written;
            counts.refused = report.failed.len();
            refusals = report.failed.iter().take(SHOWN_REFUSALS).map(ToString::to_string).collect();
        }
        Ok(Processed { items, counts, refusals })
    }

    /// What `raw` stands for, without writing anything.
    pub fn produced(&self, resources: &[usize], raw: &Value) -> Produced {
        let (items, ..) = self.transform(resources, std::slice::from_ref(raw));
        items.into_iter().next().unwrap_or_default()
    }

    /// All mapping problems met so far, each once with its count.
    pub fn take_report(&self) -> MappingReport {
        std::mem::take(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn transform(&self, resources: &[usize], raw: &[Value]) -> (Vec<Produced>, Vec<Entity>, Counts) {
        let mut counts = Counts { extracted: raw.len(), ..Counts::default() };
        let mut entities = Vec::new();
        let mut items = Vec::with_capacity(raw.len());
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        for raw in raw {
            let mut produced = Produced::default();
            for resource in resources.iter().filter_map(|&index| self.mapping.resources().get(index)) {
                let mapped = resource.map(raw);
                report.add(resource, &mapped);
                counts.not_mapped += mapped.dropped.len() + mapped.failures.len();
                produced.failures += mapped.failures.len();
                for item in mapped.entities {
                    if item.selected {
                        note_targets(&item.entity, &mut produced.targets);
                        produced.keys.extend(item.entity.key());
                        entities.push(item.entity);
                    } else {
                        counts.filtered_out += 1;
                        produced.unselected.extend(item.entity.key());
                    }
                }
            }
            // Another resource may select what one turned away.
            let Produced { keys, unselected, .. } = &mut produced;
            unselected.retain(|key| !keys.contains(key));
            items.push(produced);
        }
        (items, entities, counts)
    }

    async fn differs(&self, entity: &Entity, deadline: &Deadline) -> Result<bool, port::Error> {
        let Some(snapshots) = &self.snapshots else { return Ok(true) };
        let cell = {
            let mut snapshots = snapshots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(snapshots.entry(entity.blueprint.clone()).or_default())
        };
        let snapshot = cell
            .get_or_try_init(|| async {
                match self.port.snapshot(&entity.blueprint, deadline).await {
                    Ok(snapshot) => Ok(Some(snapshot)),
                    // Writing will say so for each entity.
                    Err(port::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        Ok(snapshot.as_ref().is_none_or(|snapshot| snapshot.differs(entity, self.options.merge)))
    }
}

/// One write per entity: when several resources map the same one and Port merges, so do we, later ones winning.
/// That is what Port would end up with, and it lets an unchanged entity be recognised.
fn merged(entities: Vec<Entity>, merge: bool) -> Vec<Entity> {
    if !merge {
        return entities;
    }
    let mut result: Vec<Entity> = Vec::with_capacity(entities.len());
    let mut positions: BTreeMap<EntityKey, usize> = BTreeMap::new();
    for entity in entities {
        let Some(key) = entity.key() else {
            result.push(entity);
            continue;
        };
        match positions.get(&key).and_then(|&position| result.get_mut(position)) {
            Some(earlier) => merge_into(earlier, entity),
            None => {
                positions.insert(key, result.len());
                result.push(entity);
            }
        }
    }
    result
}

fn merge_into(earlier: &mut Entity, later: Entity) {
    let Entity { blueprint: _, identifier: _, title, icon, team, properties, relations } = later;
    earlier.title = title.or(earlier.title.take());
    earlier.icon = icon.or(earlier.icon.take());
    earlier.team = team.or(earlier.team.take());
    for (into, from) in [(&mut earlier.properties, properties), (&mut earlier.relations, relations)] {
        if let Some(from) = from {
            into.get_or_insert_default().extend(from);
        }
    }
}

fn note_targets(entity: &Entity, targets: &mut BTreeSet<Target>) {
    if let Identifier::Search(_) = entity.identifier {
        return;
    }
    for (relation, value) in entity.relations.iter().flatten() {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for identifier in values.iter().filter_map(Value::as_str) {
            targets.insert(Target {
                source_blueprint: entity.blueprint.clone(),
                relation: relation.clone(),
                identifier: identifier.to_owned(),
            });
        }
    }
}

impl Produced {
    /// Takes in what another item stands for.
    pub fn absorb(&mut self, other: Produced) {
        let Produced { keys, targets, unselected, failures } = other;
        self.keys.extend(keys);
        self.targets.extend(targets);
        self.unselected.extend(unselected);
        self.failures += failures;
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        let Counts { extracted, transformed, filtered_out, not_mapped, written, unchanged, refused, deleted } = other;
        self.extracted += extracted;
        self.transformed += transformed;
        self.filtered_out += filtered_out;
        self.not_mapped += not_mapped;
        self.written += written;
        self.unchanged += unchanged;
        self.refused += refused;
        self.deleted += deleted;
    }
}
