//! Every stored document: its key, its shape, and the version of that shape.
//!
//! Owns what outlives an invocation. Knows nothing of where it lies (`memory`, `file`, `dynamodb`) and decides nothing:
//! the engine and the runs do. A shape that changes gets the next version; a document of another version counts as
//! absent, and the next run finds again what it said.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::entity::EntityKey;
use crate::identity::{Bucket, ItemId, PartitionId, Place, SourceId};
use crate::look::{Cause, Look};
use crate::store::basis::Basis;
use crate::store::run::Losses;

/// A stored shape.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What messages call it.
    const NAME: &'static str;
    /// Raised with every change that an older or newer reader would misunderstand.
    const VERSION: u32;
    /// How long after its last writing it may be forgotten; `None`: never. It may be found for some time longer.
    const LIFETIME: Option<Duration> = None;
}

/// Says what stored shapes are called, and their versions.
macro_rules! documents {
    ($($shape:ty: $name:literal, version $version:literal;)*) => {
        $(impl $crate::store::documents::Document for $shape {
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;
        })*
    };
}
pub(super) use documents;

/// Where one document of the shape `D` lies. Documents of one folder can be listed together.
#[derive(Debug)]
pub struct Key<D> {
    pub folder: String,
    pub name: String,
    shape: PhantomData<fn() -> D>,
}

/// A folder of documents of the shape `D`.
#[derive(Debug)]
pub struct Folder<D> {
    pub name: String,
    shape: PhantomData<fn() -> D>,
}

impl<D> Key<D> {
    fn new(folder: impl Into<String>, name: impl Into<String>) -> Key<D> {
        Key {
            folder: folder.into(),
            name: name.into(),
            shape: PhantomData,
        }
    }
}

impl<D> Clone for Key<D> {
    fn clone(&self) -> Key<D> {
        Key::new(self.folder.clone(), self.name.clone())
    }
}

impl<D> std::fmt::Display for Key<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.folder, self.name)
    }
}

impl<D> Folder<D> {
    pub(super) fn named(name: impl Into<String>) -> Folder<D> {
        Folder::new(name)
    }

    fn new(name: impl Into<String>) -> Folder<D> {
        Folder {
            name: name.into(),
            shape: PhantomData,
        }
    }

    /// The document `name` of this folder.
    pub fn key(&self, name: impl Into<String>) -> Key<D> {
        Key::new(self.name.clone(), name)
    }
}

/// Names a commit that wrote an item's entry. Drawn at random, so that it is never met twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub u64);

/// Which entities each item of a bucket produces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub items: BTreeMap<ItemId, Entry>,
}

/// What is recorded of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of the commit that wrote this entry.
    pub stamp: Stamp,
    /// False between the announcement of a commit and its end: Port then holds any part of what is claimed.
    pub sure: bool,
    /// When the item was found gone, or to be nothing in Port. Such an entry stays for a day, so that a look that began
    /// before is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_since: Option<Timestamp>,
    /// When Port took an entity of it last, and why that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write: Option<LastWrite>,
    /// How it was read, where a later run may be able to tell that another reading would give the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

/// Port took an entity of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWrite {
    /// Whole seconds.
    pub at: Timestamp,
    pub cause: Cause,
}

/// What one resource makes of an item, or of one member of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Fingerprint of the resource.
    pub resource: String,
    /// The branch, file or person within a partition that is looked at as a whole; empty for any other item.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub member: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Held>,
    /// Entities that its relations lead to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<EntityKey>,
}

/// An entity that an item claims as its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub key: EntityKey,
    /// Digest of what was written last; `None` where another item writes this entity, or Port refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
    /// How Port shows it as long as it is as this item makes it, if that can be said (`port::shown`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<u64>,
    /// Sources whose fields were left to them when it was written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub below: BTreeSet<SourceId>,
    /// It waits for a relation target that Port does not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Port refused it the last time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// Which places hold an entity, lead to it, or wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Tells the rows of two entities apart whose keys have the same digest.
    pub key: Option<EntityKey>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub content: BTreeSet<Place>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<Place>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting: BTreeSet<Place>,
}

/// The mapping that every look uses. A run adopts a new one under the pen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Drawn at random for each mapping that is adopted, so that none is met twice.
    pub number: u64,
    /// Of the mapping.
    pub fingerprint: String,
}

/// A mapping as the user wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredMapping {
    pub config: Value,
}

/// A look that was given up for now, or that has to wait for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub look: Look,
    /// What it is owed to, if that is known: the last that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Not before.
    pub due: Timestamp,
    /// Looks that came to nothing.
    pub tries: u32,
    /// When the first of them was asked for.
    pub since: Timestamp,
    /// When the last of them was asked for: whoever has looked at everything since has done it.
    pub asked: Timestamp,
    /// Why the last one came to nothing; empty for one that has not been tried.
    pub reason: String,
    /// An answer that is older than the last of the events is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_older_than: Option<Timestamp>,
}

/// A message of the queue inside a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// Of the messages of one group, only one reader has some at a time.
    pub group: String,
    /// The same id within five minutes is the same message.
    pub id: String,
    pub body: String,
    /// Times it was received.
    pub receives: u32,
}

