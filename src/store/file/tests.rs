//! A disk that fails for a while.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend};

use super::*;
use crate::store::documents::{self, Generation};
use crate::store::{Backend, Revision, Store};
use crate::telemetry::chain;

/// A file on a disk that takes nothing while it is full.
#[derive(Debug)]
struct OnDisk {
    file: FileBackend,
    is_full: Arc<AtomicBool>,
}

impl OnDisk {
    fn has_room(&self) -> std::io::Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(std::io::Error::from_raw_os_error(28)),
            false => Ok(()),
        }
    }
}

impl StorageBackend for OnDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.has_room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.has_room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}

/// A store on such a disk, in a directory of its own.
fn on_a_disk(is_full: &Arc<AtomicBool>) -> (PathBuf, Store) {
    let name = format!("ferry-disk-{}", uuid::Uuid::new_v4());
    let directory = std::env::temp_dir().join(name);
    let is_full = Arc::clone(is_full);
    let create = move |path: &Path| -> Result<Database, DatabaseError> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Database::builder()
            .set_check_integrity_on_open(true)
            .create_with_backend(OnDisk {
                file: FileBackend::new(file)?,
                is_full: Arc::clone(&is_full),
            })
    };
    let file = File::open_by(Box::new(create), directory.clone()).unwrap();
    (directory, Store::on(Backend::File(Arc::new(file))))
}

fn generation(number: u64) -> Generation {
    Generation {
        number,
        fingerprint: "f".repeat(200_000),
    }
}

#[tokio::test]
async fn a_disk_that_was_full_costs_only_what_was_to_be_written_then() {
    let is_full = Arc::default();
    let (directory, store) = on_a_disk(&is_full);
    let key = documents::generation();
    let save = async |number: u64| {
        store
            .save(&key, &generation(number), Revision::ANYTHING)
            .await
            .map_err(|error| chain(&error))
    };
    save(1).await.unwrap();
    store.check().await.unwrap();

    for _ in 0..2 {
        is_full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            let told = save(2).await.unwrap_err();
            // Whatever came before: the file, and what the operating system said of it.
            assert!(
                told.contains("No space left on device") && told.contains(FILE),
                "{told}"
            );
        }
        let told = chain(&store.check().await.unwrap_err());
        assert!(told.contains("No space left"), "{told}");

        is_full.store(false, Ordering::Relaxed);
        let found = store.load(&key).await.unwrap().value.unwrap();
        assert_eq!(found.number, 1, "what was there is still there");
        // That it can be read says nothing of room.
        is_full.store(true, Ordering::Relaxed);
        assert!(store.check().await.is_err());
        is_full.store(false, Ordering::Relaxed);
        store.check().await.unwrap();
    }
    save(3).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap().value.unwrap().number, 3);
    drop(store);
    fs::remove_dir_all(directory).unwrap();
}

/// Many at once meet the failure; each later one finds the file opened again.
#[tokio::test]
async fn nobody_is_left_with_a_closed_file() {
    let is_full = Arc::default();
    let (directory, store) = on_a_disk(&is_full);
    let key = documents::generation();
    store
        .save(&key, &generation(1), Revision::ANYTHING)
        .await
        .unwrap();
    is_full.store(true, Ordering::Relaxed);
    let told = futures_util::future::join_all((0..20).map(async |number| {
        let saved = store
            .save(&key, &generation(number), Revision::ANYTHING)
            .await;
        chain(&saved.unwrap_err())
    }));
    for told in told.await {
        assert!(told.contains("No space left"), "{told}");
    }
    is_full.store(false, Ordering::Relaxed);
    let saved = futures_util::future::join_all((0..20).map(async |number| {
        store
            .save(&key, &generation(number), Revision::ANYTHING)
            .await
    }));
    assert!(saved.await.iter().all(Result::is_ok));
    drop(store);
    fs::remove_dir_all(directory).unwrap();
}
