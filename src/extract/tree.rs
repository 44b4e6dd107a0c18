//! Folders and files of one repository: the tree of a branch is listed once, however many resources look at it, and
//! only what a selector matches is read.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::content::{self, Skip};
use super::{Batch, FILES_AT_ONCE, Skipped};
use crate::bitbucket::{self, BitbucketClient, list_tree};
use crate::deadline::Deadline;
use crate::identity::Repository;
use crate::mapping::{FileSelector, Folder, PathGlob, Resource, Selector};

/// Items made at a time: each may hold a file of 1 MiB.
const ITEMS_AT_ONCE: usize = 20;

/// Files that one file's values may stand for.
const MAX_REFERENCES: usize = 50;

/// Bytes of files kept between batches, in case another item holds the same file.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// What one resource wants of a tree.
#[derive(Clone)]
pub(super) struct TreeResource {
    resource: Arc<Resource>,
    wanted: Wanted,
    included_files: Vec<String>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Folders(Vec<Folder>),
    Files(Vec<FileSelector>),
}

impl TreeResource {
    pub(super) fn of(resource: &Arc<Resource>) -> Option<TreeResource> {
        let wanted = match &resource.selector {
            Selector::Folder { folders, .. } => Wanted::Folders(folders.clone()),
            Selector::File { files, .. } => Wanted::Files(files.clone()),
            _ => return None,
        };
        Some(TreeResource {
            resource: Arc::clone(resource),
            wanted,
            included_files: resource.included_files().to_vec(),
        })
    }

    /// Whether a push to `branch` of a repository with this `slug` and default branch matters.
    pub(super) fn reads_branch(&self, slug: &str, default: Option<&str>, branch: &str) -> bool {
        self.searches(slug, default)
            .iter()
            .any(|search| search.branch == branch)
    }

    /// What to look for in the repository with this `slug`.
    fn searches(&self, slug: &str, default: Option<&str>) -> Vec<Search<'_>> {
        let mut searches = Vec::new();
        let mut search = |branch: Option<&str>, what| {
            searches.extend(branch.map(|branch| Search {
                resource: self,
                branch: branch.to_owned(),
                what,
            }));
        };
        match &self.wanted {
            Wanted::Folders(folders) => {
                for folder in folders {
                    if folder.repositories.is_empty() {
                        search(default, What::Folder(folder));
                    }
                    for repository in folder.repositories.iter().filter(|one| one.name == slug) {
                        search(
                            repository.branch.as_deref().or(default),
                            What::Folder(folder),
                        );
                    }
                }
            }
            Wanted::Files(files) => {
                for files in files {
                    if files.repositories.is_empty()
                        || files.repositories.iter().any(|name| name == slug)
                    {
                        search(default, What::Files(files));
                    }
                }
            }
        }
        searches
    }
}

/// One selector, applied to one branch.
struct Search<'a> {
    resource: &'a TreeResource,
    branch: String,
    what: What<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum What<'a> {
    Folder(&'a Folder),
    Files(&'a FileSelector),
}

impl Search<'_> {
    fn matches(&self, entry: &Value) -> bool {
        let is = |kind: &str| entry.get("type").and_then(Value::as_str) == Some(kind);
        let path = path_of(entry);
        match self.what {
            What::Folder(folder) => is("commit_directory") && folder.path.is_match(path),
            What::Files(files) => {
                is("commit_file") && files.paths.iter().any(|glob| glob.is_match(path))
            }
        }
    }

    /// Levels of the tree that can hold a match; `None` for all.
    fn depth(&self) -> Option<usize> {
        match self.what {
            What::Folder(folder) => folder.path.depth(),
            What::Files(files) => files
                .paths
                .iter()
                .map(PathGlob::depth)
                .try_fold(1, |most, depth| Some(most.max(depth?))),
        }
    }
}

fn path_of(entry: &Value) -> &str {
    entry
        .get("path")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An item to be made, and who wants it.
struct Work<'a> {
    resources: Vec<Arc<Resource>>,
    entry: Value,
    branch: Arc<str>,
    commit: Arc<str>,
    what: What<'a>,
    included_files: &'a [String],
}

impl Work<'_> {
    /// Whether `search` wants the very item that this is.
    fn is_for(&self, search: &Search<'_>) -> bool {
        let same = match (self.what, search.what) {
            (What::Folder(one), What::Folder(other)) => one.pattern == other.pattern,
            (What::Files(one), What::Files(other)) => one.skip_parsing == other.skip_parsing,
            _ => false,
        };
        same && self.included_files == search.resource.included_files
    }
}

