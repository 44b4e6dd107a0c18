//! Who else claims the entities at hand: rows say where to look, records say who it is.
//!
//! Reads under the pen and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::plan::{Others, Seen, Sight};
use super::settle::{is_empty, update, update_row, waiting_for};
use crate::entity::{Entity, EntityKey};
use crate::identity::{ItemId, ItemRef, Place, SourceId};
use crate::store::documents::{Entry, Held, Record, Row, record, row};
use crate::store::{Found, Revision, Store, StoreError};

/// Rows written at once.
const ROWS_AT_ONCE: usize = 64;

/// The records and rows that a commit works with, as they are under the pen.
pub(super) struct Holders {
    records: BTreeMap<Place, Loaded>,
    rows: BTreeMap<EntityKey, LoadedRow>,
}

/// A row, and what a save has to expect in its place.
struct LoadedRow {
    row: Row,
    revision: Revision,
}

/// A record, and what a save has to expect in its place.
struct Loaded {
    /// Whether there is a record that can be read.
    is_known: bool,
    record: Record,
    revision: Revision,
}

impl Holders {
    /// Reads the records of the items that were `seen`, and the rows of all that they claim.
    pub(super) async fn load(store: &Store, seen: &[Seen]) -> Result<Holders, StoreError> {
        let places: BTreeSet<Place> = seen.iter().map(|seen| seen.item.place()).collect();
        let keys: BTreeSet<EntityKey> = seen.iter().flat_map(Seen::keys).collect();
        let (records, rows) = tokio::join!(load_records(store, places), load_rows(store, keys));
        Ok(Holders {
            records: records?,
            rows: rows?,
        })
    }

    pub(super) fn entry(&self, item: &ItemRef) -> Option<&Entry> {
        self.records
            .get(&item.place())?
            .record
            .items
            .get(&item.item)
    }

    /// Finds out who else claims what `seen` claims.
    pub(super) async fn others(
        &mut self,
        store: &Store,
        seen: &[Seen],
    ) -> Result<Others, StoreError> {
        let claimed: BTreeSet<EntityKey> = seen.iter().flat_map(contested_keys).collect();
        let named = self
            .rows
            .iter()
            .filter(|(key, _)| claimed.contains(key))
            .flat_map(|(_, loaded)| loaded.row.content.iter().chain(&loaded.row.waiting));
        let unread: BTreeSet<Place> = named
            .filter(|place| !self.records.contains_key(place))
            .cloned()
            .collect();
        self.records.extend(load_records(store, unread).await?);
        let at_hand: BTreeSet<&ItemRef> = seen.iter().map(|seen| &seen.item).collect();
        let mut others = Others::default();
        for (key, LoadedRow { row, .. }) in &self.rows {
            if claimed.contains(key) {
                self.holders_of(key, row, &at_hand, &mut others);
            }
            if self.is_target_elsewhere(key, row, &at_hand) {
                others.targets.insert(key.clone());
            }
        }
        Ok(others)
    }

    fn holders_of(
        &self,
        key: &EntityKey,
        row: &Row,
        at_hand: &BTreeSet<&ItemRef>,
        others: &mut Others,
    ) {
        for place in &row.content {
            let Some(loaded) = self.records.get(place) else {
                continue;
            };
            if !loaded.is_known {
                let unknown = others.unknown.entry(key.clone()).or_default();
                unknown.insert(place.clone());
            }
            for (item, entry) in &loaded.record.items {
                let item = place.partition.item(*item);
                let Some(held) = held(entry, key).filter(|_| !at_hand.contains(&item)) else {
                    continue;
                };
                let content = others.content.entry(key.clone()).or_default();
                content.insert(item, held.written);
            }
        }
    }

    /// A place whose record is not at hand is taken at the row's word.
    fn is_target_elsewhere(
        &self,
        key: &EntityKey,
        row: &Row,
        at_hand: &BTreeSet<&ItemRef>,
    ) -> bool {
        row.targets
            .iter()
            .any(|place| match self.records.get(place) {
                None => true,
                Some(loaded) => loaded.record.items.iter().any(|(item, entry)| {
                    entry.claims.iter().any(|claim| claim.targets.contains(key))
                        && !at_hand.contains(&place.partition.item(*item))
                }),
            })
    }

