//! Looks that came to nothing and are to be taken again: what is stored of each, and when its time has come.
//!
//! Owns the back-off and how two wishes about one object become one. Knows nothing of why a look failed, or of how it is
//! taken. A look is stored under its object: there is never more than one for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::deadline::later;
use crate::look::{Cause, Look};
use crate::store::documents::{Again, again, agains};
use crate::store::{Found, Store, StoreError};

/// How often a look is stored that somebody else stores at the same time.
const ATTEMPTS: usize = 5;

/// Looks stored at once.
const AT_ONCE: usize = 8;

/// How often a look is taken again, while it comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It may succeed without anybody changing anything, or as soon as the credentials are mended.
    Often,
    /// Somebody has to change something about that object, or about the mapping.
    Seldom,
}

/// A look that came to nothing.
#[derive(Clone, Debug)]
pub struct Setback {
    pub look: Look,
    /// How recent Bitbucket's answer has to be.
    pub not_older_than: Option<Timestamp>,
    /// What it is owed to, if that is known.
    pub cause: Option<Cause>,
    /// When it was first asked for.
    pub since: Timestamp,
    /// Looks that came to nothing before this one.
    pub tries: u32,
    pub reason: String,
    pub pace: Pace,
    /// How long the side that failed asks to be left alone.
    pub wait: Duration,
    /// What was stored asked for this look: when it is due is decided anew.
    pub was_due: bool,
}

impl Pace {
    /// After so many looks that came to nothing.
    pub fn delay(self, tries: u32) -> Duration {
        let (first, longest) = match self {
            Pace::Often => (5 * 60, 3600),
            Pace::Seldom => (15 * 60, 24 * 3600),
        };
        let doubled = 2_u64.saturating_pow(tries.saturating_sub(1));
        Duration::from_secs(longest.min(doubled.saturating_mul(first)))
    }
}

/// What is stored after `setback`, where `known` is stored of the same object.
pub fn merged(known: Option<&Again>, setback: &Setback, now: Timestamp) -> Again {
    let known = known.filter(|known| known.look.object() == setback.look.object());
    let tries = known
        .map_or(0, |known| known.tries)
        .max(setback.tries)
        .saturating_add(1);
    let mut again = Again {
        look: setback.look.clone(),
        cause: setback.cause.clone(),
        due: later(now, setback.pace.delay(tries).max(setback.wait)),
        tries,
        since: setback.since,
        asked: setback.since,
        reason: setback.reason.clone(),
        not_older_than: setback.not_older_than,
    };
    if let Some(known) = known {
        again.look.merge(known.look.clone());
        again.not_older_than = again.not_older_than.max(known.not_older_than);
        again.cause = again.cause.or(known.cause.clone());
        again.since = again.since.min(known.since);
        again.asked = again.asked.max(known.asked);
        let is_ahead = now < known.due;
        if is_ahead && !setback.was_due {
            again.due = again.due.min(known.due);
        }
    }
    again
}

/// Stores what is to be taken again. Returns after it is stored.
pub async fn remember(store: &Store, setback: &Setback, now: Timestamp) -> Result<(), StoreError> {
    let key = again(&setback.look);
    let mut attempt = 1;
    loop {
        let found = store.load(&key).await?;
        let value = merged(found.value.as_ref(), setback, now);
        match store.save(&key, &value, found.revision).await {
            Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            saved => return saved.map(|_| ()),
        }
    }
}

/// Stores looks, owed to `cause`, as due now, each merged with what is stored of its object. Returns after all are stored.
pub async fn ask(
    store: &Store,
    looks: Vec<Look>,
    cause: Option<&Cause>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut open: BTreeMap<String, Look> = BTreeMap::new();
    for look in looks {
        match open.get_mut(&look.object()) {
            Some(known) => known.merge(look),
            None => {
                open.insert(look.object(), look);
            }
        }
    }
    let mut attempt = 1;
    while !open.is_empty() {
        let looks: Vec<Look> = open.values().cloned().collect();
        let found = stored(store, &looks).await?;
        let saves = looks
            .into_iter()
            .zip(found)
            .map(|(look, found)| async move {
                let object = look.object();
                let value = asked(found.value.as_ref(), (look, cause.cloned()), now);
                let saved = store
                    .save(&again(&value.look), &value, found.revision)
                    .await;
                (object, saved)
            });
        let mut saves = stream::iter(saves).buffer_unordered(AT_ONCE);
        while let Some((object, saved)) = saves.next().await {
            match saved {
                Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    open.remove(&object);
                }
            }
        }
        attempt += 1;
    }
    Ok(())
}

