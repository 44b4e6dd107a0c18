//! The world as the page shows it: the workspace, the catalogue beside what a fresh resync would produce, what is in the way.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use sandbox::port::StoredEntity;
use sandbox::present::fields;
use serde_json::{Value, json};

use super::fresh::Found;
use super::mapping::yaml;
use super::{Phase, Playground};

/// What is in the queue for a shorter time is at work, rather than waiting.
const BRIEF: SignedDuration = SignedDuration::from_secs(1);

impl Playground {
    /// The same as long as nothing has changed.
    pub(super) fn view(&self) -> Value {
        let queue = &self.outside.queue;
        let now = self.queue_now();
        let switches = self.switches();
        let next = queue.next_at().filter(|at| BRIEF < at.duration_since(now));
        let next = next.and_then(|at| at.checked_sub(switches.skipped).ok());
        let typed = switches.mapping.clone();
        let mut view = json!({
            "phase": phase(&self.phase()),
            "bitbucket": self.outside.bitbucket.overview(),
            "tokenIsValid": !switches.token_is_revoked,
            "portIsUp": !switches.port_is_down,
            "losesNext": switches.loses_next_webhook,
            "queue": {"length": queue.len(), "waitsUntil": next.map(|at| at.to_string())},
            "places": {
                "bitbucket": self.outside.bitbucket.url(), "port": self.outside.port.url(),
                "function": self.function_url,
            },
        });
        drop(switches);
        view["mapping"] = json!(typed.or_else(|| self.mapping_in_port()));
        view["catalogue"] = self.catalogue();
        view
    }

    fn mapping_in_port(&self) -> Option<String> {
        let integration = self.outside.port.integration()?;
        Some(yaml(&integration["config"]))
    }

    fn catalogue(&self) -> Value {
        let last = self.fresh.last();
        let rows = rows(&self.outside.port.entities(), last.found.as_ref());
        let is_other = |row: &&Value| row["state"] != "same" && row["state"] != "unknown";
        json!({
            "differing": rows.iter().filter(is_other).count(),
            "rows": rows,
            "isKnown": last.found.is_some(),
            "isOld": last.is_old,
            "trouble": last.trouble,
            "losses": last.found.map(|found| found.losses).unwrap_or_default(),
        })
    }
}

fn phase(phase: &Phase) -> Value {
    match phase {
        Phase::Building(how_far) => json!({"name": "building", "note": how_far}),
        Phase::Starting => json!({"name": "starting"}),
        Phase::Scenes => json!({"name": "scenes"}),
        Phase::Ready => json!({"name": "ready"}),
    }
}

/// An entity as Port holds it, and as a fresh resync would.
type Pair<'e> = (Option<&'e StoredEntity>, Option<&'e StoredEntity>);

/// Entities that are in Port or should be, by blueprint and identifier.
fn rows(held: &[StoredEntity], found: Option<&Found>) -> Vec<Value> {
    let mut pairs: BTreeMap<(&str, &str), Pair<'_>> = BTreeMap::new();
    for entity in held {
        let pair = pairs.entry((&entity.blueprint, &entity.identifier));
        pair.or_default().0 = Some(entity);
    }
    for entity in found.iter().flat_map(|found| &found.entities) {
        let pair = pairs.entry((&entity.blueprint, &entity.identifier));
        pair.or_default().1 = Some(entity);
    }
    let rows = pairs.into_values();
    rows.filter_map(|(held, fresh)| row(held, fresh, found.is_some()))
        .collect()
}

/// `state`: `same`, `differs`, `missing` in Port, `surplus` there, or `unknown` while nobody knows what should be.
fn row(held: Option<&StoredEntity>, fresh: Option<&StoredEntity>, is_known: bool) -> Option<Value> {
    let shown = held.or(fresh)?;
    let of = |entity: Option<&StoredEntity>| -> Vec<(String, Value)> {
        entity.map(fields).unwrap_or_default()
    };
    let (in_port, expected) = (of(held), of(fresh));
    let value = |fields: &[(String, Value)], name: &str| {
        let found = fields.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    };
    let is_new = |(name, _): &&(String, Value)| value(&in_port, name).is_none();
    let names = in_port.iter().chain(expected.iter().filter(is_new));
    let fields: Vec<Value> = names
        .map(|(name, _)| {
            let (port, fresh) = (value(&in_port, name), value(&expected, name));
            json!({"name": name, "isSame": !is_known || port == fresh, "port": port, "fresh": fresh})
        })
        .collect();
    let state = match (held, fresh) {
        _ if !is_known => "unknown",
        (Some(_), None) => "surplus",
        (None, _) => "missing",
        _ if fields.iter().any(|field| field["isSame"] == false) => "differs",
        _ => "same",
    };
    Some(json!({
        "blueprint": shown.blueprint, "identifier": shown.identifier, "title": shown.title,
        "state": state, "fields": fields,
    }))
}