    /// Items that claim one of `keys`, which need not be at hand.
    pub(super) async fn claiming(
        store: &Store,
        keys: BTreeSet<EntityKey>,
    ) -> Result<BTreeSet<ItemRef>, StoreError> {
        let rows = load_rows(store, keys).await?;
        let places = rows.values().flat_map(|loaded| &loaded.row.content);
        let records = load_records(store, places.cloned().collect()).await?;
        let mut claiming = BTreeSet::new();
        for (key, LoadedRow { row, .. }) in &rows {
            for place in &row.content {
                let record = records.get(place).map(|loaded| &loaded.record);
                let items = record.into_iter().flat_map(|record| &record.items);
                let own = items.filter(|(_, entry)| held(entry, key).is_some());
                claiming.extend(own.map(|(item, _)| place.partition.item(*item)));
            }
        }
        Ok(claiming)
    }

    /// Those of `keys` that no item claims or leads to.
    pub(super) async fn unclaimed(
        store: &Store,
        keys: BTreeSet<EntityKey>,
    ) -> Result<BTreeSet<EntityKey>, StoreError> {
        let rows = load_rows(store, keys).await?;
        let places = |row: &Row| -> BTreeSet<Place> { &row.content | &row.targets };
        let all = rows.values().flat_map(|loaded| places(&loaded.row));
        let records = load_records(store, all.collect()).await?;
        let is_claimed = |(key, loaded): &(EntityKey, LoadedRow)| {
            let places = places(&loaded.row);
            let mut named = places.iter().filter_map(|place| records.get(place));
            named.any(|loaded| {
                let claims = loaded.record.items.values().flat_map(|entry| &entry.claims);
                claims.into_iter().any(|claim| {
                    let mut content = claim.content.iter();
                    claim.targets.contains(key) || content.any(|held| held.key == *key)
                })
            })
        };
        let unclaimed = rows.into_iter().filter(|row| !is_claimed(row));
        Ok(unclaimed.map(|(key, _)| key).collect())
    }

    /// Items that wait for one of `keys`.
    pub(super) fn waiting_for(&self, keys: &BTreeSet<EntityKey>) -> BTreeSet<ItemRef> {
        let rows = self.rows.iter().filter(|(key, _)| keys.contains(key));
        let places: BTreeSet<&Place> = rows.flat_map(|(_, loaded)| &loaded.row.waiting).collect();
        let mut waiting = BTreeSet::new();
        for place in places {
            if let Some(loaded) = self.records.get(place) {
                let items = waiting_for(&loaded.record, keys);
                waiting.extend(items.map(|item| place.partition.item(item)));
            }
        }
        waiting
    }

    /// Stores the records of `entries` in their new state, on the condition that nobody else has written them.
    pub(super) async fn save(
        &mut self,
        store: &Store,
        entries: BTreeMap<ItemRef, Entry>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut by_place: BTreeMap<Place, Vec<(ItemId, Entry)>> = BTreeMap::new();
        for (item, entry) in entries {
            let entries = by_place.entry(item.place()).or_default();
            entries.push((item.item, entry));
        }
        let mut changed = Vec::with_capacity(by_place.len());
        for (place, entries) in by_place {
            let Some(loaded) = self.records.get_mut(&place) else {
                continue;
            };
            update(&mut loaded.record, entries, now);
            loaded.is_known = true;
            changed.push(place);
        }
        let saves = changed.iter().filter_map(|place| {
            let loaded = self.records.get(place)?;
            Some(async move {
                let key = record(place);
                let saved = store.save(&key, &loaded.record, loaded.revision);
                saved.await.map(|revision| (place.clone(), revision))
            })
        });
        let saved = futures_util::future::try_join_all(saves).await?;
        for (place, revision) in saved {
            if let Some(loaded) = self.records.get_mut(&place) {
                loaded.revision = revision;
            }
        }
        Ok(())
    }

