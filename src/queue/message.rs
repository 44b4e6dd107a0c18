//! What a message says: which object is to be looked at, and why.
//!
//! Owns the form in which messages lie in the queue, the first edition's included. Bodies of webhooks are not kept: what
//! counts is what Bitbucket answers when the look is taken.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::identity::RepositoryId;
use crate::look::{Cause, Look, News};

/// Of the form that is written.
const VERSION: u32 = 2;

/// Of the first edition, whose last messages may still wait.
const FIRST_VERSION: u32 = 1;

/// Characters that SQS takes in a group or an id (SQS, message group ids: 128 of letters, digits and punctuation).
const MAX_NAME_CHARS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub look: Look,
    /// When Bitbucket last changed the object, as the event says: an answer that is older is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_older_than: Option<Timestamp>,
    /// What the look is owed to, as [`Cause`] says; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event_key: String,
    /// Bitbucket's `X-Request-UUID`, or the id of a run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// When it was first put into the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// Looks that came to nothing before this message was sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Its object has an [`Again`](crate::store::documents::Again), which a success removes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// A message as a queue takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Of the messages of one group, only one worker has some at a time: SQS's message group.
    pub group: String,
    /// The same id within five minutes is the same message: SQS's deduplication id.
    pub id: String,
    pub body: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// Written by a later edition, whose workers understand it.
    #[error("its version is {0}, which only a later edition reads")]
    Later(u32),
    #[error("it is no message: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Versioned<'a> {
    version: u32,
    #[serde(flatten)]
    message: &'a Message,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Message {
    /// A look that no event asks for.
    pub fn of_look(look: Look, now: Timestamp) -> Message {
        Message {
            look,
            not_older_than: None,
            event_key: String::new(),
            request_id: String::new(),
            accepted_at: Some(now),
            tries: 0,
            again: false,
        }
    }

    /// The same, owed to `cause`.
    #[must_use]
    pub fn because(self, cause: Option<&Cause>) -> Message {
        let (event_key, request_id) = cause.map_or_else(Default::default, |cause| {
            (cause.event.clone(), cause.request_id.clone())
        });
        Message {
            event_key,
            request_id,
            ..self
        }
    }

    /// What the look is owed to, if that is known.
    pub fn cause(&self) -> Option<Cause> {
        (!self.event_key.is_empty()).then(|| Cause {
            event: self.event_key.clone(),
            request_id: self.request_id.clone(),
        })
    }

    /// The form in which it is sent. Messages with the same `occasion` about the same object are the same message.
    pub fn outgoing(&self, occasion: &str) -> Result<Outgoing, serde_json::Error> {
        let object = self.look.object();
        let body = serde_json::to_string(&Versioned {
            version: VERSION,
            message: self,
        })?;
        Ok(Outgoing {
            id: hex::encode(Sha256::digest(format!("{occasion}\n{object}"))),
            group: group(object),
            body: sendable(body),
        })
    }

    pub fn decode(body: &str) -> Result<Message, Undecodable> {
        let Version { version } = serde_json::from_str(body)?;
        match version {
            FIRST_VERSION => Ok(serde_json::from_str::<Envelope>(body)?.into()),
            VERSION => Ok(serde_json::from_str(body)?),
            later => Err(Undecodable::Later(later)),
        }
    }
}

/// An object's name where SQS takes it as a group, else its digest.
fn group(object: String) -> String {
    let allowed = |c: char| c.is_ascii_graphic();
    let is_name =
        !object.is_empty() && object.len() <= MAX_NAME_CHARS && object.chars().all(allowed);
    match is_name {
        true => object,
        false => hex::encode(Sha256::digest(object)),
    }
}

/// SQS refuses two characters that JSON allows (SQS, `SendMessage`). They only occur within strings.
fn sendable(json: String) -> String {
    match json.contains(['\u{fffe}', '\u{ffff}']) {
        true => json
            .replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff"),
        false => json,
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A message of the first edition.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_key: String,
    request_id: String,
    change: Change,
    #[serde(default)]
    accepted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Change {
    PullRequest {
        repository: RepositoryRef,
        id: u64,
        #[serde(default)]
        last_seen: Value,
    },
    Repository {
        repository: RepositoryRef,
        #[serde(default)]
        former: Option<Value>,
        #[serde(default)]
        pushed: Option<BTreeSet<String>>,
    },
    RepositoryGone {
        repository: RepositoryRef,
    },
    Projects {
        #[serde(default)]
        key: Option<String>,
    },
}

#[derive(Deserialize)]
struct RepositoryRef {
    uuid: String,
}

impl From<Envelope> for Message {
    fn from(envelope: Envelope) -> Message {
        let Envelope {
            event_key,
            request_id,
            change,
            accepted_at,
        } = envelope;
        let not_older_than = change.updated_on();
        Message {
            look: change.into_look(&event_key),
            not_older_than,
            event_key,
            request_id,
            accepted_at,
            tries: 0,
            again: false,
        }
    }
}

impl Change {
    fn updated_on(&self) -> Option<Timestamp> {
        match self {
            Change::PullRequest { last_seen, .. } => {
                last_seen.get("updated_on")?.as_str()?.parse().ok()
            }
            Change::Repository { .. } | Change::RepositoryGone { .. } | Change::Projects { .. } => {
                None
            }
        }
    }

    fn into_look(self, event_key: &str) -> Look {
        let repository = |RepositoryRef { uuid }| RepositoryId::new(uuid);
        match self {
            Change::PullRequest {
                repository: of, id, ..
            } => Look::PullRequest {
                repository: repository(of),
                id,
                closed: false,
            },
            Change::Repository {
                repository: of,
                former,
                pushed,
            } => Look::Repository {
                repository: repository(of),
                news: news(event_key, former.is_some(), pushed),
            },
            Change::RepositoryGone { repository: of } => Look::Repository {
                repository: repository(of),
                news: News {
                    left: true,
                    ..News::default()
                },
            },
            Change::Projects { key } => Look::Projects {
                keys: key.into_iter().collect(),
                cursor: None,
            },
        }
    }
}

fn news(event_key: &str, renamed: bool, pushed: Option<BTreeSet<String>>) -> News {
    match pushed {
        Some(pushed) => News {
            changed: pushed.is_empty(),
            pushed,
            ..News::default()
        },
        None => News {
            left: event_key == "repo:transfer",
            all: renamed || event_key != "repo:updated",
            changed: true,
            ..News::default()
        },
    }
}

#[cfg(test)]
mod tests;
