//! Objects by their own id: one, several of a list at once, and whether one that is not found is really gone.

use anyhow::anyhow;
use serde_json::Value;

use super::client::BitbucketClient;
use super::error::Error;
use super::pages::Pages;
use crate::deadline::Deadline;

/// Ids in one query. With uuids and percent-encoded, the address stays well below 8 KB.
const IDS_PER_QUERY: usize = 50;

/// The number of a pull request, also where it comes as text or with a point.
pub fn number_of(raw: &Value) -> Option<u64> {
    match raw.get("id")? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            // Beyond this, numbers with a point are not told apart.
            (0.0..=9_007_199_254_740_991.0)
                .contains(&number)
                .then_some(number as u64)
        }),
        _ => None,
    }
}

/// Answers to a question about ids: one that cannot be told apart may be any of those that seem to be missing.
fn identified(
    found: Vec<Value>,
    what: &str,
    is_identified: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, Error> {
    match found.iter().all(is_identified) {
        true => Ok(found),
        false => Err(Error::unexpected(
            what,
            anyhow!("an object in it has no id"),
        )),
    }
}

impl BitbucketClient {
    /// Those of `uuids` that the list of [`repositories`](Self::repositories) with the same `role` and `query` holds, in
    /// any order; fifty a request. What is not among them is not (any more) in that list.
    pub async fn repositories_among(
        &self,
        role: Option<&str>,
        query: Option<&str>,
        uuids: &[&str],
        deadline: &Deadline,
    ) -> Result<Vec<Value>, Error> {
        let mut found = Vec::new();
        for uuids in uuids.chunks(IDS_PER_QUERY) {
            let query = and(query, &any("uuid", uuids.iter().map(|uuid| quoted(uuid))));
            add_all(self.repositories(role, Some(&query)), &mut found, deadline).await?;
        }
        let is_named = |raw: &Value| raw.get("uuid").is_some_and(Value::is_string);
        identified(found, "the list of repositories", is_named)
    }

    /// Those of `ids` that the list of [`pull_requests`](Self::pull_requests) with the same `query` holds, in any
    /// order; fifty a request.
    pub async fn pull_requests_among(
        &self,
        repository_uuid: &str,
        query: &str,
        ids: &[u64],
        deadline: &Deadline,
    ) -> Result<Vec<Value>, Error> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS_PER_QUERY) {
            let query = and(Some(query), &any("id", ids.iter().map(u64::to_string)));
            let pages = self.pull_requests(repository_uuid, Some(&query));
            add_all(pages, &mut found, deadline).await?;
        }
        let is_numbered = |raw: &Value| number_of(raw).is_some();
        identified(found, "the list of pull requests", is_numbered)
    }

    /// A project of the workspace; `None` when there is none of that key.
    pub async fn project(&self, key: &str, deadline: &Deadline) -> Result<Option<Value>, Error> {
        self.by_id(
            &["workspaces", self.workspace_name(), "projects", key],
            deadline,
        )
        .await
    }

    /// The membership of a user, by the user's uuid; `None` for whoever is no member.
    pub async fn member(&self, uuid: &str, deadline: &Deadline) -> Result<Option<Value>, Error> {
        self.by_id(
            &["workspaces", self.workspace_name(), "members", uuid],
            deadline,
        )
        .await
    }

    /// A branch by its name, slashes and all; `None` when there is none.
    pub async fn branch(
        &self,
        repository_uuid: &str,
        name: &str,
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        self.in_repository(repository_uuid, &["refs", "branches", name], deadline)
            .await
    }

    /// The commit at the head of a branch; `None` when there is no such branch.
    pub async fn branch_head(
        &self,
        repository_uuid: &str,
        branch: &str,
        deadline: &Deadline,
    ) -> Result<Option<String>, Error> {
        let branch = self.branch(repository_uuid, branch, deadline).await?;
        let hash = branch
            .as_ref()
            .and_then(|branch| branch.pointer("/target/hash"));
        Ok(hash.and_then(Value::as_str).map(str::to_owned))
    }

    /// A tag by its name, slashes and all; `None` when there is none.
    pub async fn tag(
        &self,
        repository_uuid: &str,
        name: &str,
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        self.in_repository(repository_uuid, &["refs", "tags", name], deadline)
            .await
    }

    /// A run of Pipelines; `None` when there is none of that uuid, or Pipelines are switched off.
    pub async fn pipeline(
        &self,
        repository_uuid: &str,
        uuid: &str,
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        self.in_repository(repository_uuid, &["pipelines", uuid], deadline)
            .await
    }

    /// A deployment; `None` when there is none of that uuid.
    pub async fn deployment(
        &self,
        repository_uuid: &str,
        uuid: &str,
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        self.in_repository(repository_uuid, &["deployments", uuid], deadline)
            .await
    }

    /// A deployment environment; `None` when there is none of that uuid.
    pub async fn environment(
        &self,
        repository_uuid: &str,
        uuid: &str,
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        self.in_repository(repository_uuid, &["environments", uuid], deadline)
            .await
    }

    /// Whether a repository that no list shows is there all the same, by asking for itself: lists lag, and leave out what
    /// the credentials may not read. Where those are the reason, the error says so.
    pub async fn is_repository_there(
        &self,
        uuid: &str,
        deadline: &Deadline,
    ) -> Result<bool, Error> {
        match self.in_repository(uuid, &[], deadline).await {
            Ok(found) => Ok(found.is_some()),
            Err(Error::Gone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn in_repository(
        &self,
        uuid: &str,
        below: &[&str],
        deadline: &Deadline,
    ) -> Result<Option<Value>, Error> {
        let route = [&["repositories", self.workspace_name(), uuid], below].concat();
        self.by_id(&route, deadline).await
    }

    /// `None` for a 404: there is no such object, or these credentials may not see it.
    async fn by_id(&self, route: &[&str], deadline: &Deadline) -> Result<Option<Value>, Error> {
        let url = self.url(route.iter().copied(), &[]);
        match self.get(url, deadline).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn add_all(
    mut pages: Pages,
    found: &mut Vec<Value>,
    deadline: &Deadline,
) -> Result<(), Error> {
    while let Some(values) = pages.next(deadline).await? {
        found.extend(values);
    }
    Ok(())
}

/// A text as a query writes it: BBQL escapes with backslashes.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// What `query` selects and `condition` too.
pub(super) fn and(query: Option<&str>, condition: &str) -> String {
    match query.filter(|query| !query.trim().is_empty()) {
        Some(query) => format!("({query}) AND {condition}"),
        None => condition.to_owned(),
    }
}

/// Any of `values` in `field`.
fn any(field: &str, values: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = values.map(|value| format!("{field}={value}")).collect();
    format!("({})", conditions.join(" OR "))
}
