//! The counting and the waits, on times that the test gives.

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

fn start() -> Timestamp {
    "2026-11-23T12:00:30Z".parse().unwrap()
}

fn one(allowance: &mut Allowance, reserve: f64, now: Timestamp) -> Slot {
    turn(std::iter::once(allowance), RateGroup::Api, reserve, now)
}

#[test]
fn an_hour_holds_a_thousand_requests_and_a_reserve_for_live_events() {
    let (mut allowance, now) = (Allowance::new(), start());
    let mut sent = 0;
    while one(&mut allowance, 0.1, now) == Slot::Take(0) {
        allowance.count(RateGroup::Api, now);
        sent += 1;
    }
    assert_eq!(sent, 900);
    // The ten seconds of the requests leave the window together.
    assert_eq!(
        one(&mut allowance, 0.1, now),
        Slot::Wait(Duration::from_secs(3610))
    );
    assert_eq!(one(&mut allowance, 0.0, now), Slot::Take(0));
    assert_eq!(
        turn(
            std::iter::once(&mut allowance),
            RateGroup::RawFiles,
            0.1,
            now
        ),
        Slot::Take(0)
    );
    assert_eq!(
        one(&mut allowance, 0.1, now + 3609.seconds()),
        Slot::Wait(Duration::from_secs(1))
    );
    assert_eq!(
        one(&mut allowance, 0.1, now + 3610.seconds()),
        Slot::Take(0)
    );
}

#[test]
fn what_another_process_has_used_is_used() {
    let (mut mine, mut theirs, now) = (Allowance::new(), Allowance::new(), start());
    for _ in 0..300 {
        mine.count(RateGroup::Api, now);
    }
    for _ in 0..700 {
        theirs.count(RateGroup::Api, now + 60.seconds());
    }
    let sent = theirs.count(RateGroup::RawFiles, now);
    theirs.refuse(
        RateGroup::RawFiles,
        sent,
        Some(Duration::from_secs(90)),
        now,
    );
    let stored = serde_json::to_string(&theirs).unwrap();
    for _ in 0..2 {
        mine.learn(&serde_json::from_str(&stored).unwrap());
        assert_eq!(mine.api.used(now + 60.seconds()), 1_000);
    }
    let raw = turn(std::iter::once(&mut mine), RateGroup::RawFiles, 0.0, now);
    assert_eq!(raw, Slot::Wait(Duration::from_secs(90)));
}

#[test]
fn several_credentials_share_the_work() {
    let mut allowances = [Allowance::new(), Allowance::new(), Allowance::new()];
    allowances[2].revoked = true;
    let mut sent = [0; 3];
    while let Slot::Take(index) = turn(allowances.iter_mut(), RateGroup::Api, 0.0, start()) {
        allowances[index].count(RateGroup::Api, start());
        sent[index] += 1;
    }
    assert_eq!(sent, [1000, 1000, 0]);
}

#[test]
fn a_429_blocks_as_long_as_it_says_and_longer_each_time_it_says_nothing() {
    let (mut allowance, now) = (Allowance::new(), start());
    let wait = |allowance: &mut Allowance, retry_after: Option<u64>| {
        let sent = allowance.count(RateGroup::Api, now);
        allowance.refuse(
            RateGroup::Api,
            sent,
            retry_after.map(Duration::from_secs),
            now,
        );
        match one(allowance, 0.0, now) {
            Slot::Wait(wait) => wait.as_secs(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wait(&mut allowance, None), 5);
    assert_eq!(wait(&mut allowance, None), 10);
    assert_eq!(wait(&mut allowance, Some(77)), 77);
    assert_eq!(wait(&mut allowance, Some(0)), 40, "no tight loop");
    let sent = allowance.count(RateGroup::Api, now);
    allowance.accept(RateGroup::Api, sent, None, false, now);
    assert_eq!(wait(&mut allowance, None), 5);
    assert_eq!(one(&mut allowance, 0.0, now + 5.seconds()), Slot::Take(0));
}

#[test]
fn eight_429s_of_one_incident_are_one_strike() {
    let (mut allowance, now) = (Allowance::new(), start());
    let together: Vec<Incident> = (0..10)
        .map(|_| allowance.count(RateGroup::Api, now))
        .collect();
    for sent in &together[..8] {
        allowance.refuse(RateGroup::Api, *sent, None, now);
    }
    assert_eq!(
        one(&mut allowance, 0.0, now),
        Slot::Wait(Duration::from_secs(5))
    );
    // One of them says how long, another got through before the limit.
    allowance.refuse(
        RateGroup::Api,
        together[8],
        Some(Duration::from_secs(30)),
        now,
    );
    allowance.accept(RateGroup::Api, together[9], None, false, now);
    assert_eq!(
        one(&mut allowance, 0.0, now),
        Slot::Wait(Duration::from_secs(30))
    );
    // The next incident is the second in a row.
    let now = now + 30.seconds();
    let sent = allowance.count(RateGroup::Api, now);
    allowance.refuse(RateGroup::Api, sent, None, now);
    assert_eq!(
        one(&mut allowance, 0.0, now),
        Slot::Wait(Duration::from_secs(10))
    );
}

#[test]
fn answers_correct_the_count() {
    let (mut allowance, now) = (Allowance::new(), start());
    let sent = Incident::default();
    allowance.accept(RateGroup::Api, sent, Some(8_370), false, now);
    assert_eq!(allowance.api.left(0.0, now), Ok(8_370));
    allowance.accept(RateGroup::Api, sent, None, true, now);
    assert_eq!(allowance.api.left(0.0, now), Ok(8_370 - 6_696));
    allowance.revoked = true;
    assert_eq!(one(&mut allowance, 0.0, now), Slot::Nobody);
}

proptest! {
    /// Whoever keeps to the turns never exceeds the limit in any hour.
    #[test]
    fn no_hour_holds_more_than_the_limit(pauses in prop::collection::vec(0_i64..40, 1..400)) {
        let (mut allowance, mut now, mut sent) = (Allowance::new(), start(), Vec::new());
        allowance.accept(RateGroup::Api, Incident::default(), Some(50), false, now);
        for pause in pauses {
            now += pause.seconds();
            match one(&mut allowance, 0.0, now) {
                Slot::Take(_) => {
                    allowance.count(RateGroup::Api, now);
                    sent.push(now);
                }
                Slot::Wait(wait) => {
                    now = crate::deadline::later(now, wait);
                    prop_assert_eq!(one(&mut allowance, 0.0, now), Slot::Take(0), "a wait that was kept is enough");
                }
                Slot::Nobody => prop_assert!(false),
            }
        }
        for (index, first) in sent.iter().enumerate() {
            let within = sent[index..].iter().take_while(|at| at.duration_since(*first).as_secs() < WINDOW).count();
            prop_assert!(within <= 50, "{within} requests within an hour");
        }
    }
}
