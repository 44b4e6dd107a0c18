//! Folders and files of one repository: the tree of a branch is listed once, however many resources look at it, and
//! only what a selector matches is read.

mod item;
mod texts;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::ask::completed;
use super::{Batch, FILES_AT_ONCE, Group, Origin};
use crate::bitbucket::{self, BitbucketClient, list_tree};
use crate::deadline::Deadline;
use crate::identity::Repository;
use crate::mapping::Resource;
use item::{NoItem, RawItems};
use texts::Texts;
use wanted::{TreeSearch, Work};

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

    /// Lists each branch once, as deep as a selector may match.
    async fn plan(&mut self, deadline: &Deadline) -> Result<VecDeque<Work<'a>>, bitbucket::Error> {
        let uuid = self.repository.uuid.as_str();
        let resources: &'a [TreeResource] = &self.group.trees;
        let is_main_only = self.group.reads_main_branch_only(&self.repository);
        let mut by_branch: BTreeMap<String, Vec<TreeSearch<'a>>> = BTreeMap::new();
        let searches = resources.iter();
        for search in searches.flat_map(|resource| resource.searches(&self.repository)) {
            by_branch
                .entry(search.branch.clone())
                .or_default()
                .push(search);
        }
        let mut work = VecDeque::new();
        for (branch, searches) in by_branch {
            let known = self.repository.head_of(&branch).map(str::to_owned);
            let commit = match known {
                Some(commit) => Some(commit),
                None => self.bitbucket.branch_head(uuid, &branch, deadline).await?,
            };
            let Some(commit) = commit else {
                tracing::warn!(
                    repository = self.repository.full_name,
                    branch,
                    "there is no such branch: no folders or files of it"
                );
                continue;
            };
            let depths = searches.iter().map(TreeSearch::depth);
            let depth = depths
                .into_iter()
                .try_fold(1, |most, depth| Some(most.max(depth?)));
            let keep = |entry: &Value| searches.iter().any(|search| search.matches(entry));
            let entries = list_tree(self.bitbucket, uuid, &commit, depth, &keep, deadline).await?;
            self.origin = is_main_only.then(|| Origin {
                branch: branch.clone(),
                head: commit.clone(),
                carried: None,
            });
            let (branch, commit) = (Arc::<str>::from(branch), Arc::<str>::from(commit));
            for entry in entries {
                work.extend(wanted_by(&searches, &entry, (&branch, &commit)));
            }
        }
        Ok(work)
    }
}

/// The items that `searches` want made of an entry.
fn wanted_by<'a>(
    searches: &[TreeSearch<'a>],
    entry: &Value,
    (branch, commit): (&Arc<str>, &Arc<str>),
) -> Vec<Work<'a>> {
    let mut items: Vec<Work<'a>> = Vec::new();
    for search in searches.iter().filter(|search| search.matches(entry)) {
        let resource = &search.resource.resource;
        match items.iter_mut().find(|item| item.is_for(search)) {
            Some(item) if is_among(&item.resources, resource) => {}
            Some(item) => item.resources.push(Arc::clone(resource)),
            None => items.push(Work {
                resources: vec![Arc::clone(resource)],
                entry: entry.clone(),
                branch: Arc::clone(branch),
                commit: Arc::clone(commit),
                what: search.what,
                included_files: &search.resource.included_files,
            }),
        }
    }
    items
}

fn is_among(resources: &[Arc<Resource>], resource: &Arc<Resource>) -> bool {
    resources.iter().any(|one| Arc::ptr_eq(one, resource))
}
