//! Credentials: what the environment gives, completed by Secrets Manager, cached and re-read.
//!
//! The only file that talks to Secrets Manager. Values are secret types from here to the header.

mod complete;
mod signing;
mod stored;
mod unfilled;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::bitbucket::Credential;
use crate::config::{Config, Given, InvalidConfig};
use crate::deadline::{Clock, Deadline, later};
use crate::locked::locked;
use complete::complete;
use signing::{BOTH_COUNT, Signing, derived};

pub use stored::parse;

/// How long a value read from Secrets Manager is trusted without looking again.
const TTL: Duration = Duration::from_secs(300);

/// A 401 may ask for another look this often; a wrong secret must not turn into a request per event.
const SHORTEST_RE_READ: Duration = Duration::from_secs(10);

/// The stage of the version that counts.
const CURRENT: &str = "AWSCURRENT";

/// Secrets Manager's name for a secret, or a stage of one, that does not exist.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// What its message holds where there is the secret, and no value of that stage in it.
const NO_VALUE: &str = "staging label";

/// A complete set of credentials.
#[derive(Debug)]
pub struct Credentials {
    pub port_client_id: String,
    pub port_client_secret: SecretString,
    pub workspace: String,
    /// At least one; several workspace tokens share the work.
    pub bitbucket: Vec<Credential>,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The secret is there, and nobody has filled it.
    #[error(
        "the secret `{id}` has no value yet: fill it with `ferry secret put`, or with the command in the stack's output StoreCredentials"
    )]
    Empty { id: String },
    /// Secrets Manager did not answer; another attempt may succeed.
    #[error("cannot read the secret `{id}`: {reason}")]
    Unavailable { id: String, reason: String },
    #[error("cannot write the secret `{id}`: {reason}")]
    NotWritten { id: String, reason: String },
}

/// Reads and caches the credentials of one process.
pub struct Secrets {
    given: Given,
    secret_id: Option<String>,
    webhook_secret_id: Option<String>,
    /// The installation for which the secret of webhooks is derived, where it is.
    derives_for: Option<String>,
    client: Option<Client>,
    clock: Clock,
    document: Mutex<Option<Cached<Arc<Version>>>>,
    credentials: Mutex<Option<Cached<Arc<Credentials>>>>,
    webhook: Mutex<Option<Cached<Arc<Signing>>>>,
    /// When it was last said that there are no credentials yet.
    reminded_at: Mutex<Option<Timestamp>>,
}

/// One version of a stored secret.
struct Version {
    text: SecretString,
    created: Option<Timestamp>,
}

#[derive(Clone)]
struct Cached<T> {
    value: T,
    read_at: Timestamp,
}

impl Secrets {
    /// On the SDK's configuration.
    pub fn connect(config: &Config, aws: Option<&SdkConfig>, clock: Clock) -> Secrets {
        Secrets::new(config, aws.map(Client::new), clock)
    }

    /// `client` may be absent only where the configuration names no secret.
    pub fn new(config: &Config, client: Option<Client>, clock: Clock) -> Secrets {
        Secrets {
            given: config.given.clone(),
            secret_id: config.secret_id.clone(),
            webhook_secret_id: config.webhook_secret_id.clone(),
            derives_for: config
                .derives_webhook_secret
                .then(|| config.identifier.clone()),
            client,
            clock,
            document: Mutex::default(),
            credentials: Mutex::default(),
            webhook: Mutex::default(),
            reminded_at: Mutex::default(),
        }
    }

    /// The same source, read anew.
    pub fn clone_for(&self, config: &Config) -> Secrets {
        Secrets::new(config, self.client.clone(), self.clock.clone())
    }

    /// The credentials, at most five minutes old.
    pub async fn credentials(&self, deadline: &Deadline) -> Result<Arc<Credentials>, SecretsError> {
        if let Some(cached) = self.fresh(&self.credentials) {
            return Ok(cached);
        }
        let (given, read_at) = match &self.secret_id {
            None => (self.given.clone(), self.clock.now()),
            Some(id) => {
                let document = self.document(id, deadline).await?;
                (self.overlaid(id, &document.value.text)?, document.read_at)
            }
        };
        let credentials = Arc::new(complete(given)?);
        remember(&self.credentials, Arc::clone(&credentials), read_at);
        Ok(credentials)
    }

    /// The secrets that may sign webhooks: the current one and, for ten minutes after a rotation, the one before. The
    /// first is the one that Bitbucket is to sign with: the new one only when every process knows it. Empty when none
    /// is configured.
    pub async fn webhook_secrets(
        &self,
        deadline: &Deadline,
    ) -> Result<Vec<SecretString>, SecretsError> {
        let signing = match self.fresh(&self.webhook) {
            Some(cached) => cached,
            None => {
                let (signing, read_at) = self.signing(deadline).await?;
                let signing = Arc::new(signing);
                remember(&self.webhook, Arc::clone(&signing), read_at);
                signing
            }
        };
        Ok(signing.at(self.clock.now()))
    }

