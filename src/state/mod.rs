//! Where progress and memory live between invocations: small versioned JSON documents under text keys.
//!
//! Knows nothing of what the documents say. A write may be tied to the version that was read; whoever lost a race
//! gets [`StateError::Conflict`] and has written nothing.

mod dynamodb;
mod lease;
mod local;

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use lease::Lease;

use crate::deadline::Clock;
use dynamodb::Table;
use local::{Directory, Memory};

/// Name, text and version of a document.
type Found = (String, String, u64);

/// The document store of a process; clones share it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Memory>),
    Directory(Arc<Directory>),
    Table(Arc<Table>),
}

/// A document with the version under which it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<T> {
    pub value: T,
    pub version: u64,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Anything,
    Absent,
    Version(u64),
}

impl Expected {
    /// What was read, or that nothing was there.
    pub fn unchanged<T>(found: Option<&Document<T>>) -> Expected {
        found.map_or(Expected::Absent, |found| Expected::Version(found.version))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Somebody else wrote first. Nothing was written.
    #[error("the document `{key}` has changed meanwhile")]
    Conflict { key: String },
    #[error("the document `{key}` cannot be read as what it should be")]
    Unreadable {
        key: String,
        source: serde_json::Error,
    },
    #[error("cannot reach the state store for `{key}`")]
    Unavailable { key: String, source: anyhow::Error },
}

impl Store {
    /// Forgets everything with the process.
    pub fn memory() -> Store {
        Store {
            backend: Backend::Memory(Arc::default()),
        }
    }

    /// One file per document below `path`, which is created when missing.
    pub fn directory(path: impl Into<std::path::PathBuf>) -> Store {
        Store {
            backend: Backend::Directory(Arc::new(Directory::new(path.into()))),
        }
    }

    /// In the DynamoDB table `name`, which `template.yaml` describes.
    pub fn dynamodb(client: aws_sdk_dynamodb::Client, name: String, clock: Clock) -> Store {
        Store {
            backend: Backend::Table(Arc::new(Table::new(client, name, clock))),
        }
    }

    pub async fn load<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<Document<T>>, StateError> {
        let found = match &self.backend {
            Backend::Memory(memory) => memory.load(key),
            Backend::Directory(directory) => directory.load(key).map_err(unavailable(key))?,
            Backend::Table(table) => table.load(key).await.map_err(unavailable(key))?,
        };
        let Some((text, version)) = found else {
            return Ok(None);
        };
        let value = decode(&text, || key.to_owned())?;
        Ok(Some(Document { value, version }))
    }

    /// Writes the document and returns its new version.
    pub async fn save<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        expected: Expected,
    ) -> Result<u64, StateError> {
        let text = serde_json::to_string(value).map_err(|source| StateError::Unreadable {
            key: key.to_owned(),
            source,
        })?;
        let written = match &self.backend {
            Backend::Memory(memory) => memory.save(key, text, expected),
            Backend::Directory(directory) => directory
                .save(key, &text, expected)
                .map_err(unavailable(key))?,
            Backend::Table(table) => {
                let saved = table.save(key, &text, expected).await;
                saved.map_err(unavailable(key))?
            }
        };
        written.ok_or_else(|| StateError::Conflict {
            key: key.to_owned(),
        })
    }

    /// Applies `change` to what the document says, or to the default of an absent one, again for as long as somebody else
    /// writes in between. What stays the same is not written.
    pub async fn change<T>(&self, key: &str, change: impl Fn(&mut T)) -> Result<(), StateError>
    where
        T: Clone + Default + PartialEq + Serialize + DeserializeOwned,
    {
        loop {
            let found = self.load::<T>(key).await?;
            let expected = Expected::unchanged(found.as_ref());
            let before = found.map(|found| found.value).unwrap_or_default();
            let mut value = before.clone();
            change(&mut value);
            if value == before {
                return Ok(());
            }
            match self.save(key, &value, expected).await {
                Err(StateError::Conflict { .. }) => {}
                saved => return saved.map(|_| ()),
            }
        }
    }

