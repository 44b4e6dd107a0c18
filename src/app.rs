//! What an invocation works with: configuration, clock, connections, memory. A bundle; the flows are elsewhere.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;

use crate::bitbucket::{self, BitbucketClient};
use crate::condition::Condition;
use crate::config::Config;
use crate::deadline::{Clock, Deadline};
use crate::deliveries::Deliveries;
use crate::failure::Failure;
use crate::health::Rounds;
use crate::http::Http;
use crate::locked::locked;
use crate::metrics::{Figure, Metrics};
use crate::own_secrets::SecretOwner;
use crate::port::{self, Masker, PortClient, WriteEvent};
use crate::progress::RunProgress;
use crate::queue::Queue;
use crate::secrets::{Credentials, Secrets, SecretsError};
use crate::store::documents::Distrusted;
use crate::store::incidents;
use crate::store::{Asker, Lease, LeaseName, Leases, Store, StoreError};
use crate::sync::audit::Audit;
use crate::sync::commit::Pen;
use crate::sync::generation::{Current, Generations};
use crate::sync::guard::Guard;
use crate::sync::outbox::Outbox;
use crate::sync::plan::Differs;
use crate::telemetry::chain;

/// Built once per process; every invocation borrows it.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub http: Http,
    pub secrets: Secrets,
    pub store: Store,
    /// Who may write, and who may work on the run.
    pub leases: Leases,
    /// The mapping in force, compiled.
    pub generations: Generations,
    /// When this process began.
    pub started_at: Timestamp,
    /// Where webhooks wait; without one they are worked on before they are answered.
    pub queue: Option<Queue>,
    /// Takes the place of the mapping stored in Port (`--mapping` on the command line).
    pub mapping_override: Option<Value>,
    pub metrics: Metrics,
    /// When this process has asked everybody for news.
    pub rounds: Rounds,
    /// Held by who looks at the workspace's webhook: two who find none would make two.
    pub subscribing: tokio::sync::Mutex<()>,
    /// How far the resync is that this process works on, for whoever watches.
    pub progress: watch::Sender<RunProgress>,
    /// What becomes of webhooks that this process takes, for whoever watches.
    pub deliveries: Deliveries,
    session: Mutex<Option<Arc<Session>>>,
}

/// Connections to both sides under one set of credentials.
pub struct Session {
    pub credentials: Arc<Credentials>,
    pub bitbucket: BitbucketClient,
    pub port: PortClient,
}

/// What a trigger has to write, and under whose name.
pub struct Errand<'a> {
    pub session: &'a Session,
    /// The mapping that it was looked with.
    pub current: &'a Current,
    pub guard: &'a Guard,
    /// Who is told of it, and why it is done.
    pub audit: &'a Audit,
    /// What Port shows as the cause of the writes.
    pub event: WriteEvent,
    pub differs: &'a Differs<'a>,
    /// What deletes nothing; `None`: what the last run said.
    pub distrusted: Option<&'a Distrusted>,
}

impl App {
    /// Everything as the configuration names it. `aws` may be absent only where it names nothing of AWS.
    pub fn connect(config: Config, http: Http, aws: Option<&SdkConfig>) -> Result<App, StoreError> {
        let secrets = Secrets::connect(&config, aws, http.clock().clone());
        let table = config.state_table.clone().zip(aws);
        let store = match (table, &config.state_dir) {
            (Some((table, aws)), _) => {
                let client = aws_sdk_dynamodb::Client::new(aws);
                Store::dynamodb(client, table, http.clock().clone())
            }
            (None, Some(path)) => open_store(path)?,
            (None, None) => Store::memory(),
        };
        let queue = config.queue_url.clone().zip(aws);
        let queue = queue.map(|(url, aws)| Queue::sqs(aws_sdk_sqs::Client::new(aws), url));
        let namespace = config.metrics_namespace.clone();
        let all = config.all_figures;
        let metrics = namespace.map(|namespace| Metrics::to(namespace, all, std::io::stdout()));
        Ok(App {
            queue,
            metrics: metrics.unwrap_or_default(),
            ..App::new(config, http, secrets, store)
        })
    }

    pub fn new(config: Config, http: Http, secrets: Secrets, store: Store) -> App {
        let clock = http.clock().clone();
        App {
            leases: Leases::new(store.clone(), clock.clone()),
            generations: Generations::default(),
            started_at: clock.now(),
            config,
            clock,
            http,
            secrets,
            store,
            queue: None,
            mapping_override: None,
            metrics: Metrics::default(),
            rounds: Rounds::default(),
            subscribing: tokio::sync::Mutex::default(),
            progress: watch::Sender::default(),
            deliveries: Deliveries::default(),
            session: Mutex::default(),
        }
    }

