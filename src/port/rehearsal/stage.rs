//! What Port would hold: a copy of the entities at hand, changed as Port would change them.
//!
//! Pure. Whoever asks sees to it that what is asked about was put on the stage before. Which entities Port refuses is
//! said in `judgement`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::content::EntityContent;
use super::judgement::{Objection, TakenEntity, judge};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::port::blueprint::Blueprint;
use crate::port::outcome::{Refusal, UpsertOutcome};
use crate::port::upsert::UpsertOptions;

/// An entity that was looked at or changed.
#[derive(Clone, Debug)]
pub struct RehearsedEntity {
    /// As Port has it; `None`: it has none.
    pub before: Option<EntityContent>,
    /// As it would be.
    pub after: Option<EntityContent>,
    /// Created empty, because a relation leads there.
    pub is_stub: bool,
    /// It is written by us in the rehearsal, and so ours.
    is_written: bool,
}

/// Something that Port would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehearsedRefusal {
    pub blueprint: String,
    /// The identifier, or the query that stands for it.
    pub entity: String,
    /// `properties.tier`, `relations.project`; empty where the whole entity is meant.
    pub field: String,
    pub reason: String,
    /// What was refused: a write, or a deletion.
    pub is_deletion: bool,
}

/// What a search query finds, as far as is known.
#[derive(Clone, Debug)]
pub(super) enum Hits {
    These(Vec<String>),
    /// Port does not take the query.
    Refused(Refusal),
    Unknown,
}

/// An entity that is other than Port says.
pub(in crate::port) struct Changed {
    /// As Port would show it; `None`: it is gone.
    pub(in crate::port) entity: Option<Map<String, Value>>,
    /// It was written in the rehearsal; else it is whose it was.
    pub(in crate::port) is_ours: bool,
}

/// A blueprint that is searched, and the query as JSON.
pub(super) type Question = (String, String);

#[derive(Default)]
pub(super) struct Stage {
    pub(super) entities: BTreeMap<EntityKey, RehearsedEntity>,
    /// Blueprints that would have been created by now.
    pub(super) promised: BTreeMap<String, Arc<Blueprint>>,
    /// `None`: Port does not have it.
    pub(super) blueprints: BTreeMap<String, Option<Arc<Blueprint>>>,
    /// Who leads, or once led, to an entity.
    leading: BTreeMap<EntityKey, BTreeSet<EntityKey>>,
    /// Blueprints of which it is known what in Port leads to their entities.
    pub(super) led_to: BTreeSet<String>,
    pub(super) hits: BTreeMap<Question, Hits>,
    pub(super) refused: Vec<RehearsedRefusal>,
    /// Entities with a search query in a field of which nobody knows what it finds.
    pub(super) unanswered: usize,
    /// Entities that Port has to find, and of which nobody knows which these are.
    pub(super) unresolved: Vec<Entity>,
}

impl Stage {
    /// Puts an entity on the stage as Port has it.
    pub(super) fn put(&mut self, key: EntityKey, found: Option<EntityContent>) {
        self.entities.entry(key).or_insert_with(|| RehearsedEntity {
            before: found.clone(),
            after: found,
            is_stub: false,
            is_written: false,
        });
    }

    /// Whether there would be such an entity; `None`: it was never looked at.
    pub(super) fn exists(&self, key: &EntityKey) -> Option<bool> {
        self.entities.get(key).map(|entity| entity.after.is_some())
    }

    /// Whether it would be ours, whatever Port says now; `None`: nothing was done to it.
    pub(super) fn is_ours(&self, key: &EntityKey) -> Option<bool> {
        let entity = self.entities.get(key)?;
        match (&entity.after, &entity.before, entity.is_written) {
            (Some(_), _, true) => Some(true),
            (None, Some(_), _) | (None, None, true) => Some(false),
            _ => None,
        }
    }

    pub(super) fn would_be_ours(&self) -> impl Iterator<Item = &EntityKey> {
        let ours = self.entities.iter();
        ours.filter(|(_, entity)| entity.is_written && entity.after.is_some())
            .map(|(key, _)| key)
    }

    /// `source` leads to `target`, in Port or by what is rehearsed.
    pub(super) fn note_leading(&mut self, source: &EntityKey, target: EntityKey) {
        let sources = self.leading.entry(target).or_default();
        sources.insert(source.clone());
    }

