//! Who gets which message, and when.

use super::*;

async fn open(store: &Store) -> (Local, Clock) {
    let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
    let local = Local::open(store.clone(), clock.clone()).await.unwrap();
    (local, clock)
}

async fn send(local: &Local, group: &str, id: &str) {
    let message = Outgoing {
        group: group.to_owned(),
        id: id.to_owned(),
        body: id.to_owned(),
    };
    local.send(&[message], local.clock.now()).await.unwrap();
}

async fn received(local: &Local) -> Vec<String> {
    let received = local.receive().await.unwrap();
    received.into_iter().map(|taken| taken.body).collect()
}

#[tokio::test]
async fn one_worker_has_a_group_and_others_do_not_wait_for_it() {
    let (local, clock) = open(&Store::memory()).await;
    for (group, id) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
        send(&local, group, id).await;
    }
    send(&local, "a", "a1").await;
    assert_eq!(received(&local).await, ["a1", "b1", "a2"]);
    send(&local, "a", "a3").await;
    assert!(received(&local).await.is_empty(), "a1 is being worked on");
    let done = ["2".to_owned(), "3".to_owned()];
    local.complete(&done).await.unwrap();
    assert!(received(&local).await.is_empty(), "a1 is being worked on");
    let wait = Duration::from_secs(60);
    let receipt = "1".to_owned();
    local.postpone(&[PutOff { receipt, wait }], clock.now());
    assert_eq!(received(&local).await, ["a3"], "no order is kept");
    local.complete(&["4".to_owned()]).await.unwrap();
    clock.advance(wait);
    assert_eq!(received(&local).await, ["a1"]);
}

#[tokio::test]
async fn a_worker_learns_at_once_of_what_was_sent_and_of_what_waited() {
    let (local, _) = open(&Store::memory()).await;
    let is_news = || {
        let waker = std::task::Waker::noop();
        let mut news = std::pin::pin!(local.news());
        let polled = news
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        polled.is_ready()
    };
    assert!(!is_news());
    send(&local, "a", "a1").await;
    assert!(is_news() && !is_news());
    assert_eq!(received(&local).await, ["a1"]);
    assert!(is_news() && !is_news(), "another worker may find more");
    send(&local, "a", "a2").await;
    assert!(is_news());
    assert!(received(&local).await.is_empty());
    assert!(!is_news(), "nothing is found, nobody is told");
    local.complete(&["1".to_owned()]).await.unwrap();
    assert!(is_news());
    assert_eq!(received(&local).await, ["a2"]);
}

#[tokio::test]
async fn a_message_of_a_worker_that_died_comes_back_and_ends_with_the_dead_letters() {
    let store = Store::memory();
    let (local, clock) = open(&store).await;
    send(&local, "a", "a1").await;
    for _ in 0..MAX_RECEIVES / 2 {
        assert_eq!(received(&local).await, ["a1"]);
        clock.advance(WORKING_TIME);
    }
    // A new process knows how often it was received.
    let (local, clock) = open(&store).await;
    for _ in 0..MAX_RECEIVES / 2 {
        assert_eq!(received(&local).await, ["a1"]);
        clock.advance(WORKING_TIME);
    }
    assert!(received(&local).await.is_empty());
    assert_eq!(local.dead_letters(), 1);
    let (local, _) = open(&store).await;
    assert_eq!(local.dead_letters(), 1);
    send(&local, "a", "a2").await;
    let taken = local.receive().await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_ne!(
        taken.first().unwrap().receipt,
        "1",
        "a dead letter's number"
    );
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    let store = Store::memory();
    let (local, _) = open(&store).await;
    send(&local, "a", "a1").await;
    assert_eq!(received(&local).await, ["a1"]);
    let (local, _) = open(&store).await;
    send(&local, "a", "a1").await;
    assert_eq!(received(&local).await, ["a1"]);
}
