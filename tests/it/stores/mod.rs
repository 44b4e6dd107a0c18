//! What every store does alike: told once, for a store in memory, in a file, and in DynamoDB (`emulated`).

mod answers;
mod emulated;
#[cfg(feature = "file-store")]
mod file;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use ferry::deadline::Clock;
use ferry::entity::EntityKey;
use ferry::identity::{ItemId, SourceId};
use ferry::store::documents::{
    self, Claim, Entry, Folder, Generation, Key, Record, Stamp, StoredMapping,
};
use ferry::store::lease::{Asker, Attempt, Lease, LeaseName, Leases};
use ferry::store::{DocumentBatch, Found, Revision, Store, StoreError};
use serde_json::json;

use crate::emulated::noise;

fn folder() -> Folder<Record> {
    documents::records(&SourceId::new("pull-request"))
}

fn key(name: &str) -> Key<Record> {
    folder().key(name)
}

/// A record that says `text`.
fn record(text: &str) -> Record {
    let claim = Claim {
        resource: text.to_owned(),
        member: String::new(),
        content: Vec::new(),
        targets: [EntityKey::new("service", "käse")].into(),
    };
    let entry = Entry {
        stamp: Stamp(u64::MAX),
        sure: true,
        empty_since: None,
        last_write: None,
        basis: None,
        claims: vec![claim],
    };
    Record {
        items: BTreeMap::from([(ItemId::Number(7), entry)]),
    }
}

fn said(found: Found<Record>) -> String {
    let entry = found
        .value
        .and_then(|record| record.items.into_values().next());
    entry.map_or_else(|| "-".to_owned(), |entry| entry.claims[0].resource.clone())
}

async fn read(store: &Store, name: &str) -> String {
    said(store.load(&key(name)).await.unwrap())
}

/// All of the suite, on a store that holds nothing.
async fn check(store: &Store) {
    conditions_hold(store).await;
    of_many_writers_one_succeeds(store).await;
    folders_are_listed_in_order(store).await;
    batches_do_what_they_say(store).await;
    documents_have_any_size(store).await;
    a_lease_has_one_holder(store).await;
    assert_eq!(store.take_unreadable(), [""; 0]);
}

async fn conditions_hold(store: &Store) {
    let key = key("a");
    let absent = store.load(&key).await.unwrap();
    assert_eq!((absent.value, absent.revision), (None, Revision::ABSENT));
    let first = store
        .save(&key, &record("1"), Revision::ABSENT)
        .await
        .unwrap();
    let refused = async |expected| {
        let lost = store.save(&key, &record("lost"), expected).await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    };
    refused(Revision::ABSENT).await;
    assert_eq!(store.load(&key).await.unwrap().revision, first);
    let second = store.save(&key, &record("2"), first).await.unwrap();
    refused(first).await;
    assert_eq!(read(store, "a").await, "2");
    let third = store
        .save(&key, &record("3"), Revision::ANYTHING)
        .await
        .unwrap();
    refused(second).await;
    store.remove(&key).await.unwrap();
    store.remove(&key).await.unwrap();
    refused(third).await;
    assert_eq!(read(store, "a").await, "-");
    // What is removed and written anew is not what it was.
    store
        .save(&key, &record("4"), Revision::ABSENT)
        .await
        .unwrap();
    for old in [first, second, third] {
        refused(old).await;
    }
    assert_eq!(read(store, "a").await, "4");
    store.remove(&key).await.unwrap();
}

async fn of_many_writers_one_succeeds(store: &Store) {
    let key = key("contended");
    let mut expected = Revision::ABSENT;
    for _ in 0..5 {
        let writers = (0..8).map(|number| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let record = record(&number.to_string());
                store.save(&key, &record, expected).await
            })
        });
        let mut written = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Err(StoreError::Conflict { .. }) => {}
                saved => written.push(saved.unwrap()),
            }
        }
        let found = store.load(&key).await.unwrap();
        assert_eq!(written, [found.revision]);
        expected = found.revision;
    }
    store.remove(&key).await.unwrap();
}

async fn folders_are_listed_in_order(store: &Store) {
    let names: Vec<String> = (0..1_100)
        .map(|number| format!("{{r}}/{number:04}"))
        .collect();
    let mut documents: Vec<(Key<Record>, Record)> =
        names.iter().map(|name| (key(name), record(name))).collect();
    documents.extend(["{q}/1", "{s}/1", "{r", "{r}"].map(|name| (key(name), record(name))));
    store.save_all(documents).await.unwrap();
    let others = documents::records(&SourceId::new("pull-request-2"));
    store
        .save(&others.key("{r}/0000"), &record("other"), Revision::ABSENT)
        .await
        .unwrap();

    let mut listed = Vec::new();
    let each = |name: &str, found: Found<Record>| {
        assert_eq!(said(found), name);
        listed.push(name.to_owned());
        ControlFlow::Continue(())
    };
    store.list(&folder(), "{r}/", each).await.unwrap();
    assert_eq!(listed, names);
    assert_eq!(store.names(&folder(), "{r}/").await.unwrap(), names);
    assert_eq!(
        store.names(&folder(), "").await.unwrap().len(),
        names.len() + 4
    );
    assert_eq!(store.names(&folder(), "{t}").await.unwrap(), [""; 0]);

    let mut seen = 0;
    let each = |_: &str, _: Found<Record>| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    store.list(&folder(), "", each).await.unwrap();
    assert_eq!(seen, 3);

    let all: Vec<Key<Record>> = store
        .names(&folder(), "")
        .await
        .unwrap()
        .into_iter()
        .map(|name| folder().key(name))
        .collect();
    store.remove_all(&all).await.unwrap();
    store.remove(&others.key("{r}/0000")).await.unwrap();
    assert_eq!(store.names(&folder(), "").await.unwrap(), [""; 0]);
}

