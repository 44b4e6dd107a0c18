//! Partition records: which entities each part of the workspace produced, item by item, and in which run.
//!
//! A partition is one source (a query of the mapping) for one repository, or for the workspace as a whole. Its
//! record is what deletion relies on, so it says itself whether it is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deadline::later;
use crate::entity::EntityKey;
use crate::pipeline::{Produced, Target};
use crate::state::{Document, Expected, StateError, Store};

/// The repository part of a record's key where the source belongs to no repository.
pub const WORKSPACE: &str = "workspace";

/// The item of a partition that is always looked at as a whole.
pub const WHOLE: &str = "";

/// Key of the stored run, which is there from before it writes anything until it is through; there is one at a time.
pub const RUN: &str = "run";

/// How far the clocks of two invocations may be apart.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// Whoever begins to read a source goes on for less than this without looking its records up again, off Lambda, too:
/// older marks tell nobody anything.
const MARK_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The resync that was here last; empty when only live events were.
    pub run: String,
    /// Whether it names everything the partition stands for. False when items could not be mapped and no earlier
    /// complete record could tell what they stood for, or when only live events were here.
    pub complete: bool,
    /// What each item stands for; those that stand for nothing are left out.
    pub items: BTreeMap<String, Produced>,
    /// When live events looked at items: a resync that read them before must look again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub touched: BTreeMap<String, Timestamp>,
}

impl Record {
    /// What the run `run` found, which replaces what was known `before`. Items that could not be mapped keep what they
    /// stood for.
    pub fn of_run(run: &str, items: Vec<(String, Produced)>, before: Option<&Record>) -> Record {
        let mut record = Record {
            run: run.to_owned(),
            complete: true,
            ..Record::default()
        };
        for (item, produced) in items {
            record.put(item, produced, before);
        }
        record
    }

    fn put(&mut self, item: String, mut produced: Produced, before: Option<&Record>) {
        if 0 < produced.failures {
            match before {
                Some(before) => {
                    self.complete &= before.complete;
                    if let Some(before) = before.items.get(&item) {
                        produced.absorb(before.clone());
                    }
                }
                None => self.complete = false,
            }
        }
        if produced.keys.is_empty() && produced.targets.is_empty() {
            return;
        }
        match self.items.get_mut(&item) {
            // Listed on two pages.
            Some(same) => same.absorb(produced),
            None => {
                self.items.insert(item, produced);
            }
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &EntityKey> {
        self.items.values().flat_map(|produced| &produced.keys)
    }

    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.items.values().flat_map(|produced| &produced.targets)
    }

    /// Notes that live events have looked at `items`.
    pub fn touch(&mut self, items: &BTreeSet<String>, now: Timestamp) {
        self.touched
            .retain(|_, touched_at| now < later(*touched_at, MARK_LIFETIME));
        let marks = items.iter().map(|item| (item.clone(), now));
        self.touched.extend(marks);
    }

    /// Items that live events have looked at since `moment`.
    pub fn touched_since(&self, moment: Timestamp) -> BTreeSet<String> {
        let since = |touched_at: &Timestamp| moment <= later(*touched_at, CLOCK_SLACK);
        let touched = self.touched.iter().filter(|(_, at)| since(at));
        touched.map(|(item, _)| item.clone()).collect()
    }
}

pub async fn load(
    store: &Store,
    source: &str,
    repository: &str,
) -> Result<Option<Document<Record>>, StateError> {
    store.load(&key(source, repository)).await
}

/// Hands the records of `source` to `each`, with their repositories, until that breaks off.
pub async fn list(
    store: &Store,
    source: &str,
    each: impl FnMut(&str, Document<Record>) -> ControlFlow<()>,
) -> Result<(), StateError> {
    store.list(&folder(source), each).await
}

pub async fn save(
    store: &Store,
    source: &str,
    repository: &str,
    record: &Record,
    expected: Expected,
) -> Result<u64, StateError> {
    store.save(&key(source, repository), record, expected).await
}

pub async fn remove(store: &Store, source: &str, repository: &str) -> Result<(), StateError> {
    store.remove(&key(source, repository)).await
}

fn folder(source: &str) -> String {
    format!("partition/{source}")
}

fn key(source: &str, repository: &str) -> String {
    format!("{}/{repository}", folder(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produced(identifiers: &[&str], failures: usize) -> Produced {
        let keys = identifiers
            .iter()
            .map(|identifier| EntityKey::new("service", *identifier))
            .collect();
        Produced {
            keys,
            failures,
            ..Produced::default()
        }
    }

    fn of_run(run: &str, produced: Produced, before: Option<&Record>) -> Record {
        Record::of_run(run, vec![(WHOLE.to_owned(), produced)], before)
    }

    #[test]
    fn items_that_cannot_be_mapped_keep_what_they_stood_for() {
        let before = of_run("run-1", produced(&["a", "b"], 0), None);
        let record = of_run("run-2", produced(&["a"], 1), Some(&before));
        assert!(record.complete);
        assert_eq!(record.run, "run-2");
        assert!(record.keys().eq(&produced(&["a", "b"], 0).keys));
    }

    #[test]
    fn without_a_past_such_a_record_is_not_complete_and_stays_so() {
        let first = of_run("run-1", produced(&["a"], 1), None);
        assert!(!first.complete);
        let second = of_run("run-2", produced(&["a"], 1), Some(&first));
        assert!(!second.complete);
        assert!(of_run("run-3", produced(&["a"], 0), Some(&second)).complete);
    }

    #[test]
    fn marks_tell_who_read_too_early_and_fade() {
        let mut record = Record::default();
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        record.touch(&BTreeSet::from(["7".to_owned()]), noon);
        let minutes = |minutes: u64| later(noon, Duration::from_secs(60 * minutes));
        assert!(record.touched_since(minutes(1)).is_empty());
        assert!(record.touched_since(noon).contains("7"));
        record.touch(&BTreeSet::from(["8".to_owned()]), minutes(24 * 60 + 1));
        assert_eq!(record.touched.len(), 1);
    }
}
