//! What the log says of each deletion and of each event: which entity, and why.
//!
//! Owns these lines, and how many there may be. Who looks at items says what it owes the looks to; who commits says what
//! came of them. So neither has to know the other. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::Timestamp;

use super::plan::{Seen, Sight};
use super::sources::Sources;
use crate::deliveries::DeliveryEffect;
use crate::entity::EntityKey;
use crate::identity::{ItemRef, PartitionId};
use crate::locked::locked;
use crate::look::Cause;

/// Deletions that are told one by one, of one batch of events or one slice of a run; the others are counted. A large
/// repository that goes takes some hundreds of entities along.
const MOST_LINES: usize = 500;

/// Entities that the line of an event names; the others are counted.
const MOST_NAMES: usize = 10;

/// Why entities are written and deleted, for the log and the records. Dropped, it tells what it has only counted.
pub struct Audit {
    trigger: Trigger,
    /// Deletions so far.
    deletions: Mutex<usize>,
}

enum Trigger {
    Events(Mutex<Trail>),
    Run(Cause),
    /// Nothing is written: somebody asks what would be, and why.
    Rehearsal(Mutex<Reasons>),
}

/// Why entities go.
pub type Reasons = BTreeMap<EntityKey, &'static str>;

#[derive(Default)]
struct Trail {
    owed: BTreeMap<ItemRef, BTreeSet<Cause>>,
    changes: BTreeMap<Cause, Changes>,
}

/// What became of entities because of one event.
#[derive(Default)]
struct Changes {
    written: usize,
    deleted: usize,
    /// The first of them, deleted ones with a sign.
    names: Vec<String>,
}

/// An entity that Port has deleted, and the item that claimed it.
struct Gone<'a> {
    key: &'a EntityKey,
    seen: Option<&'a Seen>,
}

impl Audit {
    pub fn of_events() -> Audit {
        Audit::of(Trigger::Events(Mutex::default()))
    }

    pub fn of_run(id: &str) -> Audit {
        Audit::of(Trigger::Run(Cause::of_run(id)))
    }

    /// Says nothing, and remembers why entities would go.
    pub fn of_rehearsal() -> Audit {
        Audit::of(Trigger::Rehearsal(Mutex::default()))
    }

    /// Why entities would go that a rehearsal has deleted so far.
    pub fn take_reasons(&self) -> Reasons {
        match &self.trigger {
            Trigger::Rehearsal(reasons) => std::mem::take(&mut locked(reasons)),
            Trigger::Events(_) | Trigger::Run(_) => Reasons::new(),
        }
    }

    fn of(trigger: Trigger) -> Audit {
        Audit {
            trigger,
            deletions: Mutex::default(),
        }
    }

    /// `item` is looked at because of `causes`.
    pub fn owe(&self, item: &ItemRef, causes: &BTreeSet<Cause>) {
        if let Trigger::Events(trail) = &self.trigger {
            let mut trail = locked(trail);
            let owed = trail.owed.entry(item.clone()).or_default();
            owed.extend(causes.iter().cloned());
        }
    }

    /// What the look at `item` is owed to: the first of several.
    pub fn cause_of(&self, item: &ItemRef) -> Option<Cause> {
        match &self.trigger {
            Trigger::Events(trail) => locked(trail).owed.get(item)?.first().cloned(),
            Trigger::Run(cause) => Some(cause.clone()),
            Trigger::Rehearsal(_) => None,
        }
    }

    /// What everything is owed to, if that is one cause.
    pub fn only_cause(&self) -> Option<Cause> {
        match &self.trigger {
            Trigger::Events(trail) => {
                let trail = locked(trail);
                let causes: BTreeSet<&Cause> = trail.owed.values().flatten().collect();
                let mut causes = causes.into_iter();
                causes.next().filter(|_| causes.next().is_none()).cloned()
            }
            Trigger::Run(cause) => Some(cause.clone()),
            Trigger::Rehearsal(_) => None,
        }
    }

    /// Port has taken `key`, which `item` makes.
    pub fn written(&self, item: &ItemRef, key: &EntityKey) {
        if let Trigger::Events(trail) = &self.trigger {
            locked(trail).change(item, |changes| {
                changes.written += 1;
                changes.name(key.to_string());
            });
        }
    }

