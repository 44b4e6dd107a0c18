//! The lists of Bitbucket's REST API that Ferry reads, and what they hold of one object: where each is, and how it is
//! asked for. Objects by their own address are `by_id`'s.

use anyhow::anyhow;
use serde_json::Value;

use super::client::BitbucketClient;
use super::error::Error;
use super::pages::Pages;
use crate::deadline::Deadline;

/// Objects per page (Bitbucket REST API: pagelen at most 100).
const PAGELEN: &str = "100";

/// Pull requests per page (Bitbucket REST API, pull requests: pagelen at most 50).
const PULL_REQUEST_PAGELEN: &str = "50";

/// Lists of pull requests leave these out unless they are asked for.
const PULL_REQUEST_FIELDS: &str = "+values.participants,+values.reviewers";

impl BitbucketClient {
    /// All projects of the workspace.
    pub fn projects(&self) -> Pages {
        self.list(
            ["workspaces", self.workspace_name(), "projects"],
            &[("pagelen", PAGELEN)],
        )
    }

    pub async fn workspace(&self, deadline: &Deadline) -> Result<Value, Error> {
        let url = self.url(["workspaces", self.workspace_name()], &[]);
        self.get(url, deadline).await
    }

    /// The members of the workspace, as memberships.
    pub fn members(&self) -> Pages {
        let route = ["workspaces", self.workspace_name(), "members"];
        self.list(route, &[("pagelen", PAGELEN)])
    }

    /// The branches or tags (`what`) of a repository that `query` selects, the newest first.
    pub fn refs(&self, repository_uuid: &str, what: &str, query: Option<&str>) -> Pages {
        let mut parameters = vec![("pagelen", PAGELEN), ("sort", "-target.date")];
        parameters.extend(query.map(|query| ("q", query)));
        let workspace = self.workspace_name();
        self.list(
            ["repositories", workspace, repository_uuid, "refs", what],
            &parameters,
        )
    }

    /// The pipelines of a repository, the newest first.
    pub fn pipelines(&self, repository_uuid: &str, target_branch: Option<&str>) -> Pages {
        let mut parameters = vec![("pagelen", PAGELEN), ("sort", "-created_on")];
        parameters.extend(target_branch.map(|branch| ("target.branch", branch)));
        let workspace = self.workspace_name();
        // With a slash at the end, or some answer 404.
        self.list(
            ["repositories", workspace, repository_uuid, "pipelines", ""],
            &parameters,
        )
    }

    /// The deployments or environments (`what`) of a repository, in Bitbucket's order: sorting is refused.
    pub fn releases(&self, repository_uuid: &str, what: &str) -> Pages {
        let workspace = self.workspace_name();
        self.list(
            ["repositories", workspace, repository_uuid, what, ""],
            &[("pagelen", PAGELEN)],
        )
    }

    /// The repositories that `role` (of the caller) and `query` select; all without them. Each with the head of its main
    /// branch, where Bitbucket gives that.
    pub fn repositories(&self, role: Option<&str>, query: Option<&str>) -> Pages {
        self.repositories_sorted(role, query, None)
    }

    /// The same, sorted by the field `sort`.
    pub(super) fn repositories_sorted(
        &self,
        role: Option<&str>,
        query: Option<&str>,
        sort: Option<&str>,
    ) -> Pages {
        let heads = self.head_fields("values.");
        let mut parameters = vec![("pagelen", PAGELEN)];
        parameters.extend(heads.as_deref().map(|fields| ("fields", fields)));
        parameters.extend(role.map(|role| ("role", role)));
        parameters.extend(query.map(|query| ("q", query)));
        parameters.extend(sort.map(|sort| ("sort", sort)));
        self.list(["repositories", self.workspace_name()], &parameters)
    }

    /// A repository, as [`repositories`](Self::repositories) shows it.
    pub async fn repository(&self, uuid: &str, deadline: &Deadline) -> Result<Value, Error> {
        let heads = self.head_fields("");
        let heads = heads.as_deref().map(|fields| ("fields", fields));
        let route = ["repositories", self.workspace_name(), uuid];
        let url = self.url(route, heads.as_slice());
        self.get(url, deadline).await
    }

    /// The pull requests of a repository that `query` selects; the open ones without it.
    pub fn pull_requests(&self, repository_uuid: &str, query: Option<&str>) -> Pages {
        self.pull_requests_sorted(repository_uuid, query, None)
    }

    /// The same, sorted by the field `sort`.
    pub(super) fn pull_requests_sorted(
        &self,
        repository_uuid: &str,
        query: Option<&str>,
        sort: Option<&str>,
    ) -> Pages {
        let mut parameters = vec![
            ("pagelen", PULL_REQUEST_PAGELEN),
            ("fields", PULL_REQUEST_FIELDS),
        ];
        parameters.extend(query.map(|query| ("q", query)));
        parameters.extend(sort.map(|sort| ("sort", sort)));
        self.list(
            [
                "repositories",
                self.workspace_name(),
                repository_uuid,
                "pullrequests",
            ],
            &parameters,
        )
    }

    /// The entries of a folder and of those below it, `levels` deep, at a commit; the root is the empty path.
    /// Addresses of further pages are opaque (Bitbucket REST API, source: `max_depth`).
    pub(super) fn directory(
        &self,
        repository_uuid: &str,
        commit: &str,
        path: &str,
        levels: usize,
    ) -> Pages {
        let route = [
            "repositories",
            self.workspace_name(),
            repository_uuid,
            "src",
            commit,
        ];
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        // With the slash at the end that a folder needs.
        let route = route.into_iter().chain(segments).chain([""]);
        self.list(
            route,
            &[("pagelen", PAGELEN), ("max_depth", &levels.to_string())],
        )
    }

    /// What `query` picks out of the tree of a commit, `levels` deep.
    pub(super) fn picked(
        &self,
        repository_uuid: &str,
        commit: &str,
        levels: usize,
        query: &str,
    ) -> Pages {
        let workspace = self.workspace_name();
        let levels = levels.to_string();
        let pages = self.list(
            [
                "repositories",
                workspace,
                repository_uuid,
                "src",
                commit,
                "",
            ],
            &[("pagelen", PAGELEN), ("max_depth", &levels), ("q", query)],
        );
        pages.impatient()
    }

    /// The bytes of a file at a commit. `None` when there is no such file, or a folder in its place;
    /// [`Error::TooLarge`] beyond 1 MiB. That there is no such commit is no answer: a server that lags may not have it yet.
    pub async fn file(
        &self,
        repository_uuid: &str,
        commit: &str,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Option<Vec<u8>>, Error> {
        let route = [
            "repositories",
            self.workspace_name(),
            repository_uuid,
            "src",
            commit,
        ];
        let segments = || path.split('/').filter(|segment| !segment.is_empty());
        // The root is a folder.
        if segments().next().is_none() {
            return Ok(None);
        }
        let url = self.url(route.into_iter().chain(segments()), &[]);
        match self.bytes(&url, deadline).await {
            Ok(bytes) => Ok(bytes),
            Err(Error::NotFound { request, message }) if is_about_commit(&message) => {
                Err(Error::unexpected(&request, anyhow!(message)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether Bitbucket says that it does not know the commit, rather than the file.
fn is_about_commit(message: &str) -> bool {
    message.to_ascii_lowercase().contains("commit not found")
}