    /// Hands each document directly below `folder` to `each`, with the last part of its key, until that breaks off.
    /// Documents written meanwhile may be among them or not.
    pub async fn list<T: DeserializeOwned>(
        &self,
        folder: &str,
        mut each: impl FnMut(&str, Document<T>) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let mut from = None;
        loop {
            let found = match &self.backend {
                Backend::Memory(memory) => memory.list(folder),
                Backend::Directory(directory) => {
                    directory.list(folder).map_err(unavailable(folder))?
                }
                Backend::Table(table) => {
                    let page = table.list(folder, from.take()).await;
                    let (found, next) = page.map_err(unavailable(folder))?;
                    from = next;
                    found
                }
            };
            for (name, text, version) in found {
                let value = decode(&text, || format!("{folder}/{name}"))?;
                if each(&name, Document { value, version }).is_break() {
                    return Ok(());
                }
            }
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Removes the document; an absent one is as good as removed.
    pub async fn remove(&self, key: &str) -> Result<(), StateError> {
        match &self.backend {
            Backend::Memory(memory) => memory.remove(key),
            Backend::Directory(directory) => directory.remove(key).map_err(unavailable(key))?,
            Backend::Table(table) => table.remove(key).await.map_err(unavailable(key))?,
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(text: &str, key: impl FnOnce() -> String) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|source| StateError::Unreadable { key: key(), source })
}

fn unavailable<E: Into<anyhow::Error>>(key: &str) -> impl FnOnce(E) -> StateError {
    move |source| StateError::Unavailable {
        key: key.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check_conditions(store: &Store) {
        assert_eq!(store.load::<String>("a/b").await.unwrap(), None);
        let first = store.save("a/b", &"one", Expected::Absent).await.unwrap();
        let lost = store.save("a/b", &"two", Expected::Absent).await;
        assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
        let second = store
            .save("a/b", &"two", Expected::Version(first))
            .await
            .unwrap();
        let lost = store.save("a/b", &"three", Expected::Version(first)).await;
        assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
        let read = store.load::<String>("a/b").await.unwrap().unwrap();
        assert_eq!(
            read,
            Document {
                value: "two".to_owned(),
                version: second
            }
        );
        store
            .save("a/b", &"four", Expected::Anything)
            .await
            .unwrap();
        store.save("a/c", &"five", Expected::Absent).await.unwrap();
        store.save("a/b/c", &"no", Expected::Absent).await.unwrap();
        let mut listed = Vec::new();
        let collect = |name: &str, found: Document<String>| {
            listed.push(format!("{name}={}", found.value));
            ControlFlow::Continue(())
        };
        store.list("a", collect).await.unwrap();
        listed.sort();
        assert_eq!(listed, ["b=four", "c=five"]);
        store.remove("a/b").await.unwrap();
        store.remove("a/b").await.unwrap();
        assert_eq!(store.load::<String>("a/b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_change_is_written_when_it_is_one() {
        let store = Store::memory();
        let read = async || store.load::<Vec<u8>>("numbers").await.unwrap();
        store.change("numbers", |_: &mut Vec<u8>| {}).await.unwrap();
        assert_eq!(read().await, None);
        let push = |numbers: &mut Vec<u8>| numbers.push(1);
        store.change("numbers", push).await.unwrap();
        store.change("numbers", push).await.unwrap();
        let twice = read().await.unwrap();
        assert_eq!(twice.value, [1, 1]);
        let keep = |numbers: &mut Vec<u8>| numbers.retain(|number| *number == 1);
        store.change("numbers", keep).await.unwrap();
        assert_eq!(read().await, Some(twice));
    }

    #[tokio::test]
    async fn memory_keeps_versions() {
        check_conditions(&Store::memory()).await;
    }

    #[tokio::test]
    async fn a_directory_keeps_versions_and_survives_the_process() {
        let path = std::env::temp_dir().join(format!("ferry-state-{}", uuid::Uuid::new_v4()));
        check_conditions(&Store::directory(&path)).await;
        Store::directory(&path)
            .save("run", &7, Expected::Absent)
            .await
            .unwrap();
        let read = Store::directory(&path)
            .load::<u8>("run")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(read.value, 7);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
