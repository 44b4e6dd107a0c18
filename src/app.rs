//! What an invocation works with: configuration, clock, connections, memory. A bundle; the flows are elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::bitbucket::{self, BitbucketClient, Credential};
use crate::config::Config;
use crate::deadline::{Clock, Deadline};
use crate::http::Http;
use crate::port::{self, Masker, PortClient};
use crate::secrets::{Credentials, Secrets, SecretsError};
use crate::state::Store;

/// Built once per process; every invocation borrows it.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub http: Http,
    pub secrets: Secrets,
    pub store: Store,
    /// Takes the place of the mapping stored in Port (`--mapping` on the command line).
    pub mapping_override: Option<Value>,
    session: Mutex<Option<Arc<Session>>>,
}

/// Connections to both sides under one set of credentials.
pub struct Session {
    pub credentials: Arc<Credentials>,
    pub bitbucket: BitbucketClient,
    pub port: PortClient,
}

impl App {
    pub fn new(config: Config, http: Http, secrets: Secrets, store: Store) -> App {
        let clock = http.clock().clone();
        App { config, clock, http, secrets, store, mapping_override: None, session: Mutex::default() }
    }

    /// Connections under credentials at most five minutes old. Rate limit windows, tokens and connections outlive
    /// a rotation.
    pub async fn session(&self, deadline: &Deadline) -> Result<Arc<Session>, SecretsError> {
        let credentials = self.secrets.credentials(deadline).await?;
        let mut current = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match current.take() {
            Some(session) if Arc::ptr_eq(&session.credentials, &credentials) => session,
            Some(session) if session.credentials.workspace == credentials.workspace => {
                session.bitbucket.replace_credentials(credentials.bitbucket.clone());
                session
                    .port
                    .replace_credentials(credentials.port_client_id.clone(), credentials.port_client_secret.clone());
                let (bitbucket, port) = (session.bitbucket.clone(), session.port.clone());
                Arc::new(Session { credentials, bitbucket, port })
            }
            _ => Arc::new(self.connect(credentials)),
        };
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    fn connect(&self, credentials: Arc<Credentials>) -> Session {
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
        Session { credentials, bitbucket, port }
    }
}

impl Session {
    /// Hides whatever must not leave the process.
    pub fn masker(&self) -> Masker {
        let bitbucket = self.credentials.bitbucket.iter().map(Credential::secret);
        Masker::new(bitbucket.chain([&self.credentials.port_client_secret]))
    }
}
