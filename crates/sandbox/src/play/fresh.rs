//! What a resync into an empty catalogue would produce now: it is done, by a function that remembers nothing.
//!
//! The binary is the deployed one. It reads the same workspace with the same mapping and blueprints, and writes into
//! a Port of its own.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sandbox::port::{Port, StoredEntity};
use serde_json::{Value, json};

use super::lock;
use crate::deployed::{IDENTIFIER, Outside, Role};

const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Blueprints whose relations need others first are offered again, at most so often.
const ROUNDS: usize = 10;

#[derive(Default)]
pub(super) struct Fresh {
    binary: OnceLock<PathBuf>,
    last: Mutex<Last>,
    /// One looks at a time.
    looking: tokio::sync::Mutex<()>,
}

/// What was found out last.
#[derive(Clone, Default)]
pub(super) struct Last {
    pub(super) found: Option<Found>,
    /// Why there is nothing newer.
    pub(super) trouble: Option<String>,
    /// Somebody finds it out again.
    pub(super) is_old: bool,
}

#[derive(Clone)]
pub(super) struct Found {
    pub(super) entities: Vec<StoredEntity>,
    /// What the resync could not map, or Port refused.
    pub(super) losses: Vec<String>,
}

impl Fresh {
    pub(super) fn look_with(&self, binary: PathBuf) {
        if self.binary.set(binary).is_err() {
            tracing::debug!("there is a binary already");
        }
    }

    pub(super) fn last(&self) -> Last {
        lock(&self.last).clone()
    }

    /// What is known is not true any more.
    pub(super) fn expire(&self) {
        lock(&self.last).is_old = true;
    }

    /// Finds it out again, with the mapping that Port has.
    pub(super) async fn look(&self, outside: &Outside) {
        self.expire();
        let integration = outside.port.integration();
        let mapping = integration.map(|integration| integration["config"].clone());
        let outcome = self.try_out(outside, mapping).await;
        match outcome {
            Ok(found) => self.keep(found),
            Err(error) => {
                let mut last = lock(&self.last);
                last.trouble = Some(format!("{error:#}"));
                last.is_old = false;
            }
        }
    }

    pub(super) fn keep(&self, found: Found) {
        *lock(&self.last) = Last {
            found: Some(found),
            trouble: None,
            is_old: false,
        };
    }

    /// Finds it out with another mapping; without one, with that of a new installation.
    ///
    /// # Errors
    /// When the resync fails; what it says is the message.
    pub(super) async fn try_out(
        &self,
        outside: &Outside,
        mapping: Option<Value>,
    ) -> anyhow::Result<Found> {
        let _alone = self.looking.lock().await;
        let binary = self.binary.get().context("there is no function yet")?;
        let port = Port::start().await?;
        put_blueprints(&port, outside.port.blueprints())?;
        if let Some(mapping) = mapping {
            port.install(IDENTIFIER, mapping);
        }
        let role = Role::start(outside.observer(binary, &port), TIME_LIMIT).await?;
        let invoked = role.invoke(json!({"action": "resync"})).await;
        let outcome = match invoked.outcome {
            Ok(outcome) => outcome,
            Err(error) => bail!("{}", error.message),
        };
        let status = outcome["status"].as_str().unwrap_or_default();
        if !status.starts_with("completed") {
            bail!("a fresh resync does not complete: {outcome}");
        }
        let mut losses = texts(&outcome["mapping_problems"]);
        losses.extend(texts(&outcome["failed_partitions"]));
        if losses.is_empty() && status != "completed" {
            losses = invoked.warnings;
        }
        Ok(Found {
            entities: port.entities(),
            losses,
        })
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn put_blueprints(port: &Port, mut blueprints: Vec<Value>) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        blueprints.retain(|blueprint| port.put_blueprint(blueprint).is_err());
        if blueprints.is_empty() {
            return Ok(());
        }
    }
    bail!("blueprints need each other: {blueprints:?}")
}
