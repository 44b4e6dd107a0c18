//! What the partitions that are being refreshed stand for, before and after, and what nobody stands for any more.
//!
//! Knows records and keys; reads nothing from Bitbucket and writes nothing to Port.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::deadline::Clock;
use crate::entity::EntityKey;
use crate::partition::{self, Record};
use crate::pipeline::{Produced, Target};
use crate::state::{Expected, StateError, Store};

/// Key of what is known about entities that several repositories stand for.
const ORIGINS: &str = "origins";

/// Which blueprints have entities that several repositories have produced, under one mapping.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Origins {
    /// Fingerprint of the mapping.
    mapping: String,
    /// Whether a resync has seen all records; before, any entity may have another origin. False while it looks.
    complete: bool,
    shared: BTreeSet<String>,
}

/// A partition: source id and repository (uuid, or [`partition::WORKSPACE`]).
pub(super) type Place = (String, String);

/// What an attempt that came to nothing has written, by partition: whoever tries again knows no better where it came
/// from.
#[derive(Clone, Default)]
pub struct Strays(BTreeMap<Place, Produced>);

/// The records at hand, and what has changed about them.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    records: BTreeMap<Place, Tracked>,
    /// What items stood for before.
    candidates: BTreeSet<EntityKey>,
    /// What items may have stood for that have no record, or would stand for if they were selected: somebody else may
    /// stand for them whatever their blueprint.
    guessed: BTreeSet<EntityKey>,
    /// Ends of relations that items had before.
    dropped: BTreeSet<Target>,
    /// What items stand for now, did not before, and Port had all the same.
    newly_met: BTreeSet<EntityKey>,
    /// Of the attempt before this one, for partitions not looked at again yet.
    strays: Strays,
}

#[derive(Clone)]
struct Tracked {
    record: Record,
    /// What the stored record has to be for this one to take its place.
    expected: Expected,
    /// Items looked at; none of a record that was only read.
    looked_at: BTreeSet<String>,
    /// A resync's own record: its marks have been followed.
    of_run: bool,
}

impl Tracked {
    /// Whether the record is not what is stored any more.
    fn has_changed(&self) -> bool {
        self.of_run || !self.looked_at.is_empty()
    }
}

impl Ledger {
    pub(super) fn after(strays: Strays) -> Ledger {
        Ledger {
            strays,
            ..Ledger::default()
        }
    }

    /// What this attempt has written and could not record.
    pub(super) fn into_strays(self) -> Strays {
        let Strays(mut strays) = self.strays;
        for (place, tracked) in self.records {
            if tracked.has_changed() {
                let stray = strays.entry(place).or_default();
                for produced in tracked.record.items.into_values() {
                    stray.absorb(produced);
                }
            }
        }
        Strays(strays)
    }

    /// Reads the record of `place`, once.
    pub(super) async fn open(&mut self, store: &Store, place: &Place) -> Result<(), StateError> {
        if self.records.contains_key(place) {
            return Ok(());
        }
        let found = partition::load(store, &place.0, &place.1).await?;
        let expected = Expected::unchanged(found.as_ref());
        let tracked = Tracked {
            record: found.map(|found| found.value).unwrap_or_default(),
            expected,
            looked_at: BTreeSet::new(),
            of_run: false,
        };
        self.records.insert(place.clone(), tracked);
        Ok(())
    }

    /// Takes a resync's record, not stored yet, as the one of `place`, which was `before`.
    pub(super) fn adopt(
        &mut self,
        place: Place,
        before: &Record,
        record: Record,
        expected: Expected,
    ) {
        self.candidates.extend(before.keys().cloned());
        self.dropped.extend(before.targets().cloned());
        self.collect_strays(&place);
        let tracked = Tracked {
            record,
            expected,
            looked_at: BTreeSet::new(),
            of_run: true,
        };
        self.records.insert(place, tracked);
    }

    /// Whether it is known all that `place` stands for.
    pub(super) fn is_complete(&self, place: &Place) -> bool {
        self.records
            .get(place)
            .is_some_and(|tracked| tracked.record.complete)
    }

    /// Notes what `item` stands for now. `last_seen` is what the event's own view of it stands for: all there is to
    /// go by where no record is.
    pub(super) fn put(
        &mut self,
        place: &Place,
        item: &str,
        mut now: Produced,
        last_seen: Produced,
    ) {
        let Some(tracked) = self.records.get_mut(place) else {
            return;
        };
        tracked.looked_at.insert(item.to_owned());
        let before = tracked.record.items.remove(item);
        if !tracked.record.complete {
            self.guessed.extend(last_seen.keys);
            self.guessed.extend(last_seen.unselected);
            self.guessed.append(&mut now.unselected);
        }
        let held = |key: &EntityKey| {
            before
                .as_ref()
                .is_some_and(|before| before.keys.contains(key))
        };
        let newly_met = now.known.iter().filter(|key| !held(key)).cloned();
        self.newly_met.extend(newly_met);
        if let Some(before) = before {
            self.candidates.extend(before.keys.iter().cloned());
            self.dropped.extend(before.targets.iter().cloned());
            if 0 < now.failures {
                now.absorb(before);
            }
        }
        if !now.keys.is_empty() || !now.targets.is_empty() {
            tracked.record.items.insert(item.to_owned(), now);
        }
        self.collect_strays(place);
    }

