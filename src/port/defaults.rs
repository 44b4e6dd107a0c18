//! What a new installation gets: its registration, three blueprints and a mapping. Once, and never over anything
//! that a user has.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::blueprint::Blueprint;
use super::call::Call;
use super::client::{INTEGRATION_TYPE, PortClient};
use super::error::{Error, TraceId};
use super::integration::{Integration, PROCESSING_MODE};
use crate::class::Class;
use crate::deadline::Deadline;

/// The default blueprints, each one after those that it points at.
const BLUEPRINTS: &str = include_str!("blueprints.json");

/// The parts of a blueprint that read other parts, possibly through its relations.
const CALCULATIONS: &str = "calculationProperties";
const RELATIONS: &str = "relations";

/// A blueprint as it is sent, with its identifier.
type Definition = (String, Map<String, Value>);

/// What an installation has to be given.
enum Defaults {
    All,
    /// The user has asked for a mapping that asks for nothing.
    EmptyMapping,
    /// It has them, or others see to it.
    LeftAlone,
}

impl Defaults {
    fn wanted(integration: &Integration, initialize: bool) -> Defaults {
        match integration.resources_origin.as_deref() {
            _ if integration.resources_initialized => Defaults::LeftAlone,
            Some("Empty") => Defaults::EmptyMapping,
            // Port sets the defaults up itself and stores the mapping when it is done: a later call will find it.
            Some("Port") => Defaults::LeftAlone,
            _ if !initialize => Defaults::LeftAlone,
            _ => Defaults::All,
        }
    }
}

/// What the next resync finds, or makes.
#[derive(Clone, Debug)]
pub struct ForeseenIntegration {
    /// With the mapping that it will have.
    pub integration: Integration,
    /// Port does not know it yet.
    pub is_new: bool,
    /// Default blueprints that would be created, by their identifiers.
    pub blueprints: Vec<(String, Arc<Blueprint>)>,
}

impl PortClient {
    /// Registers this installation, or brings what Port knows of it up to date, and sets up the defaults unless
    /// that was done before.
    ///
    /// With `initialize` off (`OCEAN__INITIALIZE_PORT_RESOURCES`) only the registration is made; a new one carries
    /// `default_mapping` all the same, because a registration needs one. A stored mapping is never touched, and when
    /// one of the default blueprints is a user's none is created. If one cannot be created, those before it are removed
    /// again; only a final refusal counts as set up, so that an outage does not leave an installation without its
    /// defaults.
    pub async fn ensure_integration(
        &self,
        default_mapping: &Value,
        initialize: bool,
        deadline: &Deadline,
    ) -> Result<Integration, Error> {
        let mut integration = match self.integration(deadline).await? {
            None => self.create_integration(default_mapping, deadline).await?,
            Some(integration) => {
                self.check_installation(&integration)?;
                self.bring_up_to_date(integration, deadline).await?
            }
        };
        match Defaults::wanted(&integration, initialize) {
            Defaults::LeftAlone => return Ok(integration),
            Defaults::EmptyMapping => {
                if integration.config.is_none() {
                    let nothing = json!({ "resources": [] });
                    self.store_config(&nothing, deadline).await?;
                    integration.config = Some(nothing);
                }
            }
            Defaults::All => {
                if integration.config.is_none() {
                    self.store_config(default_mapping, deadline).await?;
                    integration.config = Some(default_mapping.clone());
                }
                if let Err(error) = self.create_default_blueprints(deadline).await {
                    if error.class() != Class::Later {
                        self.mark_initialized(deadline).await?;
                    }
                    return Err(error);
                }
            }
        }
        self.mark_initialized(deadline).await?;
        integration.resources_initialized = true;
        Ok(integration)
    }

    /// What [`ensure_integration`](Self::ensure_integration) would come to; nothing is written.
    pub async fn foresee_integration(
        &self,
        default_mapping: &Value,
        initialize: bool,
        deadline: &Deadline,
    ) -> Result<ForeseenIntegration, Error> {
        let found = self.integration(deadline).await?;
        let is_new = found.is_none();
        let mut integration = found.unwrap_or_else(|| Integration {
            config: Some(default_mapping.clone()),
            ..Integration::default()
        });
        self.check_installation(&integration)?;
        let wanted = Defaults::wanted(&integration, initialize);
        let blueprints = match wanted {
            Defaults::All => self.missing_default_blueprints(deadline).await?,
            Defaults::LeftAlone | Defaults::EmptyMapping => Vec::new(),
        };
        integration.config = integration.config.or_else(|| match wanted {
            Defaults::All => Some(default_mapping.clone()),
            Defaults::EmptyMapping => Some(json!({ "resources": [] })),
            Defaults::LeftAlone => None,
        });
        Ok(ForeseenIntegration {
            integration,
            is_new,
            blueprints,
        })
    }

