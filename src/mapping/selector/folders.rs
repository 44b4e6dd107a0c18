//! Selectors of folders: by globs over their paths, in some repositories, at a branch of each.

use super::super::path_glob::PathGlob;
use super::super::read::{ConfigNode, Object, Reader};
use super::{RepositoryName, read_glob};

/// Folders by path, such as `apps/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSelector {
    /// As the selector writes it; raw items carry it as `pattern`.
    pub pattern: String,
    pub path: PathGlob,
    /// Empty means every repository.
    pub repositories: Vec<FolderRepository>,
}

/// A repository by name, at a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRepository {
    pub name: RepositoryName,
    /// `None` means the default branch.
    pub branch: Option<String>,
}

/// Stands for the default branch in a folder's `branch`.
const DEFAULT_BRANCH: &str = "default";

pub(super) fn read(reader: &mut Reader, selector: &Object<'_>) -> Vec<FolderSelector> {
    let Some(node) = selector.get("folders") else {
        return Vec::new();
    };
    let folders = reader.list(&node).unwrap_or_default();
    folders
        .iter()
        .filter_map(|node| {
            if node.value.is_string() {
                return FolderSelector::read(reader, node, Vec::new());
            }
            let folder = reader.object(node)?;
            reader.known_keys(&folder, &["path", "repos"]);
            let path = reader.required(&folder, "path", "give a glob such as apps/*")?;
            let repositories = match folder.get("repos") {
                Some(repositories) if !repositories.value.is_array() => {
                    FolderRepository::read(reader, &repositories)
                        .into_iter()
                        .collect()
                }
                Some(repositories) => {
                    let repositories = reader.list(&repositories).unwrap_or_default();
                    repositories
                        .iter()
                        .filter_map(|node| FolderRepository::read(reader, node))
                        .collect()
                }
                None => Vec::new(),
            };
            FolderSelector::read(reader, &path, repositories)
        })
        .collect()
}

impl FolderRepository {
    fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<FolderRepository> {
        if !node.value.is_object() {
            let name = RepositoryName::read(reader, node)?;
            return Some(FolderRepository { name, branch: None });
        }
        let repository = reader.object(node)?;
        reader.known_keys(&repository, &["name", "branch"]);
        let name = reader.required(&repository, "name", "give the repository's name or slug")?;
        let name = RepositoryName::read(reader, &name)?;
        let branch = reader
            .given_text(&repository, "branch")
            .filter(|branch| branch != DEFAULT_BRANCH);
        Some(FolderRepository { name, branch })
    }
}

impl FolderSelector {
    fn read(
        reader: &mut Reader,
        path: &ConfigNode<'_>,
        repositories: Vec<FolderRepository>,
    ) -> Option<FolderSelector> {
        let pattern = reader.text(path)?;
        let path = read_glob(reader, path, &pattern)?;
        Some(FolderSelector {
            pattern,
            path,
            repositories,
        })
    }
}
