//! One item through the mapping: each expression with what it gives, the entities, and what Port would not take of them.
//!
//! Reads, and writes nothing. `item` finds the item; the entities are made by the code that makes them in a resync.

pub(crate) mod item;

use std::sync::Arc;

use ferry::app::Session;
use ferry::deadline::Deadline;
use ferry::entity::{Entity, EntityKey};
use ferry::mapping::{Evaluated, Resource};
use ferry::port::{self, PortClient};
use ferry::sync::blueprints::Blueprints;
use ferry::sync::image::Image;
use ferry::sync::mapper::Mapper;
use ferry::sync::sources::Sources;
use serde_json::Value;

use item::{Sighting, Wanted, sightings};

use crate::targets;

/// What one resource makes of the item.
pub(crate) struct Tried {
    pub(crate) resource: Arc<Resource>,
    /// The raw item, or why a resync does not see it.
    pub(crate) item: Result<Value, String>,
    /// Every expression, for each item that the raw one stands for; almost always one.
    pub(crate) evaluated: Vec<Vec<Evaluated>>,
    /// Items that the query turns away.
    pub(crate) filtered_out: usize,
    /// As Port would get them.
    pub(crate) entities: Vec<Entity>,
    /// What is wrong, each with its place and what to do.
    pub(crate) problems: Vec<String>,
}

/// Takes the item through each resource of its kind.
pub(crate) async fn try_out(
    session: &Session,
    sources: &Sources,
    wanted: &Wanted,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for Sighting { resources, raw } in sightings(session, sources, wanted, deadline).await? {
        for resource in resources {
            tried.push(match &raw {
                Ok(raw) => map(&session.port, sources, resource, raw, deadline).await?,
                Err(reason) => Tried::unseen(resource, reason),
            });
        }
    }
    tried.sort_by_key(|tried| tried.resource.index);
    Ok(tried)
}

impl Tried {
    fn unseen(resource: Arc<Resource>, reason: &str) -> Tried {
        Tried {
            resource,
            item: Err(reason.to_owned()),
            evaluated: Vec::new(),
            filtered_out: 0,
            entities: Vec::new(),
            problems: Vec::new(),
        }
    }
}

async fn map(
    port: &PortClient,
    sources: &Sources,
    resource: Arc<Resource>,
    raw: &Value,
    deadline: &Deadline,
) -> Result<Tried, port::Error> {
    let mapper = Mapper::default();
    let resources = std::slice::from_ref(&resource);
    let mut image = Image {
        made: mapper.map(resources, raw, ""),
        basis: None,
    };
    let of_resource = format!("resources[{}].", resource.index);
    let mistakes = sources.mapping().problems().iter();
    let mistakes = mistakes.filter(|mistake| mistake.path.starts_with(&of_resource));
    let mut problems: Vec<String> = mistakes.map(ToString::to_string).collect();
    let (blueprints, missing) = blueprints(port, &image, deadline).await?;
    problems.extend(missing.iter().map(|missing| {
        format!(
            "{}: the blueprint `{missing}` does not exist, so Port refuses its entities: create it in Port's builder, or \
             correct the mapping",
            resource.place_of(missing, "blueprint")
        )
    }));
    mapper.left_out(image.resolve(&blueprints));
    mapper.twins(image.twins());
    problems.extend(mapper.take_problems().iter().map(ToString::to_string));
    if !sources.creates_targets() {
        problems.extend(waits_for(port, (&image, &blueprints), deadline).await?);
    }
    let items = resource.items_of(raw).unwrap_or_default();
    let evaluated = items.iter().map(|item| resource.evaluate_each(item));
    Ok(Tried {
        item: Ok(raw.clone()),
        evaluated: evaluated.collect(),
        filtered_out: mapper.take_noticed().counts.filtered_out,
        entities: image.all_entities().cloned().collect(),
        problems,
        resource,
    })
}

/// The blueprints of what was made, and those that Port does not have.
async fn blueprints(
    port: &PortClient,
    image: &Image,
    deadline: &Deadline,
) -> Result<(Blueprints, Vec<String>), port::Error> {
    let (mut known, mut missing) = (Blueprints::default(), Vec::new());
    for entity in image.all_entities() {
        let identifier = &entity.blueprint;
        match port.blueprint(identifier, deadline).await {
            Ok(blueprint) => known.insert(identifier, blueprint),
            Err(port::Error::NotFound { .. }) if missing.contains(identifier) => {}
            Err(port::Error::NotFound { .. }) => missing.push(identifier.clone()),
            Err(error) => return Err(error),
        }
    }
    Ok((known, missing))
}

/// Relations that lead to what Port does not hold, and would not create.
async fn waits_for(
    port: &PortClient,
    (image, blueprints): (&Image, &Blueprints),
    deadline: &Deadline,
) -> Result<Vec<String>, port::Error> {
    let targets = image.made.iter().flat_map(|made| &made.targets);
    let targets: Vec<EntityKey> = targets.cloned().collect();
    let present = port.present(&targets, deadline).await?;
    let missing = targets.iter().filter(|key| !present.contains_key(key));
    let told = missing.filter_map(|key| {
        let place = targets::place_of(image, blueprints, key)?;
        Some(format!(
            "{place}: {key} does not exist, so the entity waits for it: map it too, or set createMissingRelatedEntities"
        ))
    });
    Ok(told.collect())
}
