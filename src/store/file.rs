//! The store in an embedded database file, for the command line and `ferry serve`.
//!
//! Every write is on the disk before it is answered, and a crash leaves the state before or after it. The operating
//! system's lock on the file keeps a second process out. Leases are kept in memory, for their holders end with the
//! process. `disk` opens the file, and opens it again after a failure.

mod disk;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::StoreError;
use super::documents::LEASES;
use super::memory::Memory;
use super::raw::{Address, Draft, Leaf, Mutation, Revision, Stored};
use disk::{Create, Disk, ReadOnlyDocuments, Tables};

/// The database in the store's directory.
const FILE: &str = "ferry.redb";

/// Documents of one page of a listing.
const PAGE: usize = 500;

pub(super) struct File {
    disk: Arc<Disk>,
    leases: Memory,
}

impl File {
    pub(super) fn open(directory: PathBuf) -> Result<File, StoreError> {
        File::open_by(Box::new(disk::create), directory)
    }

    fn open_by(create: Create, directory: PathBuf) -> Result<File, StoreError> {
        let path = directory.join(FILE);
        fs::create_dir_all(&directory).map_err(|error| StoreError::Unusable {
            path: directory,
            source: error.into(),
        })?;
        Ok(File {
            disk: Arc::new(Disk::open(create, path)?),
            leases: Memory::default(),
        })
    }

    /// Whether documents can be written. Where the last use failed, it is tried.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        match self.disk.is_failing() {
            true => self.blocking(Disk::probe).await,
            false => Ok(()),
        }
    }

    /// What lies at each of `addresses`, in their order.
    pub(super) async fn load(
        &self,
        addresses: Vec<Address>,
    ) -> anyhow::Result<Vec<Option<Stored>>> {
        if addresses.iter().all(is_lease) {
            return Ok(addresses.iter().map(|at| self.leases.load(at)).collect());
        }
        let load = move |documents: &ReadOnlyDocuments| {
            let load = |at: &Address| {
                let found = documents.get((at.folder.as_str(), at.name.as_str()))?;
                Ok(found.map(|found| stored(found.value())))
            };
            addresses.iter().map(load).collect()
        };
        self.blocking(move |disk| disk.read(load)).await
    }

    /// False if the document is not what was expected.
    pub(super) async fn save(
        &self,
        address: Address,
        draft: Draft,
        expected: Revision,
    ) -> anyhow::Result<bool> {
        if is_lease(&address) {
            return Ok(self.leases.save(&address, draft, expected));
        }
        let save = move |tables: &mut Tables<'_>| {
            let is_met = expected.is_met_by(tables.revision(&address)?);
            if is_met {
                tables.change(&address, Mutation::Put(draft))?;
            }
            Ok(is_met)
        };
        self.blocking(move |disk| disk.write(save)).await
    }

    /// False if the document is another than was expected.
    pub(super) async fn remove_if(
        &self,
        address: Address,
        expected: Revision,
    ) -> anyhow::Result<bool> {
        if is_lease(&address) {
            return Ok(self.leases.remove_if(&address, expected));
        }
        let remove = move |tables: &mut Tables<'_>| {
            let found = tables.revision(&address)?;
            let is_met = found.is_none() || expected.is_met_by(found);
            if is_met {
                tables.change(&address, Mutation::Remove)?;
            }
            Ok(is_met)
        };
        self.blocking(move |disk| disk.write(remove)).await
    }

    /// All of it or nothing.
    pub(super) async fn change(&self, changes: Vec<(Address, Mutation)>) -> anyhow::Result<()> {
        let is_of_lease = |(address, _): &(Address, Mutation)| is_lease(address);
        let (leases, others) = changes.into_iter().partition(is_of_lease);
        self.leases.change(leases);
        let others: Vec<(Address, Mutation)> = others;
        if others.is_empty() {
            return Ok(());
        }
        let change = move |tables: &mut Tables<'_>| {
            for (address, change) in others {
                tables.change(&address, change)?;
            }
            Ok(true)
        };
        self.blocking(move |disk| disk.write(change)).await?;
        Ok(())
    }

    /// The documents of `folder` whose names begin with `prefix` and come after `after`.
    pub(super) async fn list(
        &self,
        folder: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> anyhow::Result<Leaf<Stored>> {
        if folder == LEASES {
            return Ok(self.leases.list(folder, prefix, after));
        }
        let (folder, prefix) = (folder.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        let list = move |documents: &ReadOnlyDocuments| {
            let from = after.as_deref().unwrap_or(&prefix);
            let mut found = Vec::new();
            for entry in documents.range((folder.as_str(), from)..)? {
                let (key, value) = entry?;
                let (at, name) = key.value();
                if at != folder || !name.starts_with(&prefix) {
                    break;
                }
                if after.as_deref() != Some(name) {
                    found.push((name.to_owned(), stored(value.value())));
                }
                if found.len() == PAGE {
                    return Ok(Leaf { found, more: true });
                }
            }
            Ok(Leaf { found, more: false })
        };
        self.blocking(move |disk| disk.read(list)).await
    }

    /// The disk is waited for where nobody else waits.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let disk = Arc::clone(&self.disk);
        let done = tokio::task::spawn_blocking(move || work(&disk)).await;
        done.context("the database cannot be read")?
    }
}

fn is_lease(address: &Address) -> bool {
    address.folder == LEASES
}

fn stored((revision, version, body): (u64, u32, &[u8])) -> Stored {
    Stored {
        revision: Revision::number(revision),
        version: Some(version),
        body: Some(body.to_vec()),
    }
}
