//! Folders and files of one repository: the tree of a branch is listed once, however many resources look at it, and
//! only what a selector matches is read: over git where the server speaks that, else over REST.

mod entry;
mod git;
mod item;
mod query;
mod texts;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::ask::completed;
use super::{Batch, FILES_AT_ONCE, Group, Origin};
use crate::bitbucket::{self, BitbucketClient, TreeWish, list_tree};
use crate::deadline::Deadline;
use crate::identity::Repository;
use entry::{TreeEntry, listed_kind, listed_path};
use item::{NoItem, RawItems};
use texts::Texts;
use wanted::{Head, TreeSearch, Work, is_among, wanted_by};

pub(super) use git::GitContents;
pub(super) use wanted::TreeResource;

/// Items made at a time: each may hold a file of 1 MiB.
const ITEMS_AT_ONCE: usize = 20;

/// The folders and files of one repository, a batch at a time.
pub(super) struct TreeListing<'a> {
    bitbucket: &'a BitbucketClient,
    group: &'a Group,
    repository: Repository,
    /// `None` until the trees were listed.
    work: Option<VecDeque<Work<'a>>>,
    /// The repository as items carry it; asked for when there is an item.
    raw: Value,
    texts: Texts<'a>,
    /// Where all of it was read, once that is known, if it was one commit.
    origin: Option<Origin>,
}

impl<'a> TreeListing<'a> {
    pub(super) fn new(
        bitbucket: &'a BitbucketClient,
        group: &'a Group,
        repository: Repository,
    ) -> TreeListing<'a> {
        TreeListing {
            bitbucket,
            group,
            work: None,
            raw: Value::Null,
            texts: Texts::new(bitbucket, repository.uuid.clone()),
            repository,
            origin: None,
        }
    }

    /// The commit that all of it was read at; `None` where it was none, or several, or another branch's head.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(super) async fn next(
        &mut self,
        deadline: &Deadline,
    ) -> Result<Option<Batch>, bitbucket::Error> {
        if self.work.is_none() {
            let work = self.plan(deadline).await?;
            if !work.is_empty() {
                let uuid = self.repository.uuid.as_str();
                let raw = self.bitbucket.repository(uuid, deadline).await?;
                self.raw = completed(self.bitbucket, self.group, raw, deadline).await?;
                if let Some(origin) = &mut self.origin {
                    origin.carried = Some(self.group.carried(&self.raw));
                }
            }
            self.work = Some(work);
        }
        let Some(work) = &mut self.work else {
            return Ok(None);
        };
        let Some(first) = work.front() else {
            return Ok(None);
        };
        // One batch goes to one set of resources.
        let same = work.iter().take(ITEMS_AT_ONCE).take_while(|one| {
            one.resources.len() == first.resources.len()
                && one
                    .resources
                    .iter()
                    .all(|resource| is_among(&first.resources, resource))
        });
        let resources = first.resources.clone();
        let count = same.count();
        let chunk: Vec<Work<'a>> = work.drain(..count).collect();
        self.texts.make_room();
        let items = RawItems {
            repository: &self.repository,
            raw: &self.raw,
            texts: &self.texts,
            deadline,
        };
        let made: Vec<Result<Value, NoItem>> = stream::iter(&chunk)
            .map(|work| items.make(work))
            .buffered(FILES_AT_ONCE)
            .try_collect()
            .await?;
        let mut batch = Batch {
            resources,
            ..Batch::default()
        };
        for item in made {
            match item {
                Ok(item) => batch.items.push(item),
                Err(NoItem::Skipped(skipped)) => batch.skipped.push(skipped),
                Err(NoItem::Unread(unread)) => batch.unread.push(unread),
            }
        }
        Ok(Some(batch))
    }

    /// What items are to be made, by the path of what they are made of: each branch is looked at once. A listing's own
    /// order is nowhere promised, and git has another one.
    async fn plan(&mut self, deadline: &Deadline) -> Result<VecDeque<Work<'a>>, bitbucket::Error> {
        let heads = self.heads(deadline).await?;
        self.origin = self.origin_of(&heads);
        let mut work = match self.plan_over_git(&heads, deadline).await {
            Some(work) => work,
            None => self.plan_over_rest(&heads, deadline).await?,
        };
        work.sort_by(|one, other| {
            let place = |work: &Work<'a>| (Arc::clone(&work.branch), work.entry.path().to_owned());
            place(one).cmp(&place(other))
        });
        Ok(work.into())
    }

    /// The branches that are looked at, each at its present commit.
    async fn heads(&self, deadline: &Deadline) -> Result<Vec<Head<'a>>, bitbucket::Error> {
        let resources: &'a [TreeResource] = &self.group.trees;
        let mut by_branch: BTreeMap<String, Vec<TreeSearch<'a>>> = BTreeMap::new();
        let searches = resources.iter();
        for search in searches.flat_map(|resource| resource.searches(&self.repository)) {
            by_branch
                .entry(search.branch.clone())
                .or_default()
                .push(search);
        }
        let uuid = self.repository.uuid.as_str();
        let mut heads = Vec::new();
        for (branch, searches) in by_branch {
            let known = self.repository.head_of(&branch).map(str::to_owned);
            let commit = match known {
                Some(commit) => Some(commit),
                None => self.bitbucket.branch_head(uuid, &branch, deadline).await?,
            };
            match commit {
                Some(commit) => heads.push(Head {
                    branch: branch.into(),
                    commit: commit.into(),
                    searches,
                }),
                None => tracing::warn!(
                    repository = self.repository.full_name,
                    branch,
                    "there is no such branch: no folders or files of it"
                ),
            }
        }
        Ok(heads)
    }

    /// Where everything is read, if that is the head of the main branch.
    fn origin_of(&self, heads: &[Head<'a>]) -> Option<Origin> {
        let is_main_only = self.group.reads_main_branch_only(&self.repository);
        let [head] = heads else { return None };
        is_main_only.then(|| Origin {
            branch: head.branch.to_string(),
            head: head.commit.to_string(),
            carried: None,
        })
    }

    async fn plan_over_git(
        &mut self,
        heads: &[Head<'a>],
        deadline: &Deadline,
    ) -> Option<Vec<Work<'a>>> {
        let needs_listing = self.group.trees.iter().any(|it| it.needs_listing);
        if heads.is_empty() || needs_listing {
            return None;
        }
        let full_name = &self.repository.full_name;
        let read = GitContents::read(self.bitbucket, full_name, heads, deadline);
        let (contents, work) = read.await?;
        self.texts.take_from(contents);
        Some(work)
    }

    /// Lists each branch, as deep as a selector may match.
    async fn plan_over_rest(
        &self,
        heads: &[Head<'a>],
        deadline: &Deadline,
    ) -> Result<Vec<Work<'a>>, bitbucket::Error> {
        let uuid = self.repository.uuid.as_str();
        let mut work = Vec::new();
        for head in heads {
            let keep = |entry: &Value| {
                listed_kind(entry).is_some_and(|kind| head.wants(kind, listed_path(entry)))
            };
            let wish = TreeWish {
                depth: head.depth(),
                query: query::query(&head.searches),
                keep: &keep,
            };
            let commit = &head.commit;
            let entries = list_tree(self.bitbucket, uuid, commit, &wish, deadline).await?;
            for entry in entries {
                let entry = TreeEntry::Listed(entry);
                work.extend(wanted_by(&head.searches, entry, (&head.branch, commit)));
            }
        }
        Ok(work)
    }
}
