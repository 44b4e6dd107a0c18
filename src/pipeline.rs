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
use crate::mapping::jq::Input;
use crate::mapping::{Mapping, MappingReport};
use crate::port::{
    self, FailedEntity, MappedFields, PortClient, Snapshot, UpsertOptions, WriteEvent,
};

/// One mapping, one target, one occasion.
pub struct Pipeline<'a> {
    port: &'a PortClient,
    mapping: &'a Mapping,
    options: UpsertOptions,
    /// Only a resync compares and waits.
    resync: Option<Comparison>,
    report: Mutex<MappingReport>,
}

/// What a resync keeps in mind between batches.
#[derive(Default)]
struct Comparison {
    /// What Port held of ours when a blueprint was first met.
    snapshots: Mutex<HashMap<String, Arc<OnceCell<Option<Snapshot>>>>>,
    /// Entities that Port refused because a relation target did not exist yet.
    waiting: Mutex<Vec<Entity>>,
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
    /// Those of the keys that Port had before; only a live event is told.
    #[serde(skip)]
    pub known: BTreeSet<EntityKey>,
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
    /// Files that a selector matches and that cannot be read as such.
    #[serde(default)]
    pub skipped: usize,
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

/// A batch that was mapped, and not yet written. Much smaller than what it was mapped from.
#[derive(Debug)]
pub struct Mapped {
    items: Vec<Produced>,
    entities: Vec<Entity>,
    counts: Counts,
}

/// What Port said about a batch.
#[derive(Default)]
struct Written {
    /// The first few, worded.
    refusals: Vec<String>,
    known: BTreeSet<EntityKey>,
}

/// Refusals kept per batch; the rest is counted.
const SHOWN_REFUSALS: usize = 5;

/// Entities that may wait for their relation targets at once; they are in memory, a few KB each.
const MAX_WAITING: usize = 2_000;

impl<'a> Pipeline<'a> {
    /// A resync reads what Port holds and writes only what differs.
    pub fn for_resync(port: &'a PortClient, mapping: &'a Mapping, run_id: &str) -> Pipeline<'a> {
        let event = WriteEvent::Resync {
            id: run_id.to_owned(),
        };
        let live = Pipeline::for_live(port, mapping);
        let options = UpsertOptions {
            event,
            ..live.options
        };
        Pipeline {
            options,
            resync: Some(Comparison::default()),
            ..live
        }
    }

