//! What is stored of a run: how far it has come, what it could not read, and what it has counted.
//!
//! Plain data: what an invocation needs to go on where another one stopped. `documents` has the keys.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::basis::{PageContents, Skipping};
use super::documents::{Folder, Key, Stamp, documents};
pub use super::outcome::{FailedAttempt, FailedPart, Losses, RunPause};
use crate::counts::{Counts, IdentifierCounts, Tallied, Tallies};
use crate::identity::{Repository, RepositoryId, SourceId};
use crate::look::{Numbers, Progress};
use crate::port::{ResyncReport, SyncMetrics};

/// One full look at the workspace, from its first request to its last deletion.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// One id for everything that this run reports to Port.
    pub id: String,
    pub started_at: Timestamp,
    /// Number of the mapping's generation.
    pub generation: u64,
    /// Entities that Port said were ours when it began; the threshold is a share of them.
    pub owned: usize,
    /// No run was completed before.
    #[serde(default)]
    pub is_first: bool,
    /// Sources of the workspace as a whole that were read.
    #[serde(default)]
    pub read: BTreeSet<SourceId>,
    /// Lists of repositories, by filter.
    #[serde(default)]
    pub lists: BTreeMap<String, RepositoryList>,
    /// Parts that could not be read, the first few of many.
    #[serde(default)]
    pub failed: Vec<FailedPart>,
    /// All of them.
    #[serde(default)]
    pub failures: usize,
    /// Repositories of which a part could not be read by the last run: their turn comes first.
    #[serde(default)]
    pub first: BTreeSet<RepositoryId>,
    /// How many partitions may be read at once: fewer than usual where none got through before.
    #[serde(default)]
    pub at_once: Option<usize>,
    #[serde(default)]
    pub counts: Counts,
    /// What became of what each resource has given so far.
    #[serde(default)]
    pub tallies: Tallies,
    /// Repositories that were listed, and were not to be seen when what they hold was read.
    #[serde(default)]
    pub vanished: BTreeSet<RepositoryId>,
    /// Blueprints of which something could not be read, mapped or written: nothing of them is adopted. [`ANY`] where it
    /// may be of any blueprint.
    #[serde(default)]
    pub unsound: BTreeSet<String>,
    /// Blueprints of which a list of several pages, which cannot be read by key, may have overlooked something: nothing of
    /// them is adopted.
    #[serde(default)]
    pub open: BTreeSet<String>,
    /// What came of identifiers, by the fingerprints of their resources.
    #[serde(default)]
    pub identifiers: BTreeMap<String, IdentifierCounts>,
    /// What the mapping could not do, each problem once.
    #[serde(default)]
    pub problems: Vec<Tallied>,
    /// Entities that several items make something else of, each with a line that says which; the first of many.
    #[serde(default)]
    pub clashes: BTreeMap<String, String>,
    /// Why entities that nothing claims any more stay.
    #[serde(default)]
    pub kept: BTreeSet<String>,
    /// That some stay because Port does not call them ours, if any do.
    #[serde(default)]
    pub not_ours: Vec<Tallied>,
    /// Those of them that stay though the user has not asked for it.
    #[serde(default)]
    pub withheld: usize,
    /// Lists that say they have objects and show none, as the last run has said already.
    #[serde(default)]
    pub hidden_before: BTreeSet<String>,
    /// The same as this run finds it.
    #[serde(default)]
    pub hidden: BTreeSet<String>,
    /// Another installation works under our identifier: nothing is deleted.
    #[serde(default)]
    pub has_rival: bool,
    /// The lists are read; what they have not shown is being looked at.
    #[serde(default)]
    pub is_read: bool,
    /// Port was told that nobody works on it for now.
    #[serde(default)]
    pub is_interrupted: bool,
    /// No request makes sense before.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Times in a row that it came to nothing for the same reason.
    #[serde(default)]
    pub stalls: u32,
    /// Times in a row that Port has stopped the section at hand.
    #[serde(default)]
    pub commit_stalls: u32,
    /// What it waits for, if it does.
    #[serde(default)]
    pub pause: Option<RunPause>,
    /// What it takes over unread.
    #[serde(default)]
    pub skipping: Skipping,
    /// Pull requests that had changed since they were looked at last, as far as they were read.
    #[serde(default)]
    pub changed_pull_requests: usize,
}

