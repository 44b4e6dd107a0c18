//! The store in an embedded database file, for the command line and `ferry serve`.
//!
//! Every write is on the disk before it is answered, and a crash leaves the state before or after it. The operating
//! system's lock on the file keeps a second process out. Leases are kept in memory, for their holders end with the
//! process.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, Table,
    TableDefinition,
};

use super::StoreError;
use super::documents::LEASES;
use super::memory::Memory;
use super::raw::{Address, Draft, Leaf, Mutation, Revision, Stored};
use crate::deadline::{Clock, later};

/// The database in the store's directory.
const FILE: &str = "ferry.redb";

/// Folder and name; revision, version of the shape, JSON.
const DOCUMENTS: TableDefinition<(&str, &str), (u64, u32, &[u8])> =
    TableDefinition::new("documents");

/// Folder and name of the documents that do not live for ever; seconds since 1970.
const EXPIRING: TableDefinition<(&str, &str), i64> = TableDefinition::new("expiring");

/// Documents of one page of a listing.
const PAGE: usize = 500;

pub(super) struct File {
    database: Arc<Database>,
    leases: Memory,
}

impl File {
    pub(super) fn open(directory: PathBuf) -> Result<File, StoreError> {
        let path = directory.join(FILE);
        let cannot = |source: anyhow::Error| StoreError::Unavailable {
            key: path.display().to_string(),
            source,
        };
        fs::create_dir_all(&directory).map_err(|error| cannot(error.into()))?;
        let damage = match attempt(&path) {
            Opened::Ready(database) => return File::ready(database).map_err(cannot),
            Opened::InUse => return Err(StoreError::InUse { path }),
            Opened::Failed(error) => return Err(cannot(error)),
            Opened::Damaged(damage) => damage,
        };
        let aside = move_aside(&path).map_err(|error| cannot(error.into()))?;
        tracing::warn!(
            file = %path.display(),
            kept = %aside.display(),
            problem = damage,
            "database is damaged and begun anew"
        );
        match attempt(&path) {
            Opened::Ready(database) => File::ready(database).map_err(cannot),
            Opened::InUse => Err(StoreError::InUse { path }),
            Opened::Failed(error) => Err(cannot(error)),
            Opened::Damaged(damage) => Err(cannot(anyhow!(damage))),
        }
    }

    fn ready(database: Database) -> anyhow::Result<File> {
        forget(&database)?;
        Ok(File {
            database: Arc::new(database),
            leases: Memory::default(),
        })
    }

    /// What lies at each of `addresses`, in their order.
    pub(super) async fn load(
        &self,
        addresses: Vec<Address>,
    ) -> anyhow::Result<Vec<Option<Stored>>> {
        if addresses.iter().all(is_lease) {
            return Ok(addresses.iter().map(|at| self.leases.load(at)).collect());
        }
        self.blocking(move |database| {
            let documents = database.begin_read()?.open_table(DOCUMENTS)?;
            let load = |at: &Address| {
                let found = documents.get((at.folder.as_str(), at.name.as_str()))?;
                anyhow::Ok(found.map(|found| stored(found.value())))
            };
            addresses.iter().map(load).collect()
        })
        .await
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
        self.blocking(move |database| {
            let writing = database.begin_write()?;
            {
                let mut tables = Tables::open(&writing)?;
                if !expected.is_met_by(tables.revision(&address)?) {
                    return Ok(false);
                }
                tables.change(&address, Mutation::Put(draft))?;
            }
            writing.commit()?;
            Ok(true)
        })
        .await
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
        self.blocking(move |database| {
            let writing = database.begin_write()?;
            {
                let mut tables = Tables::open(&writing)?;
                let found = tables.revision(&address)?;
                if found.is_some() && !expected.is_met_by(found) {
                    return Ok(false);
                }
                tables.change(&address, Mutation::Remove)?;
            }
            writing.commit()?;
            Ok(true)
        })
        .await
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
        self.blocking(move |database| {
            let writing = database.begin_write()?;
            {
                let mut tables = Tables::open(&writing)?;
                for (address, change) in others {
                    tables.change(&address, change)?;
                }
            }
            writing.commit()?;
            Ok(())
        })
        .await
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
        self.blocking(move |database| {
            let documents = database.begin_read()?.open_table(DOCUMENTS)?;
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
        })
        .await
    }