    /// Port has deleted `keys`, which items of `seen` claimed, or nobody; and `along` with them what required them.
    pub fn deleted(
        &self,
        keys: &BTreeSet<EntityKey>,
        along: &BTreeSet<String>,
        (seen, sources): (&[Seen], &Sources),
    ) {
        let owners = owners(keys, seen);
        let is_in_mapping = |partition: &PartitionId| sources.group(&partition.source).is_some();
        for key in keys {
            let gone = Gone {
                key,
                seen: owners.get(key).copied(),
            };
            if let Trigger::Rehearsal(reasons) = &self.trigger {
                locked(reasons).insert(key.clone(), gone.reason(is_in_mapping));
                continue;
            }
            if let (Trigger::Events(trail), Some(seen)) = (&self.trigger, gone.seen) {
                locked(trail).change(&seen.item, |changes| {
                    changes.deleted += 1;
                    changes.name(format!("-{key}"));
                });
            }
            if self.has_room() {
                self.tell(&gone, sources);
            }
        }
        if matches!(self.trigger, Trigger::Rehearsal(_)) {
            return;
        }
        for identifier in along.iter().filter(|_| self.has_room()) {
            tracing::info!(
                identifier,
                cause = self.only_cause().map(tracing::field::display),
                "entity deleted along with what it required"
            );
        }
    }

    /// The line of an event whose look is over. `moments`: when the event was accepted, if that is known, and now.
    pub fn tell_event(
        &self,
        cause: &Cause,
        object: &str,
        moments: (Option<Timestamp>, Timestamp),
    ) -> Option<DeliveryEffect> {
        let Trigger::Events(trail) = &self.trigger else {
            return None;
        };
        let Changes {
            written,
            deleted,
            names,
        } = locked(trail).changes.remove(cause).unwrap_or_default();
        let told = DeliveryEffect::done(cause, object, (written, deleted), names, moments);
        tracing::info!(
            event = told.event,
            request_id = told.request_id,
            object,
            effect = told.effect.as_str(),
            written,
            deleted,
            entities = told.entities.join(", "),
            more = told.more,
            elapsed_ms = told.elapsed_ms,
            "event worked off"
        );
        Some(told)
    }

    /// Counts a deletion; whether it has a line of its own.
    fn has_room(&self) -> bool {
        let mut deletions = locked(&self.deletions);
        *deletions += 1;
        *deletions <= MOST_LINES
    }

    fn tell(&self, gone: &Gone<'_>, sources: &Sources) {
        let EntityKey {
            blueprint,
            identifier,
        } = gone.key;
        let item = gone.seen.map(|seen| &seen.item);
        let causes = match (&self.trigger, item) {
            (Trigger::Events(trail), Some(item)) => {
                locked(trail).owed.get(item).cloned().unwrap_or_default()
            }
            (Trigger::Run(cause), _) => BTreeSet::from([cause.clone()]),
            _ => BTreeSet::new(),
        };
        let all = |part: fn(&Cause) -> &str| -> Option<String> {
            let parts: Vec<&str> = causes.iter().map(part).collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        };
        let is_run = matches!(self.trigger, Trigger::Run(_));
        let (events, ids) = (all(|cause| &cause.event), all(|cause| &cause.request_id));
        tracing::info!(
            blueprint,
            identifier,
            run = ids.as_ref().filter(|_| is_run),
            event = events.filter(|_| !is_run),
            request_id = ids.as_ref().filter(|_| !is_run),
            partition = item.map(|item| tracing::field::display(&item.partition)),
            item = item.map(|item| tracing::field::display(item.item)),
            reason = gone.reason(|partition| sources.group(&partition.source).is_some()),
            "entity deleted"
        );
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let untold = locked(&self.deletions).saturating_sub(MOST_LINES);
        if 0 < untold {
            let cause = self.only_cause().map(tracing::field::display);
            tracing::info!(untold, cause, "more entities deleted");
        }
    }
}

impl Trail {
    fn change(&mut self, item: &ItemRef, change: impl Fn(&mut Changes)) {
        for cause in self.owed.get(item).into_iter().flatten() {
            change(self.changes.entry(cause.clone()).or_default());
        }
    }
}

impl Changes {
    fn name(&mut self, name: String) {
        if self.names.len() < MOST_NAMES {
            self.names.push(name);
        }
    }
}

impl Gone<'_> {
    fn reason(&self, is_in_mapping: impl Fn(&PartitionId) -> bool) -> &'static str {
        match self.seen {
            None => "nothing claims it",
            Some(seen) if !is_in_mapping(&seen.item.partition) => "its source has left the mapping",
            Some(seen) => match seen.sight {
                Sight::Gone => "its item is gone",
                Sight::Present(_) => "its item makes it no longer",
            },
        }
    }
}

/// Who claimed each of `keys`: as its own before as what a relation leads to.
fn owners<'a>(
    keys: &'a BTreeSet<EntityKey>,
    seen: &'a [Seen],
) -> BTreeMap<&'a EntityKey, &'a Seen> {
    let mut owners = BTreeMap::new();
    for is_own in [true, false] {
        for seen in seen {
            for claim in seen.before.iter().flat_map(|entry| &entry.claims) {
                let content = claim.content.iter().map(|held| &held.key);
                let content = content.filter(|_| is_own);
                let targets = claim.targets.iter().filter(|_| !is_own);
                for key in content.chain(targets) {
                    if let Some(key) = keys.get(key) {
                        owners.entry(key).or_insert(seen);
                    }
                }
            }
        }
    }
    owners
}
