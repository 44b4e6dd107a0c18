//! One workspace, one catalogue, one function between them, and a clock that only moves when told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::invocation::{self, Error};
use ferry::queue::{Local, Queue};
use ferry::secrets::Secrets;
use ferry::store::Store;
use ferry::webhook::again;
use sandbox::aws::{SecretsManager, function_url_event};
use sandbox::bitbucket::{Bitbucket, Workspace};
use sandbox::port::{Port, Write};
use sandbox::server::{Request, Server};
use sandbox::webhook::Delivery;
use serde_json::{Value, json};

use super::secrets::secrets_client;

pub(crate) const IDENTIFIER: &str = "ferry-tests";
pub(crate) const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";

pub(crate) const PORT_CLIENT_ID: &str = "test-client";

/// The secret with which `events/port-resync.json` is signed.
pub(crate) const PORT_CLIENT_SECRET: &str = "port-client-secret-for-tests";

/// What passes between two events.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// Lambda's longest invocation.
pub(super) const INVOCATION: Duration = Duration::from_secs(900);

pub(crate) struct World {
    pub(crate) bitbucket: Bitbucket,
    pub(crate) port: Port,
    pub(crate) clock: Clock,
    app: App,
    finished: bool,
}

/// Environment variables beyond the necessary ones.
pub(crate) type Settings = BTreeMap<&'static str, String>;