fn asked(known: Option<&Again>, (look, cause): (Look, Option<Cause>), now: Timestamp) -> Again {
    let mut again = Again {
        look,
        cause,
        due: now,
        tries: 0,
        since: now,
        asked: now,
        reason: String::new(),
        not_older_than: None,
    };
    if let Some(known) = known.filter(|known| known.look.object() == again.look.object()) {
        again.since = known.since;
        again.not_older_than = known.not_older_than;
        again.look.merge(known.look.clone());
        again.cause = again.cause.or(known.cause.clone());
    }
    again
}

/// What is stored of the objects of `looks`, in their order.
pub async fn stored(store: &Store, looks: &[Look]) -> Result<Vec<Found<Again>>, StoreError> {
    let keys: Vec<_> = looks.iter().map(again).collect();
    store.load_all(&keys).await
}

/// After a success: removes what `found` was, unless it has changed meanwhile.
pub async fn forget(store: &Store, look: &Look, found: &Found<Again>) -> Result<(), StoreError> {
    match store.remove_if(&again(look), found.revision).await {
        // Somebody has asked for more since; that is looked at when it is due.
        Err(StoreError::Conflict { .. }) => Ok(()),
        removed => removed,
    }
}

/// After everything was looked at: removes what was asked for before `begun`, unless it changes meanwhile.
pub async fn forget_asked_before(store: &Store, begun: Timestamp) -> Result<(), StoreError> {
    let folder = agains();
    let mut done = Vec::new();
    store
        .list(&folder, "", |_, found| {
            if let Some(known) = found.value.as_ref().filter(|known| known.asked < begun) {
                let look = known.look.clone();
                done.push((look, found));
            }
            ControlFlow::Continue(())
        })
        .await?;
    let forgotten = done.iter().map(|(look, found)| forget(store, look, found));
    let mut forgotten = stream::iter(forgotten).buffer_unordered(AT_ONCE);
    while let Some(forgotten) = forgotten.next().await {
        forgotten?;
    }
    Ok(())
}