    /// Those who lead, or once led, to one of `targets`.
    pub(super) fn leading_to(&self, targets: &BTreeSet<EntityKey>) -> BTreeSet<EntityKey> {
        let leading = targets.iter().filter_map(|key| self.leading.get(key));
        leading.flatten().cloned().collect()
    }

    /// Writes `entity` as Port would.
    pub(super) fn write(&mut self, entity: &Entity, options: &UpsertOptions) -> UpsertOutcome {
        match judge(self, entity, options) {
            Ok(Some(taken)) => UpsertOutcome::Written {
                created: None,
                identifier: Some(self.take(taken)),
            },
            Ok(None) => {
                self.unresolved.push(entity.clone());
                UpsertOutcome::Written {
                    created: None,
                    identifier: None,
                }
            }
            Err(objection) => self.refuse(entity, objection),
        }
    }

    fn take(&mut self, taken: TakenEntity) -> String {
        let TakenEntity {
            key,
            content,
            stubs,
        } = taken;
        for stub in stubs {
            self.set(&stub, EntityContent::default(), true);
        }
        let mut values = content.relations.values().chain(&content.team);
        self.unanswered += usize::from(values.any(Value::is_object));
        let blueprint = self.blueprints.get(&key.blueprint).cloned().flatten();
        let relations = blueprint.iter().flat_map(|blueprint| &blueprint.relations);
        for (name, relation) in relations {
            for target in content.targets(name) {
                self.note_leading(&key, EntityKey::new(&relation.target, target));
            }
        }
        self.set(&key, content, false);
        key.identifier
    }

    fn set(&mut self, key: &EntityKey, content: EntityContent, is_stub: bool) {
        self.put(key.clone(), None);
        if let Some(entity) = self.entities.get_mut(key) {
            entity.after = Some(content);
            entity.is_stub = is_stub;
            entity.is_written = true;
        }
    }

    fn refuse(&mut self, entity: &Entity, objection: Objection) -> UpsertOutcome {
        let Objection {
            field,
            refusal,
            lacks_target,
        } = objection;
        self.refused.push(RehearsedRefusal {
            blueprint: entity.blueprint.clone(),
            entity: match &entity.identifier {
                Identifier::Text(text) => text.clone(),
                Identifier::Search(query) => query.to_string(),
            },
            field,
            reason: refusal.message.clone(),
            is_deletion: false,
        });
        match lacks_target {
            true => UpsertOutcome::LacksTarget(refusal),
            false => UpsertOutcome::Refused(refusal),
        }
    }

    /// What Port finds, less what is gone by now. Where a field that the query asks about was written, nobody knows what it
    /// finds then.
    pub(super) fn found(&self, blueprint: &str, query: &Value) -> Hits {
        let question = (blueprint.to_owned(), query.to_string());
        match self.hits.get(&question) {
            Some(Hits::These(_)) if self.unsettles(blueprint, query) => Hits::Unknown,
            Some(Hits::These(found)) => {
                let is_there = |identifier: &&String| {
                    self.exists(&EntityKey::new(blueprint, *identifier)) != Some(false)
                };
                Hits::These(found.iter().filter(is_there).cloned().collect())
            }
            Some(other) => other.clone(),
            None => Hits::Unknown,
        }
    }

    /// Whether what was written may change what `query` finds. What is gone does not: it is left out.
    fn unsettles(&self, blueprint: &str, query: &Value) -> bool {
        let fields = asked_about(query);
        let mut entities = self.of(blueprint);
        entities.any(|(_, entity)| match (&entity.before, &entity.after) {
            (None, Some(_)) => true,
            (Some(before), Some(after)) => fields
                .iter()
                .any(|field| entity.is_written && before.differs_in(after, field)),
            (_, None) => false,
        })
    }

    fn of(&self, blueprint: &str) -> impl Iterator<Item = (&EntityKey, &RehearsedEntity)> {
        let entities = self.entities.range(EntityKey::new(blueprint, "")..);
        entities.take_while(move |(key, _)| key.blueprint == blueprint)
    }

