//! The raw items of folders and files: what mappings find in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::content::{self, Filling, Skip};
use super::super::unread::Unread;
use super::super::{INCLUDED_FILES, Skipped};
use super::entry::{TreeEntry, as_listed};
use super::texts::{NoText, Texts};
use super::wanted::{What, Work};
use crate::bitbucket;
use crate::deadline::Deadline;
use crate::failure::UnreadFile;
use crate::file_format::{self, ParsedFile};
use crate::identity::Repository;
use crate::mapping::FolderSelector;

/// Files that one file's values may stand for.
pub(super) const MAX_REFERENCES: usize = 50;

/// What items of one repository are made of.
pub(super) struct RawItems<'a> {
    pub(super) repository: &'a Repository,
    /// The repository as items carry it.
    pub(super) raw: &'a Value,
    pub(super) texts: &'a Texts<'a>,
    pub(super) deadline: &'a Deadline,
}

/// Why what a selector matches has become no item.
pub(super) enum NoItem {
    Skipped(Skipped),
    Unread(Unread),
}

impl RawItems<'_> {
    pub(super) async fn make(
        &self,
        work: &Work<'_>,
    ) -> Result<Result<Value, NoItem>, bitbucket::Error> {
        let made = self.made(work).await?;
        Ok(made.map(Value::Object).map_err(|none| match none {
            NoText::Skip(skip) => NoItem::Skipped(Skipped {
                path: self.shown(work.entry.path()),
                reason: skip.reason(),
            }),
            NoText::Unread(file) => NoItem::Unread(Unread {
                raw: named(work),
                file,
            }),
        }))
    }

    async fn made(
        &self,
        work: &Work<'_>,
    ) -> Result<Result<Map<String, Value>, NoText>, bitbucket::Error> {
        let path = work.entry.path();
        let (mut item, folder) = match work.what {
            What::Folder(folder) => (self.folder(work, folder), path),
            What::Files(files) => match self.file(work, files.skip_parsing).await? {
                Ok(item) => (item, split(path).0),
                Err(none) => return Ok(Err(none)),
            },
        };
        if !work.included_files.is_empty() {
            let mut files = Map::new();
            for name in work.included_files {
                let path = content::included(folder, name);
                let text = match self.texts.load(&work.commit, &path, self.deadline).await? {
                    Ok(text) => Value::String(text),
                    Err(NoText::Skip(_)) => Value::Null,
                    Err(unread @ NoText::Unread(_)) => return Ok(Err(unread)),
                };
                files.insert(name.clone(), text);
            }
            item.insert(INCLUDED_FILES.to_owned(), Value::Object(files));
        }
        Ok(Ok(item))
    }

    /// What `work` is about, as REST lists it.
    fn listed(&self, work: &Work<'_>) -> Value {
        match &work.entry {
            TreeEntry::Listed(entry) => entry.clone(),
            TreeEntry::Git { path, node } => {
                let file = self.texts.git().and_then(|git| git.file(*node));
                as_listed(self.raw, &work.commit, (path, *node), file)
            }
        }
    }

    fn folder(&self, work: &Work<'_>, folder: &FolderSelector) -> Map<String, Value> {
        let mut entry = self.listed(work);
        if let Value::Object(entry) = &mut entry {
            let (_, name) = split(work.entry.path());
            entry.insert("name".to_owned(), name.into());
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
        work: &Work<'_>,
        skip_parsing: bool,
    ) -> Result<Result<Map<String, Value>, NoText>, bitbucket::Error> {
        // As Ocean's code search gave it.
        let mut metadata = self.listed(work);
        if let Some(skip) = content::unreadable(&metadata) {
            return Ok(Err(NoText::Skip(skip)));
        }
        let path = work.entry.path();
        let size = metadata.get("size").cloned();
        let text = match self.texts.load(&work.commit, path, self.deadline).await? {
            Ok(text) => text,
            Err(none) => return Ok(Err(none)),
        };
        let content = if skip_parsing {
            Value::String(text)
        } else {
            let mut content = self.parsed(path, text);
            let filled = self.fill_references(&mut content, path, &work.commit);
            if let Err(unread) = filled.await? {
                return Ok(Err(NoText::Unread(unread)));
            }
            content
        };
        if let Some(Value::Object(commit)) = metadata.get_mut("commit") {
            commit.insert("repository".to_owned(), self.raw.clone());
        }
        let (directory, name) = split(path);
        Ok(Ok(object(json!({
            // As Port's documentation has it for all its Git integrations.
            "file": {
                "path": path,
                "name": name,
                "directory": directory,
                "content": content,
                "size": size,
            },
            "content": content,
            "repo": self.raw,
            "branch": &*work.branch,
            "metadata": metadata,
        }))))
    }

    fn parsed(&self, path: &str, text: String) -> Value {
        let ParsedFile { value, remark } = file_format::parse(path, text);
        if let Some(remark) = remark {
            let file = self.shown(path);
            tracing::warn!(file, remark, "a file is not what its name says");
        }
        value
    }

    /// Values that begin with `file://` become the content of that file, null where there is none.
    async fn fill_references(
        &self,
        content: &mut Value,
        path: &str,
        commit: &str,
    ) -> Result<Result<(), Arc<UnreadFile>>, bitbucket::Error> {
        let mut wanted = BTreeSet::new();
        content::references(content, &mut |reference| {
            wanted.insert(reference.to_owned());
        });
        let (folder, _) = split(path);
        let mut contents = BTreeMap::new();
        for (position, reference) in wanted.into_iter().enumerate() {
            let found = match position < MAX_REFERENCES {
                true => match self.referenced(folder, &reference, commit).await? {
                    Ok(found) => found,
                    Err(unread) => return Ok(Err(unread)),
                },
                false => None,
            };
            if found.is_none() {
                let file = self.shown(path);
                tracing::warn!(
                    file,
                    reference,
                    "null stands for a file that is not there, is no text, or is one of too many"
                );
            }
            contents.insert(reference, found.unwrap_or_default());
        }
        let mut filling = Filling::new(&contents);
        filling.fill(content);
        if filling.is_over() {
            let file = self.shown(path);
            tracing::warn!(
                file,
                "its references stand for too much: some of them are null"
            );
        }
        Ok(Ok(()))
    }

    /// The content of the first file that `reference` may mean.
    async fn referenced(
        &self,
        folder: &str,
        reference: &str,
        commit: &str,
    ) -> Result<Result<Option<Value>, Arc<UnreadFile>>, bitbucket::Error> {
        for path in content::referenced(folder, reference) {
            match self.texts.load(commit, &path, self.deadline).await? {
                Ok(text) => return Ok(Ok(Some(self.parsed(&path, text)))),
                Err(NoText::Skip(Skip::Gone)) => {}
                Err(NoText::Skip(_)) => return Ok(Ok(None)),
                Err(NoText::Unread(unread)) => return Ok(Err(unread)),
            }
        }
        Ok(Ok(None))
    }

    /// How logs call the file at `path`.
    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.repository.full_name)
    }
}

/// Branch and path: as much as names an item.
fn named(work: &Work<'_>) -> Value {
    let entry = json!({"path": work.entry.path()});
    let what = match work.what {
        What::Folder(_) => "folder",
        What::Files(_) => "metadata",
    };
    json!({"branch": &*work.branch, what: entry})
}

/// Folder and name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
