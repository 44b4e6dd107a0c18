//! What happened, as it is told: entries with what each changed in the catalogue, the newest of them kept.

use std::collections::VecDeque;
use std::sync::Mutex;

use sandbox::clock::{machine_now, millis};
use sandbox::present::{Change, FieldChange};
use serde::Serialize;
use serde_json::{Value, json};

use super::{MOST_CHANGES, lock};

/// Older entries are forgotten.
const KEPT: usize = 300;

/// Whose doing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A chapter of the scenes.
    Scene,
    /// Somebody has changed Bitbucket.
    Bitbucket,
    /// Somebody has changed Port or its mapping.
    Port,
    /// Bitbucket calls the receiver.
    Webhook,
    /// The function *events* has worked something off.
    Events,
    /// The function *runs* has resynced.
    Runs,
    /// Something did not go as it should.
    Trouble,
}

#[derive(Debug, Serialize)]
pub(super) struct Entry {
    /// From 1, without gaps.
    id: u64,
    /// As Port writes times.
    at: String,
    kind: Kind,
    title: String,
    details: Vec<String>,
    changes: Vec<Value>,
    /// Changes that are not listed.
    more: usize,
}

impl Entry {
    pub(super) fn new(kind: Kind, title: &str, details: &[String], changes: &[Change]) -> Entry {
        Entry {
            id: 0,
            at: millis(machine_now()),
            kind,
            title: title.to_owned(),
            details: details.to_vec(),
            changes: changes.iter().take(MOST_CHANGES).map(seen).collect(),
            more: changes.len().saturating_sub(MOST_CHANGES),
        }
    }
}

fn seen(change: &Change) -> Value {
    let (sign, entity, fields) = match change {
        Change::Created(entity) => ("+", entity, Vec::new()),
        Change::Updated(entity, fields) => ("~", entity, fields.iter().map(field).collect()),
        Change::Deleted(entity) => ("-", entity, Vec::new()),
    };
    json!({
        "sign": sign, "blueprint": entity.blueprint, "identifier": entity.identifier,
        "title": entity.title, "fields": fields,
    })
}

/// Null is unset.
fn field(change: &FieldChange) -> Value {
    json!({"name": change.field, "before": change.before, "after": change.after})
}

#[derive(Default)]
pub(super) struct Stream(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    added: u64,
    kept: VecDeque<(u64, Value)>,
}

impl Stream {
    pub(super) fn add(&self, mut entry: Entry) {
        let mut entries = lock(&self.0);
        entries.added += 1;
        entry.id = entries.added;
        let line = (entry.id, json!(entry));
        entries.kept.push_back(line);
        if KEPT < entries.kept.len() {
            entries.kept.pop_front();
        }
    }

    /// Those after `known`, oldest first, and the number of the last one.
    pub(super) fn after(&self, known: u64) -> (Vec<Value>, u64) {
        let entries = lock(&self.0);
        let new = entries.kept.iter().filter(|(id, _)| known < *id);
        (new.map(|(_, entry)| entry.clone()).collect(), entries.added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_some_entries_gets_the_others_and_the_oldest_are_forgotten() {
        let stream = Stream::default();
        for number in 0..KEPT + 5 {
            let title = format!("entry {number}");
            stream.add(Entry::new(Kind::Webhook, &title, &[], &[]));
        }
        let (all, last) = stream.after(0);
        assert_eq!((all.len(), last), (KEPT, 305));
        assert_eq!(all[0]["title"], "entry 5");
        let (new, _) = stream.after(303);
        let titles: Vec<&Value> = new.iter().map(|entry| &entry["title"]).collect();
        assert_eq!(titles, ["entry 303", "entry 304"]);
        assert_eq!(stream.after(last).0, Vec::<Value>::new());
    }
}
