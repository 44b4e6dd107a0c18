//! The store in a database file: what a crash, a second process and a damaged disk leave of it.

use std::fs;
use std::path::{Path, PathBuf};

use ferry::store::documents::{self, Generation};
use ferry::store::lease::Leases;
use ferry::telemetry::chain;
use redb::{Database, TableDefinition};

use super::*;

const FILE: &str = "ferry.redb";

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let name = format!("ferry-store-{}", uuid::Uuid::new_v4());
        Directory(std::env::temp_dir().join(name))
    }

    fn open(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    fn set_aside(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_aside = |path: &PathBuf| path.to_string_lossy().contains(".damaged-");
        paths.filter(is_aside).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What no save would write.
fn plant(file: &Path, key: (&str, &str), value: (u64, u32, &[u8])) {
    let documents: TableDefinition<(&str, &str), (u64, u32, &[u8])> =
        TableDefinition::new("documents");
    let database = Database::create(file).unwrap();
    let writing = database.begin_write().unwrap();
    writing
        .open_table(documents)
        .unwrap()
        .insert(key, value)
        .unwrap();
    writing.commit().unwrap();
}

#[tokio::test]
async fn a_store_in_a_file_keeps_documents_and_survives_the_process() {
    let directory = Directory::new();
    let store = directory.open();
    check(&store).await;
    let revision = store
        .save(&key("a"), &record("1"), Revision::ABSENT)
        .await
        .unwrap();
    let leases = Leases::new(store.clone(), Clock::System);
    let held = attempt(&leases).await.unwrap();
    drop((store, leases, held));

    let store = directory.open();
    let found = store.load(&key("a")).await.unwrap();
    assert_eq!(found.revision, revision);
    assert_eq!(said(found), "1");
    // What the process before held ended with it.
    let leases = Leases::new(store, Clock::System);
    assert!(!attempt(&leases).await.unwrap().was_stolen());
}

#[tokio::test]
async fn a_second_opener_is_told_what_to_do() {
    let directory = Directory::new();
    let store = directory.open();
    let refused = Store::open(&directory.0).err().unwrap();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(
        text.contains("stop the other") && text.contains(FILE),
        "{text}"
    );
    assert_eq!(read(&store, "a").await, "-");
    drop(store);
    directory.open();
}

#[tokio::test]
async fn what_cannot_be_understood_in_a_file_is_absent_and_can_be_replaced() {
    let directory = Directory::new();
    let sound = Generation {
        number: 1,
        fingerprint: "f".to_owned(),
    };
    let body = serde_json::to_vec(&sound).unwrap();
    let cases: [(u32, &[u8]); 4] = [(0, &body), (2, &body), (1, b"{\"num"), (1, b"\xff\x00")];
    let key = documents::generation();
    for (version, garbage) in cases {
        drop(directory.open());
        plant(
            &directory.file(),
            ("mapping", "generation"),
            (1, version, garbage),
        );
        let store = directory.open();
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value, None);
        assert_eq!(store.take_unreadable(), ["mapping/generation"]);
        store.save(&key, &sound, found.revision).await.unwrap();
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value.as_ref(), Some(&sound));
    }
    assert_eq!(directory.set_aside(), [] as [PathBuf; 0]);
}

/// The database of another test, big enough that every part of it can be hit.
async fn filled(directory: &Directory) -> Vec<u8> {
    let store = directory.open();
    let documents = (0..300).map(|number| (key(&number.to_string()), record(&noise(1_000))));
    store.save_all(documents.collect()).await.unwrap();
    drop(store);
    fs::read(directory.file()).unwrap()
}

#[tokio::test]
async fn a_file_that_is_no_whole_database_is_moved_aside_and_begun_anew() {
    let directory = Directory::new();
    let sound = filled(&directory).await;
    let torn = |length: usize| sound[..length].to_vec();
    let overwritten = |from: usize, length: usize| {
        let mut bytes = sound.clone();
        bytes[from..from + length].fill(0xa5);
        bytes
    };
    let cases = [
        ("text", b"not a database at all".to_vec()),
        ("no beginning", overwritten(0, 512)),
        ("its first page only", torn(4_096)),
        ("half of it", torn(sound.len() / 2)),
        ("a few bytes", torn(100)),
        (
            "all but the beginning",
            overwritten(4_096, sound.len() - 4_096),
        ),
    ];
    for (count, (what, bytes)) in (1..).zip(cases) {
        fs::write(directory.file(), &bytes).unwrap();
        let store = directory.open();
        assert_eq!(store.names(&folder(), "").await.unwrap(), [""; 0], "{what}");
        store
            .save(&key("new"), &record("1"), Revision::ABSENT)
            .await
            .unwrap();
        let aside = directory.set_aside();
        assert_eq!(aside.len(), count, "{what}: {aside:?}");
        assert!(
            aside.iter().any(|path| fs::read(path).unwrap() == bytes),
            "{what}"
        );
    }
}

/// A page that the disk has lost: found when the file is opened, not by whoever reads it first.
#[tokio::test]
async fn no_damaged_place_is_met_later() {
    let directory = Directory::new();
    let sound = filled(&directory).await;
    for place in (4_096..sound.len()).step_by(sound.len() / 40) {
        let mut bytes = sound.clone();
        let end = (place + 64).min(bytes.len());
        bytes[place..end].fill(0xa5);
        fs::write(directory.file(), bytes).unwrap();
        let store = directory.open();
        let keys: Vec<Key<Record>> = (0..300).map(|number| key(&number.to_string())).collect();
        let found = store.load_all(&keys).await.unwrap();
        let intact = found.iter().filter(|found| found.value.is_some()).count();
        assert!(intact == 0 || intact == 300, "{place}: {intact}");
        store
            .save(&keys[0], &record("1"), Revision::ANYTHING)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_empty_file_and_a_missing_directory_are_a_new_store() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    fs::write(directory.file(), b"").unwrap();
    let store = directory.open();
    store
        .save(&key("a"), &record("1"), Revision::ABSENT)
        .await
        .unwrap();
    drop(store);
    assert_eq!(read(&directory.open(), "a").await, "1");
    assert_eq!(directory.set_aside(), [] as [PathBuf; 0]);

    // A file where the directory should be is nobody's damage.
    let refused = Store::open(directory.file()).err().unwrap();
    assert!(
        matches!(refused, StoreError::Unusable { .. }),
        "{refused:?}"
    );
    let told = chain(&refused);
    assert!(
        told.contains(FILE) && told.contains("FERRY__STATE_DIR"),
        "{told}"
    );
}
