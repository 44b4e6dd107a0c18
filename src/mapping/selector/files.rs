//! Selectors of files: by folder and name, as Ocean matches them, or by one glob for the whole path.

use super::super::fnmatch::Fnmatch;
use super::super::path_glob::PathGlob;
use super::super::read::{ConfigNode, Object, Reader};
use super::{RepositoryName, read_glob};

/// Files by folder and name, on the default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSelector {
    wanted: Wanted,
    /// Empty means every repository.
    pub repositories: Vec<RepositoryName>,
    /// The content stays text.
    pub skip_parsing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// `path` and `filenames`. A file is selected that one of the names matches.
    Named { folder: FilesIn, names: Vec<Name> },
    /// `path` alone: `**/port.yml`.
    Path(PathGlob),
}

/// Where the files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FilesIn {
    AnyFolder,
    Root,
    Folder(Fnmatch),
}

/// The end of a file's path, in whole segments; almost always one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    pattern: Fnmatch,
    segments: usize,
}

/// `files` is a map, or a list of them as in Port's other Git integrations.
pub(super) fn read(reader: &mut Reader, selector: &Object<'_>) -> Vec<FileSelector> {
    let Some(node) = selector.get("files") else {
        let remedy = "say which, such as {path: '/', filenames: [package.json]}";
        let path = selector.path_of("files");
        reader.problem(
            path,
            format_args!("is missing, so no file is selected: {remedy}"),
        );
        return Vec::new();
    };
    let nodes = if node.value.is_array() {
        reader.list(&node).unwrap_or_default()
    } else {
        vec![node]
    };
    nodes
        .iter()
        .filter_map(|node| FileSelector::read(reader, node))
        .collect()
}

impl FileSelector {
    fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<FileSelector> {
        let files = reader.object(node)?;
        reader.known_keys(&files, &["path", "filenames", "repos", "skipParsing"]);
        let path = reader.given_text(&files, "path").unwrap_or_default();
        let names = reader.texts(&files, "filenames");
        let wanted = if names.is_empty() && names_files(&path) {
            Wanted::Path(read_glob(reader, &files.get("path")?, &path)?)
        } else {
            if names.is_empty() {
                let remedy = "name them, such as [package.json, \"*.yml\"]";
                reader.problem(
                    files.path_of("filenames"),
                    format_args!("is missing, so no file is selected: {remedy}"),
                );
            }
            let folder = FilesIn::read(reader, &files.path_of("path"), &path)?;
            let at = files.path_of("filenames");
            let names = names
                .iter()
                .filter_map(|name| Name::read(reader, &at, name))
                .collect();
            Wanted::Named { folder, names }
        };
        Some(FileSelector {
            wanted,
            repositories: RepositoryName::read_all(reader, &files, "repos"),
            skip_parsing: reader.flag(&files, "skipParsing").unwrap_or(false),
        })
    }

    /// Whether the file at `path` is selected.
    pub fn matches(&self, path: &str) -> bool {
        match &self.wanted {
            Wanted::Path(glob) => glob.is_match(path),
            Wanted::Named { folder, names } => names.iter().any(|name| {
                name.folder_of(path)
                    .is_some_and(|below| folder.matches(below))
            }),
        }
    }

    /// Pieces of which a selected path contains one; `None` where that is not known.
    pub fn literals(&self) -> Option<Vec<String>> {
        match &self.wanted {
            Wanted::Path(glob) => Some(vec![glob.literal()?]),
            Wanted::Named { folder, names } => {
                let literals = names.iter().map(|name| name.pattern.literal());
                let literals: Option<Vec<String>> = literals.collect();
                literals.or_else(|| match folder {
                    FilesIn::AnyFolder | FilesIn::Root => None,
                    FilesIn::Folder(pattern) => Some(vec![pattern.literal()?]),
                })
            }
        }
    }

    /// Levels of the tree that can hold a match; `None` for all.
    pub fn depth(&self) -> Option<usize> {
        match &self.wanted {
            Wanted::Path(glob) => glob.depth(),
            Wanted::Named { folder, names } => {
                let below = match folder {
                    FilesIn::AnyFolder => return None,
                    FilesIn::Root => 0,
                    FilesIn::Folder(pattern) => pattern.most_slashes()? + 1,
                };
                let name = names.iter().map(|name| name.segments).max();
                Some(below + name.unwrap_or(1))
            }
        }
    }
}

/// Whether `path` alone, without `filenames`, says which files are meant.
fn names_files(path: &str) -> bool {
    !path.ends_with('/') && !matches!(path, "" | "*" | "**" | "**/*")
}

impl FilesIn {
    fn read(reader: &mut Reader, at: &str, path: &str) -> Option<FilesIn> {
        if path.is_empty() {
            return Some(FilesIn::AnyFolder);
        }
        match path.trim_matches('/') {
            "" => Some(FilesIn::Root),
            "*" | "**" | "**/*" => Some(FilesIn::AnyFolder),
            folder => pattern(reader, at, folder).map(FilesIn::Folder),
        }
    }

    fn matches(&self, folder: &str) -> bool {
        match self {
            FilesIn::AnyFolder => true,
            FilesIn::Root => folder.is_empty(),
            FilesIn::Folder(pattern) => pattern.is_match(folder),
        }
    }
}

impl Name {
    fn read(reader: &mut Reader, at: &str, name: &str) -> Option<Name> {
        // Whatever lies before a name is what `path` is about.
        let name = name.trim_start_matches("**/").trim_matches('/');
        Some(Name {
            segments: name.split('/').count(),
            pattern: pattern(reader, at, name)?,
        })
    }

    /// What lies before the name in `path`, if it ends with that.
    fn folder_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let slashes = path.rmatch_indices('/').map(|(at, _)| at);
        let cut = slashes.into_iter().nth(self.segments - 1);
        let (folder, name) = match cut {
            Some(at) => (path.get(..at)?, path.get(at + 1..)?),
            None if path.matches('/').count() + 1 == self.segments => ("", path),
            None => return None,
        };
        self.pattern.is_match(name).then_some(folder)
    }
}

fn pattern(reader: &mut Reader, at: &str, text: &str) -> Option<Fnmatch> {
    match Fnmatch::new(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            reader.mistake(at, format_args!("{text:?} is no pattern: {error}"));
            None
        }
    }
}
