//! A simulated Bitbucket Cloud workspace: the REST API, strict about its callers, and the webhooks of each change.
//!
//! `state` holds the workspace, `render` shows it as JSON, `rest` answers requests (`page`, `query` and `fields` are
//! what its lists have in common), `git` those for objects, `change` changes the workspace and writes webhook bodies. Where the public
//! documentation is silent the stricter reading is taken, so that a client's mistake shows.

mod change;
mod fields;
mod git;
mod object;
mod overview;
mod page;
mod past;
mod query;
mod refusal;
mod render;
mod rest;
mod seed;
mod settings;
mod state;

use std::sync::{Arc, Mutex, PoisonError};

pub use change::{NewPullRequest, PullRequestChange};
pub(crate) use object::WRITTEN as HALF_SURROGATE_WRITTEN;
pub use object::{HALF_SURROGATE, Object};
pub use overview::{Overview, ProjectSeen, PullRequestSeen, RepositorySeen};
pub use past::Moment;
pub use seed::{AWKWARD_PATHS, Workspace};
pub use settings::{Hidden, Quirks, RateLimit};
pub use state::{FileKind, PullRequestState};

use crate::server::Server;
use crate::webhook::Delivery;
use settings::Access;
use state::State;

/// A running workspace. Clones share it.
///
/// Methods that change it return the deliveries Bitbucket would send for the change, whether or not a hook is
/// subscribed; see [`deliver`](Bitbucket::deliver). Repositories are named by uuid or slug, projects by uuid or key,
/// users by uuid or display name.
#[derive(Clone)]
pub struct Bitbucket {
    server: Server,
    model: Arc<Mutex<Model>>,
}

struct Model {
    state: State,
    access: Access,
    quirks: Quirks,
    /// Requests that were answered under [`Quirks::trouble_every`].
    answered: usize,
    memory: past::Memory,
}

impl Bitbucket {
    /// The access token that is accepted from the start.
    pub const TOKEN: &'static str = "sandbox-workspace-token";

    /// Serves `workspace` on a loopback port.
    pub async fn start(workspace: Workspace) -> anyhow::Result<Bitbucket> {
        Bitbucket::start_at(0, workspace).await
    }

    /// The same on the given port of 127.0.0.1; 0 is any free one.
    pub async fn start_at(port: u16, workspace: Workspace) -> anyhow::Result<Bitbucket> {
        let mut access = Access::default();
        access.accept(Bitbucket::TOKEN);
        let model = Arc::new(Mutex::new(Model {
            state: workspace.into_state(),
            access,
            quirks: Quirks::default(),
            answered: 0,
            memory: past::Memory::default(),
        }));
        let served = Arc::clone(&model);
        let server = Server::start_at(port, move |request| {
            let mut model = served.lock().unwrap_or_else(PoisonError::into_inner);
            rest::answer(&mut model, request)
        })
        .await?;
        let bitbucket = Bitbucket { server, model };
        bitbucket.model().state.base = bitbucket.url();
        Ok(bitbucket)
    }

    /// The API base, including `/2.0`.
    pub fn url(&self) -> String {
        format!("{}/2.0", self.server.url())
    }

    /// The slug.
    pub fn workspace(&self) -> String {
        self.model().state.slug.clone()
    }

