//! Why a flow ended early, and what that means to whoever started it.

use std::time::Duration;

use crate::bitbucket;
use crate::mapping::InvalidMapping;
use crate::port;
use crate::secrets::SecretsError;
use crate::state::StateError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Bitbucket(#[from] bitbucket::Error),
    #[error(transparent)]
    Port(#[from] port::Error),
    #[error(transparent)]
    Mapping(#[from] InvalidMapping),
    #[error(transparent)]
    State(#[from] StateError),
    /// Port is still setting the installation up.
    #[error("Port has no mapping for this installation yet")]
    NoMapping,
    /// Every partition failed; the first reason stands for all.
    #[error(
        "nothing could be read from Bitbucket: {0}: check OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE, and what \
         the credentials may read"
    )]
    NothingRead(String),
}

impl Failure {
    /// Whether the same thing may succeed later without anybody's doing.
    pub fn is_retryable(&self) -> bool {
        match self {
            Failure::Secrets(SecretsError::Invalid(_))
            | Failure::Mapping(_)
            | Failure::NothingRead(_) => false,
            Failure::Secrets(SecretsError::Unavailable { .. }) => true,
            Failure::Bitbucket(error) => error.is_retryable(),
            Failure::Port(error) => error.is_retryable(),
            Failure::NoMapping => true,
            Failure::State(error) => !matches!(error, StateError::Unreadable { .. }),
        }
    }

    /// How long the side that failed asks to be left alone, if it says so.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Failure::Bitbucket(bitbucket::Error::RateLimited { retry_after }) => Some(*retry_after),
            Failure::Port(port::Error::RateLimited { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }

    /// Whether fresh credentials may mend it.
    pub fn is_unauthorized(&self) -> bool {
        matches!(
            self,
            Failure::Bitbucket(bitbucket::Error::Unauthorized { .. })
                | Failure::Port(port::Error::Unauthorized { .. })
        )
    }

    /// A stable name for alarms and metric filters.
    pub fn error_type(&self) -> &'static str {
        match self {
            Failure::Secrets(SecretsError::Invalid(_)) => "Configuration",
            Failure::Secrets(SecretsError::Unavailable { .. }) => "SecretsManager",
            Failure::Bitbucket(bitbucket::Error::Unauthorized { .. }) => "BitbucketCredentials",
            Failure::Bitbucket(_) | Failure::NothingRead(_) => "Bitbucket",
            Failure::Port(port::Error::Unauthorized { .. }) => "PortCredentials",
            Failure::Port(_) => "Port",
            Failure::Mapping(_) | Failure::NoMapping => "Mapping",
            Failure::State(_) => "State",
        }
    }
}

/// The whole chain of causes on one line, for the one place that logs it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent wrapper repeats its source.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