/// The folders and files of one repository, a batch at a time.
pub(super) struct TreeListing<'a> {
    bitbucket: &'a BitbucketClient,
    resources: &'a [TreeResource],
    repository: Repository,
    /// `None` until the trees were listed.
    work: Option<VecDeque<Work<'a>>>,
    /// The repository as items carry it; asked for when there is an item.
    raw: Value,
    /// Files read so far, by commit and path.
    texts: Mutex<HashMap<(String, String), Arc<Text>>>,
}

type Text = OnceCell<Result<String, Skip>>;

impl<'a> TreeListing<'a> {
    pub(super) fn new(
        bitbucket: &'a BitbucketClient,
        resources: &'a [TreeResource],
        repository: Repository,
    ) -> TreeListing<'a> {
        TreeListing {
            bitbucket,
            resources,
            repository,
            work: None,
            raw: Value::Null,
            texts: Mutex::default(),
        }
    }

    pub(super) async fn next(
        &mut self,
        deadline: &Deadline,
    ) -> Result<Option<Batch>, bitbucket::Error> {
        if self.work.is_none() {
            let work = self.plan(deadline).await?;
            if !work.is_empty() {
                self.raw = self
                    .bitbucket
                    .repository(self.repository.uuid.as_str(), deadline)
                    .await?;
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
        let this = &*self;
        this.make_room();
        let made: Vec<Result<Value, Skipped>> = stream::iter(&chunk)
            .map(|work| this.make(work, deadline))
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
                Err(skipped) => batch.skipped.push(skipped),
            }
        }
        Ok(Some(batch))
    }

    /// Lists each branch once, as deep as a selector may match.
    async fn plan(&self, deadline: &Deadline) -> Result<VecDeque<Work<'a>>, bitbucket::Error> {
        let Repository {
            uuid,
            full_name,
            main_branch,
        } = &self.repository;
        let uuid = uuid.as_str();
        let slug = full_name.rsplit('/').next().unwrap_or_default();
        let resources: &'a [TreeResource] = self.resources;
        let mut by_branch: BTreeMap<String, Vec<Search<'a>>> = BTreeMap::new();
        for search in resources
            .iter()
            .flat_map(|resource| resource.searches(slug, main_branch.as_deref()))
        {
            by_branch
                .entry(search.branch.clone())
                .or_default()
                .push(search);
        }
        let mut work = VecDeque::new();
        for (branch, searches) in by_branch {
            let Some(commit) = self.bitbucket.branch_head(uuid, &branch, deadline).await? else {
                tracing::warn!(
                    repository = full_name,
                    branch,
                    "there is no such branch: no folders or files of it"
                );
                continue;
            };
            let depths = searches.iter().map(Search::depth);
            let depth = depths
                .into_iter()
                .try_fold(1, |most, depth| Some(most.max(depth?)));
            let keep = |entry: &Value| searches.iter().any(|search| search.matches(entry));
            let entries = list_tree(self.bitbucket, uuid, &commit, depth, &keep, deadline).await?;
            let (branch, commit) = (Arc::<str>::from(branch), Arc::<str>::from(commit));
            for entry in entries {
                let mut items: Vec<Work<'a>> = Vec::new();
                for search in searches.iter().filter(|search| search.matches(&entry)) {
                    let resource = &search.resource.resource;
                    match items.iter_mut().find(|item| item.is_for(search)) {
                        Some(item) if is_among(&item.resources, resource) => {}
                        Some(item) => item.resources.push(Arc::clone(resource)),
                        None => items.push(Work {
                            resources: vec![Arc::clone(resource)],
                            entry: entry.clone(),
                            branch: Arc::clone(&branch),
                            commit: Arc::clone(&commit),
                            what: search.what,
                            included_files: &search.resource.included_files,
                        }),
                    }
                }
                work.extend(items);
            }
        }
        Ok(work)
    }

    async fn make(
        &self,
        work: &Work<'a>,
        deadline: &Deadline,
    ) -> Result<Result<Value, Skipped>, bitbucket::Error> {
        let path = path_of(&work.entry);
        let mut item = match work.what {
            What::Folder(folder) => self.folder(work, folder),
            What::Files(files) => match self.file(work, files.skip_parsing, deadline).await? {
                Ok(item) => item,
                Err(skip) => {
                    let path = format!("{}/{path}", self.repository.full_name);
                    return Ok(Err(Skipped {
                        path,
                        reason: skip.reason(),
                    }));
                }
            },
        };
        if !work.included_files.is_empty() {
            // Next to what the item is: in the folder itself, in the root of a file's repository.
            let base = if matches!(work.what, What::Folder(_)) {
                path
            } else {
                ""
            };
            let mut files = Map::new();
            for name in work.included_files {
                let text = self
                    .text(&work.commit, &content::resolve(base, name), deadline)
                    .await?;
                files.insert(name.clone(), text.map_or(Value::Null, Value::String));
            }
            item.insert("__includedFiles".to_owned(), Value::Object(files));
        }
        Ok(Ok(Value::Object(item)))
    }

    fn folder(&self, work: &Work<'a>, folder: &Folder) -> Map<String, Value> {
        let mut entry = work.entry.clone();
        let name = path_of(&work.entry)
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        if let Value::Object(entry) = &mut entry {
            entry.insert("name".to_owned(), Value::String(name));
        }
        object(json!({
            "folder": entry,
            "repo": self.raw,
            "pattern": folder.pattern,
            "branch": &*work.branch,
        }))
    }

    async fn file(
        &self,
        work: &Work<'a>,
        skip_parsing: bool,
        deadline: &Deadline,
    ) -> Result<Result<Map<String, Value>, Skip>, bitbucket::Error> {
        if let Some(skip) = content::unreadable(&work.entry) {
            return Ok(Err(skip));
        }
        let path = path_of(&work.entry);
        let text = match self.load(&work.commit, path, deadline).await? {
            Ok(text) => text,
            Err(skip) => return Ok(Err(skip)),
        };
        let mut content = if skip_parsing {
            Value::String(text)
        } else {
            content::parse(path, text)
        };
        if !skip_parsing {
            self.fill_references(&mut content, path, &work.commit, deadline)
                .await?;
        }
        Ok(Ok(object(json!({
            "content": content,
            "repo": self.raw,
            "branch": &*work.branch,
            "metadata": work.entry,
        }))))
    }

    /// Values that begin with `file://` become the content of that file, null where there is none.
    async fn fill_references(
        &self,
        content: &mut Value,
        path: &str,
        commit: &str,
        deadline: &Deadline,
    ) -> Result<(), bitbucket::Error> {
        let mut wanted = HashSet::new();
        content::references(content, &mut |reference| {
            if wanted.len() < MAX_REFERENCES {
                wanted.insert(reference.to_owned());
            }
        });
        if wanted.is_empty() {
            return Ok(());
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut texts = BTreeMap::new();
        for reference in wanted {
            let target = content::resolve_reference(folder, &reference);
            let text = self.text(commit, &target, deadline).await?;
            if text.is_none() {
                tracing::warn!(
                    file = path,
                    reference,
                    "the referenced file is not there, or is no text"
                );
            }
            texts.insert(reference, text);
        }
        content::fill(content, &texts);
        Ok(())
    }

    /// A file's text; `None` where there is none that could be shown.
    async fn text(
        &self,
        commit: &str,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Option<String>, bitbucket::Error> {
        Ok(self.load(commit, path, deadline).await?.ok())
    }

    /// The text of a file, read once however many items hold it.
    async fn load(
        &self,
        commit: &str,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Result<String, Skip>, bitbucket::Error> {
        let cell = {
            let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (commit.to_owned(), path.to_owned());
            Arc::clone(texts.entry(key).or_default())
        };
        let read = || async {
            let uuid = self.repository.uuid.as_str();
            match self.bitbucket.file(uuid, commit, path, deadline).await {
                Ok(Some(bytes)) => Ok(content::text(bytes).ok_or(Skip::Binary)),
                Ok(None) => Ok(Err(Skip::Gone)),
                Err(bitbucket::Error::TooLarge { .. }) => Ok(Err(Skip::TooLarge)),
                Err(error) => Err(error),
            }
        };
        cell.get_or_try_init(read).await.cloned()
    }

    /// Forgets the texts when they are many.
    fn make_room(&self) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let length = |cell: &Arc<Text>| match cell.get() {
            Some(Ok(text)) => text.len(),
            _ => 0,
        };
        if MAX_KEPT_BYTES < texts.values().map(length).sum() {
            texts.clear();
        }
    }
}

fn is_among(resources: &[Arc<Resource>], resource: &Arc<Resource>) -> bool {
    resources.iter().any(|one| Arc::ptr_eq(one, resource))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
