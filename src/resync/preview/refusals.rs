//! What Port would refuse: each kind once, with the resources that ask for it, how often, and one sample.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::counts::Tallied;
use crate::mapping::{Mapping, Resource};
use crate::port::RehearsedRefusal;
use crate::sync::left_out;

/// Something that Port would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForeseenRefusal {
    /// Where the mapping gives it: in the first of these resources.
    pub place: String,
    /// Those of the mapping that write it, such as `resources[1] (pull-request)`.
    pub resources: Vec<String>,
    pub blueprint: String,
    /// `properties.tier`, `relations.owners[]`, `identifier`; empty where the whole entity is meant.
    pub field: String,
    pub costs: RefusalCost,
    pub reason: String,
    /// Values or entities.
    pub count: usize,
    /// One of them; empty where there is none to be shown.
    pub sample: String,
}

/// What is missing in Port, or stays there, because of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCost {
    /// The value is left out, and the rest of the entity written.
    Value,
    /// The entity is not written.
    Entity,
    /// The entity stays.
    Deletion,
}

impl RefusalCost {
    fn noun(self) -> &'static str {
        match self {
            RefusalCost::Value => "value",
            RefusalCost::Entity | RefusalCost::Deletion => "entity",
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            RefusalCost::Value => "left out",
            RefusalCost::Entity => "not written",
            RefusalCost::Deletion => "not deleted",
        }
    }
}

impl ForeseenRefusal {
    /// `3 values left out`, `1 entity not written`.
    pub fn tally(&self) -> String {
        let noun = match (self.count, self.costs.noun()) {
            (1, noun) => noun,
            (_, "entity") => "entities",
            (_, _) => "values",
        };
        format!("{} {noun} {}", self.count, self.costs.outcome())
    }

    /// The blueprint with the field, if it is about one.
    pub fn subject(&self) -> String {
        match self.field.is_empty() {
            true => self.blueprint.clone(),
            false => format!("{}, {}", self.blueprint, self.field),
        }
    }
}

impl fmt::Display for ForeseenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeseenRefusal {
            place,
            blueprint,
            reason,
            ..
        } = self;
        write!(f, "{place}: {} of {blueprint}: {reason}", self.tally())?;
        match self.sample.is_empty() {
            true => Ok(()),
            false => write!(f, " (for example {})", self.sample),
        }
    }
}

/// What the values that were `left_out` and the entities that were `refused` come to, the most frequent first.
pub(super) fn foreseen(
    left_out: &[Tallied],
    refused: Vec<RehearsedRefusal>,
    mapping: &Mapping,
) -> Vec<ForeseenRefusal> {
    let values = left_out.iter().filter_map(left_out::read);
    let values = values.map(|line| {
        let resources = mapping.resources().iter();
        let mut resources = resources.filter(|resource| is_within(line.place, resource));
        ForeseenRefusal {
            place: line.place.to_owned(),
            resources: resources.next().map(|it| it.name()).into_iter().collect(),
            blueprint: line.blueprint.to_owned(),
            field: field_of(line.place).to_owned(),
            costs: RefusalCost::Value,
            reason: line.misfit.to_owned(),
            count: line.count,
            sample: line.sample.to_owned(),
        }
    });
    let mut all: Vec<ForeseenRefusal> = values.collect();
    let mut kinds: BTreeMap<(String, String, RefusalCost, String), BTreeSet<String>> =
        BTreeMap::new();
    for refusal in refused {
        let costs = match refusal.is_deletion {
            true => RefusalCost::Deletion,
            false => RefusalCost::Entity,
        };
        // One entity may be refused more than once, as it is tried again.
        let kind = (refusal.blueprint, refusal.field, costs, refusal.reason);
        kinds.entry(kind).or_default().insert(refusal.entity);
    }
    all.extend(kinds.into_iter().map(|(kind, entities)| {
        let (blueprint, field, costs, reason) = kind;
        let writers = writers(mapping, &blueprint, &field);
        let at = if field.is_empty() {
            "blueprint"
        } else {
            &field
        };
        let place = writers
            .first()
            .map(|writer| writer.place_of(&blueprint, at));
        ForeseenRefusal {
            place: place.unwrap_or_else(|| "resources".to_owned()),
            resources: writers.iter().map(|writer| writer.name()).collect(),
            blueprint,
            field,
            costs,
            reason,
            count: entities.len(),
            sample: entities.into_iter().next().unwrap_or_default(),
        }
    }));
    all.sort_by_key(|refusal| {
        (
            refusal.costs == RefusalCost::Value,
            std::cmp::Reverse(refusal.count),
        )
    });
    all
}

/// Whether `place` is within `resource`.
fn is_within(place: &str, resource: &Resource) -> bool {
    let begin = format!("resources[{}].", resource.index);
    place.starts_with(&begin)
}

/// `properties.size` of `resources[1].port.entity.mappings[0].properties.size`.
fn field_of(place: &str) -> &str {
    let (_, field) = place.rsplit_once(".mappings").unwrap_or_default();
    field.split_once('.').map_or("", |(_, field)| field)
}

/// Resources that may write `field` of `blueprint`; those that write the blueprint at all, where none names the field.
fn writers<'m>(mapping: &'m Mapping, blueprint: &str, field: &str) -> Vec<&'m Arc<Resource>> {
    let writes_blueprint = |resource: &&Arc<Resource>| {
        let constant = resource.constant_blueprint();
        constant.is_none_or(|constant| constant == blueprint)
    };
    let names_field = |resource: &&&Arc<Resource>| {
        let fields = resource.fields(blueprint);
        match field.split_once('.') {
            Some(("properties", name)) => fields.properties.contains(name),
            Some(("relations", name)) => fields.relations.contains(name),
            _ => false,
        }
    };
    let resources: Vec<_> = mapping
        .resources()
        .iter()
        .filter(writes_blueprint)
        .collect();
    let naming: Vec<_> = resources.iter().filter(names_field).copied().collect();
    if naming.is_empty() { resources } else { naming }
}