async fn batches_do_what_they_say(store: &Store) {
    let names: Vec<String> = (0..230).map(|number| number.to_string()).collect();
    let documents = names.iter().map(|name| (key(name), record(name))).collect();
    store.save_all(documents).await.unwrap();
    // In the order asked, twice where asked twice, with a gap where there is nothing.
    let mut asked = names.clone();
    asked.reverse();
    asked.extend(["nothing".to_owned(), "17".to_owned()]);
    let keys: Vec<Key<Record>> = asked.iter().map(|name| key(name)).collect();
    let found = store.load_all(&keys).await.unwrap();
    for (name, found) in asked.iter().zip(found) {
        let is_absent = found.revision == Revision::ABSENT;
        assert_eq!(is_absent, name == "nothing");
        assert_eq!(said(found), if is_absent { "-" } else { name });
    }
    assert_eq!(store.load_all::<Record>(&[]).await.unwrap(), []);

    let generation = Generation {
        number: 1,
        fingerprint: "f".to_owned(),
    };
    let mapping = StoredMapping {
        config: json!({"resources": [1.5, "ü"]}),
    };
    let mut batch = DocumentBatch::new();
    names.iter().for_each(|name| batch.remove(&key(name)));
    batch.put(&key("17"), &record("seventeen")).unwrap();
    batch.put(&documents::generation(), &generation).unwrap();
    batch.put(&documents::mapping("f"), &mapping).unwrap();
    assert_eq!(batch.len(), 232);
    store.write(batch).await.unwrap();
    assert_eq!(store.names(&folder(), "").await.unwrap(), ["17"]);
    assert_eq!(read(store, "17").await, "seventeen");
    let found = store.load(&documents::generation()).await.unwrap();
    assert_eq!(found.value, Some(generation));
    let found = store.load(&documents::mapping("f")).await.unwrap();
    assert_eq!(found.value, Some(mapping));
    store.write(DocumentBatch::new()).await.unwrap();
    store.remove(&key("17")).await.unwrap();
}

async fn documents_have_any_size(store: &Store) {
    let large: Vec<String> = (0..4).map(|number| noise(300_000 * number)).collect();
    let documents = large.iter().enumerate();
    let documents = documents.map(|(number, text)| (key(&number.to_string()), record(text)));
    store.save_all(documents.collect()).await.unwrap();
    let mut listed = Vec::new();
    let each = |_: &str, found: Found<Record>| {
        listed.push(said(found));
        ControlFlow::Continue(())
    };
    store.list(&folder(), "", each).await.unwrap();
    assert!(listed == large);
    let keys: Vec<Key<Record>> = (0..4).map(|number| key(&number.to_string())).collect();
    let found = store.load_all(&keys).await.unwrap();
    assert!(found.into_iter().map(said).eq(large.iter().cloned()));
    // Larger and smaller, with conditions and without.
    for (from, to) in [(0, 3), (3, 2), (2, 0), (0, 1)] {
        let found = store.load(&keys[from]).await.unwrap();
        let lost = store
            .save(&keys[from], &record(&large[3]), Revision::ABSENT)
            .await;
        assert!(matches!(lost, Err(StoreError::Conflict { .. })));
        store
            .save(&keys[from], &record(&large[to]), found.revision)
            .await
            .unwrap();
        assert!(read(store, &from.to_string()).await == large[to]);
    }
    store
        .save_all(vec![(keys[3].clone(), record("small"))])
        .await
        .unwrap();
    assert_eq!(read(store, "3").await, "small");
    store.remove_all(&keys).await.unwrap();
    assert_eq!(store.names(&folder(), "").await.unwrap(), [""; 0]);
}

async fn attempt(leases: &Leases) -> Option<Lease> {
    match leases.try_take(LeaseName::Pen, Asker::Live).await.unwrap() {
        Attempt::Taken(lease) => Some(lease),
        Attempt::Refused => None,
    }
}

async fn a_lease_has_one_holder(store: &Store) {
    let clock = Clock::simulated("2026-11-23T07:00:00Z".parse().unwrap());
    let process = || Leases::new(store.clone(), clock.clone());
    let (one, other) = (process(), process());
    let (first, second) = tokio::join!(attempt(&one), attempt(&other));
    assert!(first.is_some() != second.is_some(), "{first:?} {second:?}");
    let (zombie, successor) = match (first, second) {
        (Some(first), _) => (first, &other),
        (None, second) => (second.unwrap(), &one),
    };
    assert!(attempt(successor).await.is_none());
    clock.advance(Duration::from_secs(30));
    let thief = attempt(successor).await.unwrap();
    assert!(thief.was_stolen());
    zombie.release().await.unwrap();
    assert!(
        attempt(&process()).await.is_none(),
        "the zombie must not let anybody in"
    );
    thief.release().await.unwrap();
    let last = attempt(&process()).await.unwrap();
    last.release().await.unwrap();
}

#[tokio::test]
async fn a_store_in_memory_keeps_documents() {
    check(&Store::memory()).await;
}
