//! What becomes of each message of a batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::bitbucket;
use crate::identity::RepositoryId;
use crate::look::News;
use crate::queue::again::{Pace, Setback};
use crate::store::{Revision, documents};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn pull_request(id: u64) -> Look {
    Look::PullRequest {
        repository: RepositoryId::new("{1}"),
        id,
        closed: false,
    }
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

fn message(look: Look) -> Message {
    Message::of_look(look, at(0))
}

fn received(id: &str, receives: u32, message: &Message) -> Received {
    Received {
        id: id.to_owned(),
        body: message.outgoing(id).unwrap().body,
        receives,
        receipt: format!("receipt {id}"),
    }
}

fn later() -> Failure {
    Failure::Bitbucket(bitbucket::Error::OutOfTime)
}

fn limited(seconds: u64) -> Failure {
    Failure::Bitbucket(bitbucket::Error::RateLimited {
        retry_after: Duration::from_secs(seconds),
        contents_alone: false,
        tokens: 1,
    })
}

fn unauthorized() -> Failure {
    Failure::Bitbucket(bitbucket::Error::Unauthorized {
        message: String::new(),
    })
}

fn part() -> Failure {
    Failure::Bitbucket(bitbucket::Error::TooLarge {
        request: "GET /x".to_owned(),
    })
}

/// Works `messages` off with an engine that answers what `outcomes` says. Which come back, and after how many seconds.
async fn concluded(
    store: &Store,
    messages: &[Received],
    outcomes: Vec<Option<Failure>>,
) -> Vec<(String, u64)> {
    let decoded = decode(messages);
    let mut unreadable = decoded.back;
    unreadable.extend(leave_to_others(store, decoded.later, at(1000)).await);
    let mut objects = objects(&decoded.readable);
    load_stored(store, &mut objects).await;
    assert_eq!(objects.len(), outcomes.len());
    let outcomes: Vec<LookOutcome> = outcomes
        .into_iter()
        .map(|failure| failure.map_or(Ok(()), |failure| Err(Arc::new(failure))))
        .collect();
    let back = conclude(store, &objects, &outcomes, at(1000)).await;
    let back = unreadable.into_iter().chain(back);
    back.map(|(received, wait)| (received.id.clone(), wait.as_secs()))
        .collect()
}

async fn stored(store: &Store, look: Look) -> Option<Again> {
    let found = store.load(&documents::again(&look)).await.unwrap();
    found.value
}

#[tokio::test]
async fn a_message_that_is_none_costs_its_neighbours_nothing() {
    let store = Store::memory();
    let garbage = Received {
        id: "garbage".to_owned(),
        body: "{}".to_owned(),
        ..Received::default()
    };
    let newer = Received {
        id: "newer".to_owned(),
        body: r#"{"version": 99}"#.to_owned(),
        ..Received::default()
    };
    let messages = [
        garbage,
        received("good", 1, &message(pull_request(1))),
        newer,
    ];
    let back = concluded(&store, &messages, vec![None]).await;
    assert_eq!(back, [("garbage".to_owned(), 0), ("newer".to_owned(), 60)]);
}

/// An update that was taken back: nobody is left who reads what the later edition has sent.
#[tokio::test]
async fn before_a_later_editions_message_would_be_a_dead_letter_a_run_is_asked_for() {
    let store = Store::memory();
    let newer = |receives| {
        let body = r#"{"version": 99}"#.to_owned();
        [Received {
            id: "newer".to_owned(),
            body,
            receives,
            ..Received::default()
        }]
    };
    let asked = async || store.load(&run_request()).await.unwrap().value;
    for receives in 1..MAX_RECEIVES - 1 {
        let back = concluded(&store, &newer(receives), Vec::new()).await;
        assert_eq!(back, [("newer".to_owned(), 60)]);
        assert_eq!(asked().await, None);
    }
    let back = concluded(&store, &newer(MAX_RECEIVES - 1), Vec::new()).await;
    assert!(back.is_empty(), "{back:?}");
    assert!(asked().await.is_some());
}

#[tokio::test]
async fn messages_about_one_object_are_one_look_and_share_its_fate() {
    let mut early = message(push("main"));
    early.not_older_than = Some(at(5));
    let mut late = message(push("other"));
    late.not_older_than = Some(at(9));
    let messages = [
        received("a", 1, &late),
        received("b", 1, &message(pull_request(1))),
        received("c", 3, &early),
    ];
    let decoded = decode(&messages);
    let merged = objects(&decoded.readable);
    let [repository, _] = merged.as_slice() else {
        panic!("two objects");
    };
    let Look::Repository { news, .. } = &repository.wanted.look else {
        panic!("another look");
    };
    assert_eq!(news.pushed.len(), 2);
    assert_eq!(repository.wanted.not_older_than, Some(at(9)));

    let store = Store::memory();
    let back = concluded(&store, &messages, vec![Some(later()), None]).await;
    assert_eq!(back, [("a".to_owned(), 120), ("c".to_owned(), 120)]);
}

#[tokio::test]
async fn what_may_pass_is_put_off_and_at_last_stored() {
    for failure in [later, unauthorized] {
        let store = Store::memory();
        for receives in 1..MAX_RECEIVES - 1 {
            let messages = [received("a", receives, &message(pull_request(1)))];
            let back = concluded(&store, &messages, vec![Some(failure())]).await;
            assert_eq!(back.len(), 1, "{receives}");
            assert_eq!(stored(&store, pull_request(1)).await, None);
        }
        let messages = [received("a", MAX_RECEIVES - 1, &message(pull_request(1)))];
        let back = concluded(&store, &messages, vec![Some(failure())]).await;
        assert!(back.is_empty(), "acknowledged");
        let again = stored(&store, pull_request(1)).await.unwrap();
        assert_eq!((again.tries, again.since), (1, at(0)));
        assert_eq!(again.due, at(1000 + 300));
    }
}

#[tokio::test]
async fn a_limit_that_lasts_for_hours_is_waited_for() {
    let store = Store::memory();
    let messages = [received("a", 1, &message(pull_request(1)))];
    let back = concluded(&store, &messages, vec![Some(limited(7200))]).await;
    assert_eq!(back, [("a".to_owned(), 7200)]);
    let messages = [received("a", 1, &message(pull_request(1)))];
    let back = concluded(&store, &messages, vec![Some(limited(13 * 3600))]).await;
    assert!(back.is_empty());
    let again = stored(&store, pull_request(1)).await.unwrap();
    assert_eq!(again.due, at(1000 + 13 * 3600));
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_stored_at_once() {
    let store = Store::memory();
    let messages = [
        received("a", 1, &message(pull_request(1))),
        received("b", 1, &message(push("main"))),
    ];
    let back = concluded(&store, &messages, vec![Some(part()), None]).await;
    assert!(back.is_empty());
    let again = stored(&store, pull_request(1)).await.unwrap();
    assert_eq!(again.due, at(1000 + 900));
    assert!(again.reason.contains("too large"), "{}", again.reason);
    assert_eq!(stored(&store, push("main")).await, None);
}

#[tokio::test]
async fn a_defect_ends_with_the_dead_letters() {
    let store = Store::memory();
    let unwritable = || {
        let source = serde_json::from_str::<u8>("").unwrap_err();
        Failure::Store(crate::store::StoreError::Unwritable {
            key: String::new(),
            source,
        })
    };
    for receives in [1, MAX_RECEIVES - 1, MAX_RECEIVES] {
        let messages = [received("a", receives, &message(pull_request(1)))];
        let back = concluded(&store, &messages, vec![Some(unwritable())]).await;
        assert_eq!(back.len(), 1, "{receives}");
    }
    assert_eq!(stored(&store, pull_request(1)).await, None);
}

async fn remembered(store: &Store, branch: &str) -> Message {
    let setback = Setback {
        not_older_than: None,
        cause: None,
        look: push(branch),
        since: at(-500),
        tries: 0,
        reason: "x".to_owned(),
        pace: Pace::Often,
        wait: Duration::ZERO,
        was_due: false,
    };
    again::remember(store, &setback, at(0)).await.unwrap();
    Message {
        again: true,
        tries: 1,
        ..message(push(branch))
    }
}

#[tokio::test]
async fn a_success_removes_what_was_stored() {
    let store = Store::memory();
    let from_again = remembered(&store, "main").await;
    let messages = [received("a", 1, &message(push("main")))];
    concluded(&store, &messages, vec![None]).await;
    assert!(stored(&store, push("main")).await.is_some(), "nobody asked");
    let messages = [received("b", 1, &from_again)];
    let back = concluded(&store, &messages, vec![None]).await;
    assert!(back.is_empty());
    assert_eq!(stored(&store, push("main")).await, None);
}

#[tokio::test]
async fn what_was_stored_and_fails_again_goes_back_with_a_longer_wait() {
    let store = Store::memory();
    let from_again = remembered(&store, "main").await;
    let messages = [received("a", 1, &from_again)];
    let back = concluded(&store, &messages, vec![Some(later())]).await;
    assert!(back.is_empty(), "it does not go round in the queue");
    let again = stored(&store, push("main")).await.unwrap();
    assert_eq!((again.tries, again.since), (2, at(-500)));
    assert_eq!(again.due, at(1000 + 600));
}

/// Somebody stores more while the look is taken: that was not looked at.
#[tokio::test]
async fn what_was_asked_for_meanwhile_stays_stored() {
    let store = Store::memory();
    let from_again = remembered(&store, "main").await;
    let messages = [received("a", 1, &from_again)];
    let readable = decode(&messages).readable;
    let mut objects = objects(&readable);
    remembered(&store, "other").await;
    load_stored(&store, &mut objects).await;
    let [object] = objects.as_slice() else {
        panic!("one object");
    };
    let Look::Repository { news, .. } = &object.wanted.look else {
        panic!("another look");
    };
    assert_eq!(
        news.pushed.len(),
        2,
        "stored before the look: looked at along"
    );
    remembered(&store, "third").await;
    conclude(&store, &objects, &[Ok(())], at(1000)).await;
    assert!(stored(&store, push("main")).await.is_some());
}

/// The store is out of order: what cannot be stored comes back as a message.
#[tokio::test]
async fn what_cannot_be_stored_is_not_acknowledged() {
    let clock = crate::deadline::Clock::simulated(at(0));
    let nowhere = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(nowhere);
    let store = Store::dynamodb(client, "none".to_owned(), clock);
    let messages = [received("a", MAX_RECEIVES, &message(pull_request(1)))];
    let back = concluded(&store, &messages, vec![Some(part())]).await;
    assert_eq!(back, [("a".to_owned(), 60)]);
}

#[tokio::test]
async fn a_stored_look_is_replaced_only_as_it_was_read() {
    let store = Store::memory();
    let key = documents::again(&push("main"));
    remembered(&store, "main").await;
    let found = store.load(&key).await.unwrap();
    assert!(store.remove_if(&key, Revision::ABSENT).await.is_err());
    remembered(&store, "other").await;
    assert!(store.remove_if(&key, found.revision).await.is_err());
    let found = store.load(&key).await.unwrap();
    store.remove_if(&key, found.revision).await.unwrap();
    store.remove_if(&key, found.revision).await.unwrap();
}
