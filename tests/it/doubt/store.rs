//! Stores that have forgotten, remember another time, or hold what nobody can read: said, and nothing deleted that a
//! fresh resync would have.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ferry::store::Store;
use ferry::store::documents::completed;
use jiff::Timestamp;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde_json::json;

use super::{assert_fresh, assert_spared, retitle, run};
use crate::convergence::every_kind;
use crate::support::{World, event};

const FILE: &str = "ferry.redb";

type Documents = TableDefinition<'static, (&'static str, &'static str), (u64, u32, &'static [u8])>;

const DOCUMENTS: Documents = TableDefinition::new("documents");

/// Folder and name, revision, version, body.
type Document = ((String, String), u64, u32, Vec<u8>);

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let name = format!("ferry-doubt-{}", uuid::Uuid::new_v4());
        Directory(std::env::temp_dir().join(name))
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Every key with its version, and its document.
    fn documents(&self) -> Vec<Document> {
        let database = Database::create(self.file()).unwrap();
        let table = database.begin_read().unwrap().open_table(DOCUMENTS);
        let table = table.unwrap();
        let rows = table.iter().unwrap().map(|row| {
            let (key, value) = row.unwrap();
            let ((folder, name), (revision, version, body)) = (key.value(), value.value());
            let key = (folder.to_owned(), name.to_owned());
            (key, revision, version, body.to_vec())
        });
        rows.collect()
    }

    /// What no save would write.
    fn plant(&self, documents: &[Document]) {
        let database = Database::create(self.file()).unwrap();
        let writing = database.begin_write().unwrap();
        let mut table = writing.open_table(DOCUMENTS).unwrap();
        for ((folder, name), revision, version, body) in documents {
            let value = (*revision, *version, body.as_slice());
            table
                .insert((folder.as_str(), name.as_str()), value)
                .unwrap();
        }
        drop(table);
        writing.commit().unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Lets go of the file, so that it can be meddled with.
fn close(world: &mut World) {
    world.app_mut().store = Store::memory();
    world.replace_function(crate::support::Settings::new());
}

fn reopen(world: &mut World, directory: &Directory) {
    let app = world.elsewhere().with_store(directory.store());
    *world.app_mut() = app;
}

/// After a run, on a store in a file.
async fn world_on(directory: &Directory) -> World {
    let mut world = every_kind().await;
    reopen(&mut world, directory);
    world.resync().await;
    world
}

/// A few changes that nobody tells of, something gone among them.
fn change(world: &World) {
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    world
        .bitbucket
        .merge("payments-api", 1, "Mina Sato")
        .unwrap();
    world
        .bitbucket
        .rename_repository("monorepo", "Mono Repo")
        .unwrap();
}

/// What the store's trouble must not cost: an event, then a run; no deletion that a fresh resync would not make.
async fn assert_mended(world: &World, story: &str) {
    world.port.take_writes();
    let title = format!("After {}", world.clock.now());
    let told = retitle(&world.bitbucket, "payments-api", 2, &title);
    world.deliver(&told).await;
    let fresh = world.fresh_catalogue().await;
    assert_spared(world, &fresh, story);
    // A tick finds by itself that a run is needed, or the schedule brings it.
    world.tick().await.unwrap();
    world.clock.advance(Duration::from_secs(1_000));
    run(world).await.unwrap();
    world.settle().await;
    run(world).await.unwrap();
    assert_fresh(world, story).await;
}

#[tokio::test]
async fn garbage_under_any_key_is_as_if_nothing_were_there() {
    let directory = Directory::new();
    let mut world = world_on(&directory).await;
    close(&mut world);
    let documents = directory.documents();
    assert!(20 < documents.len());
    let intact = directory.bytes();
    let garbage = [
        (&b"{"[..], 0),
        (&b""[..], 0),
        (&b"{}"[..], 0),
        (&b"[7]"[..], 9),
    ];
    let spoilt = |document: &Document, (garbage, newer): (&[u8], u32)| {
        let (key, revision, version, _) = document.clone();
        (key, revision, version + newer, garbage.to_vec())
    };
    // Everything at once, then a share of everything.
    let shares = (1..4).flat_map(|of| (0..of).map(move |share| (share, of)));
    for ((share, of), garbage) in shares.zip(garbage.into_iter().cycle()) {
        fs::write(directory.file(), &intact).unwrap();
        let all = documents.iter().enumerate();
        let chosen = all.filter(|(at, _)| at % of == share);
        let spoilt: Vec<Document> = chosen.map(|(_, it)| spoilt(it, garbage)).collect();
        directory.plant(&spoilt);
        reopen(&mut world, &directory);
        let shown = String::from_utf8_lossy(garbage.0);
        assert_mended(&world, &format!("{share} of {of}: {shown}")).await;
        close(&mut world);
    }
    world.finish();
}

#[tokio::test]
async fn documents_of_an_older_shape_are_as_if_they_were_not_there() {
    let directory = Directory::new();
    let mut world = world_on(&directory).await;
    // A run of an earlier edition is under way.
    close(&mut world);
    let mut older = directory.documents();
    for (_, _, version, _) in &mut older {
        *version = version.saturating_sub(1);
    }
    let of_old = br#"{"id": "of-old", "phase": "reading"}"#.to_vec();
    older.push((("run".to_owned(), "run".to_owned()), 1, 0, of_old));
    directory.plant(&older);
    reopen(&mut world, &directory);
    change(&world);
    // Nothing of it is believed, so a run begins by itself.
    let outcome = world.tick().await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    assert_mended(&world, "an older shape").await;
    world.finish();
}

#[tokio::test]
async fn an_emptied_table_is_filled_by_a_run_that_begins_by_itself() {
    let mut world = every_kind().await;
    world.resync().await;
    change(&world);
    let told = world
        .bitbucket
        .describe_repository("a.b_c", "Told to an empty store")
        .unwrap();
    let app = world.elsewhere().with_store(Store::memory());
    *world.app_mut() = app;
    world.port.take_writes();
    world.deliver(&told).await;
    let outcome = world.tick().await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    world.settle().await;
    assert_fresh(&world, "an emptied table").await;
    world.finish();
}

/// A backup of yesterday: what was recorded since is unknown, what was gone is recorded again.
#[tokio::test]
async fn a_table_restored_to_yesterday_deletes_nothing_on_its_word() {
    let directory = Directory::new();
    let mut world = world_on(&directory).await;
    close(&mut world);
    let yesterday = directory.bytes();
    reopen(&mut world, &directory);
    change(&world);
    // New things, and an old entity that now belongs to another item.
    world
        .bitbucket
        .create_repository("PLAT", "perl-scripts")
        .unwrap();
    world
        .bitbucket
        .create_repository("PAY", "monorepo")
        .unwrap();
    world
        .bitbucket
        .create_repository("PAY", "Of today")
        .unwrap();
    run(&world).await.unwrap();
    world.settle().await;
    close(&mut world);
    fs::write(directory.file(), &yesterday).unwrap();
    reopen(&mut world, &directory);
    assert_mended(&world, "restored").await;
    world.finish();
}

/// In the middle of a run, too: its pages and its state are of another time.
#[tokio::test]
async fn a_table_restored_in_the_middle_of_a_run_is_mended_by_the_next() {
    let directory = Directory::new();
    let mut world = world_on(&directory).await;
    world.app_mut().config.slice_margin = Duration::from_secs(800);
    for server in [world.bitbucket.server(), world.port.server()] {
        let clock = world.clock.clone();
        server.before_each(move |_| clock.advance(Duration::from_secs(4)));
    }
    change(&world);
    let outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(outcome["status"], "paused", "{outcome:#}");
    for server in [world.bitbucket.server(), world.port.server()] {
        server.before_each(|_| ());
    }
    close(&mut world);
    let halfway = directory.bytes();
    reopen(&mut world, &directory);
    run(&world).await.unwrap();
    close(&mut world);
    fs::write(directory.file(), &halfway).unwrap();
    reopen(&mut world, &directory);
    world
        .bitbucket
        .create_repository("PLAT", "perl-scripts")
        .unwrap();
    assert_mended(&world, "restored to the middle of a run").await;
    world.finish();
}

/// Two installations write under one identifier, each with a store of its own. Neither deletes what exists.
#[tokio::test]
async fn two_installations_with_one_identifier_delete_nothing_that_exists() {
    let world = every_kind().await;
    world.resync().await;
    let other = world.elsewhere().with_store(Store::memory());
    let resync = || world.invoke_at(&other, event("eventbridge-rule"));
    resync().await.unwrap();
    change(&world);
    let told = retitle(&world.bitbucket, "payments-api", 2, "Told to one");
    world.deliver(&told).await;
    resync().await.unwrap();
    let (_, told) = world.bitbucket.create_repository("PLAT", "Of one").unwrap();
    world.deliver(&told).await;
    resync().await.unwrap();
    run(&world).await.unwrap();
    world.settle().await;
    assert_fresh(&world, "two installations").await;
    world.finish();
}

/// The machine's clock is wrong, or set right in the middle: leases, tokens and waits go by what passes.
#[tokio::test]
async fn a_clock_ten_minutes_off_costs_nothing() {
    let world = every_kind().await.with_queue().await;
    world.resync().await;
    // Bitbucket's clock is behind ours, then ahead.
    let seen = retitle(&world.bitbucket, "payments-api", 2, "Now").remove(0);
    let theirs = seen.json()["pullrequest"]["updated_on"].clone();
    let theirs: Timestamp = theirs.as_str().unwrap().parse().unwrap();
    let ahead = Duration::try_from(theirs.duration_since(world.clock.now())).unwrap();
    world.clock.advance(ahead + Duration::from_secs(600));
    world.accept(&[seen]).await;
    world.drain().await;
    for seconds in [0, 1_200] {
        world.port.take_writes();
        world.bitbucket.advance_clock(seconds);
        let mut told = retitle(
            &world.bitbucket,
            "payments-api",
            2,
            &format!("At {seconds}"),
        );
        let text = format!("Described at {seconds}");
        told.extend(world.bitbucket.describe_repository("a.b_c", &text).unwrap());
        world.accept(&told).await;
        // At once: nobody takes the answers for old ones.
        assert_eq!(world.work_off().await, (told.len(), 0), "{seconds}");
        world.drain().await;
        assert_fresh(&world, &format!("{seconds} seconds off")).await;
    }
    world.finish();
}

/// A record that is lost alone: its entities are adopted by nobody else, and deleted by nobody.
#[tokio::test]
async fn what_is_known_of_the_last_run_may_be_lost() {
    let world = every_kind().await;
    world.resync().await;
    world.app().store.remove(&completed()).await.unwrap();
    change(&world);
    world.port.take_writes();
    run(&world).await.unwrap();
    world.settle().await;
    assert_fresh(&world, "the last run is forgotten").await;
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["counts"]["written"], json!(0));
    world.finish();
}
