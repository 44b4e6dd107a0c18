//! The database file on the disk: who opens it, what becomes of a damaged one, and how it gets over a failure.
//!
//! After an I/O error the library refuses every further use. So the file is closed then, and opened again by whoever uses
//! it next: a disk that was full for a moment costs what was to be written in that moment. Knows no meaning of documents.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context as _, anyhow, bail};
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _,
    StorageError, Table, TableDefinition,
};

use crate::deadline::{Clock, later};
use crate::locked::locked;
use crate::store::StoreError;
use crate::store::raw::{Address, Draft, Mutation, Revision};

/// Folder and name; revision, version of the shape, JSON.
const DOCUMENTS: TableDefinition<(&str, &str), (u64, u32, &[u8])> =
    TableDefinition::new("documents");

/// Folder and name of the documents that do not live for ever; seconds since 1970.
const EXPIRING: TableDefinition<(&str, &str), i64> = TableDefinition::new("expiring");

/// What a probe writes: more than fits into what the file has left over.
const PROBE_BYTES: usize = 64 << 10;

pub(super) type ReadOnlyDocuments =
    ReadOnlyTable<(&'static str, &'static str), (u64, u32, &'static [u8])>;

/// Opens the database at a path, or makes a new one there.
pub(super) type Create = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

pub(super) struct Disk {
    create: Create,
    path: PathBuf,
    /// `None` after a failure, until the next use.
    database: RwLock<Option<Database>>,
    /// What the disk said when it failed, until something could be written again.
    failure: Mutex<Option<String>>,
}

impl Disk {
    /// A damaged file is moved aside, and another one begun.
    pub(super) fn open(create: Create, path: PathBuf) -> Result<Disk, StoreError> {
        let cannot = |source: anyhow::Error| StoreError::Unusable {
            path: path.clone(),
            source,
        };
        let mut opened = attempt(&create, &path);
        if let Opened::Damaged(damage) = opened {
            let aside = move_aside(&path).map_err(|error| cannot(error.into()))?;
            tracing::warn!(
                file = %path.display(),
                kept = %aside.display(),
                problem = damage,
                "database is damaged and begun anew"
            );
            opened = attempt(&create, &path);
        }
        let database = match opened {
            Opened::Ready(database) => database,
            Opened::InUse => return Err(StoreError::InUse { path }),
            Opened::Failed(error) => return Err(cannot(error)),
            Opened::Damaged(damage) => return Err(cannot(anyhow!(damage))),
        };
        let disk = Disk {
            create,
            path: path.clone(),
            database: RwLock::new(Some(database)),
            failure: Mutex::default(),
        };
        disk.write(forget).map_err(cannot)?;
        Ok(disk)
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadOnlyDocuments) -> Result<T, redb::Error>,
    ) -> anyhow::Result<T> {
        self.with(|database| read(&database.begin_read()?.open_table(DOCUMENTS)?))
    }

    /// Keeps what `change` has changed if that says so, and returns what it said.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<bool, redb::Error>,
    ) -> anyhow::Result<bool> {
        let is_kept = self.with(|database| {
            let writing = database.begin_write()?;
            let is_kept = change(&mut Tables::open(&writing)?)?;
            if is_kept {
                writing.commit()?;
            }
            Ok(is_kept)
        })?;
        if is_kept {
            *self.failure() = None;
        }
        Ok(is_kept)
    }

    /// Whether nothing could be written since the last failure.
    pub(super) fn is_failing(&self) -> bool {
        self.failure().is_some()
    }

    /// Writes something, and removes it.
    pub(super) fn probe(&self) -> anyhow::Result<()> {
        let address = Address {
            folder: "probe".to_owned(),
            name: "probe".to_owned(),
        };
        let draft = Draft {
            revision: Revision::fresh(),
            version: 1,
            body: vec![b' '; PROBE_BYTES],
            lifetime: None,
        };
        for change in [Mutation::Put(draft), Mutation::Remove] {
            self.write(|tables| tables.change(&address, change).map(|()| true))?;
        }
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> anyhow::Result<T> {
        let guard = self.opened()?;
        let database = guard.as_ref().context("the database is closed")?;
        // Noted before the guard goes: whoever only hears that there was a failure closes the file after that.
        let done = work(database).inspect_err(|error| self.note(error));
        drop(guard);
        done.map_err(|error| self.failed(error))
    }

    /// The database, opened again where a failure has closed it.
    fn opened(&self) -> anyhow::Result<RwLockReadGuard<'_, Option<Database>>> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(guard);
        }
        drop(guard);
        let mut guard = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            let path = self.path.display();
            match attempt(&self.create, &self.path) {
                Opened::Ready(database) => *guard = Some(database),
                Opened::InUse => bail!("{path}: another process has taken it"),
                Opened::Failed(error) => return Err(error.context(path.to_string())),
                // What it holds is wanted: only a start gives it up.
                Opened::Damaged(damage) => bail!("{path}: it is damaged ({damage}): start anew"),
            }
        }
        Ok(RwLockWriteGuard::downgrade(guard))
    }

    fn note(&self, error: &redb::Error) {
        // The library only repeats that there was one.
        if is_of_the_disk(error) && !matches!(error, redb::Error::PreviousIo) {
            *self.failure() = Some(error.to_string());
        }
    }

    /// Closes the file where the disk has failed.
    fn failed(&self, error: redb::Error) -> anyhow::Error {
        if !is_of_the_disk(&error) {
            return error.into();
        }
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let said = self
            .failure()
            .get_or_insert_with(|| error.to_string())
            .clone();
        anyhow!("{}: {said}", self.path.display())
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        locked(&self.failure)
    }
}

fn is_of_the_disk(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::Io(_)
            | redb::Error::PreviousIo
            | redb::Error::Backend(_)
            | redb::Error::Corrupted(_)
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
    )
}

pub(super) fn create(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder()
        .set_check_integrity_on_open(true)
        .create(path)
}

/// The tables of one transaction.
pub(super) struct Tables<'a> {
    documents: Table<'a, (&'static str, &'static str), (u64, u32, &'static [u8])>,
    expiring: Table<'a, (&'static str, &'static str), i64>,
}

impl Tables<'_> {
    fn open(writing: &redb::WriteTransaction) -> Result<Tables<'_>, redb::Error> {
        Ok(Tables {
            documents: writing.open_table(DOCUMENTS)?,
            expiring: writing.open_table(EXPIRING)?,
        })
    }

    pub(super) fn revision(&self, address: &Address) -> Result<Option<u64>, redb::Error> {
        let found = self
            .documents
            .get((address.folder.as_str(), address.name.as_str()))?;
        Ok(found.map(|found| found.value().0))
    }

    pub(super) fn change(
        &mut self,
        address: &Address,
        change: Mutation,
    ) -> Result<(), redb::Error> {
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

fn attempt(create: &Create, path: &Path) -> Opened {
    // The library checks what it reads, and stops in some places where a damaged file contradicts itself.
    let opened = catch_unwind(AssertUnwindSafe(|| create(path)));
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
fn forget(tables: &mut Tables<'_>) -> Result<bool, redb::Error> {
    let now = Clock::System.now().as_second();
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
    Ok(true)
}
