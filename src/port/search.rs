//! Reading entities back: which are ours, and which exist.
//!
//! Answers are read entity by entity, so that a page never exists as one tree of values.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::client::{INTEGRATION_TYPE, PortClient};
use super::error::{Error, TraceId};
use crate::deadline::Deadline;
use crate::entity::EntityKey;
use crate::http::Answer;

/// Entities per page of `datasource-entities`; what Ocean asks for.
const OWNED_PAGE: usize = 5000;

/// Keys per search for particular entities. With identifiers of 1000 characters that is well below 1 MiB.
pub(super) const KEYS_PER_SEARCH: usize = 100;

/// An entity that a search has found.
pub(super) struct FoundEntity {
    pub(super) key: EntityKey,
    updated_at: Option<Timestamp>,
}

impl PortClient {
    /// Every entity that our data source wrote last, or of those the ones last updated before `before`.
    pub async fn owned(
        &self,
        before: Option<Timestamp>,
        deadline: &Deadline,
    ) -> Result<Vec<EntityKey>, Error> {
        let (prefix, suffix) = self.datasource();
        let mut body = json!({ "datasource_prefix": prefix, "datasource_suffix": suffix });
        if let (Some(before), Some(body)) = (before, body.as_object_mut()) {
            body.insert("before".into(), moment(before).into());
        }
        let route = ["blueprints", "entities", "datasource-entities"];
        let call = |body: &Value| Call::post(route, body).exporter().repeatable();
        let mut owned = Vec::new();
        let listed = self
            .pages(&mut body, OWNED_PAGE, &call, deadline, &mut |entity| {
                owned.push(key(&entity)?);
                Some(())
            })
            .await;
        let owned = match listed {
            Err(error) if is_no_route(&error) || is_misunderstood(&error) => {
                self.owned_by_search(before, deadline).await?
            }
            listed => listed.map(|()| owned)?,
        };
        Ok(match &self.stand_in {
            Some(stand_in) => stand_in.owned(owned),
            None => owned,
        })
    }

    /// The same where the route for it is missing. An entity that does not say when it was updated is left out of what
    /// was updated before a moment.
    async fn owned_by_search(
        &self,
        before: Option<Timestamp>,
        deadline: &Deadline,
    ) -> Result<Vec<EntityKey>, Error> {
        let found = self.found(&self.ownership(), deadline).await?;
        let is_wanted = |found: &FoundEntity| {
            let updated = found.updated_at;
            before.is_none_or(|before| updated.is_some_and(|updated| updated < before))
        };
        let wanted = found.into_iter().filter(is_wanted);
        Ok(wanted.map(|found| found.key).collect())
    }

    /// Which of `keys` exist and were written last by our data source, in the order of `keys`.
    pub async fn owned_among(
        &self,
        keys: &[EntityKey],
        deadline: &Deadline,
    ) -> Result<Vec<EntityKey>, Error> {
        let mut owned = std::collections::HashSet::new();
        for keys in keys.chunks(KEYS_PER_SEARCH) {
            let mut query = self.ownership();
            add_rule(&mut query, any_of(keys));
            let found = self.found(&query, deadline).await?;
            owned.extend(found.into_iter().map(|found| found.key));
        }
        if let Some(stand_in) = &self.stand_in {
            owned = stand_in
                .owned(owned.into_iter().collect())
                .into_iter()
                .collect();
        }
        Ok(keys
            .iter()
            .filter(|key| owned.contains(key))
            .cloned()
            .collect())
    }

    /// The keys of all that `query` finds. Where the answer does not say which entities these are, they are asked for once
    /// more, whole.
    pub(super) async fn found(
        &self,
        query: &Value,
        deadline: &Deadline,
    ) -> Result<Vec<FoundEntity>, Error> {
        let narrow = search_everywhere(query).query("include", "updatedAt");
        match self.found_by(narrow, deadline).await {
            Err(error) if is_misunderstood(&error) => {
                self.found_by(whole_entities(query), deadline).await
            }
            found => found,
        }
    }

    async fn found_by(&self, call: Call, deadline: &Deadline) -> Result<Vec<FoundEntity>, Error> {
        let mut found = Vec::new();
        self.page(call, deadline, &mut |entity| {
            let updated_at = entity.get("updatedAt").and_then(Value::as_str);
            found.push(FoundEntity {
                key: key(&entity)?,
                updated_at: updated_at.and_then(|updated| updated.parse().ok()),
            });
            Some(())
        })
        .await?;
        Ok(found)
    }

    /// Those of `keys` that exist, whoever owns them, as Port holds them.
    pub async fn present(
        &self,
        keys: &[EntityKey],
        deadline: &Deadline,
    ) -> Result<BTreeMap<EntityKey, Value>, Error> {
        let mut present = BTreeMap::new();
        for keys in keys.chunks(KEYS_PER_SEARCH) {
            let query = any_of(keys);
            self.page(whole_entities(&query), deadline, &mut |entity| {
                present.insert(key(&entity)?, Value::Object(entity));
                Some(())
            })
            .await?;
        }
        if let Some(stand_in) = &self.stand_in {
            present.retain(|key, _| stand_in.exists(key) != Some(false));
        }
        Ok(present)
    }

