//! The mapping as the engine sees it: its sources in their order, and which fields each of them writes.
//!
//! Pure. Where several sources claim one entity, the later one in the mapping has the last word about the fields that
//! both write, as it would have if all were written one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::entity::Entity;
use crate::extract::{Group, groups};
use crate::identity::SourceId;
use crate::mapping::{Fields, Mapping, RepositoryFilter, Resource};
use crate::port::{MappedFields, ShownFields};

/// A mapping, cut by source.
pub struct Sources {
    mapping: Arc<Mapping>,
    /// In the order of the mapping.
    groups: Vec<Group>,
    /// The later of two sources has the higher rank.
    ranks: BTreeMap<SourceId, usize>,
    /// See [`rules`](Sources::rules).
    rules: BTreeMap<SourceId, u64>,
}

/// Raised with every change of what an item looks like, or of what is made of it: what was made before is made anew once.
const EDITION: u32 = 1;

/// See [`Sources::rules`].
fn rules(group: &Group, mapping: &Mapping) -> Option<u64> {
    if !group
        .resources
        .iter()
        .all(|resource| resource.is_repeatable())
    {
        return None;
    }
    let own = group.resources.iter().map(|one| one.constant_blueprint());
    // `None` stands for any.
    let own: BTreeSet<Option<&str>> = own.collect();
    let concerns = |resource: &&Arc<Resource>| {
        let blueprint = resource.constant_blueprint();
        blueprint.is_none() || own.contains(&None) || own.contains(&blueprint)
    };
    // Who has the last word about a field is a matter of their order.
    let resources = mapping.resources().iter().filter(concerns);
    let resources: Vec<&str> = resources.map(|one| one.fingerprint.as_str()).collect();
    let settings = mapping.settings();
    let settings = (
        settings.enable_merge_entity,
        settings.create_missing_related_entities,
        settings.delete_dependent_entities,
    );
    let mut hasher = DefaultHasher::new();
    (EDITION, env!("CARGO_PKG_VERSION"), settings, resources).hash(&mut hasher);
    Some(hasher.finish())
}

