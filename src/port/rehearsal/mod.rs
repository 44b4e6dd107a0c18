//! Writes that Port is not told of: they are judged as Port would judge them, and made to a copy of what it holds. So what
//! a resync would do is asked of the code that does it.
//!
//! Owns what has to be read for that. `judgement` has Port's rules, `stage` what they lead to, `content` what an entity says.

mod content;
mod judgement;
mod stage;
mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::blueprint::Blueprint;
use super::call::Call;
use super::client::PortClient;
use super::delete::DeleteOptions;
use super::error::Error;
use super::outcome::{DeleteOutcome, Postponed, Refusal, UpsertOutcome};
use super::search::add_rule;
use super::upsert::{UpsertOptions, in_levels, waves};
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey, Identifier};
use crate::locked::locked;

pub use content::EntityContent;
pub use stage::{RehearsedEntity, RehearsedRefusal};

use content::identifiers;
pub(super) use stage::Changed;
pub(super) use stand_in::StandIn;

use stage::{Hits, Stage};

/// What a rehearsing client and its clones were asked to do.
#[derive(Clone)]
pub struct Rehearsal(Arc<Mutex<Stage>>);

/// What would have become of entities.
pub struct Rehearsed {
    pub entities: BTreeMap<EntityKey, RehearsedEntity>,
    pub refused: Vec<RehearsedRefusal>,
    /// Entities of which nobody knows which ones their search queries will find.
    pub unresolved: Vec<Entity>,
    /// Writes that leave it to Port what a relation or team leads to, and of which nobody knows what that is.
    pub unanswered: usize,
}

impl PortClient {
    /// The same client, except that entities are neither written nor deleted, and what would have become of them. Port is
    /// taken to have the blueprints that are `promised`, too.
    #[must_use]
    pub fn rehearsing(&self, promised: Vec<(String, Arc<Blueprint>)>) -> (PortClient, Rehearsal) {
        let mut stage = Stage::default();
        stage.promised.extend(promised);
        let rehearsal = Rehearsal(Arc::new(Mutex::new(stage)));
        let client = PortClient {
            stand_in: Some(Arc::new(rehearsal.clone())),
            ..self.clone()
        };
        (client, rehearsal)
    }

    pub fn is_rehearsing(&self) -> bool {
        self.stand_in.is_some()
    }
}

/// Different search queries that one rehearsal asks: each costs a request.
const MOST_QUESTIONS: usize = 1_000;

/// Entities per page of a blueprint search (Port API: limit at most 1000).
const PAGE: usize = 1_000;

impl Rehearsal {
    pub fn end(&self) -> Rehearsed {
        let stage = std::mem::take(&mut *locked(&self.0));
        Rehearsed {
            entities: stage.entities,
            refused: stage.refused,
            unresolved: stage.unresolved,
            unanswered: stage.unanswered,
        }
    }

    async fn write(
        &self,
        port: &PortClient,
        entities: &[Entity],
        options: &UpsertOptions,
        deadline: &Deadline,
    ) -> Result<Vec<UpsertOutcome>, Error> {
        let blueprints = entities.iter().map(|entity| entity.blueprint.as_str());
        self.know_blueprints(port, blueprints.collect(), deadline)
            .await?;
        self.ask(port, entities, deadline).await?;
        let wanted = self.wanted(entities);
        self.put(port, wanted, deadline).await?;
        let mut outcomes = vec![UpsertOutcome::Later(Postponed::unsent(None)); entities.len()];
        let mut stage = locked(&self.0);
        for wave in waves(entities) {
            for index in in_levels(entities, wave).concat() {
                if let (Some(entity), Some(slot)) = (entities.get(index), outcomes.get_mut(index)) {
                    *slot = stage.write(entity, options);
                }
            }
        }
        Ok(outcomes)
    }

