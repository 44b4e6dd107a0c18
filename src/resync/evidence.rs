//! What a run has seen, and what nobody can vouch for: the records of its partitions, read for the deletion.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::ControlFlow;

use super::reconcile::Unread;
use super::slice::Slice;
use crate::entity::EntityKey;
use crate::extract::Group;
use crate::failure::Failure;
use crate::partition::{self, Record};
use crate::pipeline::Target;
use crate::refresh::{self, found_shared, look_for_shared};
use crate::state::StateError;

impl Slice<'_> {
    /// What the records of this run say: what was seen, what it points at, and what nobody can vouch for. Records of
    /// repositories that are no longer listed are removed on the way.
    pub(super) async fn evidence(
        &self,
    ) -> Result<(BTreeSet<EntityKey>, BTreeSet<Target>, Unread), StateError> {
        let (store, run) = (&self.app.store, self.run().clone());
        let (mut seen, mut targets, mut unread) =
            (BTreeSet::new(), BTreeSet::new(), Unread::default());
        let mut origins = Origins::default();
        look_for_shared(store, self.mapping.fingerprint()).await?;
        for group in self.groups {
            let source = group.source.id();
            let failed = |repository: &str| {
                let mut failed = run.failed.iter();
                failed.any(|failed| failed.covers(&source, repository))
            };
            let mut missing = self.partitions(group).await?;
            let mut obsolete = Vec::new();
            partition::list(store, &source, |repository, found| {
                let record = found.value;
                let is_listed = missing.remove(repository);
                let is_touched = !record.touched_since(run.started_at).is_empty();
                if !is_listed && !is_touched {
                    obsolete.push(repository.to_owned());
                    return ControlFlow::Continue(());
                }
                // Of what came since the list was taken live events know everything.
                let is_read = !is_listed || record.run == run.id || failed(repository);
                if !is_read || (is_listed && !record.complete) {
                    self.not_vouched_for(&group.resources, &mut unread);
                }
                if is_read {
                    origins.note(repository, &record);
                    for produced in record.items.into_values() {
                        seen.extend(produced.keys);
                        targets.extend(produced.targets);
                    }
                }
                ControlFlow::Continue(())
            })
            .await?;
            let unlisted = run.failed.iter();
            let unlisted = unlisted
                .filter(|failed| failed.source == source)
                .any(|failed| failed.repository.is_none());
            if unlisted || !missing.is_empty() {
                self.not_vouched_for(&group.resources, &mut unread);
            }
            if !unlisted {
                for repository in obsolete {
                    partition::remove(store, &source, &repository).await?;
                }
            }
        }
        found_shared(store, &origins.shared).await?;
        Ok((seen, targets, unread))
    }

    async fn partitions(&self, group: &Group) -> Result<HashSet<String>, StateError> {
        let Some(filter) = group.source.repositories() else {
            return Ok(HashSet::from([partition::WORKSPACE.to_owned()]));
        };
        let repositories = self.repositories(filter).await?;
        Ok(repositories
            .into_iter()
            .map(|repository| repository.uuid)
            .collect())
    }

    fn not_vouched_for(&self, resources: &[usize], unread: &mut Unread) {
        for resource in resources
            .iter()
            .filter_map(|&index| self.mapping.resources().get(index))
        {
            match resource.constant_blueprint() {
                Some(blueprint) => {
                    unread.blueprints.insert(blueprint.to_owned());
                }
                None => unread.anything = true,
            }
        }
    }

    /// The entities that relations lead to, when Port may have created them for us.
    pub(super) async fn resolve(
        &self,
        targets: &BTreeSet<Target>,
    ) -> Result<BTreeSet<EntityKey>, Failure> {
        if !self.mapping.settings().create_missing_related_entities {
            return Ok(BTreeSet::new());
        }
        Ok(refresh::resolve(&self.session.port, targets, &self.deadline).await?)
    }
}

/// Which blueprints have entities that several repositories stand for.
#[derive(Default)]
struct Origins {
    /// The first repository met, by entity; both as hashes, for there may be hundreds of thousands.
    first: HashMap<u64, u64>,
    shared: BTreeSet<String>,
}

impl Origins {
    fn note(&mut self, repository: &str, record: &Record) {
        let repository = hash(repository);
        for key in record.keys() {
            if *self.first.entry(hash(key)).or_insert(repository) != repository {
                self.shared.insert(key.blueprint.clone());
            }
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