    /// The disk is waited for where nobody else waits.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let database = self.database.clone();
        let done = tokio::task::spawn_blocking(move || work(&database)).await;
        done.context("the database cannot be read")?
    }
}

/// The tables of one transaction.
struct Tables<'a> {
    documents: Table<'a, (&'static str, &'static str), (u64, u32, &'static [u8])>,
    expiring: Table<'a, (&'static str, &'static str), i64>,
}

impl Tables<'_> {
    fn open(writing: &redb::WriteTransaction) -> anyhow::Result<Tables<'_>> {
        Ok(Tables {
            documents: writing.open_table(DOCUMENTS)?,
            expiring: writing.open_table(EXPIRING)?,
        })
    }

    fn revision(&self, address: &Address) -> anyhow::Result<Option<u64>> {
        let found = self
            .documents
            .get((address.folder.as_str(), address.name.as_str()))?;
        Ok(found.map(|found| found.value().0))
    }

    fn change(&mut self, address: &Address, change: Mutation) -> anyhow::Result<()> {
        let key = (address.folder.as_str(), address.name.as_str());
        let lifetime = match change {
            Mutation::Put(draft) => {
                let value = (draft.revision, draft.version, draft.body.as_slice());
                self.documents.insert(key, value)?;
                draft.lifetime
            }
            Mutation::Remove => {
                self.documents.remove(key)?;
                None
            }
        };
        match lifetime {
            Some(lifetime) => {
                let expires = later(Clock::System.now(), lifetime).as_second();
                self.expiring.insert(key, expires)?;
            }
            None => {
                self.expiring.remove(key)?;
            }
        }
        Ok(())
    }
}

enum Opened {
    Ready(Database),
    InUse,
    /// It is no database, or not a whole one.
    Damaged(String),
    Failed(anyhow::Error),
}

fn attempt(path: &Path) -> Opened {
    // The library checks what it reads, and stops in some places where a damaged file contradicts itself.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Database::builder()
            .set_check_integrity_on_open(true)
            .create(path)
    }));
    match opened {
        Ok(Ok(database)) => Opened::Ready(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)) => {
            Opened::InUse
        }
        Ok(Err(error)) if is_damage(&error) => Opened::Damaged(error.to_string()),
        Ok(Err(error)) => Opened::Failed(error.into()),
        Err(panic) => Opened::Damaged(said(panic.as_ref())),
    }
}

fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ),
        DatabaseError::Storage(StorageError::Corrupted(_))
        | DatabaseError::RepairAborted
        | DatabaseError::UpgradeRequired(_) => true,
        _ => false,
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it contradicts itself")
        .to_owned()
}

/// Where the damaged file is kept.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let time = Clock::System.now().strftime("%Y%m%dT%H%M%S%.6fZ");
    let aside = path.with_extension(format!("redb.damaged-{time}"));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes documents that have outlived their time, and makes sure that there are tables to read.
fn forget(database: &Database) -> anyhow::Result<()> {
    let now = Clock::System.now().as_second();
    let writing = database.begin_write()?;
    {
        let mut tables = Tables::open(&writing)?;
        let mut outlived = Vec::new();
        for entry in tables.expiring.iter()? {
            let (key, expires) = entry?;
            if expires.value() < now {
                let (folder, name) = key.value();
                outlived.push(Address {
                    folder: folder.to_owned(),
                    name: name.to_owned(),
                });
            }
        }
        for address in outlived {
            tables.change(&address, Mutation::Remove)?;
        }
    }
    writing.commit()?;
    Ok(())
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