    /// For its record of requests, and to make it misbehave.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn set_quirks(&self, quirks: Quirks) {
        self.model().quirks = quirks;
    }

    /// Accepts one more access token (`Authorization: Bearer`).
    pub fn accept_token(&self, token: &str) {
        self.model().access.accept(token);
    }

    /// Accepts an API token with the e-mail address of its owner (`Authorization: Basic`). Elsewhere the pair is named
    /// `email:token`.
    pub fn accept_basic(&self, email: &str, token: &str) {
        self.model().access.accept(&format!("{email}:{token}"));
    }

    /// From now on this token, or `email:token`, is answered with 401.
    pub fn revoke(&self, credential: &str) {
        self.model().access.revoke(credential);
    }

    /// Leaves a credential only these scopes (`project`, `repository`, `pullrequest`, `webhook`, `account`,
    /// `pipeline`); None gives all back. An endpoint that needs another answers 403.
    pub fn set_scopes(&self, credential: &str, scopes: Option<&[&str]>) -> anyhow::Result<()> {
        self.model().access.get_mut(credential)?.scopes =
            scopes.map(|scopes| scopes.iter().map(|&scope| scope.to_owned()).collect());
        Ok(())
    }

    /// Closes a repository to a credential; None opens it again.
    pub fn hide_from_token(
        &self,
        credential: &str,
        repository: &str,
        hidden: Option<Hidden>,
    ) -> anyhow::Result<()> {
        let mut model = self.model();
        let uuid = model.state.repository(repository)?.uuid.clone();
        let known = &mut model.access.get_mut(credential)?.hidden;
        match hidden {
            Some(hidden) => known.insert(uuid, hidden),
            None => known.remove(&uuid),
        };
        Ok(())
    }

    /// Allows a credential so many requests an hour and starts its hour. Time does not pass by itself: see
    /// [`start_next_hour`](Bitbucket::start_next_hour).
    pub fn set_rate_limit(
        &self,
        credential: &str,
        limit: impl Into<RateLimit>,
    ) -> anyhow::Result<()> {
        let mut model = self.model();
        model
            .access
            .get_mut(credential)?
            .set_limit(Some(limit.into()));
        Ok(())
    }

    /// Allows a credential any number of requests again.
    pub fn lift_rate_limit(&self, credential: &str) -> anyhow::Result<()> {
        self.model().access.get_mut(credential)?.set_limit(None);
        Ok(())
    }

    /// Fills all allowances again.
    pub fn start_next_hour(&self) {
        self.model().access.start_next_hour();
    }

    /// Moves the workspace's clock, which otherwise moves a second with each change.
    pub fn advance_clock(&self, seconds: i64) {
        self.model().state.advance(seconds);
    }

    /// Posts a delivery to every hook that is subscribed to it, and returns the final status of each.
    ///
    /// # Errors
    /// When a subscriber cannot be reached.
    pub async fn deliver(&self, delivery: &Delivery) -> anyhow::Result<Vec<u16>> {
        let hooks = {
            let model = self.model();
            let repository = delivery.json()["repository"]["uuid"].clone();
            let hooks = model.state.hooks.iter().filter(|hook| {
                let concerned = match &hook.repository {
                    Some(uuid) => repository == uuid.as_str(),
                    None => true,
                };
                hook.active && concerned && hook.events.contains(&delivery.event_key)
            });
            hooks.cloned().collect::<Vec<_>>()
        };
        let mut statuses = Vec::new();
        for hook in hooks {
            let delivery = Delivery {
                hook_uuid: hook.uuid.trim_matches(['{', '}']).to_owned(),
                ..delivery.clone()
            };
            statuses.push(delivery.post(&hook.url, hook.secret.as_deref()).await?);
        }
        Ok(statuses)
    }

    /// Uuids of all repositories, oldest first.
    pub fn repositories(&self) -> Vec<String> {
        let model = self.model();
        let repositories = model.state.repositories.iter();
        repositories.map(|r| r.uuid.clone()).collect()
    }

    /// The uuid of a repository, by slug.
    pub fn repository_uuid(&self, slug: &str) -> anyhow::Result<String> {
        Ok(self.model().state.repository(slug)?.uuid.clone())
    }

    /// Keys of all projects, oldest first.
    pub fn projects(&self) -> Vec<String> {
        let model = self.model();
        model.state.projects.iter().map(|p| p.key.clone()).collect()
    }

    /// Display names of all users who are not deleted, oldest first.
    pub fn users(&self) -> Vec<String> {
        let model = self.model();
        let users = model.state.users.iter().filter(|user| !user.former);
        users.map(|user| user.display_name.clone()).collect()
    }

    /// Numbers and states of a repository's pull requests.
    pub fn pull_requests(&self, repository: &str) -> anyhow::Result<Vec<(u64, PullRequestState)>> {
        let model = self.model();
        let pull_requests = &model.state.repository(repository)?.pull_requests;
        Ok(pull_requests.values().map(|p| (p.id, p.state)).collect())
    }

    /// Names and commit hashes of a repository's branches.
    pub fn branches(&self, repository: &str) -> anyhow::Result<Vec<(String, String)>> {
        let model = self.model();
        let branches = &model.state.repository(repository)?.branches;
        Ok(branches
            .iter()
            .map(|(name, hash)| (name.clone(), hash.clone()))
            .collect())
    }

    fn model(&self) -> past::Locked<'_> {
        past::Locked(self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