/// Who worked on the run last, for people: the lease decides who may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHolder {
    /// Of the process: on Lambda, of the stream that its log goes to.
    pub name: String,
    /// It has no longer than this.
    pub until: Option<Timestamp>,
}

/// How far a list of repositories has come. Its pages are documents of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryList {
    /// Pages that are stored, from 0.
    pub pages: u64,
    /// Pages of which every partition is done.
    #[serde(default)]
    pub done: Numbers,
    /// Repositories on all of them.
    pub repositories: usize,
    /// Where the next page is.
    #[serde(default)]
    pub cursor: Option<String>,
    pub is_complete: bool,
    /// Nothing seems to have slipped through it, or nobody can tell and what follows from that is noted.
    #[serde(default)]
    pub is_proven: bool,
    /// Only its count speaks for that: before anything is adopted, it is read by key.
    #[serde(default)]
    pub is_open: bool,
    /// Why it could not be read to its end.
    #[serde(default)]
    pub failed: Option<String>,
}

/// A page of a list of repositories, and what is done of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RepositoryPage {
    /// Id of the run that has stored it. A page of another run counts as absent, and gives its place to the next one's.
    pub run: String,
    pub repositories: Vec<Repository>,
    /// By source, the positions of the repositories whose partition is done.
    #[serde(default)]
    pub done: BTreeMap<SourceId, Numbers>,
    /// Partitions that were read in part.
    #[serde(default)]
    pub progress: BTreeMap<SourceId, BTreeMap<u64, Progress>>,
    /// By source, the last commits of partitions when their repositories were listed: what the list says of a
    /// repository holds for as long as there was no other.
    #[serde(default)]
    pub stamps: BTreeMap<SourceId, BTreeMap<u64, Stamp>>,
    /// By source, the positions of the repositories whose list had several pages: before anything is adopted, it is read by
    /// key.
    #[serde(default)]
    pub open: BTreeMap<SourceId, BTreeSet<u64>>,
    /// What need not be read of it.
    #[serde(default)]
    pub contents: PageContents,
    /// Numbers of pull requests that records name and lists have not shown.
    #[serde(default)]
    pub missing: BTreeMap<SourceId, BTreeMap<u64, Vec<u64>>>,
}

/// That a run is wanted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    pub reason: String,
    pub at: Timestamp,
    /// The attempt that failed, where this asks for another one.
    #[serde(default)]
    pub failure: Option<FailedAttempt>,
}

/// The last resync request of Port that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub Timestamp);

/// How the last run ended, as long as Port could not be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UntoldEnd {
    pub report: Option<ResyncReport>,
    pub metrics: Option<SyncMetrics>,
}

/// When runs of this installation began, as Port was told: the last few. Noted before Port is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportedStarts(pub Vec<Timestamp>);

/// Another installation reports runs under our identifier: nothing is deleted until a run finds that it has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// When its run began.
    pub started_at: Timestamp,
}

/// Repositories of which the last run could not read a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailedRepositories(pub BTreeSet<RepositoryId>);

/// Every source that has records, those that have left the mapping included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedSources(pub BTreeSet<SourceId>);

/// What each credential has used of Bitbucket's allowance, by a name that does not give it away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage(pub BTreeMap<String, crate::bitbucket::Allowance>);

/// Digest of the examples of a kind that Port was shown last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExamplesDigest(pub String);

/// Stands for every blueprint.
pub const ANY: &str = "*";

/// Parts named one by one; the rest is counted.
const MOST_FAILED: usize = 200;

impl Run {
    /// A run at its beginning. `owned` entities are ours; the repositories `first` are read first.
    pub fn begin(
        id: String,
        started_at: Timestamp,
        generation: u64,
        (owned, first): (usize, BTreeSet<RepositoryId>),
    ) -> Run {
        Run {
            id,
            started_at,
            generation,
            owned,
            first,
            ..Run::default()
        }
    }

    /// Takes in what has become of what was there before.
    pub fn count_deletions(&mut self, counts: Counts) {
        self.counts.deleted += counts.deleted;
        self.counts.undeleted += counts.undeleted;
        self.counts.kept += counts.kept;
    }

