//! A simulated Port: strict about every request, and with a memory.
//!
//! It models one organisation. Where Port's behaviour is known only on paper the stricter reading is taken; [`Behaviour`] holds the
//! choices that tests may want to turn. Failures are injected with [`Server::misbehave`]. Knows nothing of
//! Bitbucket, mappings or jq: a mapping is a JSON object to it.

mod blueprint;
mod delete;
mod ingest;
mod integration;
mod past;
mod reference;
mod refusal;
mod routes;
mod rules;
mod search;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod upsert;
mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::ingest::SyncMetric;
pub use self::past::OldCatalogue;
pub use self::refusal::Refusal;
pub use self::state::{Behaviour, RefusedWrite, StoredEntity, Write, WriteKind};

use self::blueprint::{BUILT_IN, Blueprint};
use self::integration::Integration;
use self::state::State;
use crate::server::{Request, Server};

/// The integration that [`Port::set_config`] registers when there is none; Ocean's default for its Bitbucket integration.
const DEFAULT_INTEGRATION: &str = "my-bitbucket-cloud-integration";
const INTEGRATION_TYPE: &str = "bitbucket-cloud";

/// A running Port. Clones are handles to the same organisation.
#[derive(Clone)]
pub struct Port {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Port {
    /// An empty organisation whose one credential pair is `test-client` / `test-secret`.
    pub async fn start() -> anyhow::Result<Port> {
        Port::start_at(0).await
    }

    /// The same on the given port of 127.0.0.1; 0 is any free one.
    pub async fn start_at(port: u16) -> anyhow::Result<Port> {
        let state = Arc::new(Mutex::new(State::new()));
        let model = Arc::clone(&state);
        let answer = move |request: &Request| routes::answer(&mut lock(&model), request);
        let server = Server::start_at(port, answer).await?;
        Ok(Port { server, state })
    }

    /// Other credentials instead of the default ones.
    #[must_use]
    pub fn with_credentials(self, client_id: &str, client_secret: &str) -> Port {
        {
            let mut state = self.state();
            state.credentials.id = client_id.to_owned();
            state.credentials.secret = client_secret.to_owned();
            state.credentials.token = None;
        }
        self
    }

    /// Base URL without `/v1`.
    pub fn url(&self) -> String {
        self.server.url().to_owned()
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Changes how Port behaves where its behaviour is unknown.
    pub fn configure(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().behaviour);
    }

    /// Stops the clock here; each write then moves it by a millisecond. Without this, Port follows the machine. Tokens expire by it too.
    pub fn set_now(&self, now: Timestamp) {
        self.state().clock.set(now);
    }

    /// Forgets the active token: the next call with it is answered 401.
    pub fn expire_tokens(&self) {
        self.state().credentials.token = None;
    }

