//! Items that make something else of one entity: one of them writes it, always the same one, and a person should know.
//!
//! A commit tells which of those at hand differ. What is not committed, because nothing of it has changed, is compared with
//! what Port holds: where that differs and another item writes the entity, its record tells.

use std::sync::Arc;

use super::journal::Phase;
use super::slice::Slice;
use crate::entity::Entity;
use crate::failure::Failure;
use crate::identity::{ItemId, ItemRef};
use crate::mapping::Resource;
use crate::port::digest;
use crate::sync::holders::writer_of;
use crate::sync::plan::{Clash, Seen};

/// Entities that a run names; more would tell nobody more.
const MOST_CLASHES: usize = 50;

impl Slice<'_> {
    /// Says of each entity once which items disagree about it.
    pub(super) fn tell_clashes(&self, clashes: &[Clash]) {
        for Clash { key, writer, other } in clashes {
            let (blueprint, key) = (&key.blueprint, key.to_string());
            let line = format!(
                "{}: {key} stands for several items that differ: {} is written, {} is not; make the identifier name one of them",
                self.place_of(other, blueprint),
                self.shown(writer),
                self.shown(other)
            );
            let mut run = self.run();
            if MOST_CLASHES <= run.clashes.len() || run.clashes.contains_key(&key) {
                continue;
            }
            tracing::warn!(key, %writer, %other, "several items make something else of one entity");
            self.journal.warn(Phase::Transform, line.as_str());
            run.clashes.insert(key, line);
        }
    }

    /// The same for items that need no commit.
    pub(super) async fn find_clashes(&self, unchanged: &[Seen]) -> Result<(), Failure> {
        for seen in unchanged {
            for entity in self.snapshots.not_held(self.sources(), seen) {
                self.find_clash(seen, &entity).await?;
            }
        }
        Ok(())
    }

    async fn find_clash(&self, seen: &Seen, entity: &Entity) -> Result<(), Failure> {
        let Some(key) = entity.key() else {
            return Ok(());
        };
        let is_told = {
            let run = self.run();
            MOST_CLASHES <= run.clashes.len() || run.clashes.contains_key(&key.to_string())
        };
        if is_told {
            return Ok(());
        }
        let source = &seen.item.partition.source;
        match writer_of(self.store(), &key, source).await? {
            Some((writer, written)) if writer != seen.item && written != digest(entity) => {
                let other = seen.item.clone();
                self.tell_clashes(&[Clash { key, writer, other }]);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the mapping gives the identifier of what `item` makes of `blueprint`.
    fn place_of(&self, item: &ItemRef, blueprint: &str) -> String {
        let group = self.sources().group(&item.partition.source);
        let resources = group.map_or(&[][..], |group| &group.resources);
        let makes = |resource: &&Arc<Resource>| {
            let constant = resource.constant_blueprint();
            constant.is_none_or(|constant| constant == blueprint)
        };
        let makes = resources.iter().find(makes).or(resources.first());
        makes.map_or_else(
            || "resources".to_owned(),
            |resource| resource.place_of(blueprint, "identifier"),
        )
    }

    /// As people know it.
    fn shown(&self, item: &ItemRef) -> String {
        let group = self.sources().group(&item.partition.source);
        let kind = group.map_or("an item", |group| group.source.name());
        let repository = item.partition.repository.as_ref();
        let name = repository.map(|uuid| {
            let name = self.pages.name(uuid);
            name.unwrap_or_else(|| uuid.to_string())
        });
        let name = name.unwrap_or_else(|| "the workspace".to_owned());
        match item.item {
            ItemId::Whole => format!("{kind} of {name}"),
            ItemId::Number(number) => format!("{kind} {number} of {name}"),
        }
    }
}
