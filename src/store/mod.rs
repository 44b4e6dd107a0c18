//! Where what outlives an invocation lies: documents under typed keys, written on conditions.
//!
//! Owns the three backends, which offer the same: the memory of a process, an embedded database file, a table in
//! DynamoDB. Knows nothing of what documents say. Reading never fails because of that: what cannot be understood counts
//! as absent, is warned of once and counted, and can be replaced.
//!
//! Every operation ends by the deadline of the handle it was called on ([`Store::within`]), or else within
//! [`PATIENCE`].

pub mod basis;
mod batch;
pub mod documents;
mod dynamodb;
mod error;
#[cfg(feature = "file-store")]
mod file;
pub mod incidents;
pub mod lease;
mod memory;
mod outcome;
mod raw;
mod reading;
mod rehearsal;
mod removal;
pub mod run;
pub mod subscribed;
mod unreadable;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

pub use batch::DocumentBatch;
pub use error::StoreError;
pub use lease::{Asker, Attempt, Lease, LeaseName, Leases};
pub use raw::Revision;
use reading::Freshness;
pub use reading::{FoundDocuments, WantedDocuments};

use crate::deadline::{Clock, Deadline};
use batch::{address, draft};
use documents::{Document, Folder, Key};
use dynamodb::Table;
use error::unavailable;
#[cfg(feature = "file-store")]
use file::File;
use memory::Memory;
use raw::{Address, Leaf, Stored};
use rehearsal::Below;
use unreadable::{Unreadable, found};

/// How long an operation goes on against a store that throttles or does not answer, unless its handle has a deadline
/// that is nearer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The documents of an installation; clones share them.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    unreadable: Arc<Unreadable>,
    deadline: Option<Deadline>,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Memory>),
    Rehearsal(Arc<Memory>, Arc<Below>),
    #[cfg(feature = "file-store")]
    File(Arc<File>),
    Table(Arc<Table>),
}

/// What lies under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<D> {
    /// `None`: nothing, or nothing that this edition can read.
    pub value: Option<D>,
    /// What a save that replaces exactly this has to expect.
    pub revision: Revision,
}

impl Store {
    /// Forgets everything with the process.
    pub fn memory() -> Store {
        Store::on(Backend::Memory(Arc::default()))
    }

    /// Begins as this one is now; what is written to it stays in it.
    #[must_use]
    pub fn rehearsing(&self) -> Store {
        let below = Arc::new(Below::new(self.clone()));
        Store::on(Backend::Rehearsal(Arc::default(), below))
    }

    /// The database file in the directory `path`, both created when missing. A damaged file is moved aside.
    #[cfg(feature = "file-store")]
    pub fn open(path: impl Into<std::path::PathBuf>) -> Result<Store, StoreError> {
        Ok(Store::on(Backend::File(Arc::new(File::open(path.into())?))))
    }

    /// The DynamoDB table `name`, which `template.yaml` describes.
    pub fn dynamodb(client: aws_sdk_dynamodb::Client, name: String, clock: Clock) -> Store {
        Store::on(Backend::Table(Arc::new(Table::new(client, name, clock))))
    }

    fn on(backend: Backend) -> Store {
        Store {
            backend,
            unreadable: Arc::default(),
            deadline: None,
        }
    }

    /// The same store; what is called on this handle ends by `deadline`, repetitions included.
    #[must_use]
    pub fn within(&self, deadline: &Deadline) -> Store {
        Store {
            deadline: Some(deadline.clone()),
            ..self.clone()
        }
    }