    /// Why the credentials cannot be used, as far as this process has learnt by using them. Asks nobody.
    pub fn unusable_credentials(&self) -> Option<&'static str> {
        let session = locked(&self.session).clone();
        match session {
            None => Some("there are no credentials yet"),
            Some(session) if !session.port.is_accepted() => {
                Some("Port has not accepted the credentials")
            }
            Some(session) if session.bitbucket.is_refused() => {
                Some("Bitbucket refuses the credentials")
            }
            Some(_) => None,
        }
    }

    /// Connections under credentials at most five minutes old. Rate limit windows, tokens and connections outlive
    /// a rotation.
    pub async fn session(&self, deadline: &Deadline) -> Result<Arc<Session>, SecretsError> {
        let credentials = self.secrets.credentials(deadline).await?;
        let mut current = locked(&self.session);
        let session = match current.take() {
            Some(session) if Arc::ptr_eq(&session.credentials, &credentials) => {
                session.bitbucket.try_refused_again();
                session
            }
            Some(session) if session.credentials.workspace == credentials.workspace => {
                session
                    .bitbucket
                    .replace_credentials(credentials.bitbucket.clone());
                session.port.replace_credentials(
                    credentials.port_client_id.clone(),
                    credentials.port_client_secret.clone(),
                );
                let (bitbucket, port) = (session.bitbucket.clone(), session.port.clone());
                Arc::new(Session {
                    credentials,
                    bitbucket,
                    port,
                })
            }
            _ => Arc::new(self.open_session(credentials)),
        };
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The secrets that may sign webhooks, as [`Secrets::webhook_secrets`] says.
    pub async fn webhook_secrets(
        &self,
        deadline: &Deadline,
    ) -> Result<Vec<SecretString>, SecretsError> {
        let secrets = self.secrets.webhook_secrets(deadline).await?;
        // Bitbucket is told them, and may say them back.
        self.http
            .own_secrets()
            .learn(SecretOwner::Webhooks, secrets.clone());
        Ok(secrets)
    }

    /// Takes the pen, has `steps` written with it, and lets it go, whatever becomes of them.
    pub async fn with_pen<T>(
        &self,
        asker: Asker,
        errand: Errand<'_>,
        deadline: &Deadline,
        steps: impl AsyncFnOnce(&Pen<'_>, &Lease) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let lease = self.take_pen(asker, deadline).await?;
        let store = self.store.within(&lease.deadline());
        let pen = Pen {
            store: &store,
            port: &errand.session.port.once(),
            sources: &errand.current.sources,
            generation: errand.current.number,
            outbox: &Outbox::new(self.queue.as_ref(), &store, &self.clock)
                .because(errand.audit.only_cause()),
            audit: errand.audit,
            clock: &self.clock,
            guard: errand.guard,
            event: errand.event,
            differs: errand.differs,
            distrusted: errand.distrusted,
        };
        let written = Box::pin(steps(&pen, &lease)).await;
        App::let_go_of_pen(lease).await;
        written
    }

    /// Waits for the pen, and puts into figures how long that took and whether it had to be taken from somebody.
    pub async fn take_pen(&self, asker: Asker, deadline: &Deadline) -> Result<Lease, Failure> {
        let lease = self.leases.take(LeaseName::Pen, asker, deadline).await?;
        let lease = lease.ok_or(Failure::PenIsBusy)?;
        let figures = vec![
            Figure::seconds("PenWaitSeconds", vec![lease.waited().as_secs_f64()]),
            Figure::count("PenSteals", usize::from(lease.was_stolen())),
        ];
        self.metrics.put(self.clock.now(), figures);
        if lease.was_stolen() {
            self.note(
                Condition::WorkerDied,
                "a process died while it wrote to Port",
            )
            .await;
        }
        Ok(lease)
    }

    /// Notes that `condition` was met, for whoever tells how the installation stands. Its failure costs nothing else.
    pub async fn note(&self, condition: Condition, cause: &str) {
        let noted = incidents::note(&self.store, condition, cause, self.clock.now());
        if let Err(error) = noted.await {
            let (condition, error) = (condition.name(), chain(&error));
            tracing::warn!(condition, cause, error, "condition not noted");
        }
    }

    /// Notes that an event came at `at`; once every few minutes is enough.
    pub async fn note_event(&self, at: Timestamp) {
        if !self.rounds.note_event(at) {
            return;
        }
        if let Err(error) = incidents::note_event(&self.store, at).await {
            tracing::warn!(error = chain(&error), "that an event came is not noted");
        }
    }

    /// Where this fails, the pen runs out.
    pub async fn let_go_of_pen(lease: Lease) {
        if let Err(error) = lease.release().await {
            tracing::warn!(error = chain(&error), "the pen was not let go: it runs out");
        }
    }

    /// The same, with webhooks waiting in `queue`.
    #[must_use]
    pub fn with_queue(self, queue: Queue) -> App {
        App {
            queue: Some(queue),
            ..self
        }
    }

    /// The same with another memory: what was known of the old one is forgotten.
    #[must_use]
    pub fn with_store(self, store: Store) -> App {
        App {
            leases: Leases::new(store.clone(), self.clock.clone()),
            generations: Generations::default(),
            rounds: Rounds::default(),
            subscribing: tokio::sync::Mutex::default(),
            store,
            ..self
        }
    }

    fn open_session(&self, credentials: Arc<Credentials>) -> Session {
        let bitbucket = BitbucketClient::new(
            self.http.clone(),
            bitbucket::BitbucketSettings {
                base_url: self.config.bitbucket_base_url.clone(),
                workspace: credentials.workspace.clone(),
                credentials: credentials.bitbucket.clone(),
                live_reserve: self.config.live_reserve,
                contents_over: self.config.contents_over,
            },
        );
        let port = PortClient::new(
            self.http.clone(),
            port::PortSettings {
                base_url: self.config.port_base_url.clone(),
                client_id: credentials.port_client_id.clone(),
                client_secret: credentials.port_client_secret.clone(),
                identifier: self.config.identifier.clone(),
            },
        );
        Session {
            credentials,
            bitbucket,
            port,
        }
    }
}

#[cfg(feature = "file-store")]
fn open_store(path: &std::path::Path) -> Result<Store, StoreError> {
    Store::open(path)
}

/// Without the embedded database there is only the memory: the function has its table.
#[cfg(not(feature = "file-store"))]
fn open_store(path: &std::path::Path) -> Result<Store, StoreError> {
    tracing::warn!(path = %path.display(), "this build keeps its state in memory only");
    Ok(Store::memory())
}

impl Session {
    /// Hides whatever must not leave the process.
    pub fn masker(&self) -> anyhow::Result<Masker> {
        Masker::new(self.port.own_secrets().clone())
    }
}