    /// Reads page after page. A page that is too large to read is asked for again with half the limit.
    pub(super) async fn pages(
        &self,
        body: &mut Value,
        mut limit: usize,
        call: &impl Fn(&Value) -> Call,
        deadline: &Deadline,
        take: &mut impl FnMut(Map<String, Value>) -> Option<()>,
    ) -> Result<(), Error> {
        let mut from: Option<String> = None;
        loop {
            if let Some(body) = body.as_object_mut() {
                body.insert("limit".into(), limit.into());
                if let Some(from) = &from {
                    body.insert("from".into(), from.as_str().into());
                }
            }
            match self.page(call(body), deadline, take).await {
                Ok(next) => {
                    let next = next.filter(|next| !next.is_empty());
                    // The same place again would never end.
                    if next.is_none() || next == from {
                        return Ok(());
                    }
                    from = next;
                }
                Err(error) if error.is_too_large() && 1 < limit => limit /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands the entities of one answer to `take` and returns where the next page begins. One that `take` cannot do
    /// anything with, because it does not say which it is, makes the whole answer unusable: it is never taken for less
    /// than there is.
    pub(super) async fn page(
        &self,
        call: Call,
        deadline: &Deadline,
        take: &mut impl FnMut(Map<String, Value>) -> Option<()>,
    ) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            entities: Vec<Box<RawValue>>,
            next: Option<String>,
        }
        let read = |answer: &Answer| -> anyhow::Result<Page> {
            let page: Page = serde_json::from_slice(&answer.body)
                .with_context(|| format!("no page of entities: {}", answer.excerpt()))?;
            let is_object = |text: &str| text.starts_with('{');
            ensure!(
                page.entities.iter().all(|entity| is_object(entity.get())),
                "not all are entities"
            );
            Ok(page)
        };
        let request = call.shown();
        let page = self.call_reading(call, deadline, read).await?;
        let unusable = |source: anyhow::Error| Error::Unexpected {
            request: request.clone(),
            trace_id: TraceId::default(),
            source,
        };
        for entity in page.entities {
            let entity = serde_json::from_str(entity.get());
            let entity = entity.map_err(|error| unusable(error.into()))?;
            take(entity).ok_or_else(|| {
                tracing::warn!(request, "Port answers entities without their identifiers");
                unusable(anyhow!("entities without their identifiers"))
            })?;
        }
        Ok(page.next)
    }

    /// Port finds the entities of a data source by the beginning and the end of its user agent.
    fn datasource(&self) -> (String, String) {
        let prefix = format!("port-ocean/{INTEGRATION_TYPE}/");
        (prefix, format!("/{}/exporter", self.inner.identifier))
    }

    pub(super) fn ownership(&self) -> Value {
        let (prefix, suffix) = self.datasource();
        json!({ "combinator": "and", "rules": [
            { "property": "$datasource", "operator": "contains", "value": prefix },
            { "property": "$datasource", "operator": "contains", "value": suffix },
        ]})
    }
}

/// Finds `keys`.
fn any_of(keys: &[EntityKey]) -> Value {
    let mut by_blueprint: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in keys {
        let identifiers = by_blueprint.entry(&key.blueprint).or_default();
        identifiers.push(&key.identifier);
    }
    let any: Vec<Value> = by_blueprint
        .into_iter()
        .map(|(blueprint, identifiers)| {
            json!({ "combinator": "and", "rules": [
                { "property": "$blueprint", "operator": "=", "value": blueprint },
                { "property": "$identifier", "operator": "in", "value": identifiers },
            ]})
        })
        .collect();
    json!({ "combinator": "or", "rules": any })
}

pub(super) fn search_everywhere(query: &Value) -> Call {
    whole_entities(query)
        .query("include", "identifier")
        .query("include", "blueprint")
}

pub(super) fn whole_entities(query: &Value) -> Call {
    Call::post(["entities", "search"], query)
        .query("exclude_calculated_properties", true)
        .exporter()
        .repeatable()
}

pub(super) fn is_no_route(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. } | Error::Refused { status: 405, .. }
    )
}

pub(super) fn add_rule(query: &mut Value, rule: Value) {
    if let Some(rules) = query.get_mut("rules").and_then(Value::as_array_mut) {
        rules.push(rule);
    }
}

/// Whether the answer is a success, and not what was asked for.
pub(super) fn is_misunderstood(error: &Error) -> bool {
    matches!(error, Error::Unexpected { .. }) && !error.is_too_large()
}

fn key(entity: &Map<String, Value>) -> Option<EntityKey> {
    let text = |name: &str| entity.get(name)?.as_str().map(str::to_owned);
    Some(EntityKey {
        blueprint: text("blueprint")?,
        identifier: text("identifier")?,
    })
}

/// As Ocean writes moments: microseconds, and the offset in digits.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