    pub async fn load<D: Document>(&self, key: &Key<D>) -> Result<Found<D>, StoreError> {
        let address = address(key);
        let stored = match &self.backend {
            Backend::Memory(memory) => memory.load(&address),
            Backend::Rehearsal(memory, below) => {
                below.draw(std::slice::from_ref(key), memory).await?;
                memory.load(&address)
            }
            #[cfg(feature = "file-store")]
            Backend::File(file) => {
                let loaded = file.load(vec![address.clone()]).await;
                loaded.map_err(unavailable(&address))?.pop().flatten()
            }
            Backend::Table(table) => {
                let loaded = table.load(&address, D::VERSION, self.deadline()).await;
                loaded.map_err(unavailable(&address))?
            }
        };
        Ok(self.found(&address, stored))
    }

    /// What lies under each of `keys`, in their order.
    pub async fn load_all<D: Document>(
        &self,
        keys: &[Key<D>],
    ) -> Result<Vec<Found<D>>, StoreError> {
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        let addresses: Vec<Address> = keys.iter().map(address).collect();
        if let Backend::Rehearsal(memory, below) = &self.backend {
            below.draw(keys, memory).await?;
        }
        let wanted = addresses.iter().map(|at| (at.clone(), D::VERSION));
        let wanted: Vec<_> = wanted.collect();
        let stored = self.load_stored(&wanted, Freshness::Latest).await;
        let stored = stored.map_err(unavailable(first))?;
        let found = addresses.iter().zip(stored);
        Ok(found.map(|(at, stored)| self.found(at, stored)).collect())
    }

    /// Documents of any shapes.
    pub async fn load_together(
        &self,
        wanted: WantedDocuments,
    ) -> Result<FoundDocuments, StoreError> {
        let WantedDocuments { wanted, freshness } = wanted;
        let stored = self.load_stored(&wanted, freshness).await;
        let stored = stored.map_err(unavailable("several documents"))?;
        let addresses = wanted.into_iter().map(|(address, _)| address);
        let found = addresses.zip(stored);
        Ok(FoundDocuments {
            stored: found
                .filter_map(|(at, stored)| Some((at, stored?)))
                .collect(),
            unreadable: Arc::clone(&self.unreadable),
        })
    }

    /// What lies at each address, in their order; each with the version that its reader knows.
    async fn load_stored(
        &self,
        wanted: &[(Address, u32)],
        freshness: Freshness,
    ) -> anyhow::Result<Vec<Option<Stored>>> {
        let addresses = wanted.iter().map(|(address, _)| address);
        match &self.backend {
            Backend::Memory(memory) => Ok(addresses.map(|at| memory.load(at)).collect()),
            Backend::Rehearsal(memory, below) => below.peek(wanted, memory).await,
            #[cfg(feature = "file-store")]
            Backend::File(file) => file.load(addresses.cloned().collect()).await,
            Backend::Table(table) => table.load_all(wanted, freshness, self.deadline()).await,
        }
    }

