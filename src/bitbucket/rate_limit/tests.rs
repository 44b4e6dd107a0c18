//! The counting and the waits, on times that the test gives.

mod regimes;

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

fn start() -> Timestamp {
    "2026-11-23T12:00:30Z".parse().unwrap()
}

fn silent() -> RateHeaders {
    RateHeaders::default()
}

fn named(resource: &str) -> RateHeaders {
    RateHeaders {
        resource: Some(resource.to_owned()),
        ..RateHeaders::default()
    }
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
        &named("files"),
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
    let (mut allowance, mut now) = (Allowance::new(), start());
    let mut wait = |allowance: &mut Allowance, retry_after: Option<u64>| {
        let sent = allowance.count(RateGroup::Api, now);
        let retry_after = retry_after.map(Duration::from_secs);
        allowance.refuse(RateGroup::Api, sent, &silent(), retry_after, now);
        match one(allowance, 0.0, now) {
            Slot::Wait(wait) => {
                now = crate::deadline::later(now, wait);
                wait.as_secs()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wait(&mut allowance, None), 10);
    assert_eq!(wait(&mut allowance, None), 60);
    assert_eq!(wait(&mut allowance, Some(77)), 77);
    assert_eq!(wait(&mut allowance, Some(0)), 1800, "no tight loop");
    assert_eq!(wait(&mut allowance, Some(2)), 1800, "it has said so before");
    assert_eq!(wait(&mut allowance, Some(9_999)), 3600);
    let sent = allowance.count(RateGroup::Api, now);
    allowance.accept(RateGroup::Api, sent, &silent(), now);
    let sent = allowance.count(RateGroup::Api, now);
    allowance.refuse(
        RateGroup::Api,
        sent,
        &silent(),
        Some(Duration::from_secs(2)),
        now,
    );
    assert_eq!(
        one(&mut allowance, 0.0, now),
        Slot::Wait(Duration::from_secs(2))
    );
}

#[test]
fn eight_429s_of_one_incident_are_one_strike() {
    let (mut allowance, now) = (Allowance::new(), start());
    let together: Vec<Incident> = (0..10)
        .map(|_| allowance.count(RateGroup::Api, now))
        .collect();
    for sent in &together[..8] {
        allowance.refuse(RateGroup::Api, *sent, &silent(), None, now);
    }
    let wait = Slot::Wait(Duration::from_secs(10));
    assert_eq!(one(&mut allowance, 0.0, now), wait);
    // One of them says how long, another got through before the limit.
    let longer = Duration::from_secs(30);
    allowance.refuse(RateGroup::Api, together[8], &silent(), Some(longer), now);
    allowance.accept(RateGroup::Api, together[9], &silent(), now);
    assert_eq!(one(&mut allowance, 0.0, now), Slot::Wait(longer));
    // The next incident is the second in a row.
    let now = now + 30.seconds();
    let sent = allowance.count(RateGroup::Api, now);
    allowance.refuse(RateGroup::Api, sent, &silent(), None, now);
    let wait = Slot::Wait(Duration::from_secs(60));
    assert_eq!(one(&mut allowance, 0.0, now), wait);
}

/// Contents that nothing is said about, and that are refused though few were read, are counted with everything else.
#[test]
fn a_429_that_contents_do_not_explain_joins_them_with_everything_else() {
    let refused = |contents: u32, others: u32, headers: &RateHeaders| {
        let (mut allowance, now) = (Allowance::new(), start());
        for _ in 0..others {
            allowance.count(RateGroup::Api, now);
        }
        let mut sent = Incident::default();
        for _ in 0..contents {
            sent = allowance.count(RateGroup::RawFiles, now);
        }
        allowance.refuse(RateGroup::RawFiles, sent, headers, None, now);
        one(&mut allowance, 0.0, now)
    };
    assert_eq!(
        refused(300, 0, &silent()),
        Slot::Wait(Duration::from_secs(10))
    );
    assert_eq!(
        refused(300, 701, &silent()),
        Slot::Wait(Duration::from_secs(3610))
    );
    assert_eq!(
        refused(4_500, 0, &silent()),
        Slot::Take(0),
        "their own limit"
    );
    assert_eq!(refused(300, 0, &named("files")), Slot::Take(0));
}

#[test]
fn names_join_contents_with_everything_else_and_separate_them() {
    let (mut allowance, now) = (Allowance::new(), start());
    for _ in 0..600 {
        let sent = allowance.count(RateGroup::RawFiles, now);
        allowance.accept(RateGroup::RawFiles, sent, &named("repositories"), now);
    }
    assert_eq!(allowance.requests_left(now), 1_000);
    let sent = allowance.count(RateGroup::Api, now);
    allowance.accept(RateGroup::Api, sent, &named("repositories"), now);
    assert_eq!(allowance.requests_left(now), 399, "one group by its name");
    let stored = serde_json::to_string(&allowance).unwrap();
    let mut elsewhere = Allowance::new();
    elsewhere.learn(&serde_json::from_str(&stored).unwrap());
    elsewhere.count(RateGroup::RawFiles, now);
    assert_eq!(elsewhere.requests_left(now), 398);
    let sent = allowance.count(RateGroup::RawFiles, now);
    allowance.accept(RateGroup::RawFiles, sent, &named("files"), now);
    assert_eq!(allowance.left(RateGroup::RawFiles, 0.0, now), 5_000);
}

/// What an edition wrote that knew nothing of shares is read.
#[test]
fn an_allowance_of_an_earlier_edition_is_read() {
    let window = r#"{"limit":1000,"buckets":[[179569443,5]],"blocked_until":null}"#;
    let stored = format!(r#"{{"api":{window},"raw_files":{window}}}"#);
    let mut allowance: Allowance = serde_json::from_str(&stored).unwrap();
    let now = Timestamp::from_second(1_795_694_440).unwrap();
    assert_eq!(allowance.requests_left(now), 995);
}

#[test]
fn answers_correct_the_count() {
    let (mut allowance, now) = (Allowance::new(), start());
    let sent = Incident::default();
    let more = RateHeaders {
        limit: Some(8_370),
        ..silent()
    };
    allowance.accept(RateGroup::Api, sent, &more, now);
    assert_eq!(allowance.api.left(0.0, now), Ok(8_370));
    let near = RateHeaders {
        near_limit: true,
        ..silent()
    };
    allowance.accept(RateGroup::Api, sent, &near, now);
    assert_eq!(allowance.api.left(0.0, now), Ok(8_370 - 6_696));
    allowance.revoked = true;
    assert_eq!(one(&mut allowance, 0.0, now), Slot::Nobody);
}

proptest! {
    /// Whoever keeps to the turns never exceeds the limit in any hour.
    #[test]
    fn no_hour_holds_more_than_the_limit(pauses in prop::collection::vec(0_i64..40, 1..400)) {
        let (mut allowance, mut now, mut sent) = (Allowance::new(), start(), Vec::new());
        let limit = RateHeaders { limit: Some(50), ..silent() };
        allowance.accept(RateGroup::Api, Incident::default(), &limit, now);
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
            let within = sent[index..].iter().take_while(|at| at.duration_since(*first).as_secs() < 3600).count();
            prop_assert!(within <= 50, "{within} requests within an hour");
        }
    }
}