    /// Notes all that `place` stands for now.
    pub(super) fn replace(&mut self, place: &Place, items: Vec<(String, Produced)>) {
        let Some(tracked) = self.records.get_mut(place) else {
            return;
        };
        let before = std::mem::take(&mut tracked.record);
        self.candidates.extend(before.keys().cloned());
        self.dropped.extend(before.targets().cloned());
        let known = items.iter().flat_map(|(_, now)| &now.known);
        let held: BTreeSet<&EntityKey> = before.keys().collect();
        self.newly_met
            .extend(known.filter(|key| !held.contains(key)).cloned());
        if !before.complete {
            let unselected = items.iter().flat_map(|(_, now)| &now.unselected);
            self.guessed.extend(unselected.cloned());
        }
        let known_before = tracked.expected != Expected::Absent;
        let mut record = Record::of_run(&before.run, items, known_before.then_some(&before));
        record.touched = before.touched;
        tracked.record = record;
        tracked.looked_at.insert(partition::WHOLE.to_owned());
        self.collect_strays(place);
    }

    fn collect_strays(&mut self, place: &Place) {
        let Strays(strays) = &mut self.strays;
        let Some(stray) = strays.remove(place) else {
            return;
        };
        self.candidates.extend(stray.keys);
        self.dropped.extend(stray.targets);
    }

    /// Adds what something that is gone may have stood for, as far as no record tells.
    pub(super) fn guess(&mut self, keys: impl IntoIterator<Item = EntityKey>) {
        self.guessed.extend(keys);
    }

    pub(super) fn is_guessed(&self, key: &EntityKey) -> bool {
        self.guessed.contains(key)
    }

    /// Adds what nothing stands for any more that is looked at here.
    pub(super) fn add_candidates(&mut self, keys: impl IntoIterator<Item = EntityKey>) {
        self.candidates.extend(keys);
    }

    pub(super) fn dropped(&self) -> &BTreeSet<Target> {
        &self.dropped
    }

    /// What may have to go: stood for before, and by none of the records at hand now.
    pub(super) fn gone(&self) -> BTreeSet<EntityKey> {
        let mut gone = &self.candidates | &self.guessed;
        for tracked in self.records.values() {
            for key in tracked.record.keys() {
                gone.remove(key);
            }
        }
        gone
    }

    /// Ends of relations of what the records at hand stand for.
    pub(super) fn targets(&self) -> BTreeSet<Target> {
        let records = self.records.values();
        records
            .flat_map(|tracked| tracked.record.targets().cloned())
            .collect()
    }

    /// Repositories of which something was looked at.
    pub(super) fn repositories(&self) -> BTreeSet<String> {
        let changed = self
            .records
            .iter()
            .filter(|(_, tracked)| !tracked.looked_at.is_empty());
        changed
            .map(|((_, repository), _)| repository.clone())
            .collect()
    }

    /// Whether the record at hand is not what is stored any more.
    pub(super) fn has_changed(&self, source: &str, repository: &str) -> bool {
        let place = (source.to_owned(), repository.to_owned());
        let tracked = self.records.get(&place);
        tracked.is_some_and(Tracked::has_changed)
    }

    /// Stores what has changed. Whoever else has written one of the records since it was read wins, and the caller
    /// has to look again.
    pub(super) async fn save(&mut self, store: &Store, clock: &Clock) -> Result<(), StateError> {
        for ((source, repository), tracked) in &mut self.records {
            if !tracked.has_changed() {
                continue;
            }
            if tracked.of_run {
                tracked.record.touched.clear();
            } else {
                tracked.record.touch(&tracked.looked_at, clock.now());
            }
            let record = &tracked.record;
            let version =
                partition::save(store, source, repository, record, tracked.expected).await?;
            tracked.expected = Expected::Version(version);
        }
        Ok(())
    }

    /// Remembers that entities of a blueprint have more than one origin, as far as it shows here.
    pub(super) async fn note_shared(&self, store: &Store, mapping: &str) -> Result<(), StateError> {
        let blueprints = self.newly_met.iter().map(|key| key.blueprint.clone());
        let blueprints: BTreeSet<String> = blueprints.collect();
        if blueprints.is_empty() {
            return Ok(());
        }
        change_origins(store, |origins| {
            // Nothing is known yet, and a resync will look at all records.
            if origins.mapping == mapping {
                origins.shared.extend(blueprints.iter().cloned());
            }
        })
        .await
    }
}

