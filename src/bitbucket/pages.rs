//! A list, page by page, as far as Bitbucket's own links lead.

use std::collections::HashSet;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use url::Url;

use super::client::BitbucketClient;
use super::error::Error;
use crate::deadline::Deadline;

/// A list in progress. Only `values` and `next` of a page are guaranteed, so nothing else is read (Bitbucket REST API,
/// pagination).
pub struct Pages {
    client: BitbucketClient,
    next: Option<String>,
    seen: HashSet<String>,
}

impl Pages {
    pub(super) fn new(client: BitbucketClient, first: Url) -> Pages {
        Pages {
            client,
            next: Some(first.into()),
            seen: HashSet::new(),
        }
    }

    /// Goes on where [`cursor`](Pages::cursor) said.
    pub fn resume(client: BitbucketClient, cursor: &str) -> Pages {
        Pages {
            client,
            next: Some(cursor.to_owned()),
            seen: HashSet::new(),
        }
    }

    /// The values of the next page; `None` after the last one. A page may be empty and not the last.
    ///
    /// After an error the same page is asked for again.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Vec<Value>>, Error> {
        let Some(address) = &self.next else {
            return Ok(None);
        };
        let url = self.client.own(address)?;
        let mut page = self.client.get(url.clone(), deadline).await?;
        let unexpected = |source: anyhow::Error| Error::unexpected(url.path(), source);
        let values = match page.get_mut("values").map(Value::take) {
            Some(Value::Array(values)) => values,
            _ => return Err(unexpected(anyhow!("a page without `values`"))),
        };
        let next = match page.get("next").and_then(Value::as_str) {
            None | Some("") => None,
            // Absolute in all that was ever seen; a relative one means what it means on the web.
            Some(next) => Some(
                url.join(next)
                    .context("`next` is no address")
                    .map_err(unexpected)?
                    .into(),
            ),
        };
        if let Some(address) = self.next.take() {
            self.seen.insert(address);
        }
        if let Some(next) = &next
            && self.seen.contains(next)
        {
            return Err(unexpected(anyhow!(
                "`next` leads back to a page that was read before"
            )));
        }
        self.next = next;
        Ok(Some(values))
    }

    /// Address of the page that [`next`](Pages::next) would ask for; `None` after the last one.
    pub fn cursor(&self) -> Option<&str> {
        self.next.as_deref()
    }
}
