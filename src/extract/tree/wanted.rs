//! What resources want of a tree: which branches of which repositories, and which entries there. Pure.

use std::sync::Arc;

use super::entry::{EntryKind, LISTED_ONLY, TreeEntry};
use crate::identity::Repository;
use crate::mapping::{FileSelector, FolderSelector, Resource, Selector};

/// What one resource wants of a tree.
#[derive(Clone)]
pub(in crate::extract) struct TreeResource {
    pub(super) resource: Arc<Resource>,
    wanted: Wanted,
    pub(super) included_files: Vec<String>,
    /// Whether it looks at what only a listing tells.
    pub(super) needs_listing: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Folders(Vec<FolderSelector>),
    Files(Vec<FileSelector>),
}

impl TreeResource {
    pub(in crate::extract) fn of(resource: &Arc<Resource>) -> Option<TreeResource> {
        let wanted = match &resource.selector {
            Selector::Folder { folders, .. } => Wanted::Folders(folders.clone()),
            Selector::File { files, .. } => Wanted::Files(files.clone()),
            _ => return None,
        };
        // Items of folders have no `metadata`, those of files no `folder`.
        let own = match wanted {
            Wanted::Folders(_) => "folder",
            Wanted::Files(_) => "metadata",
        };
        let mut listed_only = LISTED_ONLY.iter().filter(|path| path.first() == Some(&own));
        Some(TreeResource {
            resource: Arc::clone(resource),
            needs_listing: listed_only.any(|path| resource.reads(path)),
            wanted,
            included_files: resource.included_files().to_vec(),
        })
    }

    /// Whether a push to `branch` of `repository` matters.
    pub(in crate::extract) fn reads_branch(&self, repository: &Repository, branch: &str) -> bool {
        self.searches(repository)
            .iter()
            .any(|search| search.branch == branch)
    }

    /// Whether it looks at no other branch of `repository` than the main one.
    pub(in crate::extract) fn reads_main_branch_only(&self, repository: &Repository) -> bool {
        let main = repository.main_branch.as_deref();
        let searches = self.searches(repository);
        searches
            .iter()
            .all(|search| Some(search.branch.as_str()) == main)
    }

    /// What to look for in `repository`.
    pub(super) fn searches(&self, repository: &Repository) -> Vec<TreeSearch<'_>> {
        let default = repository.main_branch.as_deref();
        let mut searches = Vec::new();
        let mut search = |branch: Option<&str>, what| {
            searches.extend(branch.map(|branch| TreeSearch {
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
                    let named = folder.repositories.iter();
                    for named in named.filter(|named| named.name.means(repository)) {
                        search(named.branch.as_deref().or(default), What::Folder(folder));
                    }
                }
            }
            Wanted::Files(files) => {
                for files in files {
                    let names = &files.repositories;
                    if names.is_empty() || names.iter().any(|name| name.means(repository)) {
                        search(default, What::Files(files));
                    }
                }
            }
        }
        searches
    }
}

/// One selector, applied to one branch.
pub(super) struct TreeSearch<'a> {
    pub(super) resource: &'a TreeResource,
    pub(super) branch: String,
    pub(super) what: What<'a>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum What<'a> {
    Folder(&'a FolderSelector),
    Files(&'a FileSelector),
}

impl TreeSearch<'_> {
    fn matches(&self, kind: EntryKind, path: &str) -> bool {
        match self.what {
            What::Folder(folder) => kind == EntryKind::Folder && folder.path.is_match(path),
            What::Files(files) => kind == EntryKind::File && files.matches(path),
        }
    }

    /// Levels of the tree that can hold a match; `None` for all.
    fn depth(&self) -> Option<usize> {
        match self.what {
            What::Folder(folder) => folder.path.depth(),
            What::Files(files) => files.depth(),
        }
    }
}

/// The commit at the head of a branch, and what is looked for there.
pub(super) struct Head<'a> {
    pub(super) branch: Arc<str>,
    pub(super) commit: Arc<str>,
    pub(super) searches: Vec<TreeSearch<'a>>,
}

impl Head<'_> {
    /// Whether anything looks for what is at `path`.
    pub(super) fn wants(&self, kind: EntryKind, path: &str) -> bool {
        let mut searches = self.searches.iter();
        searches.any(|search| search.matches(kind, path))
    }

    /// Levels of the tree that can hold a match; `None` for all.
    pub(super) fn depth(&self) -> Option<usize> {
        let mut depths = self.searches.iter().map(TreeSearch::depth);
        depths.try_fold(1, |most, depth| Some(most.max(depth?)))
    }
}

/// An item to be made, and who wants it.
pub(super) struct Work<'a> {
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) entry: TreeEntry,
    pub(super) branch: Arc<str>,
    pub(super) commit: Arc<str>,
    pub(super) what: What<'a>,
    pub(super) included_files: &'a [String],
}

impl Work<'_> {
    /// Whether `search` wants the very item that this is.
    pub(super) fn is_for(&self, search: &TreeSearch<'_>) -> bool {
        let same = match (self.what, search.what) {
            (What::Folder(one), What::Folder(other)) => one.pattern == other.pattern,
            (What::Files(one), What::Files(other)) => one.skip_parsing == other.skip_parsing,
            _ => false,
        };
        same && self.included_files == search.resource.included_files
    }
}

/// The items that `searches` want made of an entry.
pub(super) fn wanted_by<'a>(
    searches: &[TreeSearch<'a>],
    entry: TreeEntry,
    (branch, commit): (&Arc<str>, &Arc<str>),
) -> Vec<Work<'a>> {
    let mut items: Vec<Work<'a>> = Vec::new();
    let Some(kind) = entry.kind() else {
        return items;
    };
    let searches = searches.iter();
    for search in searches.filter(|search| search.matches(kind, entry.path())) {
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

pub(super) fn is_among(resources: &[Arc<Resource>], resource: &Arc<Resource>) -> bool {
    resources.iter().any(|one| Arc::ptr_eq(one, resource))
}
