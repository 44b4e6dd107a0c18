//! `OCEAN__EVENT_LISTENER`: when resyncs happen off Lambda.

use std::time::Duration;

use super::reader::VariableReader;

const WHOLE: &str = "OCEAN__EVENT_LISTENER";
const KIND: &str = "OCEAN__EVENT_LISTENER__TYPE";
const RESYNC_ON_START: &str = "OCEAN__EVENT_LISTENER__RESYNC_ON_START";
const INTERVAL: &str = "OCEAN__EVENT_LISTENER__INTERVAL";

/// What is done off Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventListener {
    /// One resync, then exit.
    Once,
    /// Serve until stopped, look for resync requests meanwhile.
    Serve,
    /// Serve until stopped, events alone: resyncs are another process's.
    Events,
}

pub(super) struct Listener {
    pub(super) kind: EventListener,
    pub(super) resync_on_start: bool,
    /// How often Port is asked for resync requests.
    pub(super) interval: Duration,
}

impl Listener {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> Listener {
        let wanted = "a whole number of seconds from 1 on, such as 60";
        let interval: Option<u32> = reader.number(INTERVAL, wanted);
        if interval == Some(0) {
            let reason = "is `0`: Port would be asked without a pause";
            reader.report(INTERVAL, reason, &format!("use {wanted}"));
        }
        Listener {
            kind: kind(reader),
            resync_on_start: reader.flag(RESYNC_ON_START, true),
            interval: Duration::from_secs(interval.unwrap_or(60).into()),
        }
    }
}

/// An object is read as `…__TYPE`; the type alone is understood as well.
fn kind(reader: &mut VariableReader<'_>) -> EventListener {
    let (alone, named) = (reader.text(WHOLE), reader.text(KIND));
    let (name, kind) = match (named, alone) {
        (Some(kind), _) => (KIND, kind),
        (None, Some(kind)) => (WHOLE, kind),
        (None, None) => return EventListener::Serve,
    };
    match kind.to_ascii_uppercase().as_str() {
        "ONCE" => EventListener::Once,
        "POLLING" | "KAFKA" | "WEBHOOK" => EventListener::Serve,
        "WEBHOOKS_ONLY" => EventListener::Events,
        "ACTIONS_ONLY" => {
            let remedy =
                "leave this one out (`actionsProcessor.worker.enabled: false` in Port's chart)";
            let reason = format!("is `{kind}`, and Ferry runs no actions");
            reader.report(name, reason, remedy);
            EventListener::Serve
        }
        _ => {
            let remedy = "use `{\"type\":\"ONCE\"}` for a single resync or `{\"type\":\"POLLING\"}` to serve";
            let reason = format!("is `{kind}`, which is no known listener");
            reader.report(name, reason, remedy);
            EventListener::Serve
        }
    }
}