    /// The default blueprints that would be created, none if one of them is a user's.
    async fn missing_default_blueprints(
        &self,
        deadline: &Deadline,
    ) -> Result<Vec<(String, Arc<Blueprint>)>, Error> {
        let blueprints = default_blueprints()?;
        let Some(existing) = self.existing_defaults(&blueprints, deadline).await? else {
            return Ok(Vec::new());
        };
        let missing = blueprints
            .into_iter()
            .filter(|(identifier, _)| !existing.contains(identifier));
        let missing = missing.map(|(identifier, definition)| {
            let blueprint = Blueprint::of_definition(definition);
            (identifier, Arc::new(blueprint))
        });
        Ok(missing.collect())
    }

    /// Another program must not share the identifier: each would delete what the other writes.
    fn check_installation(&self, integration: &Integration) -> Result<(), Error> {
        let identifier = &self.inner.identifier;
        let is =
            |value: &Option<String>, test: fn(&str) -> bool| value.as_deref().is_some_and(test);
        if is(&integration.installation_type, |kind| {
            kind.starts_with("Saas")
        }) {
            let reason = format!("Port itself hosts the integration `{identifier}`");
            return Err(Error::TakenIdentifier { reason });
        }
        if is(&integration.app_type, |kind| {
            !kind.eq_ignore_ascii_case(INTEGRATION_TYPE)
        }) {
            let reason =
                format!("the integration `{identifier}` is not of the type {INTEGRATION_TYPE}");
            return Err(Error::TakenIdentifier { reason });
        }
        Ok(())
    }

    async fn bring_up_to_date(
        &self,
        integration: Integration,
        deadline: &Deadline,
    ) -> Result<Integration, Error> {
        let version = env!("CARGO_PKG_VERSION");
        let mut changes = Map::new();
        for (name, stored, ours) in [
            ("version", &integration.version, version),
            (
                "processingMode",
                &integration.processing_mode,
                PROCESSING_MODE,
            ),
        ] {
            // What Port does not tell is left alone: it would be sent again each time.
            if stored.as_ref().is_some_and(|stored| stored != ours) {
                changes.insert(name.into(), ours.into());
            }
        }
        // Nobody reads the topic any more once Ferry runs in place of Ocean. A webhook may be ours.
        if integration.changelog_destination.get("type") == Some(&"KAFKA".into()) {
            changes.insert("changelogDestination".into(), json!({}));
        }
        if !changes.is_empty() {
            self.update_integration(&Value::Object(changes), deadline)
                .await?;
        }
        Ok(integration)
    }

    async fn mark_initialized(&self, deadline: &Deadline) -> Result<(), Error> {
        let done = json!({ "arePortResourcesInitialized": true });
        self.update_integration(&done, deadline).await?;
        Ok(())
    }

    /// Creates all default blueprints, or none: none when one of them exists and is a user's, none when one cannot be
    /// created. One that is just as we make it is left of a process that died here, and the rest is made around it.
    async fn create_default_blueprints(&self, deadline: &Deadline) -> Result<(), Error> {
        let blueprints = default_blueprints()?;
        let Some(existing) = self.existing_defaults(&blueprints, deadline).await? else {
            return Ok(());
        };
        let mut created = Vec::new();
        let outcome = self
            .create_blueprints(&blueprints, &existing, &mut created, deadline)
            .await;
        if outcome.is_err() {
            // Dependents first.
            for identifier in created.into_iter().rev() {
                let call = Call::new(reqwest::Method::DELETE, ["blueprints", identifier]);
                match self.call(call.exporter(), deadline).await {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => {
                        tracing::warn!(
                            blueprint = identifier,
                            %error,
                            "a default blueprint could not be removed after a failure"
                        );
                    }
                }
            }
        }
        outcome
    }