    /// Stores the rows of everything that the items at hand claimed or claim, as the records will be once `settled` is
    /// stored; on the condition that nobody else has written the rows. A death in between leaves rows that name a place too
    /// many, never one too few.
    pub(super) async fn save_rows(
        &mut self,
        store: &Store,
        settled: &BTreeMap<ItemRef, Entry>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut by_place: BTreeMap<Place, Record> = BTreeMap::new();
        for (item, entry) in settled {
            let place = item.place();
            let record = by_place.entry(place).or_insert_with_key(|place| {
                let loaded = self.records.get(place);
                loaded
                    .map(|loaded| loaded.record.clone())
                    .unwrap_or_default()
            });
            update(record, [(item.item, entry.clone())], now);
        }
        let mut changed = Vec::new();
        for (key, loaded) in &mut self.rows {
            let before = loaded.row.clone();
            for (place, record) in &by_place {
                update_row(&mut loaded.row, key, place, record);
            }
            let after = &loaded.row;
            if (&after.content, &after.targets, &after.waiting)
                != (&before.content, &before.targets, &before.waiting)
            {
                changed.push((row(key), after.clone(), loaded.revision));
            }
        }
        let saves = changed.iter().map(|(key, row, revision)| async move {
            match is_empty(row) {
                true => store.remove_if(key, *revision).await,
                false => store.save(key, row, *revision).await.map(|_| ()),
            }
        });
        stream::iter(saves)
            .buffer_unordered(ROWS_AT_ONCE)
            .try_collect()
            .await
    }
}

/// The first item of `source` that claims `key` and has written it, with the digest of what it wrote.
pub async fn writer_of(
    store: &Store,
    key: &EntityKey,
    source: &SourceId,
) -> Result<Option<(ItemRef, u64)>, StoreError> {
    let rows = load_rows(store, BTreeSet::from([key.clone()])).await?;
    let places = rows.values().flat_map(|loaded| &loaded.row.content);
    let places = places.filter(|place| place.partition.source == *source);
    let records = load_records(store, places.cloned().collect()).await?;
    let items = records.iter().flat_map(|(place, loaded)| {
        let items = loaded.record.items.iter();
        items.map(|(item, entry)| (place.partition.item(*item), entry))
    });
    let mut writers: Vec<(ItemRef, u64)> = items
        .filter_map(|(item, entry)| Some((item, held(entry, key)?.written?)))
        .collect();
    writers.sort();
    Ok(writers.into_iter().next())
}

/// Entities that `seen` claims, before or after, and those that its relations lead to no longer: whether anybody else
/// claims them decides what becomes of them.
fn contested_keys(seen: &Seen) -> BTreeSet<EntityKey> {
    let before = || seen.before.iter().flat_map(|entry| &entry.claims);
    let mut keys: BTreeSet<EntityKey> = before().flat_map(|claim| claim.targets.clone()).collect();
    if let Sight::Present(image) = &seen.sight {
        for made in &image.made {
            keys.retain(|key| !made.targets.contains(key));
        }
        let entities = image.made.iter().flat_map(|made| &made.entities);
        keys.extend(entities.filter_map(Entity::key));
    }
    let content = before().flat_map(|claim| &claim.content);
    keys.extend(content.map(|held| held.key.clone()));
    keys
}

fn held<'e>(entry: &'e Entry, key: &EntityKey) -> Option<&'e Held> {
    let mut content = entry.claims.iter().flat_map(|claim| &claim.content);
    content.find(|held| held.key == *key)
}

async fn load_records(
    store: &Store,
    places: BTreeSet<Place>,
) -> Result<BTreeMap<Place, Loaded>, StoreError> {
    let keys: Vec<_> = places.iter().map(record).collect();
    let found = store.load_all(&keys).await?;
    let loaded = |Found { value, revision }: Found<Record>| Loaded {
        is_known: value.is_some(),
        record: value.unwrap_or_default(),
        revision,
    };
    Ok(places
        .into_iter()
        .zip(found.into_iter().map(loaded))
        .collect())
}

/// A row of another entity whose key has the same digest counts as absent.
async fn load_rows(
    store: &Store,
    keys: BTreeSet<EntityKey>,
) -> Result<BTreeMap<EntityKey, LoadedRow>, StoreError> {
    let stored: Vec<_> = keys.iter().map(row).collect();
    let found = store.load_all(&stored).await?;
    let rows = keys.into_iter().zip(found).map(|(key, found)| {
        let row = found.value.filter(|row| row.key.as_ref() == Some(&key));
        let loaded = LoadedRow {
            row: row.unwrap_or_default(),
            revision: found.revision,
        };
        (key, loaded)
    });
    Ok(rows.collect())
}
