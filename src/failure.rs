//! Why a flow ended early, and what that means to whoever started it.

use std::sync::Arc;
use std::time::Duration;

use crate::bitbucket;
pub use crate::class::Class;
use crate::condition::Condition;
use crate::identity::RepositoryId;
use crate::mapping::InvalidMapping;
use crate::port;
use crate::progress::Obstacle;
use crate::queue::QueueError;
use crate::secrets::SecretsError;
use crate::store::StoreError;

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
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Port could not be reached for what a commit has announced.
    #[error("Port did not take it: {}", .0.reason)]
    CommitLater(Later),
    /// Others write, and there was no time left to wait for them.
    #[error("no time was left to wait for the pen")]
    PenIsBusy,
    /// Somebody else was faster, again and again.
    #[error("it changes faster than it can be looked at")]
    Overtaken,
    /// Bitbucket's answer is older than the event that made us ask.
    #[error("Bitbucket answers with an older state than the event's")]
    Outdated,
    /// No event says that the repository has gone.
    #[error(
        "the repository {repository} is not to be seen, and no event says that it was deleted: were rights taken from \
         the credentials?"
    )]
    Invisible { repository: RepositoryId },
    /// The object is there, and something that goes along with it cannot be read.
    #[error("a part of the object could not be read{}", .0.as_ref().map_or_else(String::new, |file| format!(": {file}")))]
    Unread(Option<Arc<UnreadFile>>),
    /// The mapping in force is another one than this run began with.
    #[error("the mapping has changed")]
    MappingChanged,
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

/// Why an item is to be committed later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Later {
    pub reason: String,
    /// How long Port asks to be left alone.
    pub wait: Option<Duration>,
}

/// A file that an item holds, and that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadFile {
    /// In its repository.
    pub path: String,
    pub reason: String,
    /// Whether the same request may succeed without anybody changing anything.
    pub may_pass: bool,
}

impl std::fmt::Display for UnreadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl Failure {
    /// What it costs, and what is done about it; the table is in [`class`](crate::class).
    pub fn class(&self) -> Class {
        match self {
            Failure::Secrets(SecretsError::Invalid(_) | SecretsError::Empty { .. }) => {
                Class::Credentials
            }
            Failure::Secrets(
                SecretsError::Unavailable { .. } | SecretsError::NotWritten { .. },
            )
            | Failure::NoMapping => Class::Later,
            Failure::Bitbucket(error) => error.class(),
            Failure::Port(error) => error.class(),
            Failure::Unread(Some(file)) if file.may_pass => Class::Later,
            // The user's to mend; Port, or the next run, brings the mended one.
            Failure::Mapping(_) | Failure::NothingRead(_) | Failure::Unread(_) => Class::Part,
            Failure::Store(StoreError::Unwritable { .. })
            | Failure::Queue(
                QueueError::Unwritable(_) | QueueError::Store(StoreError::Unwritable { .. }),
            ) => Class::Ours,
            Failure::Store(StoreError::InUse { .. } | StoreError::Unusable { .. }) => {
                Class::Credentials
            }
            Failure::Store(_)
            | Failure::Queue(_)
            | Failure::CommitLater(_)
            | Failure::PenIsBusy
            | Failure::Overtaken
            | Failure::Outdated
            | Failure::Invisible { .. }
            | Failure::MappingChanged => Class::Later,
        }
    }

