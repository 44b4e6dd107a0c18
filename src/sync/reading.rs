//! A partition of pull requests read page by page, from its beginning or from where an earlier reading had to stop.

use std::collections::BTreeMap;

use super::look::Looker;
use super::plan::Seen;
use crate::bitbucket::Shown;
use crate::extract::{Group, Listing};
use crate::failure::Failure;
use crate::identity::{ItemId, Repository};
use crate::look::Progress;
use crate::store::documents::Entry;

pub struct Reading<'a> {
    looker: &'a Looker<'a>,
    group: &'a Group,
    repository: &'a Repository,
    /// What was recorded before the list was asked for.
    entries: BTreeMap<ItemId, Entry>,
    listing: Listing<'a>,
    progress: Progress,
    nameless: usize,
}

impl<'a> Reading<'a> {
    /// Reads the records; the list is asked for afterwards.
    pub async fn open(
        looker: &'a Looker<'a>,
        group: &'a Group,
        repository: &'a Repository,
        progress: Option<Progress>,
    ) -> Result<Reading<'a>, Failure> {
        let partition = group.partition(Some(&repository.uuid));
        let entries = looker.entries(&partition).await?;
        let mut listing = Listing::open(looker.bitbucket, group, Some(repository));
        let progress = progress.unwrap_or_default();
        if let Some(cursor) = &progress.cursor {
            listing.resume(cursor);
        }
        Ok(Reading {
            looker,
            group,
            repository,
            entries,
            listing,
            progress,
            nameless: 0,
        })
    }

    /// The items of the next page; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<Seen>>, Failure> {
        let Some(batch) = self.listing.next(self.looker.deadline).await? else {
            return Ok(None);
        };
        let source = &self.group.source;
        let items = batch.items.iter();
        self.nameless += items.filter(|raw| source.item(raw).is_none()).count();
        let uuid = &self.repository.uuid;
        let seen = self
            .looker
            .listed(self.group, uuid, &batch, &self.entries)
            .await?;
        for seen in &seen {
            if let ItemId::Number(number) = seen.item.item {
                self.progress.listed.insert(number);
            }
        }
        self.progress.cursor = self.listing.cursor().map(str::to_owned);
        Ok(Some(seen))
    }

    /// What this reading of the list has shown.
    pub fn shown(&self) -> Shown {
        self.listing.shown()
    }

    /// Whether anything was recorded of the partition: what the list does not show of that is asked for by number.
    pub fn is_recorded(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Where another reading can go on, once what was given is committed.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many of the objects that the list has shown have no number, and so cannot be told from those that seem to be
    /// missing.
    pub fn nameless(&self) -> usize {
        self.nameless
    }

    /// Items that claim something in the record and that the list, read to its end, has not shown.
    pub fn missing(&self) -> Vec<u64> {
        let entries = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.claims.is_empty());
        let numbers = entries.filter_map(|(item, _)| match item {
            ItemId::Number(number) => Some(*number),
            ItemId::Whole => None,
        });
        let hidden = numbers.filter(|number| !self.progress.listed.contains(*number));
        hidden.collect()
    }
}
