//! What is stored of conditions that nothing else stored tells of, and when the last event came.
//!
//! Plain data, and how sightings of a condition become one. What a number means is in [`condition`](crate::condition).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::{Folder, Key, documents};
use super::{Revision, Store, StoreError};
use crate::condition::Condition;

/// Conditions that were met, by number. One document, written when something begins, ends or says something new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incidents(pub BTreeMap<u8, Sighting>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// When it was met first.
    pub since: Timestamp,
    /// When it was noted last. Within `FRESH_SECONDS` it is not noted again.
    pub seen: Timestamp,
    pub cause: String,
}

/// When the last webhook was accepted of which a worker has noted that; not each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastEvent(pub Timestamp);

/// A condition that is met again and again is noted this often.
const FRESH_SECONDS: i64 = 300;

/// How often a note is written that somebody else writes at the same time.
const ATTEMPTS: usize = 5;

documents! {
    Incidents: "incidents", version 1;
    LastEvent: "last event", version 1;
}

pub fn incidents() -> Key<Incidents> {
    Folder::named("health").key("incidents")
}

pub fn last_event() -> Key<LastEvent> {
    Folder::named("health").key("last-event")
}

impl Incidents {
    pub fn get(&self, condition: Condition) -> Option<&Sighting> {
        self.0.get(&condition.number())
    }

    /// Takes in that `condition` was met.
    pub fn meet(&mut self, condition: Condition, cause: &str, now: Timestamp) {
        let number = condition.number();
        let known = self.0.get(&number);
        let is_fresh = |known: &&Sighting| now.duration_since(known.seen).as_secs() < FRESH_SECONDS;
        if known.filter(is_fresh).is_some() {
            return;
        }
        let since = known
            .filter(|known| !has_passed(condition, known, now))
            .map_or(now, |known| known.since);
        let incident = Sighting {
            since,
            seen: now,
            cause: cause.to_owned(),
        };
        self.0.insert(number, incident);
    }

    /// Takes in what was met of the conditions that are asked for: what was not is over.
    pub fn ask(&mut self, met: &BTreeMap<Condition, String>, now: Timestamp) {
        for (condition, cause) in met {
            // Asked for each time, they need no note that they are still so.
            match self.0.get_mut(&condition.number()) {
                Some(known) => known.cause.clone_from(cause),
                None => self.meet(*condition, cause, now),
            }
        }
        self.0.retain(|number, incident| {
            Condition::of_number(*number).is_some_and(|condition| {
                let is_met = !condition.is_asked_for() || met.contains_key(&condition);
                is_met && !has_passed(condition, incident, now)
            })
        });
    }
}

fn has_passed(condition: Condition, incident: &Sighting, now: Timestamp) -> bool {
    let after = condition.passes_after();
    after.is_some_and(|after| crate::deadline::later(incident.seen, after) <= now)
}

/// Stores that `condition` was met. What cannot be stored is in the log all the same: whoever meets it says so.
pub async fn note(
    store: &Store,
    condition: Condition,
    cause: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    change(store, |incidents| incidents.meet(condition, cause, now)).await
}

/// Stores what `change` makes of the incidents, if it makes anything else of them.
pub async fn change(store: &Store, change: impl Fn(&mut Incidents)) -> Result<(), StoreError> {
    let key = incidents();
    let mut attempt = 1;
    loop {
        let found = store.load(&key).await?;
        let before = found.value.unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(());
        }
        match store.save(&key, &after, found.revision).await {
            Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            saved => return saved.map(|_| ()),
        }
    }
}

/// Stores that an event came at `at`, whatever is stored.
pub async fn note_event(store: &Store, at: Timestamp) -> Result<(), StoreError> {
    let (key, value) = (last_event(), LastEvent(at));
    store
        .save(&key, &value, Revision::ANYTHING)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    #[test]
    fn an_incident_keeps_its_beginning_until_it_has_passed() {
        let mut incidents = Incidents::default();
        for minute in [0, 2, 6, 9] {
            incidents.meet(Condition::WorkerDied, &format!("at {minute}"), at(minute));
        }
        let known = incidents.get(Condition::WorkerDied).unwrap();
        assert_eq!((known.since, known.seen), (at(0), at(6)));
        assert_eq!(known.cause, "at 6");
        incidents.meet(Condition::WorkerDied, "another", at(30));
        assert_eq!(incidents.get(Condition::WorkerDied).unwrap().since, at(30));
    }

    #[test]
    fn what_is_asked_for_ends_when_it_is_not_met() {
        let mut incidents = Incidents::default();
        incidents.meet(Condition::DeadLetters, "poison", at(0));
        let met = BTreeMap::from([(Condition::PortRefused, "401".to_owned())]);
        incidents.ask(&met, at(0));
        incidents.ask(&met, at(20));
        assert_eq!(incidents.get(Condition::PortRefused).unwrap().since, at(0));
        incidents.ask(&BTreeMap::new(), at(21));
        assert_eq!(incidents.get(Condition::PortRefused), None);
        assert!(incidents.get(Condition::DeadLetters).is_some());
    }
}