/// Up to `most` of those that are due, the longest due first.
pub async fn due(
    store: &Store,
    now: Timestamp,
    most: usize,
) -> Result<Vec<(Again, Found<Again>)>, StoreError> {
    let mut due: Vec<(Again, Found<Again>)> = Vec::new();
    store
        .list(&agains(), "", |_, found| {
            if let Some(again) = found.value.clone().filter(|again| again.due <= now) {
                due.push((again, found));
            }
            ControlFlow::Continue(())
        })
        .await?;
    due.sort_by_key(|(again, _)| again.due);
    due.truncate(most);
    Ok(due)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::identity::RepositoryId;
    use crate::look::News;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn push(branch: &str) -> Look {
        Look::Repository {
            repository: RepositoryId::new("{1}"),
            news: News {
                pushed: BTreeSet::from([branch.to_owned()]),
                ..News::default()
            },
        }
    }

    fn setback(branch: &str, pace: Pace) -> Setback {
        Setback {
            cause: None,
            look: push(branch),
            not_older_than: None,
            since: at(0),
            tries: 0,
            reason: format!("{branch} failed"),
            pace,
            wait: Duration::ZERO,
            was_due: false,
        }
    }

    #[test]
    fn a_look_is_taken_again_less_and_less_often() {
        let minutes = |pace: Pace| {
            let delays = (1..10).map(|tries| pace.delay(tries).as_secs() / 60);
            delays.collect::<Vec<u64>>()
        };
        assert_eq!(minutes(Pace::Often), [5, 10, 20, 40, 60, 60, 60, 60, 60]);
        assert_eq!(
            minutes(Pace::Seldom),
            [15, 30, 60, 120, 240, 480, 960, 1440, 1440]
        );
        assert_eq!(Pace::Seldom.delay(0), Pace::Seldom.delay(1));
        assert_eq!(Pace::Seldom.delay(u32::MAX), Duration::from_secs(86_400));
    }

    #[test]
    fn of_two_wishes_about_one_object_both_are_kept() {
        let first = merged(None, &setback("main", Pace::Seldom), at(60));
        assert_eq!((first.tries, first.due), (1, at(60 + 900)));
        let mut second = setback("other", Pace::Often);
        second.since = at(120);
        let both = merged(Some(&first), &second, at(120));
        let Look::Repository { news, .. } = &both.look else {
            panic!("another look");
        };
        assert_eq!(news.pushed.len(), 2);
        assert_eq!(both.since, at(0), "the first of them");
        assert_eq!(both.tries, 2);
        assert_eq!(both.due, at(120 + 600), "the earlier");
        second.wait = Duration::from_secs(5000);
        let both = merged(Some(&first), &second, at(120));
        assert_eq!(both.due, first.due, "the earlier");
    }

    #[test]
    fn what_was_due_and_failed_is_due_later() {
        let first = merged(None, &setback("main", Pace::Seldom), at(0));
        let mut retry = setback("main", Pace::Seldom);
        // Sending it has put it off; so it was due earlier than that.
        let sent = Again {
            due: at(4000),
            ..first
        };
        retry.was_due = true;
        let second = merged(Some(&sent), &retry, at(1000));
        assert_eq!((second.tries, second.due), (2, at(1000 + 1800)));
        retry.was_due = false;
        let overdue = merged(
            Some(&Again {
                due: at(900),
                ..sent
            }),
            &retry,
            at(1000),
        );
        assert_eq!(overdue.due, at(1000 + 1800), "not at once again");
    }

    #[tokio::test]
    async fn a_success_does_not_remove_what_was_asked_for_meanwhile() {
        let store = Store::memory();
        let look = push("main");
        let mut revisions = Vec::new();
        for branch in ["main", "other"] {
            let failed = setback(branch, Pace::Often);
            remember(&store, &failed, at(0)).await.unwrap();
            revisions.extend(stored(&store, std::slice::from_ref(&look)).await.unwrap());
        }
        let [first, second] = revisions.as_slice() else {
            panic!("two revisions");
        };
        forget(&store, &look, first).await.unwrap();
        let left = due(&store, at(10_000), 10).await.unwrap();
        assert_eq!(left.len(), 1);
        forget(&store, &look, second).await.unwrap();
        assert!(due(&store, at(10_000), 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn wishes_asked_for_at_the_same_time_are_all_kept() {
        let store = Store::memory();
        let branches: Vec<String> = (0..4).map(|branch| branch.to_string()).collect();
        let asks = branches
            .iter()
            .map(|branch| ask(&store, vec![push(branch), push("main")], None, at(0)));
        for asked in futures_util::future::join_all(asks).await {
            asked.unwrap();
        }
        let left = due(&store, at(0), 10).await.unwrap();
        let [(again, _)] = left.as_slice() else {
            panic!("one object: {left:?}");
        };
        let Look::Repository { news, .. } = &again.look else {
            panic!("another look");
        };
        assert_eq!(news.pushed.len(), 5);
    }

    #[tokio::test]
    async fn the_longest_due_comes_first() {
        let store = Store::memory();
        for (id, failed_at) in [(1, 300), (2, 100), (3, 5000)] {
            let failed = Setback {
                cause: None,
                look: Look::PullRequest {
                    repository: RepositoryId::new("{1}"),
                    id,
                    closed: false,
                },
                ..setback("main", Pace::Often)
            };
            remember(&store, &failed, at(failed_at)).await.unwrap();
        }
        let objects = |due: Vec<(Again, Found<Again>)>| {
            let objects = due.into_iter().map(|(again, _)| again.look.object());
            objects.collect::<Vec<String>>()
        };
        let found = due(&store, at(1000), 10).await.unwrap();
        assert_eq!(objects(found), ["{1}/2", "{1}/1"]);
        let found = due(&store, at(10_000), 1).await.unwrap();
        assert_eq!(objects(found), ["{1}/2"]);
    }
}