/// How the last run that read the whole workspace ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedRun {
    pub at: Timestamp,
    /// Fingerprint of its mapping.
    pub mapping: String,
    /// Entities that Port says are ours.
    pub owned: usize,
    /// Whether every part of the workspace is recorded.
    pub all_recorded: bool,
    #[serde(default)]
    pub distrusted: Distrusted,
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    #[serde(default)]
    pub losses: Losses,
    /// Pull requests that it found changed, though no event had come since the run before.
    #[serde(default)]
    pub untold_changes: usize,
    /// Runs completed so far: what each audits is another part.
    #[serde(default)]
    pub runs: u64,
    /// Lists that say they have objects and show none: a run says so once.
    #[serde(default)]
    pub hidden: BTreeSet<String>,
}

/// Resources of whose items more than a tenth had no identifier that Port takes: nothing of them is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distrusted {
    /// Fingerprints.
    pub resources: BTreeSet<String>,
    /// What they write: it may be what a resource has become that has left the mapping. `*` stands for all.
    pub blueprints: BTreeSet<String>,
}

impl Distrusted {
    /// Whether it keeps an entity of `blueprint` that `resource` claimed. `is_known`: the resource is still in the mapping.
    pub fn covers(&self, resource: &str, is_known: bool, blueprint: &str) -> bool {
        match is_known {
            true => self.resources.contains(resource),
            false => self.blueprints.contains(blueprint) || self.blueprints.contains("*"),
        }
    }
}

/// Entities that live looks have deleted of late, by hour since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveDeletions {
    pub by_hour: BTreeMap<i64, usize>,
}

/// Who may do something that only one may do at a time. Every change of it is a conditional write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseState {
    /// Of the last holder. It grows with each.
    pub epoch: u64,
    /// False once the last holder has let go.
    pub held: bool,
    /// Grows while a long holder is alive.
    #[serde(default)]
    pub beat: u64,
    /// Drawn by a live look that waits; 0: none does.
    #[serde(default)]
    pub wanted: u64,
}

documents! {
    Record: "record", version 1;
    Row: "row", version 1;
    Generation: "generation", version 1;
    StoredMapping: "mapping", version 1;
    Again: "look to be taken again", version 2;
    QueuedMessage: "queued message", version 1;
    CompletedRun: "end of the last run", version 1;
    LiveDeletions: "live deletions", version 1;
    LeaseState: "lease", version 1;
}

/// All records of a source, each named after its partition's owner and its bucket.
pub fn records(source: &SourceId) -> Folder<Record> {
    Folder::new(format!("record/{source}"))
}

/// How the names of a partition's records begin.
pub fn record_prefix(partition: &PartitionId) -> String {
    format!("{}/", partition.owner())
}

pub fn record(place: &Place) -> Key<Record> {
    let Place { partition, bucket } = place;
    records(&partition.source).key(format!("{}/{}", partition.owner(), bucket.0))
}

/// Which place a record's name stands for; `None` where it is none that [`record`] gives.
pub fn place_of(source: &SourceId, name: &str) -> Option<Place> {
    let (owner, bucket) = name.rsplit_once('/')?;
    Some(Place {
        partition: PartitionId::with_owner(source.clone(), owner),
        bucket: Bucket(bucket.parse().ok()?),
    })
}

pub fn row(key: &EntityKey) -> Key<Row> {
    let EntityKey {
        blueprint,
        identifier,
    } = key;
    let digest = hex::encode(Sha256::digest(format!("{blueprint}\n{identifier}")));
    let (folder, rest) = digest.split_at(2);
    let (name, _) = rest.split_at(30);
    Key::new(format!("row/{folder}"), name)
}

pub fn generation() -> Key<Generation> {
    Key::new("mapping", "generation")
}

pub fn mapping(fingerprint: &str) -> Key<StoredMapping> {
    Key::new("mapping", fingerprint)
}

/// Looks to be taken again, one for each object.
pub fn agains() -> Folder<Again> {
    Folder::new("again")
}

pub fn again(look: &Look) -> Key<Again> {
    let digest = hex::encode(Sha256::digest(look.object()));
    let (name, _) = digest.split_at(32);
    agains().key(name)
}

/// Messages of the queue inside a process, named by [`queued_name`].
pub fn queued() -> Folder<QueuedMessage> {
    Folder::new("queue")
}

/// Messages that nobody could deal with, named as they were in the queue.
pub fn dead_letters() -> Folder<QueuedMessage> {
    Folder::new("dead-letters")
}

/// Names sort as the numbers do.
pub fn queued_name(number: u64) -> String {
    format!("{number:020}")
}

pub fn completed() -> Key<CompletedRun> {
    Key::new("run", "completed")
}

pub fn live_deletions() -> Key<LiveDeletions> {
    Key::new("run", "live-deletions")
}

/// The folder of the leases. A store of one process keeps it in memory: what is held there ends with the process.
pub const LEASES: &str = "lease";

pub fn lease(name: &str) -> Key<LeaseState> {
    Key::new(LEASES, name)
}