/// Blueprints of which an entity may have several origins in different repositories; `None` where any may, because
/// no resync with this mapping has been through yet.
pub(super) async fn shared(
    store: &Store,
    mapping: &str,
) -> Result<Option<BTreeSet<String>>, StateError> {
    let found = store.load::<Origins>(ORIGINS).await?;
    let found = found.map(|found| found.value);
    let complete = found.filter(|found| found.complete && found.mapping == mapping);
    Ok(complete.map(|found| found.shared))
}

/// A resync is about to look at all records: what live events meet from now on counts.
pub async fn look_for_shared(store: &Store, mapping: &str) -> Result<(), StateError> {
    change_origins(store, |origins| {
        if origins.mapping != mapping {
            *origins = Origins {
                mapping: mapping.to_owned(),
                ..Origins::default()
            };
        }
    })
    .await
}

/// A resync has looked at all records: of these blueprints several repositories have produced the same entity. That is
/// never taken back while the mapping lasts: all it costs is a look at the records.
pub async fn found_shared(store: &Store, blueprints: &BTreeSet<String>) -> Result<(), StateError> {
    change_origins(store, |origins| {
        origins.complete = true;
        origins.shared.extend(blueprints.iter().cloned());
    })
    .await
}

async fn change_origins(store: &Store, change: impl Fn(&mut Origins)) -> Result<(), StateError> {
    store.change(ORIGINS, change).await
}

/// Calls `each` with the stored records of `sources`, except those of partitions that `skip` names, until it has
/// nothing more to learn.
pub(super) async fn scan(
    store: &Store,
    sources: &[String],
    skip: impl Fn(&str, &str) -> bool,
    mut each: impl FnMut(&Record) -> ControlFlow<()>,
) -> Result<(), StateError> {
    let mut flow = ControlFlow::Continue(());
    for source in sources {
        if flow.is_break() {
            break;
        }
        partition::list(store, source, |repository, found| {
            let record = found.value;
            if !skip(source, repository) {
                flow = each(&record);
            }
            flow
        })
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprints(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A live event has met what Port had already.
    async fn meet(store: &Store, mapping: &str, blueprint: &str) {
        let ledger = Ledger {
            newly_met: BTreeSet::from([EntityKey::new(blueprint, "x")]),
            ..Ledger::default()
        };
        ledger.note_shared(store, mapping).await.unwrap();
    }

    #[tokio::test]
    async fn what_an_attempt_has_written_is_looked_after_by_the_next() {
        let store = Store::memory();
        let place = ("tree".to_owned(), "{1}".to_owned());
        let stands_for = |name: &str| Produced {
            keys: vec![EntityKey::new("folder", name)].into_iter().collect(),
            ..Produced::default()
        };
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().unwrap());
        let mut first = Ledger::default();
        first.open(&store, &place).await.unwrap();
        first.replace(&place, vec![("".to_owned(), stands_for("src"))]);
        let mut faster = Ledger::default();
        faster.open(&store, &place).await.unwrap();
        faster.replace(&place, vec![("".to_owned(), stands_for("docs"))]);
        faster.save(&store, &clock).await.unwrap();
        let refused = first.save(&store, &clock).await;
        assert!(matches!(refused, Err(StateError::Conflict { .. })));

        let mut second = Ledger::after(first.into_strays());
        second.open(&store, &place).await.unwrap();
        assert!(second.gone().is_empty(), "not looked at again yet");
        second.replace(&place, vec![("".to_owned(), stands_for("docs"))]);
        let src = EntityKey::new("folder", "src");
        assert_eq!(second.gone(), BTreeSet::from([src]));
    }

    #[tokio::test]
    async fn any_entity_may_be_shared_until_a_resync_has_seen_all_records() {
        let store = Store::memory();
        meet(&store, "one", "too-early").await;
        assert_eq!(shared(&store, "one").await.unwrap(), None);
        look_for_shared(&store, "one").await.unwrap();
        meet(&store, "one", "meanwhile").await;
        assert_eq!(shared(&store, "one").await.unwrap(), None);
        found_shared(&store, &blueprints(&["group"])).await.unwrap();
        meet(&store, "one", "later").await;
        let all = Some(blueprints(&["group", "later", "meanwhile"]));
        assert_eq!(shared(&store, "one").await.unwrap(), all);
    }

    #[tokio::test]
    async fn another_mapping_begins_with_nothing() {
        let store = Store::memory();
        for mapping in ["one", "two"] {
            look_for_shared(&store, mapping).await.unwrap();
            found_shared(&store, &blueprints(&[mapping])).await.unwrap();
        }
        assert_eq!(shared(&store, "one").await.unwrap(), None);
        let two = Some(blueprints(&["two"]));
        assert_eq!(shared(&store, "two").await.unwrap(), two);
    }
}
