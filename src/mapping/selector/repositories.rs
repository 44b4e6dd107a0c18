//! Which repositories a resource is about: by what the credentials may do there, by a query, by name.

use super::super::read::{ConfigNode, Object, Reader};
use crate::identity::Repository;

/// Which repositories; the default is all that the credentials see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFilter {
    /// `member`, `contributor`, `admin` or `owner`.
    pub role: Option<String>,
    /// In Bitbucket's query language.
    pub query: Option<String>,
}

/// What `userRole` may be (Bitbucket REST API, repositories of a workspace: `role`).
const ROLES: [&str; 4] = ["member", "contributor", "admin", "owner"];

impl RepositoryFilter {
    pub(super) fn read(reader: &mut Reader, selector: &Object<'_>) -> RepositoryFilter {
        let role = reader.given_text(selector, "userRole");
        if let Some(role) = &role
            && !ROLES.contains(&role.as_str())
        {
            let known = ROLES.join(", ");
            reader.mistake(
                selector.path_of("userRole"),
                format_args!("must be one of {known}, not {role:?}"),
            );
        }
        let query = reader.given_text(selector, "repoQuery");
        RepositoryFilter { role, query }
    }

    /// Whether it leaves any repository out that the credentials see.
    pub fn selects(&self) -> bool {
        self.role.is_some() || self.query.is_some()
    }
}

/// A repository by the name that a selector gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    /// Where the mapping gives it: `resources[1].selector.files.repos[0]`.
    pub path: String,
    pub name: String,
}

impl RepositoryName {
    pub(super) fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<RepositoryName> {
        let name = reader.text(node)?.trim().to_owned();
        Some(RepositoryName {
            path: node.path.clone(),
            name,
        })
    }

    /// One name, or a list of them.
    pub(super) fn read_all(
        reader: &mut Reader,
        object: &Object<'_>,
        key: &str,
    ) -> Vec<RepositoryName> {
        let Some(node) = object.get(key) else {
            return Vec::new();
        };
        if !node.value.is_array() {
            return RepositoryName::read(reader, &node).into_iter().collect();
        }
        let items = reader.list(&node).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| RepositoryName::read(reader, item))
            .collect()
    }

    /// Whether it means `repository`: its slug, its name, or its name with dashes for blanks, in any case. The only
    /// statement of that rule. A blank name means no repository.
    pub fn means(&self, repository: &Repository) -> bool {
        let wanted = self.name.to_lowercase();
        let name = repository.name.to_lowercase();
        !wanted.is_empty()
            && (wanted == repository.slug().to_lowercase()
                || wanted == name
                || wanted == name.replace(' ', "-"))
    }
}