    /// And when it was read.
    async fn signing(&self, deadline: &Deadline) -> Result<(Signing, Timestamp), SecretsError> {
        let own = self.webhook_secret_id.as_ref();
        let Some(id) = own.or(self.secret_id.as_ref()) else {
            let signing = Signing {
                current: self.signs_with(self.given.clone()),
                previous: None,
            };
            return Ok((signing, self.clock.now()));
        };
        let secret = |version: &Version| match own {
            Some(_) => Ok(Some(version.text.clone())),
            None => self
                .overlaid(id, &version.text)
                .map(|given| self.signs_with(given)),
        };
        let current = match own {
            Some(_) => Cached {
                value: Arc::new(self.fetch(id, CURRENT, deadline).await?),
                read_at: self.clock.now(),
            },
            None => self.document(id, deadline).await?,
        };
        let created = current.value.created;
        let mut signing = Signing {
            current: secret(&current.value)?,
            previous: None,
        };
        // A secret that was never rotated has no previous version, and asking for it is an error in somebody's trail.
        let young = created.filter(|created| self.clock.now() < later(*created, BOTH_COUNT));
        if let Some(created) = young
            && let Some(previous) = self.try_fetch(id, "AWSPREVIOUS", deadline).await?
        {
            // One that cannot be read has signed nothing.
            let previous = secret(&previous).ok().flatten();
            signing.previous = previous.map(|previous| (previous, created));
        }
        Ok((signing, current.read_at))
    }

    /// What signs webhooks where these are the credentials: what was chosen, else what is derived.
    fn signs_with(&self, given: Given) -> Option<SecretString> {
        let derived = || {
            derived(
                given.port_client_secret.as_ref()?,
                self.derives_for.as_ref()?,
            )
        };
        given.webhook_secret.or_else(derived)
    }

    /// After a 401: forgets the cached credentials unless they were read a moment ago. Returns whether another
    /// look is worth it.
    pub fn forget(&self) -> bool {
        let mut cached = locked(&self.credentials);
        let settled = self.secret_id.is_some()
            && cached
                .as_ref()
                .is_some_and(|cached| later(cached.read_at, SHORTEST_RE_READ) <= self.clock.now());
        if settled {
            *cached = None;
            *locked(&self.document) = None;
        }
        settled
    }

    /// What is in the secret `id`, for the credentials and for what signs webhooks: read once for both.
    async fn document(
        &self,
        id: &str,
        deadline: &Deadline,
    ) -> Result<Cached<Arc<Version>>, SecretsError> {
        if let Some(cached) = locked(&self.document).clone()
            && self.is_fresh(&cached)
        {
            return Ok(cached);
        }
        let version = Arc::new(self.fetch(id, CURRENT, deadline).await?);
        if version.is_blank() {
            return Err(SecretsError::Empty { id: id.to_owned() });
        }
        let read_at = self.clock.now();
        remember(&self.document, Arc::clone(&version), read_at);
        Ok(Cached {
            value: version,
            read_at,
        })
    }

    /// What is given, with the document `text` of the secret `id` over it.
    fn overlaid(&self, id: &str, text: &SecretString) -> Result<Given, InvalidConfig> {
        Ok(self
            .given
            .overlaid(parse(&format!("the secret `{id}`"), text)?))
    }

    async fn fetch(
        &self,
        id: &str,
        stage: &str,
        deadline: &Deadline,
    ) -> Result<Version, SecretsError> {
        let version = self.try_fetch(id, stage, deadline).await?;
        version.ok_or_else(|| SecretsError::Unavailable {
            id: id.to_owned(),
            reason: format!("{NOT_FOUND}: Secrets Manager can't find it"),
        })
    }

    /// `None` where there is no such secret or stage.
    async fn try_fetch(
        &self,
        id: &str,
        stage: &str,
        deadline: &Deadline,
    ) -> Result<Option<Version>, SecretsError> {
        let unavailable = |reason: String| SecretsError::Unavailable {
            id: id.to_owned(),
            reason,
        };
        let client = self
            .client
            .as_ref()
            .ok_or_else(|| unavailable("no AWS client is set up".to_owned()))?;
        let request = client
            .get_secret_value()
            .secret_id(id)
            .version_stage(stage)
            .send();
        let answer = tokio::time::timeout(deadline.remaining(), request)
            .await
            .map_err(|_| unavailable("no answer before the deadline".to_owned()))?;
        let answer = match answer {
            Err(error) if error.code() == Some(NOT_FOUND) => {
                let no_value = error.message().is_some_and(|text| text.contains(NO_VALUE));
                return match no_value && stage == CURRENT {
                    true => Err(SecretsError::Empty { id: id.to_owned() }),
                    false => Ok(None),
                };
            }
            answer => answer.map_err(|error| unavailable(reason(error)))?,
        };
        let created = answer
            .created_date
            .map(|date| (date.secs(), date.subsec_nanos()));
        let created = created
            .and_then(|(seconds, nanos)| Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok());
        let text = answer
            .secret_string
            .context("it holds binary data instead of text")
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(Some(Version {
            text: SecretString::from(text),
            created,
        }))
    }

    fn fresh<T: Clone>(&self, cache: &Mutex<Option<Cached<T>>>) -> Option<T> {
        let cache = locked(cache);
        let cached = cache.as_ref()?;
        self.is_fresh(cached).then(|| cached.value.clone())
    }

    fn is_fresh<T>(&self, cached: &Cached<T>) -> bool {
        self.clock.now() < later(cached.read_at, TTL)
    }
}

fn remember<T>(cache: &Mutex<Option<Cached<T>>>, value: T, read_at: Timestamp) {
    *locked(cache) = Some(Cached { value, read_at });
}

/// Why there was no answer, without the answer: that may be a secret.
fn reason<E>(error: SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let message = error.message().unwrap_or_default();
    match error.code() {
        Some(code) if message.is_empty() => code.to_owned(),
        Some(code) => format!("{code}: {message}"),
        None => {
            // The raw answer is no part of the chain of causes.
            let cause = error.into_source();
            match cause {
                Ok(cause) => format!("{:#}", anyhow::Error::from_boxed(cause)),
                Err(error) => error.to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