    /// Those on the stage that require one of `gone`, and are not among it.
    pub(super) fn requiring(&self, gone: &BTreeSet<EntityKey>) -> BTreeSet<EntityKey> {
        let mut requiring = self.leading_to(gone);
        requiring.retain(|source| {
            let mut required = self.required_of(source);
            !gone.contains(source) && required.any(|target| gone.contains(&target))
        });
        requiring
    }

    /// Takes `gone` away, and out of the relations that lead there.
    pub(super) fn remove(&mut self, gone: &BTreeSet<EntityKey>) {
        for source in self.leading_to(gone) {
            let leads: Vec<(String, EntityKey)> = self
                .leads_of(&source)
                .map(|(name, target)| (name.to_owned(), target))
                .collect();
            let content = self.entities.get_mut(&source);
            let Some(content) = content.and_then(|entity| entity.after.as_mut()) else {
                continue;
            };
            for (name, target) in leads.iter().filter(|(_, target)| gone.contains(target)) {
                content.forget(name, &target.identifier);
            }
        }
        for key in gone {
            if let Some(entity) = self.entities.get_mut(key) {
                entity.after = None;
            }
        }
    }

    /// Those of `gone` that something else requires.
    pub(super) fn required_by_others(&self, gone: &BTreeSet<EntityKey>) -> BTreeSet<EntityKey> {
        let requiring = self.requiring(gone);
        let targets = requiring.iter().flat_map(|source| self.required_of(source));
        targets.filter(|target| gone.contains(target)).collect()
    }

    /// Notes that `key` stays because something requires it.
    pub(super) fn refuse_deletion(&mut self, key: &EntityKey) -> Refusal {
        let message = "an entity that is not to go requires it";
        self.refused.push(RehearsedRefusal {
            blueprint: key.blueprint.clone(),
            entity: key.identifier.clone(),
            field: String::new(),
            reason: message.to_owned(),
            is_deletion: true,
        });
        Refusal {
            status: 403,
            code: "has_dependents".to_owned(),
            message: message.to_owned(),
        }
    }

    /// What of `blueprint` is other than Port says, as Port would show it, by identifiers.
    pub(super) fn changed(&self, blueprint: &str) -> BTreeMap<String, Changed> {
        let entities = self.of(blueprint);
        let changed =
            entities.filter(|(_, entity)| entity.is_written || entity.before != entity.after);
        let changed = changed.map(|(key, entity)| {
            let shown = entity.after.as_ref();
            let changed = Changed {
                entity: shown.map(|content| content.shown_by(self.blueprint(blueprint))),
                is_ours: entity.is_written,
            };
            (key.identifier.clone(), changed)
        });
        changed.collect()
    }

    pub(super) fn blueprint(&self, identifier: &str) -> Option<&Blueprint> {
        self.blueprints.get(identifier)?.as_deref()
    }

    /// What `source` cannot be without.
    fn required_of<'a>(&'a self, source: &'a EntityKey) -> impl Iterator<Item = EntityKey> + 'a {
        let relations = self.blueprint(&source.blueprint).map(|it| &it.relations);
        let is_required = move |name: &str| {
            let relation = relations.and_then(|relations| relations.get(name));
            relation.is_some_and(|relation| relation.required)
        };
        let leads = self.leads_of(source);
        leads.filter_map(move |(name, target)| is_required(name).then_some(target))
    }

    /// Where the relations of `source` lead, as it is now.
    fn leads_of<'a>(&'a self, source: &'a EntityKey) -> impl Iterator<Item = (&'a str, EntityKey)> {
        let content = self.entities.get(source);
        let content = content.and_then(|entity| entity.after.as_ref());
        let blueprint = self.blueprint(&source.blueprint);
        content
            .zip(blueprint)
            .into_iter()
            .flat_map(|(content, blueprint)| {
                blueprint.relations.iter().flat_map(|(name, relation)| {
                    content
                        .targets(name)
                        .map(|target| (name.as_str(), EntityKey::new(&relation.target, target)))
                })
            })
    }
}

/// Names of the fields that the rules of a search query are about.
fn asked_about(query: &Value) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut open = vec![query];
    while let Some(rule) = open.pop() {
        fields.extend(rule.get("property").and_then(Value::as_str));
        let rules = rule.get("rules").and_then(Value::as_array);
        open.extend(rules.into_iter().flatten());
    }
    fields
}
