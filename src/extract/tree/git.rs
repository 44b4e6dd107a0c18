//! The trees and files of one repository, read over git in as many requests as there are kinds of questions: one for all
//! trees, one for all files that selectors and items name, one for those that the values of files name.

use std::collections::{BTreeSet, HashMap};

use super::super::content::{self, Skip};
use super::entry::{TreeEntry, is_pointer};
use super::item::{MAX_REFERENCES, split};
use super::wanted::{Head, What, Work, wanted_by};
use crate::bitbucket::{BitbucketClient, CommitTrees, GitFile, Mode, Node, ObjectId};
use crate::deadline::Deadline;
use crate::file_format;

/// What a repository holds at its heads, as far as items are made of it.
pub(in crate::extract) struct GitContents {
    trees: CommitTrees,
    files: HashMap<ObjectId, GitFile>,
}

impl GitContents {
    /// The files at `paths` in `commit`; `None` where REST has to be asked for all of them.
    pub(in crate::extract) async fn of_paths(
        bitbucket: &BitbucketClient,
        full_name: &str,
        (commit, paths): (&str, &[String]),
        deadline: &Deadline,
    ) -> Option<GitContents> {
        let id: ObjectId = commit.parse().ok()?;
        let trees = bitbucket.trees_over_git(full_name, &[id], deadline).await?;
        let mut read = GitContents {
            trees,
            files: HashMap::new(),
        };
        let ids = paths.iter().filter_map(|path| read.readable(commit, path));
        let ids = ids.collect();
        read.files = bitbucket.files_over_git(full_name, &ids, deadline).await?;
        Some(read)
    }

    /// The items that are to be made of `heads`, and what they are made of; `None` where REST has to be asked for all
    /// of it.
    pub(super) async fn read<'a>(
        bitbucket: &BitbucketClient,
        full_name: &str,
        heads: &[Head<'a>],
        deadline: &Deadline,
    ) -> Option<(GitContents, Vec<Work<'a>>)> {
        let commits: Option<BTreeSet<ObjectId>> =
            heads.iter().map(|head| head.commit.parse().ok()).collect();
        let commits: Vec<ObjectId> = commits?.into_iter().collect();
        let trees = bitbucket
            .trees_over_git(full_name, &commits, deadline)
            .await?;
        let mut read = GitContents {
            trees,
            files: HashMap::new(),
        };
        let mut work = Vec::new();
        for head in heads {
            for entry in read.entries(head)? {
                work.extend(wanted_by(
                    &head.searches,
                    entry,
                    (&head.branch, &head.commit),
                ));
            }
        }
        for named in [GitContents::named_by_items, GitContents::named_by_values] {
            let named = named(&read, &work);
            let files = bitbucket
                .files_over_git(full_name, &named, deadline)
                .await?;
            read.files.extend(files);
        }
        Some((read, work))
    }

    /// The text of the file at `path`, or why there is none to show; `None` where only REST can tell.
    pub(in crate::extract) fn text(
        &self,
        commit: &str,
        path: &str,
    ) -> Option<Result<String, Skip>> {
        let Some(node) = self.find(commit, path)? else {
            return Some(Err(Skip::Gone));
        };
        if node.mode == Mode::Folder {
            return Some(Err(Skip::Gone));
        }
        let file = self.files.get(&node.id).filter(|file| !is_pointer(file))?;
        let Some(content) = &file.content else {
            return Some(Err(Skip::TooLarge));
        };
        Some(content::text(content.to_vec()).ok_or(Skip::Binary))
    }

    /// The file that `node` stands for, where it was read.
    pub(super) fn file(&self, node: Node) -> Option<&GitFile> {
        self.files.get(&node.id)
    }

    /// What is at `path`, if anything; `None` for a commit that was not read.
    fn find(&self, commit: &str, path: &str) -> Option<Option<Node>> {
        let commit = commit.parse().ok()?;
        Some(self.trees.find(commit, path))
    }

    /// What the searches of `head` match.
    fn entries(&self, head: &Head<'_>) -> Option<Vec<TreeEntry>> {
        let mut entries = Vec::new();
        let mut report = |path: &str, node: Node| {
            if head.wants(super::entry::kind_of(node), path) {
                let path = path.to_owned();
                entries.push(TreeEntry::Git { path, node });
            }
        };
        let commit = head.commit.parse().ok()?;
        let walked = self.trees.walk(commit, head.depth(), &mut report);
        walked.ok().map(|()| entries)
    }

    /// Files that are items, and those that items include.
    fn named_by_items(&self, work: &[Work<'_>]) -> BTreeSet<ObjectId> {
        let mut named = BTreeSet::new();
        for work in work {
            let path = work.entry.path();
            let folder = match work.what {
                What::Folder(_) => path,
                What::Files(_) => {
                    // Of what is no plain file, only that much is told.
                    if let TreeEntry::Git { node, .. } = work.entry
                        && matches!(node.mode, Mode::File | Mode::Executable)
                    {
                        named.insert(node.id);
                    }
                    split(path).0
                }
            };
            let included = work.included_files.iter();
            named.extend(
                included.filter_map(|name| {
                    self.readable(&work.commit, &content::included(folder, name))
                }),
            );
        }
        named
    }

    /// Files that the values of files stand for, and that were not read. A value that is written so that its beginning does
    /// not show is left to REST.
    fn named_by_values(&self, work: &[Work<'_>]) -> BTreeSet<ObjectId> {
        let mut named = BTreeSet::new();
        for work in work {
            let What::Files(files) = work.what else {
                continue;
            };
            let path = work.entry.path();
            let text = self.text(&work.commit, path).and_then(Result::ok);
            let text = text.filter(|text| !files.skip_parsing && text.contains("file:"));
            let Some(text) = text else {
                continue;
            };
            let mut references = BTreeSet::new();
            content::references(&file_format::parse(path, text).value, &mut |reference| {
                references.insert(reference.to_owned());
            });
            let (folder, _) = split(path);
            for reference in references.iter().take(MAX_REFERENCES) {
                let mut places = content::referenced(folder, reference).into_iter();
                // The first place where something is.
                named.extend(places.find_map(|place| self.readable(&work.commit, &place)));
            }
        }
        named.retain(|id| !self.files.contains_key(id));
        named
    }

    /// The blob at `path`, if there is one.
    fn readable(&self, commit: &str, path: &str) -> Option<ObjectId> {
        let node = self.find(commit, path)??;
        let is_blob = matches!(node.mode, Mode::File | Mode::Executable | Mode::Link);
        is_blob.then_some(node.id)
    }
}
