//! What an invocation works with: configuration, clock, connections, memory. A bundle; the flows are elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::watch;

use crate::bitbucket::{self, BitbucketClient, Credential};
use crate::config::Config;
use crate::deadline::{Clock, Deadline, later};
use crate::failure::Failure;
use crate::http::Http;
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::port::{self, Masker, PortClient};
use crate::progress::Progress;
use crate::queue::Queue;
use crate::secrets::{Credentials, Secrets, SecretsError};
use crate::state::Store;

/// Built once per process; every invocation borrows it.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub http: Http,
    pub secrets: Secrets,
    pub store: Store,
    /// Where webhooks wait; without one they are worked on before they are answered.
    pub queue: Option<Queue>,
    /// Takes the place of the mapping stored in Port (`--mapping` on the command line).
    pub mapping_override: Option<Value>,
    pub metrics: Metrics,
    /// How far the resync is that this process works on, for whoever watches.
    pub progress: watch::Sender<Progress>,
    session: Mutex<Option<Arc<Session>>>,
    /// The mapping for live events; `None` inside while Port has none. Held while it is read, so that a burst of
    /// events asks once.
    live_mapping: tokio::sync::Mutex<Option<(Timestamp, Option<Arc<Mapping>>)>>,
}

/// Connections to both sides under one set of credentials.
pub struct Session {
    pub credentials: Arc<Credentials>,
    pub bitbucket: BitbucketClient,
    pub port: PortClient,
}

impl App {
    /// Everything as the configuration names it. `aws` may be absent only where it names nothing of AWS.
    pub fn connect(config: Config, http: Http, aws: Option<&SdkConfig>) -> App {
        let secrets = Secrets::new(
            &config,
            aws.map(aws_sdk_secretsmanager::Client::new),
            http.clock().clone(),
        );
        let table = config.state_table.clone().zip(aws);
        let store = match (table, &config.state_dir) {
            (Some((table, aws)), _) => {
                let client = aws_sdk_dynamodb::Client::new(aws);
                Store::dynamodb(client, table, http.clock().clone())
            }
            (None, Some(path)) => Store::directory(path),
            (None, None) => Store::memory(),
        };
        let queue = config.queue_url.clone().zip(aws);
        let queue = queue.map(|(url, aws)| Queue::sqs(aws_sdk_sqs::Client::new(aws), url));
        let namespace = config.metrics_namespace.clone();
        let metrics = namespace.map(|namespace| Metrics::to(namespace, std::io::stdout()));
        App {
            queue,
            metrics: metrics.unwrap_or_default(),
            ..App::new(config, http, secrets, store)
        }
    }

    pub fn new(config: Config, http: Http, secrets: Secrets, store: Store) -> App {
        let clock = http.clock().clone();
        App {
            config,
            clock,
            http,
            secrets,
            store,
            queue: None,
            mapping_override: None,
            metrics: Metrics::default(),
            progress: watch::Sender::default(),
            session: Mutex::default(),
            live_mapping: tokio::sync::Mutex::default(),
        }
    }

    /// Connections under credentials at most five minutes old. Rate limit windows, tokens and connections outlive
    /// a rotation.
    pub async fn session(&self, deadline: &Deadline) -> Result<Arc<Session>, SecretsError> {
        let credentials = self.secrets.credentials(deadline).await?;
        let mut current = self.session.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The mapping as Port has it, at most a minute old; `None` while Port does not know this installation.
    pub async fn live_mapping(
        &self,
        session: &Session,
        deadline: &Deadline,
    ) -> Result<Option<Arc<Mapping>>, Failure> {
        let mut cached = self.live_mapping.lock().await;
        if let Some((read_at, mapping)) = &*cached
            && self.clock.now() < later(*read_at, self.config.mapping_ttl)
        {
            return Ok(mapping.clone());
        }
        let config = match &self.mapping_override {
            Some(config) => Some(config.clone()),
            None => session
                .port
                .integration(deadline)
                .await?
                .and_then(|integration| integration.config),
        };
        let mapping = config
            .map(|config| Mapping::from_config(&config))
            .transpose()?
            .map(Arc::new);
        *cached = Some((self.clock.now(), mapping.clone()));
        Ok(mapping)
    }

    fn open_session(&self, credentials: Arc<Credentials>) -> Session {
        let bitbucket = BitbucketClient::new(
            self.http.clone(),
            bitbucket::Settings {
                base_url: self.config.bitbucket_base_url.clone(),
                workspace: credentials.workspace.clone(),
                credentials: credentials.bitbucket.clone(),
                live_reserve: self.config.live_reserve,
            },
        );
        let port = PortClient::new(
            self.http.clone(),
            port::Settings {
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

impl Session {
    /// Hides whatever must not leave the process.
    pub fn masker(&self) -> anyhow::Result<Masker> {
        let bitbucket = self.credentials.bitbucket.iter().map(Credential::secret);
        let own = bitbucket.chain([&self.credentials.port_client_secret]);
        Masker::new(own.map(ExposeSecret::expose_secret))
    }
}