    /// Replaces the client secret, and with it the token that the old one obtained.
    pub fn rotate_secret(&self, secret: &str) {
        let mut state = self.state();
        state.credentials.secret = secret.to_owned();
        state.credentials.token = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The catalogue.
impl Port {
    /// All entities, by blueprint and identifier.
    pub fn entities(&self) -> Vec<StoredEntity> {
        self.state().entities.values().cloned().collect()
    }

    pub fn entity(&self, blueprint: &str, identifier: &str) -> Option<StoredEntity> {
        self.state().entity(blueprint, identifier).ok().cloned()
    }

    /// `{blueprint: {identifier: {title, icon, team, properties, relations}}}`, unset parts left out, keys in order, without times and
    /// owners: equal exactly when people would call two catalogues equal.
    pub fn catalogue(&self) -> Value {
        let mut catalogue: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for entity in self.state().entities.values() {
            catalogue
                .entry(entity.blueprint.clone())
                .or_default()
                .insert(entity.identifier.clone(), entity.content());
        }
        json!(catalogue)
    }

    /// Adds a blueprint, or replaces it.
    pub fn put_blueprint(&self, blueprint: &Value) -> anyhow::Result<()> {
        let mut state = self.state();
        let blueprint = Blueprint::parse(blueprint, &state.blueprints)
            .map_err(|refusal| anyhow!("Port refuses the blueprint: {}", refusal.message))?;
        state
            .blueprints
            .insert(blueprint.identifier().to_owned(), blueprint);
        Ok(())
    }

    /// The bodies of all blueprints but the built-in `_user` and `_team`.
    pub fn blueprints(&self) -> Vec<Value> {
        self.state()
            .blueprints
            .values()
            .filter(|blueprint| !BUILT_IN.contains(&blueprint.identifier()))
            .map(Blueprint::body)
            .collect()
    }

    /// Stores an entity (the body of an upsert) as if the owner of `datasource` had written it, unchecked and unrecorded.
    pub fn put_entity(
        &self,
        blueprint: &str,
        entity: &Value,
        datasource: &str,
    ) -> anyhow::Result<()> {
        let identifier = entity["identifier"]
            .as_str()
            .context("an entity needs an identifier")?;
        let key = (blueprint.to_owned(), identifier.to_owned());
        let mut state = self.state();
        let now = state.clock.write();
        let mut stored = StoredEntity::new(&key, datasource, now);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        stored.title = text(&entity["title"]);
        stored.icon = text(&entity["icon"]);
        stored.team = match &entity["team"] {
            Value::Array(teams) => teams.iter().filter_map(text).collect(),
            team => text(team).into_iter().collect(),
        };
        let fields = |name: &str| -> BTreeMap<String, Value> {
            let fields = entity[name].as_object().into_iter().flatten();
            fields
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        stored.properties = fields("properties");
        stored.relations = fields("relations");
        state.entities.insert(key, stored);
        Ok(())
    }

    /// Somebody changes a property of an entity by hand; it stays with its owner.
    pub fn edit_property(
        &self,
        blueprint: &str,
        identifier: &str,
        (name, value): (&str, Value),
    ) -> anyhow::Result<()> {
        let mut state = self.state();
        let now = state.clock.write();
        let key = (blueprint.to_owned(), identifier.to_owned());
        let entity = state.entities.get_mut(&key).context("no such entity")?;
        entity.properties.insert(name.to_owned(), value);
        entity.updated_at = now;
        Ok(())
    }

    /// Somebody deletes an entity by hand; what leads to it stays as it is.
    pub fn remove_entity(&self, blueprint: &str, identifier: &str) -> anyhow::Result<()> {
        let key = (blueprint.to_owned(), identifier.to_owned());
        let removed = self.state().entities.remove(&key);
        removed.map(|_| ()).context("no such entity")
    }

    /// Takes an entity away as somebody does who deletes it in Port; relations that lead to it are cleared. False where
    /// there is none.
    pub fn delete_by_hand(&self, blueprint: &str, identifier: &str) -> bool {
        let key = (blueprint.to_owned(), identifier.to_owned());
        self.state().forget(key)
    }

    /// Takes a blueprint away, with whatever is of it.
    pub fn remove_blueprint(&self, identifier: &str) {
        self.state().blueprints.remove(identifier);
    }

    /// Entities that Port has refused to write or to delete since this was asked last, oldest first.
    pub fn take_refused(&self) -> Vec<RefusedWrite> {
        std::mem::take(&mut self.state().refused)
    }

    /// Every upsert, stub and deletion that clients asked for, oldest first.
    pub fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// The same, and forgets them.
    pub fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.state().writes)
    }
}

/// The integration and what it reported.
impl Port {
    /// Registers an integration with a mapping, as an earlier install left it: resources initialised, no resync asked for.
    pub fn install(&self, identifier: &str, config: Value) {
        let mut integration = Integration::new(identifier, INTEGRATION_TYPE, config);
        integration.set("createPortResourcesOrigin", json!("Default"));
        integration.set("arePortResourcesInitialized", json!(true));
        self.state()
            .organization
            .integrations
            .insert(identifier.to_owned(), integration);
    }

    /// Saves a mapping as a user does in Port, which also asks for a resync: in every integration, or in a new one under Ocean's
    /// default identifier when there is none.
    pub fn set_config(&self, config: Value) {
        if self.state().organization.integrations.is_empty() {
            self.install(DEFAULT_INTEGRATION, json!({}));
        }
        let mut state = self.state();
        let now = state.clock.write();
        for integration in state.organization.integrations.values_mut() {
            integration.save_config(config.clone(), now);
        }
    }

    /// The first integration, as a client would read it.
    pub fn integration(&self) -> Option<Value> {
        let state = self.state();
        let integration = state.organization.integrations.values().next()?;
        Some(integration.render(self.server.url()))
    }

    /// Presses "Resync" in every integration.
    pub fn request_resync(&self) {
        let mut state = self.state();
        let now = state.clock.write();
        for integration in state.organization.integrations.values_mut() {
            integration.request_resync(now);
        }
    }

    /// The bodies of all changes of the resync state, oldest first.
    pub fn resync_states(&self) -> Vec<Value> {
        let state = self.state();
        let integrations = state.organization.integrations.values();
        integrations
            .flat_map(|integration| integration.resync_states.clone())
            .collect()
    }

    /// Raw items by kind, as last sent.
    pub fn examples(&self) -> BTreeMap<String, Vec<Value>> {
        let state = self.state();
        let integrations = state.organization.integrations.values();
        integrations
            .flat_map(|integration| integration.examples.clone())
            .collect()
    }

    pub fn logs(&self) -> Vec<Value> {
        self.state().ingest.logs.clone()
    }

    /// Sync metric records, oldest first.
    pub fn metrics(&self) -> Vec<SyncMetric> {
        self.state().ingest.metrics.clone()
    }

    /// The event ids of all heartbeats.
    pub fn heartbeats(&self) -> Vec<String> {
        self.state().ingest.heartbeats.clone()
    }

    /// Requests that matched no route of Port, for a harness that wants none.
    pub fn unknown_requests(&self) -> Vec<String> {
        self.state().unknown.iter().cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