    /// Which of `blueprints` exist just as we make them; `None` where one of them is a user's.
    async fn existing_defaults(
        &self,
        blueprints: &[Definition],
        deadline: &Deadline,
    ) -> Result<Option<BTreeSet<String>>, Error> {
        let mut existing = BTreeSet::new();
        for (identifier, blueprint) in blueprints {
            match self.blueprint_as_stored(identifier, deadline).await {
                Ok(stored) if is_as_made(&stored, blueprint) => {
                    existing.insert(identifier.clone());
                }
                Ok(_) => return Ok(None),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(existing))
    }

    async fn blueprint_as_stored(
        &self,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Map<String, Value>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            blueprint: Map<String, Value>,
        }
        let call = Call::get(["blueprints", identifier]);
        let answer: Answer = self.call_json(call, deadline).await?;
        Ok(answer.blueprint)
    }

    /// Bare ones first, then their relations, then what is calculated.
    async fn create_blueprints<'a>(
        &self,
        blueprints: &'a [Definition],
        existing: &BTreeSet<String>,
        created: &mut Vec<&'a str>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let missing = |(identifier, _): &&Definition| !existing.contains(identifier);
        for (identifier, blueprint) in blueprints.iter().filter(missing) {
            let bare = without(blueprint, &[RELATIONS, CALCULATIONS]);
            let call = Call::post(["blueprints"], &bare).exporter();
            let outcome = self.call(call, deadline).await;
            // Without an answer it may exist; with a refusal it is somebody else's, if it does.
            if outcome
                .as_ref()
                .err()
                .is_none_or(|error| error.class() == Class::Later)
            {
                created.push(identifier);
            }
            outcome?;
        }
        for (part, left_out) in [(RELATIONS, [CALCULATIONS].as_slice()), (CALCULATIONS, &[])] {
            let having = |(_, blueprint): &&Definition| {
                let part = blueprint.get(part).and_then(Value::as_object);
                part.is_some_and(|part| !part.is_empty())
            };
            for (identifier, blueprint) in blueprints.iter().filter(having) {
                let body = without(blueprint, left_out);
                let call = Call::patch(["blueprints", identifier], &body).exporter();
                self.call(call, deadline).await?;
            }
        }
        Ok(())
    }
}

/// Whether `stored` is what we make as `blueprint`, complete or not yet. What Port adds by itself does not count; whatever
/// a user has added, left out or changed does.
fn is_as_made(stored: &Map<String, Value>, blueprint: &Map<String, Value>) -> bool {
    let part = |of: &Map<String, Value>, pointer: &str| -> Map<String, Value> {
        let found = Value::Object(of.clone()).pointer(pointer).cloned();
        found
            .and_then(|found| found.as_object().cloned())
            .unwrap_or_default()
    };
    let is_within = |pointer: &str| {
        let made = part(blueprint, pointer);
        let mut stored = part(stored, pointer).into_iter();
        stored.all(|(name, stored)| made.get(&name).is_some_and(|made| says(&stored, made)))
    };
    let properties = "/schema/properties";
    let bare = without(blueprint, &[RELATIONS, CALCULATIONS]);
    part(stored, properties).len() == part(blueprint, properties).len()
        && says(&Value::Object(stored.clone()), &bare)
        && is_within("/relations")
        && is_within("/calculationProperties")
}

/// Whether `stored` has all that `made` has, perhaps with more members.
fn says(stored: &Value, made: &Value) -> bool {
    match (stored, made) {
        (Value::Object(stored), Value::Object(made)) => made
            .iter()
            .all(|(name, made)| stored.get(name).is_some_and(|stored| says(stored, made))),
        _ => stored == made,
    }
}

fn without(blueprint: &Map<String, Value>, parts: &[&str]) -> Value {
    let kept = blueprint
        .iter()
        .filter(|(name, _)| !parts.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(kept.collect())
}

fn default_blueprints() -> Result<Vec<Definition>, Error> {
    let parsed: anyhow::Result<Vec<Map<String, Value>>> =
        serde_json::from_str(BLUEPRINTS).context("the default blueprints of this build");
    let blueprints = parsed.map_err(|source| Error::Unexpected {
        request: "POST /v1/blueprints".into(),
        trace_id: TraceId::default(),
        source,
    })?;
    let identifier = |blueprint: &Map<String, Value>| {
        let identifier = blueprint.get("identifier").and_then(Value::as_str);
        identifier.unwrap_or_default().to_owned()
    };
    Ok(blueprints
        .into_iter()
        .map(|blueprint| (identifier(&blueprint), blueprint))
        .collect())
}