impl Sources {
    pub fn new(mapping: Arc<Mapping>) -> Sources {
        let groups = groups(&mapping);
        let rank = |group: &Group| {
            let indices = group.resources.iter().map(|resource| resource.index);
            (group.id.clone(), indices.max().unwrap_or(0))
        };
        let rules = groups.iter().filter_map(|group| {
            let rules = rules(group, &mapping)?;
            Some((group.id.clone(), rules))
        });
        Sources {
            ranks: groups.iter().map(rank).collect(),
            rules: rules.collect(),
            groups,
            mapping,
        }
    }

    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn group(&self, source: &SourceId) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == *source)
    }

    /// A digest of all that makes entities of the items of `source`, or decides who writes which field of them. `None` where
    /// the same items may become something else at another time. Stable across processes of one build.
    pub fn rules(&self, source: &SourceId) -> Option<u64> {
        self.rules.get(source).copied()
    }

    /// Sources that are read repository by repository, by the filter that selects the repositories.
    pub fn by_filter(&self) -> Vec<(&RepositoryFilter, Vec<&Group>)> {
        let mut filters: Vec<(&RepositoryFilter, Vec<&Group>)> = Vec::new();
        for group in &self.groups {
            let Some(filter) = group.source.repositories() else {
                continue;
            };
            match filters.iter_mut().find(|(known, _)| *known == filter) {
                Some((_, groups)) => groups.push(group),
                None => filters.push((filter, vec![group])),
            }
        }
        filters
    }

    /// Those of `others` that have the last word about some field of what `source` writes to `blueprint`.
    pub fn above<'a>(
        &self,
        source: &SourceId,
        blueprint: &str,
        others: impl Iterator<Item = &'a SourceId>,
    ) -> BTreeSet<SourceId> {
        let Some(rank) = self.ranks.get(source) else {
            return BTreeSet::new();
        };
        let own = self.fields(source, blueprint);
        let above = others.filter(|other| {
            self.ranks.get(*other).is_some_and(|other| rank < other)
                && (!self.merges() || own.overlap(&self.fields(other, blueprint)))
        });
        above.cloned().collect()
    }

    /// Leaves the fields of the sources `above` to them. `None` where nothing is left to write: Port then replaces
    /// entities instead of merging them.
    pub fn strip(&self, mut entity: Entity, above: &BTreeSet<SourceId>) -> Option<Entity> {
        if above.is_empty() {
            return Some(entity);
        }
        if !self.merges() {
            return None;
        }
        for source in above {
            let fields = self.fields(source, &entity.blueprint);
            entity.title = entity.title.filter(|_| !fields.title);
            entity.icon = entity.icon.filter(|_| !fields.icon);
            entity.team = entity.team.filter(|_| !fields.team);
            if let Some(properties) = &mut entity.properties {
                properties.retain(|name, _| !fields.properties.contains(name));
            }
            if let Some(relations) = &mut entity.relations {
                relations.retain(|name, _| !fields.relations.contains(name));
            }
        }
        Some(entity)
    }

    pub fn merges(&self) -> bool {
        self.mapping.settings().enable_merge_entity
    }

    /// Whether Port creates the targets of relations that do not exist.
    pub fn creates_targets(&self) -> bool {
        self.mapping.settings().create_missing_related_entities
    }

    fn resource(&self, fingerprint: &str) -> Option<&Arc<Resource>> {
        let mut resources = self.mapping.resources().iter();
        resources.find(|resource| resource.fingerprint == fingerprint)
    }

    pub fn has_resource(&self, fingerprint: &str) -> bool {
        self.resource(fingerprint).is_some()
    }

    /// Whether an entity of `blueprint` that this resource claimed may be deleted. Where the resource has left the
    /// mapping, what it has become decides: any that writes the same blueprint.
    pub fn allows_deletion(&self, fingerprint: &str, blueprint: &str) -> bool {
        match self.resource(fingerprint) {
            Some(resource) => resource.enable_delete,
            None => !self.keeps(blueprint),
        }
    }

    /// Whether some resource that writes `blueprint` says `enableDelete: false`.
    pub fn keeps(&self, blueprint: &str) -> bool {
        let mut keeping = self.keeping();
        keeping.any(|constant| constant.is_none_or(|constant| constant == blueprint))
    }

    /// Blueprints of the resources that say `enableDelete: false`; `None` for one that may write any.
    pub fn keeping(&self) -> impl Iterator<Item = Option<&str>> {
        let resources = self.mapping.resources().iter();
        let keeping = resources.filter(|resource| !resource.enable_delete);
        keeping.map(|resource| resource.constant_blueprint())
    }

    /// Whether entities of `blueprint` that no record names may be taken for ours: not where some are found by a search
    /// query, and not where their resource keeps what it has written.
    pub fn may_adopt(&self, blueprint: &str) -> bool {
        let mut resources = self.mapping.resources().iter();
        !self.keeps(blueprint) && !resources.any(|resource| resource.searches(blueprint))
    }

    /// All that the mapping may write to `blueprint`.
    pub fn written_fields(&self, blueprint: &str) -> MappedFields {
        let mut fields = MappedFields::default();
        for resource in self.mapping.resources() {
            let constant = resource.constant_blueprint();
            if constant.is_none_or(|constant| constant == blueprint) {
                let names = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
                    names.map(str::to_owned).collect()
                };
                fields.anything |= resource.writes_anything();
                let properties = names(&mut resource.property_names());
                fields.properties.extend(properties);
                fields
                    .relations
                    .extend(names(&mut resource.relation_names()));
            }
        }
        fields
    }

    /// Which fields of an entity of `blueprint` tell whether Port still holds what `source` has written.
    pub fn shown_fields(&self, source: &SourceId, blueprint: &str) -> ShownFields {
        if !self.merges() {
            return ShownFields::replaced();
        }
        let resources = self.group(source).map(|group| &group.resources);
        let mut resources = resources.into_iter().flatten();
        if resources.any(|resource| resource.writes_anything()) {
            return ShownFields::anything();
        }
        let fields = self.fields(source, blueprint);
        let properties = fields.properties.iter().map(String::as_str);
        let relations = fields.relations.iter().map(String::as_str);
        ShownFields::merged((fields.title, fields.team), properties, relations)
    }

    fn fields(&self, source: &SourceId, blueprint: &str) -> Fields {
        let mut fields = Fields::default();
        for resource in self
            .group(source)
            .into_iter()
            .flat_map(|group| &group.resources)
        {
            fields.extend(resource.fields(blueprint));
        }
        fields
    }
}
