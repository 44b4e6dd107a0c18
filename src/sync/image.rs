//! What an item becomes under the mapping, before anybody knows who else claims the same.
//!
//! Knows resources and raw items. Knows nothing of records, of Port or of where an item was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::blueprints::Blueprints;
use super::left_out::LeftOutAt;
use crate::entity::{Entity, EntityKey};
use crate::failure::UnreadFile;
use crate::mapping::Resource;
use crate::store::basis::Basis;

/// All that an item becomes.
#[derive(Clone, Default)]
pub struct Image {
    /// In the order of the mapping, and of the members for each resource.
    pub made: Vec<Made>,
    /// What it was made from, where a later run may take it over for that.
    pub basis: Option<Basis>,
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
    /// Of it, what the selector turned away.
    pub filtered_out: usize,
    /// Of it, what could not be mapped, or is nothing that Port would take.
    pub failed: usize,
    /// The mapping had something to say of it, which every run has to say again.
    pub is_remarkable: bool,
    /// Part of it could not be read or mapped. What was claimed before stays claimed.
    pub incomplete: bool,
    /// Nothing is known of it but that it is there: all it claimed before stays.
    pub unread: bool,
    /// The file of it that could not be read, if that is why.
    pub lost: Option<Arc<UnreadFile>>,
}

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

    /// Puts the members into an order of their own: Bitbucket may list them in another one each time.
    pub fn sort(&mut self) {
        let order = |made: &Made| (made.resource.index, made.member.clone());
        self.made.sort_by_cached_key(order);
    }

    /// Leaves out of its entities what Port would refuse, says what that is, and finds out what their relations lead to.
    pub fn resolve(&mut self, blueprints: &Blueprints) -> Vec<LeftOutAt> {
        let mut left_out = Vec::new();
        for made in &mut self.made {
            for entity in made.entities.iter_mut().chain(&mut made.searched) {
                let values = blueprints.fit(entity).into_iter();
                left_out.extend(values.map(|value| LeftOutAt::of(&made.resource, value)));
            }
            made.targets = made.targets(blueprints);
        }
        left_out
    }

    /// Entities that one resource makes several times and differently, each with the members that do: the last one counts.
    pub fn twins(&self) -> Vec<Twins> {
        let made = self
            .made
            .iter()
            .flat_map(|made| made.entities.iter().map(move |one| (made, one)));
        if made.clone().nth(1).is_none() {
            return Vec::new();
        }
        let mut last: BTreeMap<(usize, EntityKey), (&str, &Entity)> = BTreeMap::new();
        let mut twins = Vec::new();
        for (made, entity) in made {
            let Some(key) = entity.key() else { continue };
            let now = (made.member.as_str(), entity);
            let before = last.insert((made.resource.index, key.clone()), now);
            if let Some((member, _)) = before.filter(|(_, before)| *before != entity) {
                twins.push(Twins {
                    place: made.resource.place_of(&key.blueprint, "identifier"),
                    key,
                    members: [member.to_owned(), made.member.clone()],
                });
            }
        }
        twins
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

/// An entity that one item makes twice, and differently.
pub struct Twins {
    pub key: EntityKey,
    /// Where the mapping gives the identifier.
    pub place: String,
    /// The first, and the one that counts; empty where the item has no members.
    pub members: [String; 2],
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
            filtered_out: 0,
            is_remarkable: true,
            failed: 0,
            incomplete: true,
            unread: true,
            lost: None,
        }
    }

    /// What `resources` make of a member of which a file could not be read.
    pub fn lost(
        resources: &[Arc<Resource>],
        member: &str,
        file: &Arc<UnreadFile>,
    ) -> impl Iterator<Item = Made> {
        resources.iter().map(|resource| Made {
            lost: Some(Arc::clone(file)),
            ..Made::unread(Arc::clone(resource), member.to_owned())
        })
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
