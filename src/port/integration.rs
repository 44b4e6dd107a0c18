//! The integration object: Port's record of this installation, with the mapping in it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use url::Url;

use super::call::Call;
use super::client::{INTEGRATION_TYPE, PortClient};
use super::error::Error;
use crate::deadline::Deadline;

/// The version of Ocean's core whose protocol this client speaks; Port asks for it on each reading.
pub(super) const OCEAN_CORE_VERSION: &str = "0.48.12";

/// Entities are mapped here, not in Port.
pub(super) const PROCESSING_MODE: &str = "ocean-core";

/// What Port keeps about this installation.
#[derive(Clone, Debug, Default)]
pub struct Integration {
    /// The user's mapping, whatever has been stored as that; `None` while there is none.
    pub config: Option<Value>,
    /// Default blueprints and mapping were set up, or deliberately were not. Never again after that.
    pub resources_initialized: bool,
    /// Who provides the defaults: `Default` (the integration itself), `Port`, `Empty`, or not said.
    pub resources_origin: Option<String>,
    /// `bitbucket-cloud`, unless the identifier belongs to something else.
    pub app_type: Option<String>,
    /// `OnPrem`, or a value that begins with `Saas`.
    pub installation_type: Option<String>,
    pub version: Option<String>,
    pub processing_mode: Option<String>,
    /// Where Port sends resync requests: `{}` (it is polled), or an object with a `type`.
    pub changelog_destination: Value,
    /// Where logs go; `None` when Port named no address.
    pub logs_url: Option<Url>,
    /// Below which address sync metrics go.
    pub metrics_url: Option<Url>,
    /// When the resync began that was last reported to Port, by whomever; `None` if none was.
    pub last_resync_start: Option<Timestamp>,
}

impl Integration {
    /// The user's mapping, of which an empty one is one, too: it asks for nothing. `None` before the defaults are set up.
    pub fn mapping(self) -> Option<Value> {
        let empty = || json!({ "resources": [] });
        self.config
            .or_else(|| self.resources_initialized.then(empty))
    }
}

impl PortClient {
    /// The integration with our identifier; `None` if nobody registered it yet.
    pub async fn integration(&self, deadline: &Deadline) -> Result<Option<Integration>, Error> {
        let call = Call::get(["integration", &self.inner.identifier])
            .query("oceanCoreVersion", OCEAN_CORE_VERSION)
            .query("isPolling", false);
        match self.call_json::<Wire>(call, deadline).await {
            Ok(answer) => Ok(Some(answer.integration.into())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Registers the integration with `config` as its mapping.
    pub async fn create_integration(
        &self,
        config: &Value,
        deadline: &Deadline,
    ) -> Result<Integration, Error> {
        let body = json!({
            "installationId": self.inner.identifier,
            "installationAppType": INTEGRATION_TYPE,
            "version": env!("CARGO_PKG_VERSION"),
            "changelogDestination": {},
            "config": config,
            "actionsProcessingEnabled": false,
            "incrementalSyncEnabled": false,
            "createPortResourcesOrigin": "Default",
        });
        let answer: Wire = self
            .call_json(Call::post(["integration"], &body), deadline)
            .await?;
        Ok(answer.integration.into())
    }

    /// Has Port ask for resyncs with a request to `url`. False: nobody has registered the integration yet.
    pub async fn register_webhook(&self, url: &str, deadline: &Deadline) -> Result<bool, Error> {
        let Some(integration) = self.integration(deadline).await? else {
            return Ok(false);
        };
        let destination = json!({ "type": "WEBHOOK", "url": url, "agent": false });
        let found = &integration.changelog_destination;
        let leads_here = |name: &str| found.get(name) == destination.get(name);
        if !(leads_here("type") && leads_here("url")) {
            let changes = json!({ "changelogDestination": destination });
            self.update_integration(&changes, deadline).await?;
        }
        Ok(true)
    }

    /// Takes back [`register_webhook`](Self::register_webhook), whatever the address was; Kafka and others' are left alone.
    pub async fn unregister_webhook(&self, deadline: &Deadline) -> Result<(), Error> {
        let Some(integration) = self.integration(deadline).await? else {
            return Ok(());
        };
        if integration.changelog_destination.get("type") == Some(&json!("WEBHOOK")) {
            let changes = json!({ "changelogDestination": {} });
            self.update_integration(&changes, deadline).await?;
        }
        Ok(())
    }

    /// Changes the fields in `changes`, an object in Port's spelling, without asking ourselves for a resync.
    pub async fn update_integration(
        &self,
        changes: &Value,
        deadline: &Deadline,
    ) -> Result<Integration, Error> {
        let call = Call::patch(["integration", &self.inner.identifier], changes);
        let call = call.header("x-skip-resync", "true");
        let answer: Wire = self.call_json(call, deadline).await?;
        Ok(answer.integration.into())
    }

    /// Stores a mapping without asking ourselves for a resync.
    pub(super) async fn store_config(
        &self,
        config: &Value,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let route = ["integration", &self.inner.identifier, "config"];
        let call = Call::patch(route, &json!({ "config": config })).header("x-skip-resync", "true");
        self.call(call, deadline).await?;
        Ok(())
    }

    /// When a resync was last asked for in Port (its button, or a saved mapping); `None` if never.
    pub async fn resync_request(&self, deadline: &Deadline) -> Result<Option<Timestamp>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            request: Option<Request>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            updated_at: Option<Timestamp>,
        }
        let call = Call::get(["integration", &self.inner.identifier, "resync-request"]);
        match self.call_json::<Answer>(call, deadline).await {
            Ok(answer) => Ok(answer.request.and_then(|request| request.updated_at)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    integration: WireIntegration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct WireIntegration {
    config: Option<Value>,
    are_port_resources_initialized: Option<bool>,
    create_port_resources_origin: Option<String>,
    installation_app_type: Option<String>,
    integration_type: Option<String>,
    installation_type: Option<String>,
    version: Option<String>,
    processing_mode: Option<String>,
    changelog_destination: Value,
    #[serde(deserialize_with = "ingest_url")]
    log_attributes: Option<Url>,
    #[serde(deserialize_with = "ingest_url")]
    metric_attributes: Option<Url>,
    #[serde(deserialize_with = "last_start")]
    resync_state: Option<Timestamp>,
}

/// `{"ingestUrl": "..."}`; anything else is no address.
fn ingest_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let attributes = Value::deserialize(deserializer)?;
    let url = attributes.get("ingestUrl").and_then(Value::as_str);
    Ok(url.and_then(|url| url.parse().ok()))
}

/// `{"lastResyncStart": "..."}`; anything else is no moment.
fn last_start<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let state = Value::deserialize(deserializer)?;
    let start = state.get("lastResyncStart").and_then(Value::as_str);
    Ok(start.and_then(|moment| moment.parse().ok()))
}

impl From<WireIntegration> for Integration {
    fn from(wire: WireIntegration) -> Integration {
        Integration {
            config: wire.config.filter(|config| *config != json!({})),
            resources_initialized: wire.are_port_resources_initialized.unwrap_or(false),
            resources_origin: wire.create_port_resources_origin,
            app_type: wire.installation_app_type.or(wire.integration_type),
            installation_type: wire.installation_type,
            version: wire.version,
            processing_mode: wire.processing_mode,
            changelog_destination: wire.changelog_destination,
            logs_url: wire.log_attributes,
            metrics_url: wire.metric_attributes,
            last_resync_start: wire.resync_state,
        }
    }
}
