//! A list, page by page, as far as Bitbucket's own links lead, and by number where they lead nowhere.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use url::Url;

use super::client::{BitbucketClient, JSON};
use super::error::Error;
use super::shown::Shown;
use crate::class::Class;
use crate::deadline::Deadline;
use crate::http::{Answer, RetryPolicy};

/// Pages in a row that show more old objects than new ones before a list goes round in circles, or grows as fast as it
/// is read.
const MOST_STALE: usize = 3;

/// Empty pages in a row after which nothing more is expected of a list that names no next page.
const MOST_EMPTY: usize = 2;

/// The same of a list that does: filters may leave page after page empty.
const MOST_EMPTY_LINKED: usize = 100;

/// A defect is final.
const IMPATIENT: RetryPolicy = RetryPolicy {
    max_defects: 0,
    ..JSON
};

/// A list in progress.
///
/// Only `values` and `next` of a page are guaranteed (Bitbucket REST API, pagination). Some lists leave out `next`
/// although there is more (pipelines), and a proxy may answer the same page for ever: where a page says its number or how
/// many objects there are, that is believed. Objects may come twice: lists shift while they are read.
pub struct Pages {
    client: BitbucketClient,
    next: Option<Next>,
    /// Addresses that were read.
    read: HashSet<String>,
    /// Objects so far, by [`mark`].
    seen: HashSet<u64>,
    /// Pages in a row with more old objects than new ones.
    stale: usize,
    /// Pages in a row without any.
    empty: usize,
    promise: Promise,
    /// Whether it was read from its beginning.
    from_begin: bool,
    policy: &'static RetryPolicy,
}

/// How many objects a list has, as its pages say.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    pages: usize,
    size: Option<usize>,
    /// A later page has said something else than the first.
    is_broken: bool,
}

/// Where a list goes on.
struct Next {
    address: String,
    /// Nobody has said so, and nobody may be there.
    guessed: bool,
}

/// One page as it came.
struct Page {
    values: Vec<Value>,
    next: Option<String>,
    size: Option<usize>,
    number: Option<usize>,
    pagelen: Option<usize>,
}

impl Pages {
    pub(super) fn new(client: BitbucketClient, first: Url) -> Pages {
        Pages {
            from_begin: true,
            ..Pages::resume(client, first.as_str())
        }
    }

    /// Goes on where [`cursor`](Pages::cursor) said.
    pub fn resume(client: BitbucketClient, cursor: &str) -> Pages {
        Pages {
            client,
            next: Some(Next {
                address: cursor.to_owned(),
                guessed: false,
            }),
            read: HashSet::new(),
            seen: HashSet::new(),
            stale: 0,
            empty: 0,
            promise: Promise::default(),
            from_begin: false,
            policy: &JSON,
        }
    }

    /// The same, where a defect is not asked for again: there is another way.
    #[must_use]
    pub(super) fn impatient(self) -> Pages {
        Pages {
            policy: &IMPATIENT,
            ..self
        }
    }

