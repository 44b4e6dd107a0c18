//! What became of each entity of an upsert or a deletion.

use std::fmt;
use std::time::Duration;

use super::error::Error;
use crate::class::Class;

/// What became of one entity that was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpsertOutcome {
    Written {
        /// Whether Port had no such entity before; `None` where it does not say.
        created: Option<bool>,
        /// Where the entity is: the one that Port found where a search query stood for it, unless Port does not say.
        identifier: Option<String>,
    },
    /// Port takes it as it is at no time.
    Refused(Refusal),
    /// A relation leads to an entity that does not exist (yet).
    LacksTarget(Refusal),
    /// Nothing is wrong with it, as far as is known.
    Later(Postponed),
}

/// What became of one key that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    Deleted,
    WasAbsent,
    Refused {
        /// Entities that are not to go require it.
        by_dependents: bool,
        refusal: Refusal,
    },
    Later(Postponed),
}

/// What became of the entities of one [`upsert`](super::PortClient::upsert).
#[derive(Debug)]
pub struct Upserted {
    /// One for each entity, in their order.
    pub outcomes: Vec<UpsertOutcome>,
    /// Why entities were left unsent, if any were; they are [`Later`](UpsertOutcome::Later).
    pub stopped: Option<Error>,
}

/// What became of the keys of one [`delete`](super::PortClient::delete).
#[derive(Debug)]
pub struct DeleteReport {
    /// One for each key, in their order.
    pub outcomes: Vec<DeleteOutcome>,
    /// Identifiers that Port says it deleted beyond those asked for, because they required them. It does not say of
    /// which blueprint, and need not name all.
    pub along: Vec<String>,
    /// Why keys were left unsent, if any were; they are [`Later`](DeleteOutcome::Later).
    pub stopped: Option<Error>,
}

/// Why Port does not take an entity. Class [`Item`](Class::Item).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the entity if Port named one, else of the call.
    pub status: u16,
    /// Port's error code, or empty.
    pub code: String,
    pub message: String,
}

/// Why an entity is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// [`Later`](Class::Later), or [`Credentials`](Class::Credentials) where somebody has to mend them first.
    pub class: Class,
    /// `None`: there was no answer, or nothing was sent.
    pub status: Option<u16>,
    pub message: String,
    /// How long Port asks to be left alone, if it says so.
    pub wait: Option<Duration>,
}

impl UpsertOutcome {
    /// `None` where nothing failed. Whoever waits for a relation target has failed for now.
    pub fn class(&self) -> Option<Class> {
        match self {
            UpsertOutcome::Written { .. } => None,
            UpsertOutcome::Refused(_) | UpsertOutcome::LacksTarget(_) => Some(Class::Item),
            UpsertOutcome::Later(postponed) => Some(postponed.class),
        }
    }
}

impl DeleteOutcome {
    /// `None` where nothing failed.
    pub fn class(&self) -> Option<Class> {
        match self {
            DeleteOutcome::Deleted | DeleteOutcome::WasAbsent => None,
            DeleteOutcome::Refused { .. } => Some(Class::Item),
            DeleteOutcome::Later(postponed) => Some(postponed.class),
        }
    }
}

impl Refusal {
    /// Of a call that was about one entity.
    pub(super) fn of(error: &Error) -> Refusal {
        let (code, message) = match error {
            Error::Refused { code, message, .. } => (code.clone(), message.clone()),
            Error::NotFound { .. } => ("not_found".to_owned(), error.to_string()),
            _ => (String::new(), error.to_string()),
        };
        Refusal {
            status: error.status().unwrap_or_default(),
            code,
            message,
        }
    }
}

impl Postponed {
    pub(super) fn of(error: &Error) -> Postponed {
        Postponed {
            class: match error.class() {
                Class::Credentials => Class::Credentials,
                _ => Class::Later,
            },
            status: error.status(),
            message: crate::telemetry::chain(error),
            wait: error.wait(),
        }
    }

    /// For what is not sent because of `error`; without one, for what there was no time to send yet.
    pub(super) fn unsent(error: Option<&Error>) -> Postponed {
        let Some(error) = error else {
            return Postponed {
                class: Class::Later,
                status: None,
                message: "not sent".into(),
                wait: None,
            };
        };
        Postponed {
            status: None,
            message: format!("not sent: {error}"),
            ..Postponed::of(error)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal {
            status,
            code,
            message,
        } = self;
        write!(f, "HTTP {status}")?;
        let parts = [code, message].into_iter().filter(|part| !part.is_empty());
        parts.into_iter().try_for_each(|part| write!(f, ": {part}"))
    }
}

impl fmt::Display for Postponed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "HTTP {status}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