    /// Takes in what has become of what was read.
    pub fn count(&mut self, tallies: Tallies) {
        let sum = tallies.sum();
        debug_assert!(sum.is_balanced(), "{sum:?}");
        self.counts.written += sum.written;
        self.counts.unchanged += sum.unchanged;
        self.counts.refused += sum.refused;
        self.counts.waiting += sum.waiting;
        self.counts.postponed += sum.postponed;
        self.tallies += tallies;
    }

    /// Notes that `part` has failed; false if that is known.
    pub fn fail(&mut self, part: FailedPart) -> bool {
        let same = |known: &FailedPart| {
            (&known.source, &known.repository, &known.name)
                == (&part.source, &part.repository, &part.name)
        };
        if self.failed.iter().any(same) {
            return false;
        }
        self.failures += 1;
        if self.failed.len() < MOST_FAILED {
            self.failed.push(part);
        }
        true
    }

    /// Whether the page of this name, as [`page`] makes it, is one of the run's lists.
    pub fn has_page(&self, name: &str) -> bool {
        let place = name.rsplit_once('/');
        place.is_some_and(|(list, number)| {
            let pages = self.lists.get(list).map_or(0, |list| list.pages);
            number.parse().is_ok_and(|number: u64| number < pages)
        })
    }

    /// Whether anything that should be in Port may not be there as it should.
    pub fn has_losses(&self) -> bool {
        self.losses().are_any()
    }

    pub fn losses(&self) -> Losses {
        let lists = self.lists.values();
        let mut reasons = lists.filter_map(|list| list.failed.clone());
        let failed = self.failed.first().map(ToString::to_string);
        Losses {
            first_failure: failed.or_else(|| reasons.next()),
            failures: self.failures,
            refused: self.counts.refused + self.counts.undeleted,
            waiting: self.counts.waiting,
            not_mapped: self.counts.not_mapped,
            left_out: self.counts.left_out,
            withheld: self.withheld,
            kept: self.kept.iter().next().cloned(),
            hidden: self.hidden.difference(&self.hidden_before).count(),
            has_rival: self.has_rival,
        }
    }
}

documents! {
    Run: "run", version 1;
    RepositoryPage: "page of repositories", version 2;
    RunRequest: "request for a run", version 1;
    UntoldEnd: "end of a run that Port was not told", version 2;
    Watermark: "resync request of Port", version 1;
    ReportedStarts: "reported starts of runs", version 1;
    Rival: "rival installation", version 1;
    RunHolder: "who works on the run", version 1;
    FailedRepositories: "repositories to be read first", version 1;
    RecordedSources: "sources with records", version 1;
    Usage: "use of Bitbucket's allowance", version 1;
    ExamplesDigest: "examples", version 1;
}

fn folder<D>() -> Folder<D> {
    Folder::named("run")
}

pub fn run() -> Key<Run> {
    folder().key("current")
}

/// In a folder of its own, the only one that the receiver of webhooks may write to (template.yaml).
pub fn run_request() -> Key<RunRequest> {
    Folder::named("request").key("run")
}

pub fn run_holder() -> Key<RunHolder> {
    folder().key("holder")
}

pub fn untold_end() -> Key<UntoldEnd> {
    folder().key("untold-end")
}

pub fn watermark() -> Key<Watermark> {
    folder().key("port-request")
}

pub fn reported_starts() -> Key<ReportedStarts> {
    folder().key("reported-starts")
}

pub fn rival() -> Key<Rival> {
    folder().key("rival")
}

pub fn failed_repositories() -> Key<FailedRepositories> {
    folder().key("failed-repositories")
}

pub fn recorded_sources() -> Key<RecordedSources> {
    folder().key("sources")
}

pub fn usage() -> Key<Usage> {
    folder().key("usage")
}

/// The pages of the run's lists: of every run in the same places, so that an unchanged run removes nothing.
pub fn pages() -> Folder<RepositoryPage> {
    Folder::named("page")
}

/// Page `number` of the list `list`.
pub fn page(list: &str, number: u64) -> Key<RepositoryPage> {
    pages().key(format!("{list}/{number}"))
}

pub fn examples(kind: &str) -> Key<ExamplesDigest> {
    Folder::named("examples").key(kind)
}
