//! Sync metrics: what became of each resource of the mapping, as the page of the data source shows it.
//!
//! Ocean announces a sync, sends a beat every ten seconds, and changes the record of each kind as it goes. Port takes a sync
//! whose beat stops for aborted, and shows the last one only. A run may wait for hours between two invocations: so its
//! records are sent once, all together and in their last state, when it is over.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use url::Url;

use super::call::Call;
use super::client::{INTEGRATION_TYPE, PortClient};
use super::error::Error;
use super::integration::OCEAN_CORE_VERSION;
use crate::counts::Tally;
use crate::deadline::Deadline;

/// What Port calls an installation that it does not host.
const ON_PREMISES: &str = "OnPrem";

/// A run that is over, as Port counts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncMetrics {
    /// The [`metrics_url`](super::Integration::metrics_url) of the integration.
    #[serde(serialize_with = "write_address", deserialize_with = "read_address")]
    pub to: Url,
    /// Who hosts the installation, in Port's words; `None`: not said.
    pub installation_type: Option<String>,
    /// Id of the run: Port's `eventId`, never empty.
    pub run: String,
    pub end: SyncEnd,
    /// From its begin on, pauses included.
    pub seconds: f64,
    /// Entities that have gone, whatever made them.
    pub deleted: usize,
    /// In the order of the mapping.
    pub resources: Vec<ResourceMetrics>,
}

/// How it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncEnd {
    Completed,
    /// It has looked at everything, and not all of it is in Port as it should be.
    WithLosses,
    /// It has not.
    Failed,
}

/// What became of what one resource asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceMetrics {
    pub kind: String,
    /// Position in the mapping.
    pub index: usize,
    /// The expression that gives the blueprint.
    pub blueprint: String,
    pub tally: Tally,
}

impl PortClient {
    /// Shows what became of a run. Sending it again changes nothing.
    pub async fn send_sync_metrics(
        &self,
        metrics: &SyncMetrics,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let mut to = metrics.to.clone();
        if let Ok(mut path) = to.path_segments_mut() {
            path.pop_if_empty().push("syncMetrics");
        }
        let body = json!({ "syncKindsMetrics": metrics.records(&self.inner.identifier) });
        let call = Call::post_to(to, &body).briefly_repeatable();
        self.call(call, deadline).await?;
        Ok(())
    }
}

impl SyncMetrics {
    /// One for each resource, and those that Port knows by names of their own.
    fn records(&self, identifier: &str) -> Vec<Value> {
        let mut records: Vec<Value> = Vec::new();
        for ResourceMetrics {
            kind,
            index,
            blueprint,
            tally,
        } in &self.resources
        {
            let is_done = self.end != SyncEnd::Failed && tally.unread == 0;
            let name = format!("{kind}-{index}");
            let phases = self.phases_of(tally, is_done);
            let mut record = self.record(identifier, (kind, &name), is_done, &phases);
            record["kindIndex"] = json!(index);
            record["blueprint"] = json!(blueprint);
            records.push(record);
        }
        let special = |name: &str, is_done: bool, phases: &Value| {
            self.record(identifier, (name, name), is_done, phases)
        };
        let is_over = self.end != SyncEnd::Failed;
        let deletion = json!({
            "delete": counted(&[("deleted", self.deleted)]),
            "resync": self.resync(is_over),
        });
        records.push(special("__reconciliation__", is_over, &deletion));
        let is_whole = self.end == SyncEnd::Completed;
        let resync = json!({ "resync": self.resync(is_whole) });
        records.push(special("__runtime__", is_whole, &resync));
        records
    }

    fn phases_of(&self, tally: &Tally, is_done: bool) -> Value {
        json!({
            "resync": self.resync(is_done),
            "extract": counted(&[("raw_extracted", tally.read), ("failed", tally.unread)]),
            "transform": counted(&[
                ("transformed", tally.mapped),
                ("filtered_out", tally.skipped),
                ("failed", tally.failed),
            ]),
            "load": counted(&[
                ("loaded", tally.written),
                ("failed", tally.refused + tally.waiting + tally.postponed),
                ("skipped", tally.unchanged),
            ]),
        })
    }

    /// Kinds are read side by side: the time of each is that of the run.
    fn resync(&self, is_done: bool) -> Value {
        let success = if is_done { 1.0 } else { 0.0 };
        json!({ "duration_seconds": self.seconds, "success": success })
    }

    fn record(
        &self,
        identifier: &str,
        (kind, name): (&str, &str),
        is_done: bool,
        phases: &Value,
    ) -> Value {
        json!({
            "integrationType": INTEGRATION_TYPE,
            "installationType": self.installation_type.as_deref().unwrap_or(ON_PREMISES),
            "executionMode": "single_process",
            "integrationIdentifier": identifier,
            "integrationVersion": env!("CARGO_PKG_VERSION"),
            "oceanVersion": OCEAN_CORE_VERSION,
            "kindIdentifier": name,
            "kind": kind,
            "kindIndex": 0,
            "blueprint": "",
            "eventId": self.run,
            "syncState": if is_done { "completed" } else { "failed" },
            "metrics": { "phase": phases },
        })
    }
}

fn write_address<S: Serializer>(address: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(address.as_str())
}

fn read_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// Port's counts are fractions.
fn counted(counts: &[(&str, usize)]) -> Value {
    let counts = counts.iter().map(|(name, count)| {
        let count = u32::try_from(*count).unwrap_or(u32::MAX);
        (
            (*name).to_owned(),
            json!({ "object_count": f64::from(count) }),
        )
    });
    json!({ "object_count_type": counts.collect::<Map<String, Value>>() })
}
