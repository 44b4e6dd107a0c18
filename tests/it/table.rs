//! What is asked of the table: counted, as it is paid for by item and waited for by request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferry::queue::{Local, Queue};
use ferry::store::Store;
use ferry::store::run::pages;
use sandbox::aws::{Table, TableWork};
use sandbox::bitbucket::Workspace;
use sandbox::server::Request;
use serde_json::json;

use crate::doubt::retitle;
use crate::emulated::sdk_config;
use crate::support::{Settings, World, event};

/// A world whose documents lie in a table.
async fn world_on_table(workspace: Workspace) -> (World, Table) {
    let table = Table::start().await.unwrap();
    let client = aws_sdk_dynamodb::Client::new(&sdk_config(table.server().url()));
    let world = World::new(workspace, Settings::new()).await;
    let store = Store::dynamodb(client, "ferry".to_owned(), world.clock.clone());
    let queue = Local::open(Store::memory(), world.clock.clone()).await;
    (world.on(store, Queue::Local(queue.unwrap())), table)
}

/// Items written and removed.
fn written(work: &[TableWork]) -> usize {
    let writes = work.iter().filter(|work| work.writes);
    writes.map(|work| work.items.len()).sum()
}

/// How many requests of each operation asked for how many items of each folder, in the order of their names.
fn tally(work: &[TableWork]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for work in work {
        for (folder, _) in &work.items {
            let folder = folder.split('/').next().unwrap_or_default();
            *counts.entry((&work.operation, folder)).or_default() += 1;
        }
    }
    let lines = counts
        .iter()
        .map(|((operation, folder), items)| format!("{operation} {folder} ×{items}"));
    lines.collect::<Vec<String>>().join("\n")
}

/// The folders that are read one after the other, or at once, between the writes.
fn reads(work: &[TableWork]) -> Vec<Vec<&str>> {
    let reads = work.split(|work| work.writes);
    let reads = reads.filter(|reads| !reads.is_empty());
    reads
        .map(|reads| reads.iter().filter_map(folder).collect())
        .collect()
}

fn folder(work: &TableWork) -> Option<&str> {
    let (folder, _) = work.items.first()?;
    folder.split('/').next()
}

/// Design: four writes and three rounds of reads: the record, the pen, and all that the commit needs under the pen, at
/// once. Which mapping is in force is known since the last event.
#[tokio::test]
async fn a_pull_request_event_writes_four_items() {
    let (world, table) = world_on_table(Workspace::demo().unwrap()).await;
    world.resync().await;
    // That events come is noted every ten minutes.
    world
        .accept(&retitle(&world.bitbucket, "payments-api", 2, "One"))
        .await;
    world.work_off().await;
    world.take_requests();
    let told = retitle(&world.bitbucket, "payments-api", 2, "Other");
    world.accept(&told).await;
    table.take_work();
    assert_eq!(world.work_off().await, (told.len(), 0));
    let work = table.take_work();
    assert_eq!(written(&work), 4, "{}", tally(&work));
    insta::assert_snapshot!(tally(&work), @r"
    BatchGetItem record ×2
    BatchGetItem row ×2
    GetItem lease ×1
    GetItem mapping ×1
    GetItem run ×1
    PutItem lease ×2
    PutItem record ×2
    ");
    let rounds = reads(&work);
    let [before, under_the_pen] = rounds.as_slice() else {
        panic!("{rounds:?}");
    };
    assert_eq!(*before, ["record", "lease"], "one after the other");
    let at_once: BTreeSet<&str> = under_the_pen.iter().copied().collect();
    let read = ["mapping", "record", "row", "run"];
    assert_eq!(at_once, BTreeSet::from(read), "{under_the_pen:?}");
    assert_eq!(under_the_pen.len(), read.len(), "each once");
    let (bitbucket, port) = world.take_requests();
    assert_eq!((bitbucket.len(), port.len()), (1, 1));
    world.finish();
}

/// What a run writes whatever there is: its request, two leases, who works on it, its beginning, what it has read, its end.
/// Design: 20.
const OF_ANY_RUN: usize = 13;

/// Design: one for each page of repositories beyond that.
#[tokio::test]
async fn an_unchanged_run_writes_an_item_for_each_page_of_repositories() {
    let (projects, repositories, pull_requests) = (3, 130, 2);
    let workspace = Workspace::generate(projects, repositories, pull_requests, 7).unwrap();
    let (world, table) = world_on_table(workspace).await;
    let first = world.resync().await;
    let entities = first["counts"]["written"].as_u64().unwrap();
    let first = table.take_work();
    // For each record an announcement and a settlement, at most one each of a repository and of its pull requests; for
    // each entity its row.
    let most = OF_ANY_RUN + 10 + 2 * repositories.div_ceil(100) + 4 * repositories;
    let most = most + usize::try_from(entities).unwrap() + projects;
    assert!(written(&first) <= most, "{}", tally(&first));
    world.clock.advance(Duration::from_secs(3_700));
    // Eight answers at a time, each after 100 ms.
    let clock = world.clock.clone();
    let pass = move |_: &Request| clock.advance(Duration::from_millis(100 / 8));
    world.bitbucket.server().before_each(pass);
    let outcome = world.resync().await;
    assert_eq!(outcome["counts"]["written"], 0);
    let second = table.take_work();
    let most = OF_ANY_RUN + repositories.div_ceil(100);
    assert!(written(&second) <= most, "{}", tally(&second));
    // A page that is not needed any more goes.
    let slugs = world.bitbucket.repositories();
    for slug in &slugs[..40] {
        world.bitbucket.delete_repository(slug).unwrap();
    }
    world.clock.advance(Duration::from_secs(3_700));
    world.resync().await;
    let pages = world.app().store.names(&pages(), "").await.unwrap();
    assert_eq!(pages.len(), (repositories - 40).div_ceil(100), "{pages:?}");
    world.finish();
}

/// Nobody pays for minutes in which nothing happens: one read of the table, and everybody is asked for news in one of
/// five.
#[tokio::test]
async fn an_idle_tick_reads_the_table_once_and_asks_nobody() {
    let (world, table) = world_on_table(Workspace::demo().unwrap()).await;
    world.invoke(event("tick")).await.unwrap();
    // The run may have left looks behind.
    world.invoke(event("tick")).await.unwrap();
    for minute in 1..20 {
        table.take_work();
        world.take_requests();
        assert_eq!(
            world.invoke(event("tick")).await.unwrap(),
            json!({"status": "idle"})
        );
        let work = table.take_work();
        let (bitbucket, port) = world.take_requests();
        let (bitbucket, port) = (bitbucket.len(), port.len());
        assert_eq!(written(&work), usize::from(minute % 5 == 0), "{work:#?}");
        match minute % 5 {
            // The workspace with each token, its hooks; whether Port wants a resync.
            0 => assert_eq!((bitbucket, port), (2, 1), "in minute {minute}"),
            _ => {
                assert_eq!((bitbucket, port), (0, 0), "in minute {minute}");
                let operations: Vec<&str> = work.iter().map(|it| it.operation.as_str()).collect();
                assert_eq!(operations, ["BatchGetItem"], "in minute {minute}");
            }
        }
    }
    world.finish();
}
