//! Leases on a store in memory: several processes, each with what it remembers, on one simulated clock.

mod properties;

use super::*;
use crate::store::documents::LeaseState;

const MINUTE: Duration = Duration::from_secs(60);

struct World {
    store: Store,
    clock: Clock,
}

impl World {
    fn new() -> World {
        let clock = Clock::simulated("2026-11-23T07:00:00Z".parse().unwrap());
        let store = Store::memory();
        World { store, clock }
    }

    fn process(&self) -> Leases {
        Leases::new(self.store.clone(), self.clock.clone())
    }

    async fn state(&self) -> LeaseState {
        let found = self.store.load(&documents::lease("pen")).await.unwrap();
        found.value.unwrap()
    }
}

async fn attempt(leases: &Leases, asker: Asker) -> Option<Lease> {
    match leases.try_take(LeaseName::Pen, asker).await.unwrap() {
        Attempt::Taken(lease) => Some(lease),
        Attempt::Refused => None,
    }
}

#[tokio::test]
async fn one_holds_it_and_each_holder_has_a_greater_epoch() {
    let world = World::new();
    let (one, other) = (world.process(), world.process());
    let first = attempt(&one, Asker::Live).await.unwrap();
    assert!(attempt(&other, Asker::Run).await.is_none());
    assert!(attempt(&one, Asker::Live).await.is_none(), "same process");
    let other_lease = one.try_take(LeaseName::Run, Asker::Run).await.unwrap();
    assert!(matches!(other_lease, Attempt::Taken(_)));
    let epoch = first.epoch();
    first.release().await.unwrap();
    let second = attempt(&other, Asker::Run).await.unwrap();
    assert_eq!(second.epoch(), epoch + 1);
    assert!(!second.was_stolen());
    second.release().await.unwrap();
    // A document that is lost begins again above.
    let key = documents::lease("pen");
    world.store.remove(&key).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let third = attempt(&other, Asker::Run).await.unwrap();
    assert!(epoch + 1 < third.epoch(), "{third:?}");
}

#[tokio::test]
async fn a_dead_holder_stops_others_for_half_a_minute_of_their_own_time() {
    let world = World::new();
    let (one, other) = (world.process(), world.process());
    let dead = attempt(&one, Asker::Live).await.unwrap();
    world.clock.advance(MINUTE);
    // Whoever comes later has seen nothing stand still yet.
    assert!(attempt(&other, Asker::Live).await.is_none());
    world.clock.advance(LEASE - Duration::from_millis(1));
    assert!(attempt(&other, Asker::Live).await.is_none());
    world.clock.advance(Duration::from_millis(1));
    let thief = attempt(&other, Asker::Live).await.unwrap();
    assert!(thief.was_stolen());
    assert_eq!(thief.epoch(), dead.epoch() + 1);
    // The dead one rises, and lets nobody in.
    assert_eq!(dead.deadline().remaining(), Duration::ZERO);
    dead.release().await.unwrap();
    let state = world.state().await;
    assert!(state.held && state.epoch == thief.epoch(), "{state:?}");
}