/// A recorded event from `events/`.
pub(crate) fn event(name: &str) -> Value {
    // The command line's tests share this file, and lie deeper.
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let events = folders.find_map(|folder| Some(folder.join("events")).filter(|it| it.is_dir()));
    let path = events.unwrap().join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl World {
    /// The demo workspace and an empty catalogue.
    pub(crate) async fn demo() -> World {
        World::new(Workspace::demo().unwrap(), Settings::new()).await
    }

    pub(crate) async fn new(workspace: Workspace, settings: Settings) -> World {
        World::start(workspace, settings, None).await
    }

    /// The demo workspace, with the credentials in Secrets Manager as far as `settings` name secrets.
    pub(crate) async fn with_secrets(settings: Settings, secrets: &SecretsManager) -> World {
        let client = Some(secrets_client(secrets));
        World::start(Workspace::demo().unwrap(), settings, client).await
    }

    pub(crate) async fn start(
        workspace: Workspace,
        settings: Settings,
        secrets: Option<Client>,
    ) -> World {
        let bitbucket = Bitbucket::start(workspace).await.unwrap();
        let port = Port::start()
            .await
            .unwrap()
            .with_credentials(PORT_CLIENT_ID, PORT_CLIENT_SECRET);
        // The moment at which the signed fixtures were sent.
        let clock = Clock::simulated("2026-11-23T07:00:00Z".parse().unwrap());
        for server in [bitbucket.server(), port.server()] {
            let clock = clock.clone();
            server.pass_time_with(move |delay| clock.advance(delay));
        }
        let app = app(&bitbucket, &port, &clock, settings, secrets);
        World {
            bitbucket,
            port,
            clock,
            app,
            finished: false,
        }
    }

    /// Webhooks wait in a queue from now on; [`drain`](World::drain) works them off.
    pub(crate) async fn with_queue(mut self) -> World {
        let queue = Local::open(Store::memory(), self.clock.clone())
            .await
            .unwrap();
        self.app.queue = Some(Queue::Local(queue));
        self
    }

    pub(crate) fn on(self, store: Store, queue: Queue) -> World {
        self.with_app(|app| app.with_store(store).with_queue(queue))
    }

    fn with_app(mut self, change: impl FnOnce(App) -> App) -> World {
        let stand_in = app(
            &self.bitbucket,
            &self.port,
            &self.clock,
            Settings::new(),
            None,
        );
        self.app = change(std::mem::replace(&mut self.app, stand_in));
        self
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn app_mut(&mut self) -> &mut App {
        &mut self.app
    }

    /// What a first resync of Bitbucket as it is now makes of an empty catalogue.
    pub(crate) async fn fresh_catalogue(&self) -> Value {
        self.fresh().await.0
    }

    /// The same, with what is recorded of it.
    pub(crate) async fn fresh(&self) -> (Value, Store) {
        let port = Port::start()
            .await
            .unwrap()
            .with_credentials(PORT_CLIENT_ID, PORT_CLIENT_SECRET);
        let blueprints = self.port.blueprints();
        // Relations need their targets.
        let bare = blueprints.iter().map(|blueprint| {
            json!({"identifier": blueprint["identifier"], "title": blueprint["title"], "schema": blueprint["schema"]})
        });
        for blueprint in bare.chain(blueprints.iter().cloned()) {
            port.put_blueprint(&blueprint).unwrap();
        }
        if let Some(integration) = self.port.integration() {
            port.install(IDENTIFIER, integration["config"].clone());
        }
        let app = app(&self.bitbucket, &port, &self.clock, Settings::new(), None);
        let deadline = Deadline::after(&self.clock, INVOCATION);
        port.set_now(self.clock.now());
        let outcome = invocation::handle(&app, event("eventbridge-rule"), &deadline).await;
        let outcome = outcome.unwrap();
        assert_eq!(outcome["status"], "completed", "{outcome:#}");
        (port.catalogue(), app.store)
    }

    /// A function that starts anew: nothing of what the process knew is left, stored or not.
    pub(crate) fn replace_function(&mut self, settings: Settings) {
        self.app = app(&self.bitbucket, &self.port, &self.clock, settings, None);
    }

    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, Error> {
        let deadline = Deadline::after(&self.clock, INVOCATION);
        self.port.set_now(self.clock.now());
        let answer = invocation::handle(&self.app, event, &deadline).await;
        self.clock.advance(PAUSE);
        answer
    }

    /// One scheduled resync that has to complete; returns its outcome.
    pub(crate) async fn resync(&self) -> Value {
        let outcome = self.invoke(event("eventbridge-rule")).await.unwrap();
        assert_eq!(outcome["status"], "completed", "{outcome:#}");
        outcome
    }

    /// One scheduled resync, with the ticks that it takes, that has to end with losses; returns its outcome.
    pub(crate) async fn resync_with_losses(&self) -> Value {
        let outcome = self.invoke_run().await;
        assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
        outcome
    }

    /// One scheduled resync, with the ticks that it takes, however it ends; returns its outcome.
    pub(crate) async fn invoke_run(&self) -> Value {
        let mut outcome = self.invoke(event("eventbridge-rule")).await.unwrap();
        for _ in 0..10 {
            if outcome["status"] != "paused" {
                break;
            }
            self.clock.advance(Duration::from_secs(60));
            outcome = self.tick().await.unwrap();
        }
        outcome
    }

    pub(crate) async fn tick(&self) -> Result<Value, Error> {
        self.invoke(json!({"action": "tick"})).await
    }

    /// Delivers as Bitbucket would, each with a valid signature; returns the statuses.
    pub(crate) async fn deliver(&self, deliveries: &[Delivery]) -> Vec<u64> {
        let mut statuses = Vec::new();
        for delivery in deliveries {
            statuses.push(self.post(delivery, WEBHOOK_SECRET).await);
        }
        self.follow().await;
        statuses
    }

    pub(crate) async fn post(&self, delivery: &Delivery, secret: &str) -> u64 {
        self.send(
            "POST",
            "/webhook",
            &delivery.headers(secret),
            &delivery.body,
        )
        .await["statusCode"]
            .as_u64()
            .unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Value {
        self.invoke(function_url_event(method, path, headers, body))
            .await
            .unwrap()
    }

    /// Another function environment, which shares nothing with this one but the store and the queue.
    pub(crate) fn elsewhere(&self) -> App {
        let mut other = app(
            &self.bitbucket,
            &self.port,
            &self.clock,
            Settings::new(),
            None,
        );
        other = other.with_store(self.app.store.clone());
        match &self.app.queue {
            Some(Queue::Local(local)) => other.with_queue(Queue::Local(local.clone())),
            _ => other,
        }
    }

    pub(crate) async fn invoke_at(&self, app: &App, event: Value) -> Result<Value, Error> {
        self.invoke_for(app, event, INVOCATION).await
    }

    /// An invocation of another environment, which has `time` for it.
    pub(crate) async fn invoke_for(
        &self,
        app: &App,
        event: Value,
        time: Duration,
    ) -> Result<Value, Error> {
        let deadline = Deadline::after(&self.clock, time);
        self.port.set_now(self.clock.now());
        invocation::handle(app, event, &deadline).await
    }

    /// Delivers to another environment; returns the status.
    pub(crate) async fn post_at(&self, app: &App, delivery: &Delivery) -> u64 {
        let headers = delivery.headers(WEBHOOK_SECRET);
        let event = function_url_event("POST", "/webhook", &headers, &delivery.body);
        let answer = self.invoke_at(app, event).await.unwrap();
        answer["statusCode"].as_u64().unwrap()
    }

    /// Delivers to another environment; insists on 202.
    pub(crate) async fn accept_elsewhere(&self, deliveries: &[Delivery]) {
        let other = self.elsewhere();
        for delivery in deliveries {
            let status = self.post_at(&other, delivery).await;
            assert_eq!(status, 202, "{}", delivery.event_key);
        }
        let deadline = Deadline::after(&self.clock, INVOCATION);
        again::settle(&other, &deadline).await;
    }

    /// Delivers and insists on 202 for all.
    pub(crate) async fn accept(&self, deliveries: &[Delivery]) {
        let statuses = self.deliver(deliveries).await;
        assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    }

    /// What webhooks have produced is what a resync would produce: it finds nothing to write and nothing to delete.
    pub(crate) async fn assert_converged(&self) {
        self.port.take_writes();
        let before = self.port.catalogue();
        let outcome = self.resync().await;
        let writes: Vec<Write> = self.port.take_writes();
        assert!(
            writes.is_empty(),
            "a resync right after still writes: {writes:#?}"
        );
        assert_eq!(before, self.port.catalogue());
        assert_eq!(outcome["counts"]["deleted"], 0);
    }

    /// Identifiers by blueprint.
    pub(crate) fn identifiers(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entity in self.port.entities() {
            found
                .entry(entity.blueprint)
                .or_default()
                .push(entity.identifier);
        }
        found
    }

    /// Requests to Bitbucket and to Port since the last look.
    pub(crate) fn take_requests(&self) -> (Vec<Request>, Vec<Request>) {
        (
            self.bitbucket.server().take_requests(),
            self.port.server().take_requests(),
        )
    }

    /// Ends the story: nothing may be left over.
    pub(crate) fn finish(mut self) {
        self.finished = true;
        assert_eq!(
            self.port.unknown_requests(),
            Vec::<String>::new(),
            "requests that Port does not know"
        );
        for server in [self.bitbucket.server(), self.port.server()] {
            let unused: Vec<String> = Server::unused_faults(server);
            assert!(unused.is_empty(), "faults that nothing met: {unused:?}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "a story has to end with `finish`"
        );
    }
}

fn app(
    bitbucket: &Bitbucket,
    port: &Port,
    clock: &Clock,
    settings: Settings,
    secrets: Option<Client>,
) -> App {
    let mut variables: BTreeMap<&str, String> = BTreeMap::from([
        // What is read over git is compared with what REST says: see `git.rs`.
        ("FERRY__CONTENTS", "rest".to_owned()),
        ("OCEAN__PORT__BASE_URL", port.url()),
        ("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID.to_owned()),
        ("OCEAN__PORT__CLIENT_SECRET", PORT_CLIENT_SECRET.to_owned()),
        ("OCEAN__INTEGRATION__IDENTIFIER", IDENTIFIER.to_owned()),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            bitbucket.url(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            bitbucket.workspace(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            Bitbucket::TOKEN.to_owned(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
            WEBHOOK_SECRET.to_owned(),
        ),
    ]);
    variables.extend(settings);
    let config = Config::read(variables).unwrap();
    let secrets = Secrets::new(&config, secrets, clock.clone());
    App::new(
        config,
        Http::new(clock.clone()).unwrap(),
        secrets,
        Store::memory(),
    )
}
