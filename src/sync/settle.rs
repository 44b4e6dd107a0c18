//! What the records and rows say after a commit: before Port is written to, and when Port has answered.
//!
//! Pure. An entry that is announced claims what the item claimed before and what it claims now, so that whatever part of
//! the commit took effect is claimed by somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::image::Image;
use super::origin::recorded_basis;
use super::plan::{Plan, Seen, Sight, absorb, fill_in, led_to_only, retain};
use super::sources::Sources;
use crate::deadline::later;
use crate::entity::{Entity, EntityKey};
use crate::identity::{ItemId, ItemRef, Place, SourceId};
use crate::look::Cause;
use crate::port::{ShownFields, digest, shown};
use crate::store::basis::Basis;
use crate::store::documents::{Claim, Entry, Held, LastWrite, Record, Row, Stamp};

/// How long an entry stays that claims nothing: no look takes longer.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What became of one write or deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Port holds it as it should be; or does not hold it any more, or it never was ours.
    Done,
    /// Port will not take it as it is; or keeps it, since others require it.
    Refused,
    /// A relation leads to an entity that Port does not hold. Only a write meets that.
    LacksTarget,
    /// Nothing is known, or a later try may succeed.
    Later,
}

/// What Port has answered.
#[derive(Default)]
pub struct Results {
    /// For each write of the plan.
    pub writes: Vec<Fate>,
    pub deletes: BTreeMap<EntityKey, Fate>,
}

/// What is recorded in the end.
pub struct Settlement {
    /// Of the items that are done.
    pub entries: BTreeMap<ItemRef, Entry>,
    /// Items whose announcement stays: a later look does them again.
    pub later: BTreeSet<ItemRef>,
}

/// The entry of `seen` from before Port is written to until the commit is settled.
pub fn announced(seen: &Seen, claims: &[Claim], stamp: Stamp) -> Entry {
    let mut all: Vec<Claim> = claims.to_vec();
    for earlier in seen.before.iter().flat_map(|entry| &entry.claims) {
        match all.iter_mut().find(|claim| claim.is_of(earlier)) {
            Some(claim) => absorb(claim, earlier),
            None => all.push(earlier.clone()),
        }
    }
    Entry {
        stamp,
        sure: false,
        empty_since: None,
        last_write: last_write(seen),
        basis: None,
        claims: all,
    }
}

/// Joins what was planned with what Port has answered.
pub fn settle(
    seen: &[Seen],
    plan: &Plan,
    results: &Results,
    sources: &Sources,
    (stamp, now): (Stamp, Timestamp),
) -> Settlement {
    let mut settlement = Settlement {
        entries: BTreeMap::new(),
        later: BTreeSet::new(),
    };
    let mut written: Vec<BTreeMap<EntityKey, Held>> = vec![BTreeMap::new(); seen.len()];
    let mut later: BTreeSet<usize> = BTreeSet::new();
    for (write, fate) in plan.writes.iter().zip(&results.writes) {
        if *fate == Fate::Later {
            later.insert(write.seen);
        }
        if let (Some(key), Some(written)) = (write.entity.key(), written.get_mut(write.seen)) {
            let held = Held {
                written: (*fate == Fate::Done).then(|| digest(&write.entity)),
                shown: None,
                below: write.below.clone(),
                waits: *fate == Fate::LacksTarget,
                refused: *fate == Fate::Refused,
                key: key.clone(),
            };
            written.insert(key, held);
        }
    }
    let with = |fate: Fate| -> BTreeSet<EntityKey> {
        let deletes = results.deletes.iter().filter(|(_, found)| **found == fate);
        deletes.map(|(key, _)| key.clone()).collect()
    };
    let (refused, undecided) = (with(Fate::Refused), with(Fate::Later));
    let led_to = led_to_only(
        &refused,
        seen.iter().filter_map(|seen| seen.before.as_ref()),
    );
    for (position, (seen, claims)) in seen.iter().zip(&plan.claims).enumerate() {
        let before = seen.keys();
        if later.contains(&position) || !undecided.is_disjoint(&before) {
            settlement.later.insert(seen.item.clone());
            continue;
        }
        let mut claims = claims.clone();
        if let Some(written) = written.get(position) {
            fill_in(&mut claims, written);
        }
        if !sources.creates_targets() {
            keep_awaited(&mut claims, seen);
        }
        retain(&mut claims, seen.before.as_ref(), (&refused, &led_to));
        let basis = noted(&mut claims, seen, sources);
        // A partition without items is there all the same, and its entry spares runs another reading.
        let is_empty = claims.is_empty() && basis.is_none();
        let empty_since = is_empty.then_some(now);
        settlement.entries.insert(
            seen.item.clone(),
            Entry {
                stamp,
                sure: true,
                empty_since,
                last_write: last_write(seen),
                basis,
                claims,
            },
        );
    }
    settlement
}

