//! Items as a look has found them.
//!
//! Pure data: what was recorded of an item before Bitbucket was asked, and what it is now.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::entity::{Entity, EntityKey};
use crate::failure::UnreadFile;
use crate::identity::ItemRef;
use crate::store::documents::{Entry, Stamp};
use crate::sync::image::Image;

/// An item that was looked at.
#[derive(Clone)]
pub struct Seen {
    pub item: ItemRef,
    /// What was recorded of it when the look began, before Bitbucket was asked.
    pub before: Option<Entry>,
    pub sight: Sight,
}

impl Seen {
    /// Of the commit that the look follows; `None`: there was none.
    pub fn stamp(&self) -> Option<Stamp> {
        self.before.as_ref().map(|entry| entry.stamp)
    }

    /// Every entity that it claims or leads to, before or after.
    pub fn keys(&self) -> BTreeSet<EntityKey> {
        let before = self.before.iter().flat_map(|entry| &entry.claims);
        let mut keys: BTreeSet<EntityKey> = before
            .flat_map(|claim| {
                claim
                    .content
                    .iter()
                    .map(|held| &held.key)
                    .chain(&claim.targets)
            })
            .cloned()
            .collect();
        if let Sight::Present(image) = &self.sight {
            for made in &image.made {
                keys.extend(made.entities.iter().filter_map(Entity::key));
                keys.extend(made.targets.iter().cloned());
            }
        }
        keys
    }

    /// Whether nothing more is known than that it is there.
    pub fn is_unread(&self) -> bool {
        match &self.sight {
            Sight::Gone => false,
            Sight::Present(image) => {
                let mut own = image.made.iter().filter(|made| made.member.is_empty());
                own.any(|made| made.unread)
            }
        }
    }

    /// Files that could not be read, each once; what holds them stays as it is.
    pub fn lost_files(&self) -> Vec<&Arc<UnreadFile>> {
        let Sight::Present(image) = &self.sight else {
            return Vec::new();
        };
        let mut files: Vec<&Arc<UnreadFile>> = Vec::new();
        for file in image.made.iter().filter_map(|made| made.lost.as_ref()) {
            if !files.iter().any(|known| known.path == file.path) {
                files.push(file);
            }
        }
        files
    }

    /// The same, for those who look again before they tell of a loss.
    pub fn without_losses(mut self) -> Seen {
        if let Sight::Present(image) = &mut self.sight {
            for made in &mut image.made {
                made.lost = None;
            }
        }
        self
    }

    /// Entities that it writes at most.
    pub fn size(&self) -> usize {
        match &self.sight {
            Sight::Gone => 0,
            Sight::Present(image) => {
                let made = image.made.iter();
                made.map(|made| made.entities.len() + made.searched.len())
                    .sum()
            }
        }
    }
}

#[derive(Clone)]
pub enum Sight {
    Present(Image),
    /// Asked for by its id, it is not there, or not selected.
    Gone,
}
