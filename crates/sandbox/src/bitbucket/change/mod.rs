//! Changes to the workspace, each with the webhook deliveries that report it.
//!
//! A body is written from the state after the change, as Bitbucket does.

mod at_random;
mod project;
mod pull_request;
mod push;
mod repository;

use serde_json::{Map, Value, json};

pub use pull_request::{NewPullRequest, PullRequestChange};
pub(super) use pull_request::{close_as, participant};

use super::object::with_half_surrogates;
use super::state::{Repository, State};
use crate::webhook::Delivery;

impl State {
    /// A delivery that `actor` caused, with these parts of the body beside it.
    fn delivery<'n>(
        &mut self,
        event_key: &str,
        actor: &str,
        parts: impl IntoIterator<Item = (&'n str, Value)>,
    ) -> Delivery {
        let mut body = Map::new();
        for (name, part) in parts {
            body.insert(name.to_owned(), part);
        }
        body.insert("actor".to_owned(), self.user_json(actor));
        let hook = self
            .hooks
            .iter()
            .find(|hook| hook.active && hook.events.iter().any(|key| key == event_key))
            .map_or(self.uuid.as_str(), |hook| hook.uuid.as_str());
        Delivery {
            event_key: event_key.to_owned(),
            hook_uuid: hook.trim_matches(['{', '}']).to_owned(),
            request_uuid: self.next_plain_uuid(),
            attempt: 1,
            body: with_half_surrogates(Value::Object(body).to_string().into_bytes()),
        }
    }

    /// `repo:updated`, with `changes` naming what the body's `repository` no longer shows.
    fn repository_updated(
        &mut self,
        repository: &str,
        changes: Value,
    ) -> anyhow::Result<Vec<Delivery>> {
        let now = self.tick();
        self.repository_mut(repository)?.updated_on = now;
        let actor = self.default_actor()?;
        let body = self.repository_body(repository)?;
        Ok(vec![self.delivery(
            "repo:updated",
            &actor,
            [("repository", body), ("changes", changes)],
        )])
    }

    fn repository_body(&self, repository: &str) -> anyhow::Result<Value> {
        let repository: &Repository = self.repository(repository)?;
        Ok(self.repository_event_json(repository))
    }
}

/// `{"old": .., "new": ..}`, as in `changes`.
fn replaced(old: impl serde::Serialize, new: impl serde::Serialize) -> Value {
    json!({"old": old, "new": new})
}
