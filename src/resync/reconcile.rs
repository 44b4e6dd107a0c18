//! What may be deleted at the end of a run: a plan, made from evidence alone.
//!
//! Pure: no clock, no network. Carrying the plan out is the run's business.

use std::collections::BTreeSet;
use std::fmt;

use crate::entity::EntityKey;

/// All a plan is made from.
#[derive(Debug)]
pub struct Evidence {
    /// What Port says our data source owns and has not touched since the run began.
    pub owned: Vec<EntityKey>,
    /// What this run mapped, and what failed partitions produced the last time they were read.
    pub seen: BTreeSet<EntityKey>,
    /// How many of `seen` Port refused: they may not exist there.
    pub refused: usize,
    /// Entities that relations of kept ones point at, which Port may have created for them.
    pub targets: BTreeSet<EntityKey>,
    pub unread: Unread,
    /// Largest share of the owned entities that may go at once; 0 turns deletion off.
    pub threshold: f64,
}

/// What could not be read, and of which nothing is known from earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Its entities may be of any blueprint.
    pub anything: bool,
    pub blueprints: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Delete { stale: Vec<EntityKey>, spared: usize },
    Keep { stale: usize, reason: KeepReason },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeepReason {
    /// A part of the workspace could not be read, and nothing tells which entities it stands for.
    Unread,
    NothingProduced,
    DeletionOff,
    ThresholdExceeded { owned: usize, threshold: f64 },
}

impl Eq for KeepReason {}

pub fn plan(evidence: Evidence) -> Plan {
    let Evidence { owned, seen, refused, targets, unread, threshold } = evidence;
    let untouched: BTreeSet<&EntityKey> = owned.iter().collect();
    let written = seen.iter().filter(|key| !untouched.contains(key)).count().saturating_sub(refused);
    let total = owned.len() + written;
    let candidates: Vec<EntityKey> = owned.into_iter().filter(|key| !seen.contains(key)).collect();

    let keep = |reason| Plan::Keep { stale: candidates.len(), reason };
    if candidates.is_empty() {
        return Plan::Delete { stale: candidates, spared: 0 };
    }
    if unread.anything {
        return keep(KeepReason::Unread);
    }
    if threshold <= 0.0 {
        return keep(KeepReason::DeletionOff);
    }
    if seen.is_empty() && threshold < 1.0 {
        return keep(KeepReason::NothingProduced);
    }
    if total as f64 * threshold < candidates.len() as f64 {
        return keep(KeepReason::ThresholdExceeded { owned: total, threshold });
    }
    let all = candidates.len();
    let stale: Vec<EntityKey> = candidates
        .into_iter()
        .filter(|key| !targets.contains(key) && !unread.blueprints.contains(&key.blueprint))
        .collect();
    Plan::Delete { spared: all - stale.len(), stale }
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepReason::Unread => f.write_str("a part of the workspace could not be read"),
            KeepReason::NothingProduced => f.write_str("the resync produced no entity at all"),
            KeepReason::DeletionOff => f.write_str("entityDeletionThreshold is 0"),
            KeepReason::ThresholdExceeded { owned, threshold } => {
                write!(f, "that is more than entityDeletionThreshold ({threshold}) of the {owned} entities owned")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(identifier: &str) -> EntityKey {
        EntityKey::new("service", identifier)
    }

    fn evidence(owned: &[&str], seen: &[&str]) -> Evidence {
        Evidence {
            owned: owned.iter().map(|identifier| key(identifier)).collect(),
            seen: seen.iter().map(|identifier| key(identifier)).collect(),
            refused: 0,
            targets: BTreeSet::new(),
            unread: Unread::default(),
            threshold: 0.9,
        }
    }

    fn deleted(plan: Plan) -> Vec<String> {
        match plan {
            Plan::Delete { stale, .. } => stale.into_iter().map(|key| key.identifier).collect(),
            Plan::Keep { .. } => Vec::new(),
        }
    }

    #[test]
    fn an_unchanged_catalogue_loses_nothing() {
        assert_eq!(plan(evidence(&["a", "b"], &["a", "b"])), Plan::Delete { stale: Vec::new(), spared: 0 });
    }

    #[test]
    fn what_is_owned_and_no_longer_produced_goes() {
        assert_eq!(deleted(plan(evidence(&["a", "b"], &["a"]))), ["b"]);
    }

    #[test]
    fn the_share_counts_what_this_run_wrote() {
        // One untouched entity is stale, but nine were just written: a tenth goes, not everything.
        let written = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
        assert_eq!(deleted(plan(Evidence { threshold: 0.1, ..evidence(&["old"], &written) })), ["old"]);
        let refused = Evidence { refused: 9, threshold: 0.1, ..evidence(&["old"], &written) };
        assert!(matches!(plan(refused), Plan::Keep { reason: KeepReason::ThresholdExceeded { .. }, .. }));
    }

    #[test]
    fn the_threshold_is_inclusive_and_its_ends_mean_never_and_always() {
        let half = |threshold| plan(Evidence { threshold, ..evidence(&["a", "b"], &["a"]) });
        assert_eq!(deleted(half(0.5)), ["b"]);
        assert!(deleted(half(0.49)).is_empty());
        assert!(deleted(half(0.0)).is_empty());
        assert_eq!(deleted(plan(Evidence { threshold: 1.0, ..evidence(&["a"], &[]) })), ["a"]);
        assert!(deleted(plan(evidence(&["a"], &[]))).is_empty());
    }

    #[test]
    fn relation_targets_and_unread_blueprints_stay() {
        let mut spared = evidence(&["a", "b", "c"], &["a"]);
        spared.targets.insert(key("b"));
        assert_eq!(deleted(plan(spared)), ["c"]);
        let mut unread = evidence(&["a", "b"], &["a"]);
        unread.unread.blueprints.insert("service".to_owned());
        assert!(deleted(plan(unread)).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_seen_or_not_owned_is_ever_deleted(
            owned in prop::collection::btree_set("[a-f]", 0..6),
            seen in prop::collection::btree_set("[a-f]", 0..6),
            targets in prop::collection::btree_set("[a-f]", 0..3),
            threshold in 0.0..=1.0f64,
            anything: bool,
        ) {
            let keys = |set: &BTreeSet<String>| set.iter().map(|text| key(text)).collect::<BTreeSet<_>>();
            let plan = plan(Evidence {
                owned: keys(&owned).into_iter().collect(),
                seen: keys(&seen),
                refused: 0,
                targets: keys(&targets),
                unread: Unread { anything, blueprints: BTreeSet::new() },
                threshold,
            });
            for gone in deleted(plan) {
                prop_assert!(!anything && owned.contains(&gone) && !seen.contains(&gone) && !targets.contains(&gone));
            }
        }
    }
}
