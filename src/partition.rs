//! Partition records: which entities each part of the workspace produced, and in which run.
//!
//! A partition is one source (a query of the mapping) for one repository, or for the workspace as a whole. Its
//! record is what deletion relies on, so it says itself whether it is complete.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::entity::EntityKey;
use crate::pipeline::Produced;
use crate::state::{Expected, StateError, Store};

/// The repository part of a record's key where the source belongs to no repository.
pub const WORKSPACE: &str = "workspace";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run that wrote it last.
    pub run: String,
    /// Whether it names everything the partition stands for. False when items could not be mapped and no earlier
    /// complete record could tell what they stood for.
    pub complete: bool,
    pub produced: Produced,
}

pub async fn load(store: &Store, source: &str, repository: &str) -> Result<Option<Record>, StateError> {
    Ok(store.load(&key(source, repository)).await?.map(|document| document.value))
}

/// Replaces the record with what this run produced. Items that could not be mapped keep what the partition stood
/// for before.
pub async fn save(
    store: &Store,
    source: &str,
    repository: &str,
    run: &str,
    produced: Produced,
) -> Result<(), StateError> {
    let mut record = Record { run: run.to_owned(), complete: true, produced };
    if 0 < record.produced.failures {
        match load(store, source, repository).await? {
            Some(before) => {
                record.complete = before.complete;
                record.produced.absorb(before.produced);
            }
            None => record.complete = false,
        }
    }
    store.save(&key(source, repository), &record, Expected::Anything).await?;
    Ok(())
}

/// Notes what a live event did to the partition: `present` was written, `gone` deleted. A partition without a record
/// gets none, because it would look complete.
pub async fn amend(
    store: &Store,
    source: &str,
    repository: &str,
    present: &Produced,
    gone: &BTreeSet<EntityKey>,
) -> Result<(), StateError> {
    loop {
        let Some(mut found) = store.load::<Record>(&key(source, repository)).await? else { return Ok(()) };
        let produced = &mut found.value.produced;
        produced.keys.extend(present.keys.iter().cloned());
        produced.keys.retain(|key| !gone.contains(key));
        produced.targets.extend(present.targets.iter().cloned());
        match store.save(&key(source, repository), &found.value, Expected::Version(found.version)).await {
            Err(StateError::Conflict { .. }) => {}
            saved => return saved.map(|_| ()),
        }
    }
}

pub async fn remove(store: &Store, source: &str, repository: &str) -> Result<(), StateError> {
    store.remove(&key(source, repository)).await
}

fn key(source: &str, repository: &str) -> String {
    format!("partition/{source}/{repository}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produced(identifiers: &[&str], failures: usize) -> Produced {
        let keys = identifiers.iter().map(|identifier| EntityKey::new("service", *identifier)).collect();
        Produced { keys, failures, ..Produced::default() }
    }

    #[tokio::test]
    async fn items_that_cannot_be_mapped_keep_what_they_stood_for() {
        let store = Store::memory();
        save(&store, "repository-all", "{a}", "run-1", produced(&["a", "b"], 0)).await.unwrap();
        save(&store, "repository-all", "{a}", "run-2", produced(&["a"], 1)).await.unwrap();
        let record = load(&store, "repository-all", "{a}").await.unwrap().unwrap();
        assert!(record.complete);
        assert_eq!(record.run, "run-2");
        assert_eq!(record.produced.keys, produced(&["a", "b"], 0).keys);
    }

    #[tokio::test]
    async fn without_a_past_such_a_record_is_not_complete_and_stays_so() {
        let store = Store::memory();
        for run in ["run-1", "run-2"] {
            save(&store, "project", WORKSPACE, run, produced(&["a"], 1)).await.unwrap();
            assert!(!load(&store, "project", WORKSPACE).await.unwrap().unwrap().complete);
        }
        save(&store, "project", WORKSPACE, "run-3", produced(&["a"], 0)).await.unwrap();
        assert!(load(&store, "project", WORKSPACE).await.unwrap().unwrap().complete);
    }
}