    /// Hands each document of `folder` whose name begins with `prefix` to `each`, in the order of their names, until that
    /// breaks off. Documents that are written meanwhile may be among them or not.
    pub async fn list<D: Document>(
        &self,
        folder: &Folder<D>,
        prefix: &str,
        mut each: impl FnMut(&str, Found<D>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if let Backend::Rehearsal(memory, below) = &self.backend {
            below.draw_folder(folder, prefix, memory).await?;
        }
        let mut after: Option<String> = None;
        loop {
            let page = match &self.backend {
                Backend::Memory(memory) | Backend::Rehearsal(memory, _) => {
                    memory.list(&folder.name, prefix, after.as_deref())
                }
                #[cfg(feature = "file-store")]
                Backend::File(file) => {
                    let page = file.list(&folder.name, prefix, after.as_deref()).await;
                    page.map_err(unavailable(&folder.name))?
                }
                Backend::Table(table) => {
                    let (after, deadline) = (after.as_deref(), self.deadline());
                    let page = table
                        .list(&folder.name, prefix, after, D::VERSION, deadline)
                        .await;
                    page.map_err(unavailable(&folder.name))?
                }
            };
            let Leaf { found, more } = page;
            for (name, stored) in found {
                let at = address(&folder.key(name.as_str()));
                if each(&name, self.found(&at, Some(stored))).is_break() {
                    return Ok(());
                }
                after = Some(name);
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Names of the documents of `folder` that begin with `prefix`, in their order. No document is read.
    pub async fn names<D: Document>(
        &self,
        folder: &Folder<D>,
        prefix: &str,
    ) -> Result<Vec<String>, StoreError> {
        if let Backend::Table(table) = &self.backend {
            let names = table.names(&folder.name, prefix, self.deadline()).await;
            return names.map_err(unavailable(&folder.name));
        }
        let mut names = Vec::new();
        let each = |name: &str, _: Found<D>| {
            names.push(name.to_owned());
            ControlFlow::Continue(())
        };
        self.list(folder, prefix, each).await?;
        Ok(names)
    }

    /// Writes the document if what lies there is what `expected` says, and returns its new revision.
    pub async fn save<D: Document>(
        &self,
        key: &Key<D>,
        value: &D,
        expected: Revision,
    ) -> Result<Revision, StoreError> {
        let (address, draft) = (address(key), draft(key, value)?);
        let revision = Revision::number(draft.revision);
        let saved = match &self.backend {
            Backend::Memory(memory) => memory.save(&address, draft, expected),
            Backend::Rehearsal(memory, below) => {
                below.draw(std::slice::from_ref(key), memory).await?;
                memory.save(&address, draft, expected)
            }
            #[cfg(feature = "file-store")]
            Backend::File(file) => {
                let saved = file.save(address.clone(), draft, expected).await;
                saved.map_err(unavailable(&address))?
            }
            Backend::Table(table) => {
                let saved = table
                    .save(&address, &draft, expected, self.deadline())
                    .await;
                saved.map_err(unavailable(&address))?
            }
        };
        match saved {
            true => {
                self.unreadable.forget([&address]);
                Ok(revision)
            }
            false => Err(StoreError::Conflict {
                key: address.to_string(),
            }),
        }
    }

    /// Writes the documents whatever lies there, in any order.
    pub async fn save_all<D: Document>(
        &self,
        documents: Vec<(Key<D>, D)>,
    ) -> Result<(), StoreError> {
        let mut batch = DocumentBatch::new();
        for (key, value) in &documents {
            batch.put(key, value)?;
        }
        self.write(batch).await
    }

    /// Does what the batch says, in any order. After an error any part of it may have been done.
    pub async fn write(&self, batch: DocumentBatch) -> Result<(), StoreError> {
        let changes = batch.into_changes();
        let Some((first, _)) = changes.first().cloned() else {
            return Ok(());
        };
        self.unreadable.forget(changes.iter().map(|(at, _)| at));
        let written = match &self.backend {
            Backend::Memory(memory) => {
                memory.change(changes);
                Ok(())
            }
            Backend::Rehearsal(memory, below) => {
                below.cover(changes.iter().map(|(at, _)| at.clone()));
                memory.change(changes);
                Ok(())
            }
            #[cfg(feature = "file-store")]
            Backend::File(file) => file.change(changes).await,
            Backend::Table(table) => table.change(changes, self.deadline()).await,
        };
        written.map_err(unavailable(first))
    }

    /// Whether documents can be written, as far as this process can tell by itself.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.backend {
            #[cfg(feature = "file-store")]
            Backend::File(file) => file.check().await.map_err(unavailable("a probe")),
            Backend::Memory(_) | Backend::Rehearsal(..) | Backend::Table(_) => Ok(()),
        }
    }

    fn found<D: Document>(&self, address: &Address, stored: Option<Stored>) -> Found<D> {
        found(&self.unreadable, address, stored.as_ref())
    }

    /// By when an operation that begins now has to end, as far as the handle says.
    fn deadline(&self) -> Option<&Deadline> {
        self.deadline.as_ref()
    }
}

#[cfg(test)]
mod tests;