    /// What it comes to for an installation, when it lasts.
    pub fn condition(&self) -> Condition {
        use bitbucket::Error as Bitbucket;
        use port::Error as Port;
        match self {
            Failure::Secrets(SecretsError::Invalid(_))
            | Failure::Port(Port::NoPort { .. } | Port::TakenIdentifier { .. }) => {
                Condition::SettingsInvalid
            }
            Failure::Secrets(SecretsError::Empty { .. }) => Condition::SecretEmpty,
            Failure::Secrets(
                SecretsError::Unavailable { .. } | SecretsError::NotWritten { .. },
            ) => Condition::SecretUnreadable,
            Failure::Bitbucket(Bitbucket::Unauthorized { .. }) => Condition::BitbucketRefused,
            Failure::Bitbucket(
                Bitbucket::Unavailable { .. }
                | Bitbucket::Redirected { .. }
                | Bitbucket::Unexpected { .. },
            ) => Condition::BitbucketUnreachable,
            Failure::Port(Port::Unauthorized { .. } | Port::Forbidden { .. }) => {
                Condition::PortRefused
            }
            Failure::Port(
                Port::Unavailable { .. } | Port::Redirected { .. } | Port::Unexpected { .. },
            ) => Condition::PortUnreachable,
            Failure::CommitLater(later) if later.wait.is_none() => Condition::PortUnreachable,
            Failure::Mapping(_) => Condition::MappingRefused,
            failure if failure.is_retryable() => Condition::RunPaused,
            _ => Condition::RunFailed,
        }
    }

    /// Whether the same thing may succeed later without anybody's doing.
    pub fn is_retryable(&self) -> bool {
        self.class() == Class::Later
    }

    /// Whether anything else that is asked for now would fare no better: it is about the moment or the credentials, not
    /// about one object.
    pub fn meets_everything(&self) -> bool {
        match self {
            Failure::Bitbucket(error) => error.meets_every_request(),
            Failure::Port(error) => error.meets_every_call(),
            Failure::Secrets(_)
            | Failure::Store(_)
            | Failure::Queue(_)
            | Failure::PenIsBusy
            | Failure::NoMapping
            | Failure::MappingChanged => true,
            Failure::Mapping(_)
            | Failure::NothingRead(_)
            | Failure::CommitLater(_)
            | Failure::Overtaken
            | Failure::Outdated
            | Failure::Unread(_)
            | Failure::Invisible { .. } => false,
        }
    }

    /// Whether only contents of files would fare no better: they are limited apart.
    pub fn meets_contents_alone(&self) -> bool {
        matches!(self, Failure::Bitbucket(error) if error.meets_contents_alone())
    }

    /// How long the side that failed asks to be left alone, if it says so: `Retry-After`, or the reset of its limit.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Failure::Bitbucket(error) => error.wait(),
            Failure::Port(error) => error.wait(),
            Failure::CommitLater(later) => later.wait,
            _ => None,
        }
    }

    /// What has to pass before the same may succeed.
    pub fn obstacle(&self) -> Obstacle {
        match self {
            Failure::Bitbucket(bitbucket::Error::OutOfTime)
            | Failure::Port(port::Error::OutOfTime { .. }) => Obstacle::Time,
            Failure::Bitbucket(_)
            | Failure::NothingRead(_)
            | Failure::Outdated
            | Failure::Overtaken
            | Failure::Unread(_)
            | Failure::Invisible { .. } => Obstacle::Bitbucket,
            Failure::Port(_)
            | Failure::CommitLater(_)
            | Failure::Mapping(_)
            | Failure::MappingChanged
            | Failure::NoMapping => Obstacle::Port,
            Failure::PenIsBusy => Obstacle::Pen,
            Failure::Secrets(_) | Failure::Store(_) | Failure::Queue(_) => Obstacle::Aws,
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
            Failure::Secrets(SecretsError::Empty { .. }) => "NoCredentials",
            Failure::Secrets(
                SecretsError::Unavailable { .. } | SecretsError::NotWritten { .. },
            ) => "SecretsManager",
            Failure::Bitbucket(bitbucket::Error::Unauthorized { .. }) => "BitbucketCredentials",
            Failure::Bitbucket(_)
            | Failure::NothingRead(_)
            | Failure::Outdated
            | Failure::Unread(_)
            | Failure::Invisible { .. } => "Bitbucket",
            Failure::Port(port::Error::Unauthorized { .. }) => "PortCredentials",
            Failure::Port(_) | Failure::CommitLater(_) => "Port",
            Failure::Mapping(_) | Failure::NoMapping | Failure::MappingChanged => "Mapping",
            Failure::Store(_) | Failure::PenIsBusy | Failure::Overtaken => "State",
            Failure::Queue(_) => "Queue",
        }
    }
}
