//! What nothing stands for any more: found among the records, and deleted.
//!
//! Knows neither events nor how anything is read from Bitbucket.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{Refresh, doubt, ledger};
use crate::deadline::Deadline;
use crate::entity::EntityKey;
use crate::failure::Failure;
use crate::partition::WORKSPACE;
use crate::pipeline::Target;
use crate::port::{self, PortClient};

impl Refresh<'_> {
    /// Deletes what nothing stands for any more, then stores what the partitions stand for now: until everything is
    /// done, the old records say what there is to do. A [conflict](crate::state::StateError::Conflict) means that
    /// somebody else has looked at the same objects meanwhile, and that all of this has to be done once more.
    pub async fn commit(&mut self) -> Result<(), Failure> {
        let store = &self.app.store;
        let mapping = self.mapping.fingerprint();
        self.ledger.note_shared(store, mapping).await?;
        let (gone, noted) = self.without_origin().await?;
        if !gone.is_empty() {
            self.delete(gone.into_iter().collect()).await?;
        }
        if let Some(by) = noted {
            doubt::settle(store, &by).await?;
        }
        self.ledger.save(store, &self.app.clock).await?;
        Ok(())
    }

    /// What has to go, and under whose name it is noted that some of it is in doubt.
    async fn without_origin(&mut self) -> Result<(BTreeSet<EntityKey>, Option<String>), Failure> {
        let keeps_targets = self.mapping.settings().create_missing_related_entities;
        if keeps_targets {
            let dropped = self.ledger.dropped();
            let dropped = dropped - &self.ledger.targets();
            let dropped = self.resolve(&dropped).await?;
            self.ledger.add_candidates(dropped);
        }
        let mut gone = self.ledger.gone();
        if gone.is_empty() {
            return Ok((gone, None));
        }
        // The same repository first: what one of its partitions lost, another one often has.
        for repository in self.ledger.repositories() {
            for group in self.groups {
                let place = match group.source.repositories() {
                    Some(_) => &repository,
                    None => WORKSPACE,
                };
                self.open(group, place).await?;
            }
        }
        gone = self.ledger.gone().intersection(&gone).cloned().collect();
        if keeps_targets {
            let targets = self.resolve(&self.ledger.targets()).await?;
            gone.retain(|key| !targets.contains(key));
        }
        let mut uncertain = self.possibly_elsewhere(&gone, keeps_targets).await?;
        if uncertain.is_empty() {
            return Ok((gone, None));
        }
        gone.retain(|key| !uncertain.contains(key));
        let store = &self.app.store;
        let doubted = uncertain.clone();
        let by = doubt::note(store, &doubted, self.app.clock.now()).await?;
        self.drop_those_held_elsewhere(&mut uncertain, keeps_targets)
            .await?;
        doubt::withdraw(store, &by, &(&doubted - &uncertain)).await?;
        gone.append(&mut uncertain);
        Ok((gone, Some(by)))
    }

    /// Those of `keys` that another repository may stand for, or point at.
    async fn possibly_elsewhere(
        &self,
        keys: &BTreeSet<EntityKey>,
        keeps_targets: bool,
    ) -> Result<BTreeSet<EntityKey>, Failure> {
        if keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let shared = ledger::shared(&self.app.store, self.mapping.fingerprint()).await?;
        let Some(mut blueprints) = shared else {
            return Ok(keys.clone());
        };
        if keeps_targets {
            for resource in self.mapping.resources() {
                let Some(blueprint) = resource.constant_blueprint() else {
                    return Ok(keys.clone());
                };
                let relations = relations(&self.session.port, blueprint, self.deadline).await?;
                blueprints.extend(relations.into_values());
            }
        }
        let keys = keys.iter();
        Ok(keys
            .filter(|key| blueprints.contains(&key.blueprint) || self.ledger.is_guessed(key))
            .cloned()
            .collect())
    }

    async fn drop_those_held_elsewhere(
        &self,
        keys: &mut BTreeSet<EntityKey>,
        keeps_targets: bool,
    ) -> Result<(), Failure> {
        let sources: Vec<String> = self.groups.iter().map(|group| group.source.id()).collect();
        let mut pointed_at = BTreeSet::new();
        let ledger = &self.ledger;
        ledger::scan(
            &self.app.store,
            &sources,
            |source, repository| ledger.has_changed(source, repository),
            |record| {
                for key in record.keys() {
                    keys.remove(key);
                }
                let may_be_one =
                    |target: &&Target| keys.iter().any(|key| key.identifier == target.identifier);
                if keeps_targets {
                    pointed_at.extend(record.targets().filter(may_be_one).cloned());
                }
                match keys.is_empty() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        )
        .await?;
        let pointed_at = self.resolve(&pointed_at).await?;
        keys.retain(|key| !pointed_at.contains(key));
        Ok(())
    }

    async fn resolve(
        &self,
        targets: &BTreeSet<Target>,
    ) -> Result<BTreeSet<EntityKey>, port::Error> {
        resolve(&self.session.port, targets, self.deadline).await
    }

    /// Deletes what is ours of `gone`.
    async fn delete(&mut self, gone: Vec<EntityKey>) -> Result<(), Failure> {
        let port = &self.session.port;
        let owned = port.owned_among(&gone, self.deadline).await?;
        if owned.is_empty() {
            return Ok(());
        }
        let dependents = self.mapping.settings().delete_dependent_entities;
        let report = port.delete(&owned, dependents, self.deadline).await?;
        if let Some(error) = report.stopped {
            return Err(error.into());
        }
        for failed in &report.failed {
            tracing::warn!(%failed, "entity not deleted");
        }
        self.counts.deleted += report.deleted;
        Ok(())
    }
}

/// The entities that relations lead to.
pub async fn resolve(
    port: &PortClient,
    targets: &BTreeSet<Target>,
    deadline: &Deadline,
) -> Result<BTreeSet<EntityKey>, port::Error> {
    let mut resolved = BTreeSet::new();
    for Target {
        source_blueprint,
        relation,
        identifier,
    } in targets
    {
        let relations = relations(port, source_blueprint, deadline).await?;
        let target = relations.get(relation);
        resolved.extend(target.map(|blueprint| EntityKey::new(blueprint, identifier)));
    }
    Ok(resolved)
}

/// Where the relations of `blueprint` lead; nowhere when it does not exist.
async fn relations(
    port: &PortClient,
    blueprint: &str,
    deadline: &Deadline,
) -> Result<BTreeMap<String, String>, port::Error> {
    match port.relation_targets(blueprint, deadline).await {
        Err(port::Error::NotFound { .. }) => Ok(BTreeMap::new()),
        found => found,
    }
}
