//! A list read by key: sorted by what never changes about its objects, and each page asked for from the last object of the
//! page before on. Nothing that is in the list all the while can slip through: other objects that come and go move it
//! from page to page, and never past the key.
//!
//! Slower to begin than by number and not open to every list: it is for what has to be proven.

use std::fmt;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::Value;

use super::by_id::{and, number_of};
use super::client::BitbucketClient;
use super::error::Error;
use super::pages::Pages;
use crate::deadline::Deadline;

/// A list in progress.
pub struct ByKey {
    client: BitbucketClient,
    list: KeyedList,
    query: Option<String>,
    /// Of the last object so far.
    last: Option<ListKey>,
    is_over: bool,
}

enum KeyedList {
    /// By `created_on`; several may have the same.
    Repositories { role: Option<String> },
    /// By `id`.
    PullRequests { repository: String },
}

/// What an object is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ListKey {
    Number(u64),
    Time(Timestamp, String),
}

impl BitbucketClient {
    /// The list of [`repositories`](Self::repositories) by key.
    pub fn repositories_by_key(&self, role: Option<&str>, query: Option<&str>) -> ByKey {
        let role = role.map(str::to_owned);
        ByKey::new(self, KeyedList::Repositories { role }, query)
    }

    /// The list of [`pull_requests`](Self::pull_requests) by key.
    pub fn pull_requests_by_key(&self, repository_uuid: &str, query: Option<&str>) -> ByKey {
        let repository = repository_uuid.to_owned();
        ByKey::new(self, KeyedList::PullRequests { repository }, query)
    }
}

impl ByKey {
    fn new(client: &BitbucketClient, list: KeyedList, query: Option<&str>) -> ByKey {
        ByKey {
            client: client.clone(),
            list,
            query: query.map(str::to_owned),
            last: None,
            is_over: false,
        }
    }

    /// The values of the next page, which begins with the last one of the page before; `None` after the last page.
    ///
    /// An answer that is not in the order of the keys, or says that it leaves something out, is an error: it proves
    /// nothing.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Vec<Value>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let mut page = self.page();
        let values = page.next(deadline).await?.unwrap_or_default();
        let keys: Option<Vec<ListKey>> = values.iter().map(|raw| self.list.key(raw)).collect();
        let keys = keys.ok_or_else(|| self.error("an object has no key"))?;
        if !keys.is_sorted() || keys.first().is_some_and(|first| self.is_before(first)) {
            return Err(self.error("it does not come in the order that was asked for"));
        }
        if page.cursor().is_none() {
            if !page.shown().is_one_page {
                return Err(self.error("it says that it has more objects than it shows"));
            }
            self.is_over = true;
            return Ok(Some(values));
        }
        match keys.into_iter().next_back() {
            Some(last) if self.last.as_ref() != Some(&last) => self.last = Some(last),
            _ => return Err(self.error("more objects share a key than a page holds")),
        }
        Ok(Some(values))
    }

    fn is_before(&self, first: &ListKey) -> bool {
        self.last.as_ref().is_some_and(|last| first < last)
    }

    /// The list from the last key on, of which only the first page is asked for.
    fn page(&self) -> Pages {
        let field = self.list.field();
        let from = self.last.as_ref().map(|last| format!("{field} >= {last}"));
        let query = match from {
            Some(from) => Some(and(self.query.as_deref(), &from)),
            None => self.query.clone(),
        };
        let (query, sort) = (query.as_deref(), Some(field));
        match &self.list {
            KeyedList::Repositories { role } => {
                self.client
                    .repositories_sorted(role.as_deref(), query, sort)
            }
            KeyedList::PullRequests { repository } => {
                self.client.pull_requests_sorted(repository, query, sort)
            }
        }
    }

    fn error(&self, reason: &str) -> Error {
        let list = match &self.list {
            KeyedList::Repositories { .. } => "the list of repositories",
            KeyedList::PullRequests { .. } => "the list of pull requests",
        };
        Error::unexpected(list, anyhow!("read by key: {reason}"))
    }
}

impl KeyedList {
    fn field(&self) -> &'static str {
        match self {
            KeyedList::Repositories { .. } => "created_on",
            KeyedList::PullRequests { .. } => "id",
        }
    }

    fn key(&self, raw: &Value) -> Option<ListKey> {
        match self {
            KeyedList::Repositories { .. } => {
                let text = raw.get("created_on")?.as_str()?;
                Some(ListKey::Time(text.parse().ok()?, text.to_owned()))
            }
            KeyedList::PullRequests { .. } => number_of(raw).map(ListKey::Number),
        }
    }
}

impl fmt::Display for ListKey {
    /// As a query writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListKey::Number(number) => number.fmt(f),
            ListKey::Time(_, text) => f.write_str(text),
        }
    }
}
