//! Commits, trees and files as git has them: their contents, and the ids that follow from these.

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::bitbucket::state::{Commit, File, FileKind};

/// An object by what a pack says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bitbucket) struct Object {
    pub(super) kind: ObjectKind,
    pub(super) content: Vec<u8>,
}

/// With the numbers that packs have for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
}

/// 20 bytes.
pub(super) type Id = [u8; 20];

/// By id, in the order in which they were found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) all: Vec<(Id, Object)>,
}

impl ObjectKind {
    fn name(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
        }
    }
}

impl Object {
    fn id(&self) -> Id {
        let mut digest = Sha1::new();
        digest.update(format!("{} {}\0", self.kind.name(), self.content.len()));
        digest.update(&self.content);
        digest.finalize().into()
    }
}

impl Found {
    fn add(&mut self, kind: ObjectKind, content: Vec<u8>) -> Id {
        let object = Object { kind, content };
        let id = object.id();
        self.all.push((id, object));
        id
    }

    /// Everything that `commit` consists of, itself first.
    pub(super) fn of(commit: &Commit) -> Found {
        let mut found = Found::default();
        let files: Vec<(&str, &File)> = commit
            .tree
            .iter()
            .map(|(path, file)| (path.as_str(), file))
            .collect();
        let root = found.tree(&files);
        found.add(ObjectKind::Commit, commit_text(commit, &root));
        found.all.reverse();
        found
    }

    /// Files by their paths from this folder on, in order.
    fn tree(&mut self, files: &[(&str, &File)]) -> Id {
        let mut folders: BTreeMap<&str, Vec<(&str, &File)>> = BTreeMap::new();
        let mut entries: Vec<(Vec<u8>, String, Id)> = Vec::new();
        for (path, file) in files {
            match path.split_once('/') {
                Some((folder, below)) => folders.entry(folder).or_default().push((below, *file)),
                None => {
                    let (mode, id) = self.file(file);
                    entries.push((path.as_bytes().to_vec(), format!("{mode} {path}\0"), id));
                }
            }
        }
        for (folder, files) in folders {
            let id = self.tree(&files);
            // Folders stand where their names would with a slash.
            let place = format!("{folder}/").into_bytes();
            entries.push((place, format!("40000 {folder}\0"), id));
        }
        entries.sort();
        let mut content = Vec::new();
        for (_, entry, id) in entries {
            content.extend_from_slice(entry.as_bytes());
            content.extend_from_slice(&id);
        }
        self.add(ObjectKind::Tree, content)
    }

    fn file(&mut self, file: &File) -> (&'static str, Id) {
        let content = file.content.to_vec();
        let (mode, content) = match file.kind {
            FileKind::Plain | FileKind::Binary => ("100644", content),
            FileKind::Executable => ("100755", content),
            FileKind::Link => ("120000", content),
            FileKind::Lfs => ("100644", pointer(&content)),
            FileKind::Submodule => {
                // A commit of another repository: nothing of it is here.
                let kind = ObjectKind::Commit;
                return ("160000", Object { kind, content }.id());
            }
        };
        (mode, self.add(ObjectKind::Blob, content))
    }
}

/// The hash that `commit` has by what it holds, whatever it says itself.
pub(in crate::bitbucket) fn hash(commit: &Commit) -> String {
    let found = Found::of(commit);
    let id = found.all.first().map(|(id, _)| *id);
    hex::encode(id.unwrap_or_default())
}

fn commit_text(commit: &Commit, root: &Id) -> Vec<u8> {
    let mut text = format!("tree {}\n", hex::encode(root));
    for parent in &commit.parents {
        text += &format!("parent {parent}\n");
    }
    let Commit {
        author,
        message,
        date,
        ..
    } = commit;
    for role in ["author", "committer"] {
        text += &format!("{role} {author} <{author}> {} +0000\n", date.0);
    }
    text += &format!("\n{message}");
    text.into_bytes()
}

/// What stands for a file in large file storage (Git LFS specification).
fn pointer(content: &[u8]) -> Vec<u8> {
    let (digest, size) = (hex::encode(Sha256::digest(content)), content.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n")
        .into_bytes()
}