    /// The values of the next page; `None` after the last one. A page may be empty and not the last.
    ///
    /// After an error the same page is asked for again. A list that goes round in circles before its end is an error.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Vec<Value>>, Error> {
        let Some(next) = &self.next else {
            return Ok(None);
        };
        let guessed = next.guessed;
        let url = self.client.own(&next.address)?;
        let read = self
            .client
            .read_with_heads(self.policy, url, deadline, Page::read);
        let (url, page) = match read.await {
            Err(error) if guessed && error.class() == Class::Part => {
                self.next = None;
                return Ok(None);
            }
            read => read?,
        };
        self.promise.take_in(page.size);
        let new = self.note(&url, &page.values);
        if let Some(size) = page.size.filter(|size| 0 < *size)
            && self.seen.is_empty()
            && page.next.is_none()
        {
            let request = url.path().to_owned();
            return Err(Error::ShowsNone { request, size });
        }
        self.next = match guessed && new == 0 {
            true => None,
            false => self.following(&url, &page, new)?,
        };
        Ok(Some(page.values))
    }

    /// Address of the page that [`next`](Pages::next) would ask for; `None` after the last one.
    pub fn cursor(&self) -> Option<&str> {
        self.next.as_ref().map(|next| next.address.as_str())
    }

    /// What was shown so far.
    pub fn shown(&self) -> Shown {
        let objects = self.seen.len();
        let is_read = self.from_begin && self.next.is_none();
        Shown {
            objects,
            sum: self
                .seen
                .iter()
                .fold(0, |sum, mark| sum.wrapping_add(*mark)),
            is_counted: is_read && self.promise.is_kept(objects),
            is_one_page: is_read && self.promise.pages == 1 && self.promise.is_kept(objects),
        }
    }

    /// Takes in what a page has shown; returns how much of it was new.
    fn note(&mut self, url: &Url, values: &[Value]) -> usize {
        self.read.insert(url.to_string());
        let new = values.iter().filter(|value| self.seen.insert(mark(value)));
        let new = new.count();
        self.empty = if values.is_empty() { self.empty + 1 } else { 0 };
        let old = values.len() - new;
        self.stale = if new < old { self.stale + 1 } else { 0 };
        new
    }

    /// Where the list goes on after `page`, the last one noted, `new` of whose objects were.
    fn following(&self, url: &Url, page: &Page, new: usize) -> Result<Option<Next>, Error> {
        let all_seen = page.size.is_some_and(|size| size <= self.seen.len());
        let is_stale = 0 < self.stale && new == 0;
        if all_seen && is_stale {
            return Ok(None);
        }
        if MOST_STALE <= self.stale || MOST_EMPTY_LINKED <= self.empty {
            return if all_seen { Ok(None) } else { Err(circle(url)) };
        }
        if let Some(next) = &page.next {
            // Absolute in all that was ever seen; a relative one means what it means on the web.
            let next = url
                .join(next)
                .context("`next` is no address")
                .map_err(|source| Error::unexpected(url.path(), source))?;
            let next = self.client.own(next.as_str())?;
            if !self.read.contains(next.as_str()) {
                return Ok(Some(Next {
                    address: next.into(),
                    guessed: false,
                }));
            }
        }
        self.numbered(url, page, all_seen)
    }

    /// Where it goes on by number, after a page that names no next one, or one that was read.
    fn numbered(&self, url: &Url, page: &Page, all_seen: bool) -> Result<Option<Next>, Error> {
        let Some(size) = page.size else {
            return match page.next {
                None => Ok(None),
                Some(_) => Err(circle(url)),
            };
        };
        let number = page.number.unwrap_or_else(|| number_in(url));
        let pagelen = page.pagelen.unwrap_or(page.values.len());
        // Objects may come twice, so that a full page need not be the last; and `size` may count what is not shown.
        let is_promised = number.saturating_mul(pagelen) < size;
        let is_full = pagelen <= page.values.len();
        let may_go_on = is_promised || is_full;
        if all_seen || !may_go_on || MOST_EMPTY <= self.empty {
            return Ok(None);
        }
        let address = with_number(url, number + 1);
        if self.read.contains(address.as_str()) {
            return Err(circle(url));
        }
        Ok(Some(Next {
            address: address.into(),
            guessed: page.number.is_none(),
        }))
    }
}

impl Promise {
    fn take_in(&mut self, size: Option<usize>) {
        match self.pages {
            0 => self.size = size,
            _ => self.is_broken |= size != self.size,
        }
        self.pages += 1;
    }

    /// Whether `objects` are all that the list has had since its first page.
    fn is_kept(&self, objects: usize) -> bool {
        match self.size {
            None => self.pages == 1,
            Some(size) => !self.is_broken && size <= objects,
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
        let number = |name: &str| usize::try_from(page.get(name)?.as_u64()?).ok();
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
    let reason = anyhow!("the list leads back to what was read before it has ended");
    Error::unexpected(url.path(), reason)
}

/// Tells objects apart by what names them in their list, and whatever else by all that it is.
fn mark(value: &Value) -> u64 {
    let names = ["uuid", "id", "path", "key", "name", "hash"];
    let named = names.iter().find_map(|name| {
        let named = value.get(name)?;
        (named.is_string() || named.is_number()).then_some(named)
    });
    let mut hasher = DefaultHasher::new();
    (
        value.get("type").map(Value::to_string),
        named.unwrap_or(value).to_string(),
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// The number of the page at `url`.
fn number_in(url: &Url) -> usize {
    let mut pairs = url.query_pairs();
    let number = pairs.find_map(|(name, value)| (name == "page").then(|| value.parse().ok())?);
    number.unwrap_or(1)
}

/// `url` with another page number, and everything else as it was written.
fn with_number(url: &Url, number: usize) -> Url {
    let others = url.query().unwrap_or_default().split('&');
    let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let mut pairs: Vec<String> = others.map(str::to_owned).collect();
    pairs.push(format!("page={number}"));
    let mut url = url.clone();
    url.set_query(Some(&pairs.join("&")));
    url
}