    /// A live event writes what it finds: asking first would cost as much.
    pub fn for_live(port: &'a PortClient, mapping: &'a Mapping) -> Pipeline<'a> {
        let options = UpsertOptions {
            merge: mapping.settings().enable_merge_entity,
            create_missing_related: mapping.settings().create_missing_related_entities,
            event: WriteEvent::Live,
        };
        Pipeline {
            port,
            mapping,
            options,
            resync: None,
            report: Mutex::default(),
        }
    }

    /// Maps `raw` for `resources` and writes the result. Returns only after Port has answered for every entity.
    pub async fn process(
        &self,
        resources: &[usize],
        raw: &[Value],
        deadline: &Deadline,
    ) -> Result<Processed, port::Error> {
        self.load(self.transform(resources, raw), deadline).await
    }

    /// Writes what was mapped. Returns only after Port has answered for every entity.
    pub async fn load(
        &self,
        mapped: Mapped,
        deadline: &Deadline,
    ) -> Result<Processed, port::Error> {
        let Mapped {
            mut items,
            entities,
            mut counts,
        } = mapped;
        let mut changed = Vec::new();
        for entity in merged(entities, self.options.merge) {
            if self.differs(&entity, deadline).await? {
                changed.push(entity)
            } else {
                counts.unchanged += 1
            }
        }
        let Written { refusals, known } = self.write(changed, &mut counts, true, deadline).await?;
        for item in &mut items {
            item.known = known.intersection(&item.keys).cloned().collect();
        }
        Ok(Processed {
            items,
            counts,
            refusals,
        })
    }

    /// Writes the entities that waited for their relation targets. Call when all kinds have been through.
    pub async fn settle(&self, deadline: &Deadline) -> Result<Processed, port::Error> {
        let waiting = match &self.resync {
            Some(comparison) => std::mem::take(&mut *locked(&comparison.waiting)),
            None => Vec::new(),
        };
        let (count, mut counts) = (waiting.len(), Counts::default());
        let Written { refusals, .. } = self
            .write(waiting, &mut counts, false, deadline)
            .await
            .inspect_err(|_| {
                tracing::warn!(
                    count,
                    "entities that lack a relation target were not tried again"
                );
            })?;
        Ok(Processed {
            items: Vec::new(),
            counts,
            refusals,
        })
    }

    /// An error that would meet every entity is returned as such, whether or
    /// not some were written before it: doing the batch again changes nothing about those.
    async fn write(
        &self,
        entities: Vec<Entity>,
        counts: &mut Counts,
        may_wait: bool,
        deadline: &Deadline,
    ) -> Result<Written, port::Error> {
        let mut written = Written::default();
        if entities.is_empty() {
            return Ok(written);
        }
        let report = self.port.upsert(&entities, &self.options, deadline).await?;
        if let Some(error) = report.stopped {
            return Err(error);
        }
        counts.written += report.written;
        if self.resync.is_none() {
            let known = report.known.iter().filter_map(|&index| entities.get(index));
            written.known = known.filter_map(Entity::key).collect();
        }
        for failed in report.failed {
            if may_wait && self.wait(&failed, &entities) {
                continue;
            }
            counts.refused += 1;
            if written.refusals.len() < SHOWN_REFUSALS {
                written.refusals.push(failed.to_string());
            }
        }
        Ok(written)
    }

    /// Puts an entity aside whose relation targets a later batch may bring.
    fn wait(&self, failed: &FailedEntity, entities: &[Entity]) -> bool {
        let Some(comparison) = &self.resync else {
            return false;
        };
        let mut waiting = locked(&comparison.waiting);
        match entities.get(failed.index) {
            Some(entity) if failed.lacks_target() && waiting.len() < MAX_WAITING => {
                waiting.push(entity.clone());
                true
            }
            _ => false,
        }
    }

    /// What `raw` stands for, without writing anything.
    pub fn produced(&self, resources: &[usize], raw: &Value) -> Produced {
        let mapped = self.transform(resources, std::slice::from_ref(raw));
        mapped.items.into_iter().next().unwrap_or_default()
    }

    /// All mapping problems met so far, each once with its count.
    pub fn take_report(&self) -> MappingReport {
        std::mem::take(&mut locked(&self.report))
    }

    /// Maps `raw` for `resources`.
    pub fn transform(&self, resources: &[usize], raw: &[Value]) -> Mapped {
        let mut counts = Counts {
            extracted: raw.len(),
            ..Counts::default()
        };
        let mut entities = Vec::new();
        let mut items = Vec::with_capacity(raw.len());
        let mut report = locked(&self.report);
        for raw in raw {
            let mut produced = Produced::default();
            let input = Input::new(raw);
            for resource in resources
                .iter()
                .filter_map(|&index| self.mapping.resources().get(index))
            {
                let mapped = resource.map_input(&input);
                report.add(resource, raw, &mapped);
                counts.not_mapped += mapped.dropped.len() + mapped.failures.len();
                counts.filtered_out += mapped.filtered_out;
                produced.failures += mapped.failures.len();
                for item in mapped.entities {
                    if item.selected {
                        note_targets(&item.entity, &mut produced.targets);
                        produced.keys.extend(item.entity.key());
                        entities.push(item.entity);
                    } else {
                        produced.unselected.extend(item.entity.key());
                    }
                }
            }
            // Another resource may select what one turned away.
            let Produced {
                keys, unselected, ..
            } = &mut produced;
            unselected.retain(|key| !keys.contains(key));
            items.push(produced);
        }
        counts.transformed = entities.len();
        Mapped {
            items,
            entities,
            counts,
        }
    }

    async fn differs(&self, entity: &Entity, deadline: &Deadline) -> Result<bool, port::Error> {
        let Some(comparison) = &self.resync else {
            return Ok(true);
        };
        let cell = {
            let mut snapshots = locked(&comparison.snapshots);
            Arc::clone(snapshots.entry(entity.blueprint.clone()).or_default())
        };
        let snapshot = cell
            .get_or_try_init(|| async {
                match self
                    .port
                    .snapshot(&entity.blueprint, &self.fields(&entity.blueprint), deadline)
                    .await
                {
                    Ok(snapshot) => Ok(Some(snapshot)),
                    // Writing will say so for each entity.
                    Err(port::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        Ok(match snapshot {
            None => true,
            Some(snapshot) if self.options.merge => snapshot.changed_by_merge(entity),
            Some(snapshot) => snapshot.differs(entity),
        })
    }

    /// All that the mapping may write to `blueprint`.
    fn fields(&self, blueprint: &str) -> MappedFields {
        let mut fields = MappedFields::default();
        for resource in self.mapping.resources() {
            if resource
                .constant_blueprint()
                .is_none_or(|constant| constant == blueprint)
            {
                fields.anything |= resource.writes_anything();
                fields
                    .properties
                    .extend(resource.property_names().map(str::to_owned));
                fields
                    .relations
                    .extend(resource.relation_names().map(str::to_owned));
            }
        }
        fields
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One write per entity: when several resources map the same one, later ones win, field by field where Port merges.
/// That is what Port would end up with, and it lets an unchanged entity be recognised.
fn merged(entities: Vec<Entity>, merge: bool) -> Vec<Entity> {
    let mut result: Vec<Entity> = Vec::with_capacity(entities.len());
    let mut positions: BTreeMap<EntityKey, usize> = BTreeMap::new();
    for entity in entities {
        let Some(key) = entity.key() else {
            result.push(entity);
            continue;
        };
        match positions
            .get(&key)
            .and_then(|&position| result.get_mut(position))
        {
            Some(earlier) if merge => merge_into(earlier, entity),
            Some(earlier) => *earlier = entity,
            None => {
                positions.insert(key, result.len());
                result.push(entity);
            }
        }
    }
    result
}

fn merge_into(earlier: &mut Entity, later: Entity) {
    let Entity {
        blueprint: _,
        identifier: _,
        title,
        icon,
        team,
        properties,
        relations,
    } = later;
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
        let Produced {
            keys,
            targets,
            unselected,
            failures,
            known,
        } = other;
        self.known.extend(known);
        self.keys.extend(keys);
        self.targets.extend(targets);
        self.unselected.extend(unselected);
        self.failures += failures;
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        let Counts {
            extracted,
            skipped,
            transformed,
            filtered_out,
            not_mapped,
            written,
            unchanged,
            refused,
            deleted,
        } = other;
        self.extracted += extracted;
        self.skipped += skipped;
        self.transformed += transformed;
        self.filtered_out += filtered_out;
        self.not_mapped += not_mapped;
        self.written += written;
        self.unchanged += unchanged;
        self.refused += refused;
        self.deleted += deleted;
    }
}