#[tokio::test]
async fn a_long_holder_is_kept_by_its_beats_and_told_when_it_is_not() {
    let world = World::new();
    let (one, other) = (world.process(), world.process());
    let mut lease = attempt(&one, Asker::Run).await.unwrap();
    for _ in 0..20 {
        world.clock.advance(LEASE / 3);
        lease.keep().await.unwrap();
        assert_eq!(lease.deadline().remaining(), LEASE - SAFETY);
        // Its mark does not get in the way of the beat.
        assert!(attempt(&other, Asker::Live).await.is_none());
    }
    let beats = world.state().await.beat;
    lease.keep().await.unwrap();
    assert_eq!(world.state().await.beat, beats, "not before it is time");
    world.clock.advance(LEASE);
    assert!(attempt(&other, Asker::Live).await.is_some());
    let lost = lease.keep().await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_run_stays_off_while_a_live_look_waits() {
    let world = World::new();
    let (one, run, live) = (world.process(), world.process(), world.process());
    let first = attempt(&one, Asker::Run).await.unwrap();
    assert!(attempt(&run, Asker::Run).await.is_none());
    assert_eq!(world.state().await.wanted, 0, "runs do not press");
    assert!(attempt(&live, Asker::Live).await.is_none());
    let wanted = world.state().await.wanted;
    assert_ne!(wanted, 0);
    assert!(attempt(&live, Asker::Live).await.is_none());
    assert_eq!(world.state().await.wanted, wanted, "once is enough");
    first.release().await.unwrap();
    assert!(attempt(&run, Asker::Run).await.is_none());
    let second = attempt(&live, Asker::Live).await.unwrap();
    assert_eq!(world.state().await.wanted, 0);
    second.release().await.unwrap();
    assert!(attempt(&run, Asker::Run).await.is_some());
}

#[tokio::test]
async fn a_live_look_that_died_waiting_keeps_runs_off_for_seconds_only() {
    let world = World::new();
    let (one, run, live) = (world.process(), world.process(), world.process());
    let first = attempt(&one, Asker::Run).await.unwrap();
    assert!(attempt(&live, Asker::Live).await.is_none());
    first.release().await.unwrap();
    assert!(attempt(&run, Asker::Run).await.is_none());
    world.clock.advance(decision::MARK);
    let second = attempt(&run, Asker::Run).await.unwrap();
    second.release().await.unwrap();
    assert!(
        attempt(&one, Asker::Run).await.is_some(),
        "the mark is gone"
    );
}

#[tokio::test]
async fn who_waits_long_presses_again_before_the_mark_is_stale() {
    let world = World::new();
    let (one, run, live) = (world.process(), world.process(), world.process());
    let mut first = attempt(&one, Asker::Run).await.unwrap();
    for _ in 0..20 {
        world.clock.advance(decision::MARK / 2);
        first.keep().await.unwrap();
        assert!(attempt(&live, Asker::Live).await.is_none());
        assert!(attempt(&run, Asker::Run).await.is_none());
    }
    first.release().await.unwrap();
    assert!(attempt(&run, Asker::Run).await.is_none());
    assert!(attempt(&live, Asker::Live).await.is_some());
}

#[tokio::test]
async fn waiting_ends_with_the_lease_or_the_deadline() {
    let world = World::new();
    let (one, other) = (world.process(), world.process());
    let dead = attempt(&one, Asker::Live).await;
    let take = async |seconds| {
        let deadline = Deadline::after(&world.clock, Duration::from_secs(seconds));
        let taken = other.take(LeaseName::Pen, Asker::Run, &deadline).await;
        (taken.unwrap(), deadline.remaining())
    };
    let (taken, remaining) = take(10).await;
    assert!(taken.is_none());
    assert!(remaining < POLL + Duration::from_millis(JITTER_MILLIS));
    let (taken, _) = take(60).await;
    let taken = taken.unwrap();
    assert!(taken.was_stolen());
    assert!(
        Duration::from_secs(15) < taken.waited(),
        "{:?}",
        taken.waited()
    );
    drop(dead);
}

#[tokio::test]
async fn askers_of_one_process_wait_without_time_passing_and_a_live_look_for_one_run_at_most() {
    let world = World::new();
    let leases = world.process();
    let begun = world.clock.now();
    let order = Mutex::new(Vec::new());
    let section = async |who: &'static str, asker| {
        let deadline = Deadline::after(&world.clock, MINUTE);
        let lease = leases.take(LeaseName::Pen, asker, &deadline).await;
        order.lock().unwrap().push(who);
        tokio::task::yield_now().await;
        lease.unwrap().unwrap().release().await.unwrap();
    };
    tokio::join!(
        section("run 1", Asker::Run),
        section("run 2", Asker::Run),
        section("run 3", Asker::Run),
        section("live", Asker::Live),
    );
    let order = order.into_inner().unwrap();
    let live = order.iter().position(|who| *who == "live").unwrap();
    assert!(live <= 1, "{order:?}");
    assert_eq!(world.clock.now(), begun);
}

#[tokio::test]
async fn a_lease_of_another_edition_is_waited_for_as_long_as_it_changes() {
    let world = World::new();
    let leases = world.process();
    let key = documents::lease("pen");
    let write = async || {
        let garbage = crate::store::tests::garbage(&key, 7, b"later");
        world.store.plant(garbage);
    };
    for _ in 0..4 {
        write().await;
        assert!(attempt(&leases, Asker::Live).await.is_none());
        world.clock.advance(LEASE * 2 / 3);
    }
    assert!(attempt(&leases, Asker::Live).await.is_none());
    world.clock.advance(LEASE);
    assert!(attempt(&leases, Asker::Live).await.unwrap().was_stolen());
}

#[tokio::test]
async fn what_is_asked_of_the_store_can_be_spawned() {
    fn can_move(_: impl Send) {}
    let world = World::new();
    let (leases, deadline) = (world.process(), Deadline::after(&world.clock, MINUTE));
    can_move(leases.take(LeaseName::Pen, Asker::Live, &deadline));
    let key = documents::lease("pen");
    let keys = [key.clone()];
    can_move(world.store.load_all(&keys));
    can_move(world.store.remove_all(&keys));
    can_move(
        world
            .store
            .save(&key, &LeaseState::default(), Revision::ABSENT),
    );
}
