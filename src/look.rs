//! What is to be looked at, and why: what a webhook becomes, what one commit asks of another, what was given up.
//!
//! Pure. Its serialised form lies in queues and stored documents.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{ItemRef, PartitionId, RepositoryId};

/// Something to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum Look {
    /// In every source that lists pull requests.
    PullRequest {
        repository: RepositoryId,
        id: u64,
        /// An event says that it is merged or declined: a list of the open ones is not expected to show it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        closed: bool,
    },
    Repository {
        repository: RepositoryId,
        #[serde(default)]
        news: News,
    },
    /// All projects, and what shows the fields of those with these keys.
    Projects {
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        keys: BTreeSet<String>,
        /// How far the list of the first one's repositories has come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// One item of one source.
    Item { item: ItemRef },
    /// One partition, from its beginning or from where an earlier look had to stop.
    Partition {
        partition: PartitionId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Progress>,
    },
}

/// What a look is owed to, however many looks lie in between: an event, or a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// Bitbucket's event key; [`RESYNC`] for a run.
    pub event: String,
    /// `X-Request-UUID` of its delivery, or the run's id.
    pub request_id: String,
}

/// Stands where an event's key would.
pub const RESYNC: &str = "resync";

impl Cause {
    pub fn of_run(id: &str) -> Cause {
        Cause {
            event: RESYNC.to_owned(),
            request_id: id.to_owned(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event, self.request_id)
    }
}

/// What is known to have happened to a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct News {
    /// Deleted or transferred: that it is not to be found is explained.
    pub left: bool,
    /// Created, imported, renamed, transferred, ..: everything it holds is looked at, pull requests included.
    pub all: bool,
    /// Branches that were pushed to.
    pub pushed: BTreeSet<String>,
    /// Something else about the repository itself.
    pub changed: bool,
    /// Its project was changed, whose fields it shows.
    pub project: bool,
}

/// How far the reading of a partition has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Progress {
    /// Address of the next page; `None`: the list is at its end.
    pub cursor: Option<String>,
    /// Numbers of the items that were listed.
    pub listed: Numbers,
}

/// A set of numbers, kept as ranges: numbers of pull requests are dense.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Numbers(Vec<(u64, u64)>);

impl Look {
    /// Names the object looked at. Two workers never look at one object at the same time, and of several looks at it one
    /// is remembered.
    pub fn object(&self) -> String {
        match self {
            Look::PullRequest { repository, id, .. } => format!("{repository}/{id}"),
            Look::Repository { repository, .. } => repository.to_string(),
            Look::Projects { .. } => "projects".to_owned(),
            Look::Item { item } => format!("item/{item}"),
            Look::Partition { partition, .. } => format!("partition/{partition}"),
        }
    }

    /// One look for both, which are about the same object.
    pub fn merge(&mut self, other: Look) {
        match (self, other) {
            (Look::Repository { news, .. }, Look::Repository { news: other, .. }) => {
                news.extend(other);
            }
            (Look::PullRequest { closed, .. }, Look::PullRequest { closed: other, .. }) => {
                *closed |= other;
            }
            (
                Look::Projects { keys, cursor },
                Look::Projects {
                    keys: other,
                    cursor: others,
                },
            ) => {
                if *keys != other || *cursor != others {
                    *cursor = None;
                }
                keys.extend(other);
            }
            (
                Look::Partition { progress, .. },
                Look::Partition {
                    progress: other, ..
                },
            ) if *progress != other => *progress = None,
            _ => {}
        }
    }
}

impl News {
    pub fn extend(&mut self, other: News) {
        let News {
            left,
            all,
            pushed,
            changed,
            project,
        } = other;
        self.project |= project;
        self.left |= left;
        self.all |= all;
        self.changed |= changed;
        self.pushed.extend(pushed);
    }
}

impl Numbers {
    pub fn insert(&mut self, number: u64) {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        let before = after.checked_sub(1);
        let joins_before = before.and_then(|at| self.0.get(at)).map(|(_, last)| *last);
        if joins_before.is_some_and(|last| number <= last) {
            return;
        }
        let joins_before = joins_before.is_some_and(|last| last.checked_add(1) == Some(number));
        let joins_after = self
            .0
            .get(after)
            .is_some_and(|(first, _)| first.checked_sub(1) == Some(number));
        match (before, joins_before, joins_after) {
            (Some(before), true, true) => {
                let (_, last) = self.0.remove(after);
                if let Some(range) = self.0.get_mut(before) {
                    range.1 = last;
                }
            }
            (Some(before), true, false) => {
                if let Some(range) = self.0.get_mut(before) {
                    range.1 = number;
                }
            }
            (_, _, true) => {
                if let Some(range) = self.0.get_mut(after) {
                    range.0 = number;
                }
            }
            _ => self.0.insert(after, (number, number)),
        }
    }

    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|(_, last)| number <= *last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_numbers_is_a_set(numbers in proptest::collection::vec(0_u64..60, 0..80)) {
            let mut set = Numbers::default();
            for number in &numbers {
                set.insert(*number);
            }
            for number in 0..61 {
                prop_assert_eq!(set.contains(number), numbers.contains(&number));
            }
            let apart = set.0.windows(2).all(|pair| matches!(pair, [(_, last), (first, _)] if last + 1 < *first));
            prop_assert!(apart, "{:?}", set);
        }
    }

    #[test]
    fn looks_at_one_object_become_one() {
        let repository = RepositoryId::new("{1}");
        let push = |branch: &str| Look::Repository {
            repository: repository.clone(),
            news: News {
                pushed: BTreeSet::from([branch.to_owned()]),
                ..News::default()
            },
        };
        let mut look = push("main");
        assert_eq!(look.object(), push("other").object());
        look.merge(push("other"));
        let Look::Repository { news, .. } = look else {
            panic!("another look");
        };
        assert_eq!(news.pushed.len(), 2);
    }
}