    /// Entities that have to be on the stage before `entities` are written: these, and what their relations lead to.
    fn wanted(&self, entities: &[Entity]) -> BTreeSet<EntityKey> {
        let stage = locked(&self.0);
        let mut wanted: BTreeSet<EntityKey> = entities.iter().filter_map(Entity::key).collect();
        for entity in entities {
            let blueprint = stage.blueprints.get(&entity.blueprint);
            let Some(blueprint) = blueprint.and_then(Option::as_ref) else {
                continue;
            };
            for (name, value) in entity.relations.iter().flatten() {
                let Some(relation) = blueprint.relations.get(name) else {
                    continue;
                };
                let targets = identifiers(value);
                wanted.extend(targets.map(|target| EntityKey::new(&relation.target, target)));
            }
        }
        for ((blueprint, _), hits) in &stage.hits {
            if let Hits::These(found) = hits {
                wanted.extend(found.iter().map(|one| EntityKey::new(blueprint, one)));
            }
        }
        wanted
    }

    async fn know_blueprints(
        &self,
        port: &PortClient,
        identifiers: BTreeSet<&str>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        for identifier in identifiers {
            let found = match port.blueprint(identifier, deadline).await {
                Ok(blueprint) => Some(blueprint),
                Err(Error::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            let mut stage = locked(&self.0);
            stage.blueprints.insert(identifier.to_owned(), found);
        }
        Ok(())
    }

    /// Puts those of `keys` on the stage that are not there.
    async fn put(
        &self,
        port: &PortClient,
        keys: BTreeSet<EntityKey>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let unknown: Vec<EntityKey> = {
            let stage = locked(&self.0);
            let unknown = keys.into_iter().filter(|key| stage.exists(key).is_none());
            unknown.collect()
        };
        for keys in unknown.chunks(super::search::KEYS_PER_SEARCH) {
            let mut present = port.present(keys, deadline).await?;
            let mut stage = locked(&self.0);
            for key in keys {
                let found = present.remove(key);
                let found = found.as_ref().and_then(Value::as_object);
                stage.put(key.clone(), found.map(EntityContent::shown));
            }
        }
        Ok(())
    }

    /// Asks Port what the search queries of `entities` find, each query once.
    async fn ask(
        &self,
        port: &PortClient,
        entities: &[Entity],
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let questions: Vec<(String, &Value)> = {
            let stage = locked(&self.0);
            let questions = entities.iter().flat_map(|entity| questions(&stage, entity));
            questions.collect()
        };
        for (blueprint, query) in questions {
            let question = (blueprint.clone(), query.to_string());
            {
                let mut stage = locked(&self.0);
                if stage.hits.contains_key(&question) {
                    continue;
                }
                if MOST_QUESTIONS <= stage.hits.len() {
                    stage.hits.insert(question, Hits::Unknown);
                    continue;
                }
            }
            let mut everywhere = json!({ "combinator": "and", "rules": [
                { "property": "$blueprint", "operator": "=", "value": blueprint },
            ]});
            add_rule(&mut everywhere, query.clone());
            let hits = match port.found(&everywhere, deadline).await {
                Ok(found) => {
                    let found = found.into_iter().map(|found| found.key.identifier);
                    Hits::These(found.collect())
                }
                Err(error @ Error::Refused { .. }) => Hits::Refused(Refusal::of(&error)),
                Err(error) => return Err(error),
            };
            locked(&self.0).hits.insert(question, hits);
        }
        Ok(())
    }

    async fn remove(
        &self,
        port: &PortClient,
        keys: &[EntityKey],
        options: &DeleteOptions,
        deadline: &Deadline,
    ) -> Result<Vec<DeleteOutcome>, Error> {
        let wanted: BTreeSet<EntityKey> = keys.iter().cloned().collect();
        self.put(port, wanted.clone(), deadline).await?;
        let mut gone: BTreeSet<EntityKey> = {
            let stage = locked(&self.0);
            let present = wanted.into_iter();
            present
                .filter(|key| stage.exists(key) == Some(true))
                .collect()
        };
        let were_there = gone.clone();
        loop {
            let blueprints: BTreeSet<String> =
                gone.iter().map(|key| key.blueprint.clone()).collect();
            for blueprint in blueprints {
                self.know_leading(port, &blueprint, deadline).await?;
            }
            let leading = locked(&self.0).leading_to(&gone);
            self.put(port, leading, deadline).await?;
            let requiring = locked(&self.0).requiring(&gone);
            match (requiring.is_empty(), options.dependents) {
                (true, _) => break,
                (false, true) => gone.extend(requiring),
                (false, false) => {
                    let spared = locked(&self.0).required_by_others(&gone);
                    gone.retain(|key| !spared.contains(key));
                }
            }
        }
        let mut stage = locked(&self.0);
        stage.remove(&gone);
        let outcomes =
            keys.iter()
                .map(|key| match (were_there.contains(key), gone.contains(key)) {
                    (false, _) => DeleteOutcome::WasAbsent,
                    (true, true) => DeleteOutcome::Deleted,
                    (true, false) => DeleteOutcome::Refused {
                        by_dependents: true,
                        refusal: stage.refuse_deletion(key),
                    },
                });
        Ok(outcomes.collect())
    }

    /// Learns what in Port leads to entities of `target`.
    async fn know_leading(
        &self,
        port: &PortClient,
        target: &str,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        if locked(&self.0).led_to.contains(target) {
            return Ok(());
        }
        for (source, blueprint) in port.all_blueprints(deadline).await? {
            let relations = blueprint.relations.iter();
            let relations = relations.filter(|(_, relation)| relation.target == target);
            let names: Vec<String> = relations.map(|(name, _)| name.clone()).collect();
            let blueprint = Some(Arc::new(blueprint));
            {
                let mut stage = locked(&self.0);
                stage.blueprints.entry(source.clone()).or_insert(blueprint);
            }
            if !names.is_empty() {
                self.read_leading(port, (&source, &names), target, deadline)
                    .await?;
            }
        }
        locked(&self.0).led_to.insert(target.to_owned());
        Ok(())
    }

    async fn read_leading(
        &self,
        port: &PortClient,
        (source, names): (&str, &[String]),
        target: &str,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let everything = json!({ "combinator": "and", "rules": [
            { "property": "$blueprint", "operator": "=", "value": source },
        ]});
        let mut body = json!({ "query": everything });
        let route = ["blueprints", source, "entities", "search"];
        let call = |body: &Value| Call::post(route, body).exporter().repeatable();
        let mut take = |entity: Map<String, Value>| {
            let identifier = entity.get("identifier").and_then(Value::as_str)?;
            let (key, content) = (
                EntityKey::new(source, identifier),
                EntityContent::shown(&entity),
            );
            let mut stage = locked(&self.0);
            for name in names {
                for to in content.targets(name) {
                    stage.note_leading(&key, EntityKey::new(target, to));
                }
            }
            Some(())
        };
        port.pages(&mut body, PAGE, &call, deadline, &mut take)
            .await
    }
}

/// The search queries of `entity`, each with the blueprint that it looks through.
fn questions<'e>(stage: &Stage, entity: &'e Entity) -> Vec<(String, &'e Value)> {
    let mut questions = Vec::new();
    if let Identifier::Search(query) = &entity.identifier {
        questions.push((entity.blueprint.clone(), query));
    }
    if let Some(query) = entity.team.as_ref().filter(|team| team.is_object()) {
        questions.push(("_team".to_owned(), query));
    }
    let blueprint = stage.blueprints.get(&entity.blueprint);
    if let Some(blueprint) = blueprint.and_then(Option::as_ref) {
        for (name, query) in entity.relations.iter().flatten() {
            if let Some(relation) = blueprint.relations.get(name).filter(|_| query.is_object()) {
                questions.push((relation.target.clone(), query));
            }
        }
    }
    questions
}