/// Notes in `claims` how Port will show them; says how `seen` was read, where that is to be recorded.
fn noted(claims: &mut [Claim], seen: &Seen, sources: &Sources) -> Option<Basis> {
    let Sight::Present(image) = &seen.sight else {
        return None;
    };
    note_shown(claims, image, (sources, &seen.item.partition.source));
    recorded_basis(image, claims)
}

/// Notes how Port will show what `image` claims, as long as it is so. What is left to other sources in part is shown as
/// they please.
fn note_shown(claims: &mut [Claim], image: &Image, (sources, source): (&Sources, &SourceId)) {
    let entities = image.entities(sources.merges());
    let mut fields: BTreeMap<String, ShownFields> = BTreeMap::new();
    for held in claims.iter_mut().flat_map(|claim| &mut claim.content) {
        let blueprint = &held.key.blueprint;
        let fields = fields
            .entry(blueprint.clone())
            .or_insert_with(|| sources.shown_fields(source, blueprint));
        let entity = entities.get(&held.key).filter(|_| held.below.is_empty());
        held.shown = entity.and_then(|entity| shown(entity, fields));
    }
}

fn last_write(seen: &Seen) -> Option<LastWrite> {
    let before = seen.before.as_ref();
    before.and_then(|entry| entry.last_write.clone())
}

/// Notes that Port has taken something of these items, and why.
pub fn note_writes(
    entries: &mut BTreeMap<ItemRef, Entry>,
    written: &BTreeSet<&ItemRef>,
    cause_of: impl Fn(&ItemRef) -> Option<Cause>,
    now: Timestamp,
) {
    let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    for (item, entry) in entries
        .iter_mut()
        .filter(|(item, _)| written.contains(item))
    {
        let cause = cause_of(item);
        entry.last_write = cause.map(|cause| LastWrite { at, cause });
    }
}

/// Where Port creates no targets, only those count that an entity waits for.
fn keep_awaited(claims: &mut [Claim], seen: &Seen) {
    let Sight::Present(image) = &seen.sight else {
        return;
    };
    for claim in claims {
        let waits = claim.content.iter().any(|held| held.waits);
        let made = image.made.iter().filter(|made| {
            waits && made.resource.fingerprint == claim.resource && made.member == claim.member
        });
        claim.targets = made.flat_map(|made| made.targets.iter().cloned()).collect();
    }
}

/// Puts `entries` into the record of their bucket, and forgets what has been empty for long.
pub fn update(
    record: &mut Record,
    entries: impl IntoIterator<Item = (ItemId, Entry)>,
    now: Timestamp,
) {
    record.items.extend(entries);
    record.items.retain(|_, entry| {
        entry
            .empty_since
            .is_none_or(|since| now < later(since, TOMBSTONE_LIFETIME))
    });
}

/// What `place` is to the entity `key`, as its `record` says.
pub fn update_row(row: &mut Row, key: &EntityKey, place: &Place, record: &Record) {
    let claims = record.items.values().flat_map(|entry| &entry.claims);
    let (mut content, mut target, mut waiting) = (false, false, false);
    for claim in claims {
        let leads = claim.targets.contains(key);
        content |= claim.content.iter().any(|held| held.key == *key);
        target |= leads;
        waiting |= leads && claim.content.iter().any(|held| held.waits);
    }
    for (places, is_in) in [
        (&mut row.content, content),
        (&mut row.targets, target),
        (&mut row.waiting, waiting),
    ] {
        if is_in {
            places.insert(place.clone());
        } else {
            places.remove(place);
        }
    }
    row.key = Some(key.clone());
}

/// Whether the row says anything.
pub fn is_empty(row: &Row) -> bool {
    row.content.is_empty() && row.targets.is_empty() && row.waiting.is_empty()
}

/// Items of `record` that wait for one of `keys`.
pub fn waiting_for<'a>(
    record: &'a Record,
    keys: &'a BTreeSet<EntityKey>,
) -> impl Iterator<Item = ItemId> + 'a {
    let waits = |entry: &Entry| {
        entry.claims.iter().any(|claim| {
            claim.content.iter().any(|held| held.waits) && !claim.targets.is_disjoint(keys)
        })
    };
    let items = record.items.iter().filter(move |(_, entry)| waits(entry));
    items.map(|(item, _)| *item)
}

/// Whether `entity` differs from what was written as `held` says, or nothing is known of that.
pub fn differs_from_record(entity: &Entity, held: Option<&Held>) -> bool {
    held.is_none_or(|held| held.written != Some(digest(entity)))
}
