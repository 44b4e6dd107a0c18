//! A list, page by page, as far as Bitbucket's own links lead, and by number where they lead nowhere.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use url::Url;

use super::client::BitbucketClient;
use super::error::Error;
use crate::deadline::Deadline;
use crate::http::Answer;

/// A list in progress.
///
/// Only `values` and `next` of a page are guaranteed (Bitbucket REST API, pagination). Some lists leave out `next`
/// although there is more (pipelines), and a proxy may answer the same page for ever: where a page says its number and
/// how many there are, that is believed. Objects may come twice: lists shift while they are read.
pub struct Pages {
    client: BitbucketClient,
    next: Option<String>,
    /// Addresses that were read.
    seen: HashSet<String>,
    /// What was read, by [`mark`].
    marks: HashSet<u64>,
    /// Objects so far, pages that came again apart.
    read: u64,
}

/// One page as it came.
struct Page {
    values: Vec<Value>,
    next: Option<String>,
    size: Option<u64>,
    number: Option<u64>,
    pagelen: Option<u64>,
}

impl Pages {
    pub(super) fn new(client: BitbucketClient, first: Url) -> Pages {
        Pages::resume(client, first.as_str())
    }

    /// Goes on where [`cursor`](Pages::cursor) said.
    pub fn resume(client: BitbucketClient, cursor: &str) -> Pages {
        Pages {
            client,
            next: Some(cursor.to_owned()),
            seen: HashSet::new(),
            marks: HashSet::new(),
            read: 0,
        }
    }

    /// The values of the next page; `None` after the last one. A page may be empty and not the last.
    ///
    /// After an error the same page is asked for again. A list that goes round in circles before its end is an error.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Vec<Value>>, Error> {
        let Some(address) = &self.next else {
            return Ok(None);
        };
        let url = self.client.own(address)?;
        let page = self.client.read(&url, deadline, Page::read).await?;
        let again = !self.marks.insert(mark(&page.values)) && !page.values.is_empty();
        if !again {
            self.read += u64::try_from(page.values.len()).unwrap_or_default();
        }
        self.seen.insert(url.to_string());
        self.next = self.following(&url, &page, again)?;
        Ok(Some(page.values))
    }

    /// Address of the page that [`next`](Pages::next) would ask for; `None` after the last one.
    pub fn cursor(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Where the list goes on after `page`, which has come before if `again`.
    fn following(&self, url: &Url, page: &Page, again: bool) -> Result<Option<String>, Error> {
        let unread = |next: &Url| !again && !self.seen.contains(next.as_str());
        if let Some(next) = &page.next {
            // Absolute in all that was ever seen; a relative one means what it means on the web.
            let next = url
                .join(next)
                .context("`next` is no address")
                .map_err(|source| Error::unexpected(url.path(), source))?;
            let next = self.client.own(next.as_str())?;
            if unread(&next) {
                return Ok(Some(next.into()));
            }
        }
        let (Some(number), Some(pagelen), Some(size)) = (page.number, page.pagelen, page.size)
        else {
            return match (&page.next, page.size) {
                (None, _) => Ok(None),
                (Some(_), Some(size)) if size <= self.read => Ok(None),
                (Some(_), _) => Err(circle(url)),
            };
        };
        if page.values.is_empty() || size <= number.saturating_mul(pagelen).max(self.read) {
            return Ok(None);
        }
        let next = numbered(url, number + 1);
        if unread(&next) {
            Ok(Some(next.into()))
        } else {
            Err(circle(url))
        }
    }
}

impl Page {
    fn read(answer: &Answer) -> anyhow::Result<Page> {
        let mut page = answer.value()?;
        let values = match page.get_mut("values").map(Value::take) {
            Some(Value::Array(values)) => values,
            _ => return Err(anyhow!("a page without `values`: {}", answer.excerpt())),
        };
        let next = page.get("next").and_then(Value::as_str);
        let number = |name: &str| page.get(name).and_then(Value::as_u64);
        Ok(Page {
            next: next.filter(|next| !next.is_empty()).map(str::to_owned),
            size: number("size"),
            number: number("page"),
            pagelen: number("pagelen"),
            values,
        })
    }
}

fn circle(url: &Url) -> Error {
    let reason = anyhow!("`next` leads back to a page that was read before the list has ended");
    Error::unexpected(url.path(), reason)
}

/// Tells pages apart by their ends: the same objects in the same places are the same page.
fn mark(values: &[Value]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let ends = [values.first(), values.last()];
    (values.len(), ends.map(|end| end.map(Value::to_string))).hash(&mut hasher);
    hasher.finish()
}

/// `url` with another page number, and everything else as it was written.
fn numbered(url: &Url, number: u64) -> Url {
    let others = url.query().unwrap_or_default().split('&');
    let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let mut pairs: Vec<String> = others.map(str::to_owned).collect();
    pairs.push(format!("page={number}"));
    let mut url = url.clone();
    url.set_query(Some(&pairs.join("&")));
    url
}
