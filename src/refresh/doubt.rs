//! Deletions to look at once more: nobody stood for these entities as far as the records told, but a resync under way
//! may have written them again and not recorded it yet.
//!
//! They are noted before the records are read; whoever has stored the last record of a run and then reads the notes
//! misses none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deadline::later;
use crate::entity::EntityKey;
use crate::state::{Expected, StateError, Store};

const DOUBTS: &str = "doubtful-deletions";

/// No run takes longer.
const LIFETIME: Duration = Duration::from_secs(2 * 86_400);

/// Notes kept; of more the oldest go, and the next resync finds what they would have told.
const MOST: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    key: EntityKey,
    at: Timestamp,
}

/// Notes that `keys` may be deleted from now on.
pub(super) async fn note(
    store: &Store,
    keys: &BTreeSet<EntityKey>,
    now: Timestamp,
) -> Result<(), StateError> {
    loop {
        let found = store.load::<Vec<Doubt>>(DOUBTS).await?;
        let expected = found
            .as_ref()
            .map_or(Expected::Absent, |found| Expected::Version(found.version));
        let doubts = found.map(|found| found.value).unwrap_or_default();
        let doubts = with(doubts, keys, now);
        match store.save(DOUBTS, &doubts, expected).await {
            Err(StateError::Conflict { .. }) => {}
            saved => return saved.map(|_| ()),
        }
    }
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

fn with(doubts: Vec<Doubt>, keys: &BTreeSet<EntityKey>, now: Timestamp) -> Vec<Doubt> {
    let old = doubts.into_iter().map(|Doubt { key, at }| (key, at));
    let mut all: BTreeMap<EntityKey, Timestamp> =
        old.filter(|(_, at)| now < later(*at, LIFETIME)).collect();
    all.extend(keys.iter().map(|key| (key.clone(), now)));
    let mut all: Vec<Doubt> = all.into_iter().map(|(key, at)| Doubt { key, at }).collect();
    all.sort_by_key(|doubt| std::cmp::Reverse(doubt.at));
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> BTreeSet<EntityKey> {
        let key = |name: &&str| EntityKey::new("group", *name);
        names.iter().map(key).collect()
    }

    #[tokio::test]
    async fn notes_are_found_by_time_and_fade() {
        let store = Store::memory();
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let hours = |hours: u64| later(noon, Duration::from_secs(3_600 * hours));
        note(&store, &keys(&["a", "b"]), noon).await.unwrap();
        note(&store, &keys(&["b", "c"]), hours(1)).await.unwrap();
        let since = async |moment| doubtful_since(&store, moment).await.unwrap();
        assert_eq!(since(noon).await, keys(&["a", "b", "c"]));
        assert_eq!(since(hours(1)).await, keys(&["b", "c"]));
        note(&store, &keys(&["d"]), hours(48)).await.unwrap();
        assert_eq!(since(noon).await, keys(&["b", "c", "d"]));
    }

    #[test]
    fn the_newest_stay() {
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let names: Vec<String> = (0..MOST).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let old = with(Vec::new(), &keys(&names), noon);
        let minute = later(noon, Duration::from_secs(60));
        let all = with(old, &keys(&["new"]), minute);
        assert_eq!(all.len(), MOST);
        assert!(all.iter().any(|doubt| doubt.key.identifier == "new"));
    }
}
