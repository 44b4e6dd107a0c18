//! The names of what Ferry looks at: sources, repositories, partitions, items.
//!
//! Owns the types that stand for them everywhere, in memory and in stored documents. Knows nothing of how anything is
//! read or written. What an item becomes in Port has a name of its own, [`EntityKey`](crate::entity::EntityKey).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One distinct query of the mapping. The same query has the same id in every run and every process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(String);

/// A repository's uuid with its braces, as Bitbucket writes it. Names and slugs change, uuids do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(String);

/// One source, as far as one repository is concerned, or the workspace where the source belongs to no repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    pub source: SourceId,
    /// `None`: the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryId>,
}

/// What is looked at in one piece: a pull request by its number, everything else with its whole partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ItemId {
    Whole,
    Number(u64),
}

/// An item of a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRef {
    pub partition: PartitionId,
    pub item: ItemId,
}

/// Which part of a partition's record holds an item: numbered items by hundreds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(pub u64);

/// A bucket of a partition: as precisely as a row names who holds an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub partition: PartitionId,
    pub bucket: Bucket,
}

/// Numbered items of one bucket.
const ITEMS_PER_BUCKET: u64 = 100;

/// Hexadecimal digits of a commit's whole name, at least (Git: SHA-1).
const HASH_DIGITS: usize = 40;

/// How a partition of the workspace is named where a repository would be.
const WORKSPACE: &str = "workspace";

impl SourceId {
    pub fn new(id: impl Into<String>) -> SourceId {
        SourceId(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RepositoryId {
    pub fn new(uuid: impl Into<String>) -> RepositoryId {
        RepositoryId(uuid.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartitionId {
    pub fn of_workspace(source: SourceId) -> PartitionId {
        PartitionId {
            source,
            repository: None,
        }
    }

    pub fn of_repository(source: SourceId, repository: RepositoryId) -> PartitionId {
        PartitionId {
            source,
            repository: Some(repository),
        }
    }

    /// The repository's uuid, or a word for the workspace.
    pub fn owner(&self) -> &str {
        self.repository
            .as_ref()
            .map_or(WORKSPACE, RepositoryId::as_str)
    }

    /// Reads back what [`owner`](PartitionId::owner) gave.
    pub fn with_owner(source: SourceId, owner: &str) -> PartitionId {
        PartitionId {
            source,
            repository: (owner != WORKSPACE).then(|| RepositoryId::new(owner)),
        }
    }

    pub fn item(&self, item: ItemId) -> ItemRef {
        ItemRef {
            partition: self.clone(),
            item,
        }
    }
}

impl ItemId {
    pub fn bucket(self) -> Bucket {
        match self {
            ItemId::Whole => Bucket(0),
            ItemId::Number(number) => Bucket(number / ITEMS_PER_BUCKET),
        }
    }
}

impl ItemRef {
    pub fn place(&self) -> Place {
        Place {
            partition: self.partition.clone(),
            bucket: self.item.bucket(),
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.owner())
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ItemId::Whole => f.write_str("*"),
            ItemId::Number(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.item)
    }
}

impl From<ItemId> for String {
    fn from(item: ItemId) -> String {
        item.to_string()
    }
}

impl TryFrom<String> for ItemId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<ItemId, Self::Error> {
        match text.as_str() {
            "*" => Ok(ItemId::Whole),
            number => Ok(ItemId::Number(number.parse()?)),
        }
    }
}

/// What later requests need to know of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    pub uuid: RepositoryId,
    /// `workspace/slug`
    pub full_name: String,
    /// As people see it, with blanks and capitals.
    pub name: String,
    /// `None` for a repository without commits.
    pub main_branch: Option<String>,
    /// Hash of the commit at the head of the main branch, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

impl Repository {
    /// What `raw` says; `None` when it is no repository that could be asked about.
    pub fn of(raw: &Value) -> Option<Repository> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Repository {
            uuid: RepositoryId::new(text(raw.get("uuid")?)?),
            full_name: raw.get("full_name").and_then(text).unwrap_or_default(),
            name: raw.get("name").and_then(text).unwrap_or_default(),
            main_branch: raw.pointer("/mainbranch/name").and_then(text),
            head: raw
                .pointer("/mainbranch/target/hash")
                .and_then(text)
                .filter(|hash| is_hash(hash)),
        })
    }

    /// The same, for whoever has to ask for the head at another moment.
    #[must_use]
    pub fn without_head(&self) -> Repository {
        Repository {
            head: None,
            ..self.clone()
        }
    }

    /// The commit at the head of `branch`, where that is known.
    pub fn head_of(&self, branch: &str) -> Option<&str> {
        let is_main = self.main_branch.as_deref() == Some(branch);
        self.head.as_deref().filter(|_| is_main)
    }

    /// The last part of its address.
    pub fn slug(&self) -> &str {
        self.full_name.rsplit('/').next().unwrap_or_default()
    }
}

/// Anything else would be taken for the name of a branch.
fn is_hash(text: &str) -> bool {
    HASH_DIGITS <= text.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_being_stored() {
        let partition =
            PartitionId::of_repository(SourceId::new("tree-all"), RepositoryId::new("{1}"));
        for item in [ItemId::Whole, ItemId::Number(0), ItemId::Number(417)] {
            let item = partition.item(item);
            let stored = serde_json::to_string(&item).unwrap();
            assert_eq!(serde_json::from_str::<ItemRef>(&stored).unwrap(), item);
        }
        let again = PartitionId::with_owner(partition.source.clone(), partition.owner());
        assert_eq!(again, partition);
        let workspace = PartitionId::of_workspace(SourceId::new("project"));
        let again = PartitionId::with_owner(workspace.source.clone(), workspace.owner());
        assert_eq!(again, workspace);
    }

    #[test]
    fn numbers_share_a_bucket_by_hundreds() {
        assert_eq!(ItemId::Number(99).bucket(), Bucket(0));
        assert_eq!(ItemId::Number(100).bucket(), Bucket(1));
        assert_eq!(ItemId::Whole.bucket(), Bucket(0));
    }
}
