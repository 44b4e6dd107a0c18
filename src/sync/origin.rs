//! What an item was made from, for later runs: whether they may take it over unread.
//!
//! Owns the conditions under which a reading is recorded as a [`Basis`], and those under which the basis still holds. Asks
//! nobody: what Port holds is compared elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::image::Image;
use super::look::Looker;
use super::plan::Sight;
use crate::entity::EntityKey;
use crate::extract::{self, Group, Origin, names_digest};
use crate::failure::Failure;
use crate::identity::Repository;
use crate::port::identifier_digest;
use crate::store::basis::{Basis, ReadCounts};
use crate::store::documents::{Claim, Entry, Stamp};

/// What is known of the entities of an image.
pub struct Resolved {
    /// Digest of their blueprints; `None` where Port lacks one.
    pub(super) schemas: Option<u64>,
    /// Nothing had to be told of them.
    pub(super) is_clean: bool,
}

impl Looker<'_> {
    /// A repository; where files go along, with what tells the next run whether it has to read them again.
    pub(super) async fn listed_repository(
        &self,
        group: &Group,
        raw: Value,
    ) -> Result<Sight, Failure> {
        // Its files were read at the head that it shows, if it shows one.
        let repository = Repository::of(&raw).filter(|_| extract::has_files(&raw));
        let raw = extract::completed(self.bitbucket, group, raw, self.deadline).await?;
        let mut image = Image {
            made: self.mapper.map(&group.resources, &raw, ""),
            basis: None,
        };
        let resolved = self.resolve(&mut image).await?;
        if let Some(repository) = repository
            && let Some(branch) = repository.main_branch.clone()
            && let Some(head) = repository.head.clone()
        {
            let mut shown = raw;
            extract::without_files(&mut shown);
            let carried = Some(group.carried(&shown));
            let origin = Origin {
                branch,
                head,
                carried,
            };
            self.note_basis(group, &repository, &origin, (&resolved, 1, 0), &mut image);
        }
        Ok(Sight::Present(image))
    }

    /// Notes in `image`, made of `extracted` items and with `skipped` files left out, how it came about.
    pub(super) fn note_basis(
        &self,
        group: &Group,
        repository: &Repository,
        origin: &Origin,
        (resolved, extracted, skipped): (&Resolved, usize, usize),
        image: &mut Image,
    ) {
        let schemas = resolved.schemas.filter(|_| resolved.is_clean);
        if let (Some(rules), Some(schemas)) = (self.sources.rules(&group.id), schemas) {
            let rules = (rules, schemas);
            let basis = basis_of(image, repository, origin, rules, (extracted, skipped));
            image.basis = basis;
        }
    }
}

/// What is recorded of how `image` came about. `None` where part of it is not known, or where something was told that the
/// next run has to tell again.
fn basis_of(
    image: &Image,
    repository: &Repository,
    origin: &Origin,
    (rules, schemas): (u64, u64),
    (extracted, skipped): (usize, usize),
) -> Option<Basis> {
    let mut made = image.made.iter();
    let is_complete = made.all(|made| !made.incomplete && !made.is_remarkable);
    // Files that were left out every run names.
    if !is_complete || 0 < skipped || image.searched().next().is_some() {
        return None;
    }
    let mut members: BTreeSet<(&'static str, &str)> = BTreeSet::new();
    let mut items: BTreeMap<String, usize> = BTreeMap::new();
    for made in &image.made {
        let kind = made.resource.kind.name();
        if members.insert((kind, &made.member)) {
            *items.entry(kind.to_owned()).or_default() += 1;
        }
    }
    let mut resources: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for made in &image.made {
        let fingerprint = made.resource.fingerprint.clone();
        let (read, turned_away, entities) = resources.entry(fingerprint).or_default();
        *read += 1;
        *turned_away += made.filtered_out;
        *entities += made.entities.len();
    }
    Some(Basis {
        branch: origin.branch.clone(),
        head: origin.head.clone(),
        rules,
        names: names_digest(repository),
        carried: origin.carried,
        schemas,
        read: ReadCounts {
            extracted,
            items,
            resources,
        },
    })
}

/// The basis that is recorded with `claims`: none where they are not what the image says, or Port has not taken all of it.
pub(super) fn recorded_basis(image: &Image, claims: &[Claim]) -> Option<Basis> {
    let basis = image.basis.as_ref()?;
    let entities = image.made.iter().flat_map(|made| &made.entities);
    let made: BTreeSet<EntityKey> = entities.filter_map(|entity| entity.key()).collect();
    let mut content = claims.iter().flat_map(|claim| &claim.content);
    let is_as_made = content.all(|held| made.contains(&held.key) && !held.waits && !held.refused);
    is_as_made.then(|| basis.clone())
}

/// What is recorded of a partition that may be taken over, in little space: there may be thousands.
#[derive(Clone, Debug)]
pub struct RememberedPartition {
    pub stamp: Stamp,
    pub basis: Basis,
    /// What Port holds of it, as long as nobody else has written.
    pub entities: Vec<RememberedEntity>,
}

#[derive(Clone, Debug)]
pub struct RememberedEntity {
    pub blueprint: Arc<str>,
    /// See [`identifier_digest`].
    pub identifier: u64,
    /// See [`Held::shown`](crate::store::documents::Held).
    pub shown: u64,
}

impl RememberedPartition {
    /// `None` for a partition that has to be read: its reading was not complete, or nobody can tell whether Port still holds
    /// what came of it. `blueprints` are those met so far.
    pub fn of(entry: Entry, blueprints: &mut BTreeSet<Arc<str>>) -> Option<RememberedPartition> {
        let basis = entry.basis.filter(|_| entry.sure)?;
        let mut entities = Vec::new();
        for claim in entry.claims {
            for held in claim.content {
                if held.waits || held.refused || !held.below.is_empty() {
                    return None;
                }
                let known = blueprints.get(held.key.blueprint.as_str()).cloned();
                let blueprint = known.unwrap_or_else(|| {
                    let blueprint: Arc<str> = held.key.blueprint.as_str().into();
                    blueprints.insert(Arc::clone(&blueprint));
                    blueprint
                });
                entities.push(RememberedEntity {
                    blueprint,
                    identifier: identifier_digest(&held.key.identifier),
                    shown: held.shown?,
                });
            }
        }
        Some(RememberedPartition {
            stamp: entry.stamp,
            basis,
            entities,
        })
    }

    /// Whether a reading of the repository as it was listed, with what items show of it (`carried`), would begin from the
    /// same.
    pub fn is_of(&self, listed: &Repository, carried: Option<u64>, rules: Option<u64>) -> bool {
        let Basis {
            branch,
            head,
            rules: made_by,
            names,
            carried: shown,
            schemas: _,
            read: _,
        } = &self.basis;
        let is_at = listed.head_of(branch) == Some(head);
        let shows_the_same = shown.is_none() || carried.is_some() && *shown == carried;
        is_at && Some(*made_by) == rules && *names == names_digest(listed) && shows_the_same
    }
}
