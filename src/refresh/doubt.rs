//! Deletions to look at once more: nobody stood for these entities as far as the records told, but a resync under way
//! may have written them again and not recorded it yet.
//!
//! They are noted before the records are read; whoever has stored the last record of a run and then reads the notes
//! misses none. Those of deletions that were over before a run began concern none, and are taken back.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::deadline::later;
use crate::entity::EntityKey;
use crate::partition::RUN;
use crate::state::{StateError, Store};

const DOUBTS: &str = "doubtful-deletions";

/// No run takes longer.
const LIFETIME: Duration = Duration::from_secs(2 * 86_400);

/// Notes kept; of more the oldest go, and the next resync finds what they would have told.
const MOST: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    key: EntityKey,
    at: Timestamp,
    /// Whoever noted it; another one may doubt the same.
    by: String,
}

/// Notes that `keys` may be deleted from now on; returns by whom.
pub(super) async fn note(
    store: &Store,
    keys: &BTreeSet<EntityKey>,
    now: Timestamp,
) -> Result<String, StateError> {
    let by = Uuid::new_v4().to_string();
    change(store, |doubts| {
        doubts.retain(|doubt| now < later(doubt.at, LIFETIME));
        let new = keys.iter().cloned();
        doubts.extend(new.map(|key| Doubt {
            key,
            at: now,
            by: by.clone(),
        }));
        doubts.drain(..doubts.len().saturating_sub(MOST));
    })
    .await?;
    Ok(by)
}

/// Takes back those of the notes made `by` somebody that are about `keys`: they are not deleted.
pub(super) async fn withdraw(
    store: &Store,
    by: &str,
    keys: &BTreeSet<EntityKey>,
) -> Result<(), StateError> {
    if keys.is_empty() {
        return Ok(());
    }
    change(store, |doubts| {
        doubts.retain(|doubt| doubt.by != by || !keys.contains(&doubt.key));
    })
    .await
}

/// The deletions noted `by` somebody are done: a run that begins later writes after them.
pub(super) async fn settle(store: &Store, by: &str) -> Result<(), StateError> {
    if store.load::<IgnoredAny>(RUN).await?.is_some() {
        return Ok(());
    }
    change(store, |doubts| doubts.retain(|doubt| doubt.by != by)).await
}

/// What may have been deleted since `moment`.
pub async fn doubtful_since(
    store: &Store,
    moment: Timestamp,
) -> Result<BTreeSet<EntityKey>, StateError> {
    let found = store.load::<Vec<Doubt>>(DOUBTS).await?;
    let doubts = found.map(|found| found.value).unwrap_or_default();
    let since = doubts.into_iter().filter(|doubt| moment <= doubt.at);
    Ok(since.map(|doubt| doubt.key).collect())
}

async fn change(store: &Store, change: impl Fn(&mut Vec<Doubt>)) -> Result<(), StateError> {
    store.change(DOUBTS, change).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Expected;

    fn keys(names: &[&str]) -> BTreeSet<EntityKey> {
        let key = |name: &&str| EntityKey::new("group", *name);
        names.iter().map(key).collect()
    }

    fn noon() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn notes_are_found_by_time_and_fade() {
        let store = Store::memory();
        let hours = |hours: u64| later(noon(), Duration::from_secs(3_600 * hours));
        note(&store, &keys(&["a", "b"]), noon()).await.unwrap();
        note(&store, &keys(&["b", "c"]), hours(1)).await.unwrap();
        let since = async |moment| doubtful_since(&store, moment).await.unwrap();
        assert_eq!(since(noon()).await, keys(&["a", "b", "c"]));
        assert_eq!(since(hours(1)).await, keys(&["b", "c"]));
        note(&store, &keys(&["d"]), hours(48)).await.unwrap();
        assert_eq!(since(noon()).await, keys(&["b", "c", "d"]));
    }

    #[tokio::test]
    async fn only_ones_own_notes_are_withdrawn() {
        let store = Store::memory();
        let one = note(&store, &keys(&["a", "b"]), noon()).await.unwrap();
        note(&store, &keys(&["b"]), noon()).await.unwrap();
        withdraw(&store, &one, &keys(&["a", "b"])).await.unwrap();
        let left = doubtful_since(&store, noon()).await.unwrap();
        assert_eq!(left, keys(&["b"]));
    }

    #[tokio::test]
    async fn what_is_done_concerns_only_a_run_under_way() {
        let store = Store::memory();
        let one = note(&store, &keys(&["a"]), noon()).await.unwrap();
        store.save(RUN, &"a run", Expected::Absent).await.unwrap();
        settle(&store, &one).await.unwrap();
        let left = doubtful_since(&store, noon()).await.unwrap();
        assert_eq!(left, keys(&["a"]));
        store.remove(RUN).await.unwrap();
        settle(&store, &one).await.unwrap();
        let left = doubtful_since(&store, noon()).await.unwrap();
        assert_eq!(left, keys(&[]));
    }

    #[tokio::test]
    async fn the_newest_stay() {
        let store = Store::memory();
        let names: Vec<String> = (0..MOST).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        note(&store, &keys(&names), noon()).await.unwrap();
        note(&store, &keys(&["new"]), noon()).await.unwrap();
        let left = doubtful_since(&store, noon()).await.unwrap();
        assert_eq!(left.len(), MOST);
        assert!(left.contains(&EntityKey::new("group", "new")));
    }
}
