//! Servers that limit in different ways, and say little about it: everything arrives, nearly as soon as it can, and hardly
//! a request is refused.
//!
//! Time is simulated: eight requests at once, each answered after a tenth of a second.

use std::collections::VecDeque;

use super::*;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const ANSWER: i64 = 100;
const AT_ONCE: usize = 8;

/// How a server limits one token.
#[derive(Clone)]
struct Regime {
    api: usize,
    /// A group of their own for contents; without it they are counted with everything else.
    raw_files: Option<usize>,
    /// At most so many within so many milliseconds.
    burst: Option<(usize, i64)>,
    /// Requests an hour of somebody else with the same token, evenly.
    foreign: i64,
    headers: bool,
}

impl Regime {
    fn plain() -> Regime {
        Regime {
            api: 1_000,
            raw_files: None,
            burst: None,
            foreign: 0,
            headers: false,
        }
    }
}

/// What was taken, by milliseconds: of the API and of contents.
struct Server {
    regime: Regime,
    taken: [VecDeque<i64>; 2],
    foreign_until: i64,
}

impl Server {
    fn new(regime: Regime) -> Server {
        Server {
            regime,
            taken: Default::default(),
            foreign_until: 0,
        }
    }

    fn queue(&self, group: RateGroup) -> usize {
        match (group, self.regime.raw_files) {
            (RateGroup::RawFiles, Some(_)) => 1,
            _ => 0,
        }
    }

    fn limit(&self, queue: usize) -> usize {
        match queue {
            0 => self.regime.api,
            _ => self.regime.raw_files.unwrap_or(0),
        }
    }

    /// Whether a request is taken that comes at `now`.
    fn takes(&mut self, group: RateGroup, now: i64) -> bool {
        self.serve_others(now);
        let queue = self.queue(group);
        let is_open = self.has_room(queue, now);
        if is_open {
            self.taken[queue].push_back(now);
        }
        is_open
    }

    fn has_room(&mut self, queue: usize, now: i64) -> bool {
        let limit = self.limit(queue);
        let taken = &mut self.taken[queue];
        while taken.front().is_some_and(|at| *at + HOUR <= now) {
            taken.pop_front();
        }
        let is_burst = self.regime.burst.is_some_and(|(most, within)| {
            most <= taken
                .iter()
                .rev()
                .take_while(|at| now < **at + within)
                .count()
        });
        taken.len() < limit && !is_burst
    }

    fn serve_others(&mut self, now: i64) {
        if 0 < self.regime.foreign {
            let pause = HOUR / self.regime.foreign;
            while self.foreign_until + pause <= now {
                self.foreign_until += pause;
                if self.has_room(0, self.foreign_until) {
                    self.taken[0].push_back(self.foreign_until);
                }
            }
        }
    }

    fn headers(&self, group: RateGroup) -> RateHeaders {
        if !self.regime.headers {
            return RateHeaders::default();
        }
        let queue = self.queue(group);
        RateHeaders {
            limit: u32::try_from(self.limit(queue)).ok(),
            near_limit: self.taken[queue].len() * 5 > self.limit(queue) * 4,
            resource: Some(["repositories", "src"][queue].to_owned()),
        }
    }
}

/// What is to be asked: everything else and contents by turns, for as long as there are both.
#[derive(Clone)]
struct Work {
    api: usize,
    raw_files: usize,
}

impl Work {
    fn take(&mut self, group: RateGroup) {
        *self.left(group) -= 1;
    }

    fn left(&mut self, group: RateGroup) -> &mut usize {
        match group {
            RateGroup::Api => &mut self.api,
            RateGroup::RawFiles => &mut self.raw_files,
            RateGroup::Git => panic!("nothing is read over git"),
        }
    }

    fn groups(&self) -> Vec<RateGroup> {
        let mut groups = vec![RateGroup::Api; usize::from(0 < self.api)];
        if 0 < self.raw_files {
            groups.push(RateGroup::RawFiles);
        }
        if groups.len() == 2 && self.api < self.raw_files {
            groups.reverse();
        }
        groups
    }
}

/// Milliseconds that it takes whoever knows when the server will take a request.
fn least(regime: &Regime, work: &Work) -> i64 {
    let (mut server, mut work, mut now) = (Server::new(regime.clone()), work.clone(), 0);
    while !work.groups().is_empty() {
        let taken = work
            .groups()
            .into_iter()
            .find(|group| server.takes(*group, now));
        match taken {
            Some(group) => {
                work.take(group);
                now += ANSWER / AT_ONCE as i64;
            }
            None => now += SECOND / 2,
        }
    }
    now + ANSWER
}

/// What keeping to the allowance comes to: milliseconds, and when a 429 was met that was news.
fn kept_to(regime: &Regime, work: &Work) -> (i64, Vec<i64>) {
    let at = |now: i64| Timestamp::from_millisecond(now).unwrap();
    let (mut server, mut work) = (Server::new(regime.clone()), work.clone());
    let (mut allowance, mut now, mut incidents) = (Allowance::new(), 0, Vec::new());
    let mut under_way: VecDeque<(i64, RateGroup, Incident, bool)> = VecDeque::new();
    let mut last_incident = -1;
    loop {
        while under_way.front().is_some_and(|(until, ..)| *until <= now) {
            let (until, group, sent, is_taken) = under_way.pop_front().unwrap();
            let headers = server.headers(group);
            match is_taken {
                true => allowance.accept(group, sent, &headers, at(now)),
                false => {
                    *work.left(group) += 1;
                    allowance.refuse(group, sent, &headers, None, at(now));
                    // Those that were under way together have met one limit.
                    if last_incident < until - ANSWER {
                        last_incident = now;
                        incidents.push(now);
                    }
                }
            }
        }
        if work.groups().is_empty() && under_way.is_empty() {
            return (now, incidents);
        }
        let mut next = now + HOUR;
        let mut sent = false;
        for group in work.groups() {
            if AT_ONCE <= under_way.len() {
                break;
            }
            match one(&mut allowance, group, at(now)) {
                Ok(()) => {
                    let incident = allowance.count(group, at(now));
                    let is_taken = server.takes(group, now);
                    under_way.push_back((now + ANSWER, group, incident, is_taken));
                    work.take(group);
                    sent = true;
                    break;
                }
                Err(free_at) => next = next.min(free_at),
            }
        }
        if !sent {
            let answer = under_way.front().map_or(next, |(until, ..)| *until);
            now = next.min(answer).max(now + 1);
        }
        assert!(now < 100 * HOUR, "it does not end");
    }
}

fn one(allowance: &mut Allowance, group: RateGroup, now: Timestamp) -> Result<(), i64> {
    match turn(std::iter::once(allowance), group, 0.0, now) {
        Slot::Take(_) => Ok(()),
        Slot::Wait(wait) => Err(crate::deadline::later(now, wait).as_millisecond()),
        Slot::Nobody => panic!("nobody is revoked"),
    }
}

/// Within 2 % of the least time, and at most one incident in each `window` of milliseconds, once it is known: the first
/// pause may be too short.
#[track_caller]
fn holds(regime: &Regime, work: &Work, window: i64) {
    let least = least(regime, work);
    let (took, incidents) = kept_to(regime, work);
    let seconds = |milliseconds: i64| milliseconds / SECOND;
    let told = format!(
        "{} s instead of {} s, refused at {:?}",
        seconds(took),
        seconds(least),
        incidents.iter().map(|at| seconds(*at)).collect::<Vec<_>>()
    );
    assert!(took * 100 <= least * 102, "{told}");
    let apart = incidents.windows(2).map(|pair| pair[1] - pair[0]);
    let first = usize::from(10 * SECOND < window && window < HOUR / 2);
    assert!(
        apart.skip(first).min().is_none_or(|apart| window <= apart),
        "{told}"
    );
}

#[test]
fn contents_counted_with_everything_else() {
    let work = Work {
        api: 1_500,
        raw_files: 2_000,
    };
    for headers in [false, true] {
        let regime = Regime {
            headers,
            ..Regime::plain()
        };
        holds(&regime, &work, HOUR * 9 / 10);
    }
}

#[test]
fn contents_counted_apart() {
    let work = Work {
        api: 2_500,
        raw_files: 11_000,
    };
    for headers in [false, true] {
        let regime = Regime {
            raw_files: Some(5_000),
            headers,
            ..Regime::plain()
        };
        holds(&regime, &work, HOUR);
    }
}

#[test]
fn a_scaled_limit() {
    let work = Work {
        api: 20_000,
        raw_files: 4_000,
    };
    let regime = Regime {
        api: 8_370,
        headers: true,
        ..Regime::plain()
    };
    holds(&regime, &work, HOUR);
}

#[test]
fn bursts_that_are_refused_far_below_the_hourly_limit() {
    let work = Work {
        api: 3_500,
        raw_files: 0,
    };
    for burst in [(30, SECOND), (30, 10 * SECOND), (60, 60 * SECOND)] {
        let regime = Regime {
            burst: Some(burst),
            ..Regime::plain()
        };
        holds(&regime, &work, burst.1);
    }
}

#[test]
fn somebody_else_with_the_same_token() {
    let work = Work {
        api: 3_000,
        raw_files: 0,
    };
    for foreign in [100, 500, 800] {
        let regime = Regime {
            foreign,
            ..Regime::plain()
        };
        holds(&regime, &work, HOUR * 9 / 10);
    }
}
