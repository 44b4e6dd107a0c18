//! Bitbucket's allowance: how much of it each credential has used, whose turn it is, and when nobody's is.
//!
//! Pure apart from a lock: times come from the caller. Bitbucket counts requests in a rolling hour, per credential
//! and per group of resources (Bitbucket Cloud, API request limits).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a request is for; both share one allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Leaves a reserve for live events.
    Resync,
    Live,
}

/// What Bitbucket counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RateGroup {
    Api,
    /// Contents of files.
    RawFiles,
}

impl RateGroup {
    /// As people are told.
    pub(super) fn name(self) -> &'static str {
        match self {
            RateGroup::Api => "requests to the API",
            RateGroup::RawFiles => "contents of files",
        }
    }
}

/// The rolling window, in seconds.
const WINDOW: i64 = 3600;

/// Requests are counted by ten seconds: 360 numbers instead of a thousand times.
const BUCKET: i64 = 10;

/// The wait after the first 429 that names none; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// `X-RateLimit-NearLimit` says that less than this share is left.
const NEAR_LIMIT_LEFT: f64 = 0.2;

impl RateGroup {
    /// Requests per hour (Bitbucket Cloud, API request limits), unless the answers name more.
    fn default_limit(self) -> u32 {
        match self {
            RateGroup::Api => 1_000,
            RateGroup::RawFiles => 5_000,
        }
    }
}

/// The allowance of one credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Allowance {
    api: Window,
    raw_files: Window,
    /// Refused with a 401.
    #[serde(skip)]
    pub(super) revoked: bool,
}

/// How often a window had been blocked when a request was sent. Several requests under way meet one limit together:
/// only the first 429 among them is news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Incident(u64);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Window {
    limit: u32,
    /// Number of the ten seconds and requests in them, oldest first.
    buckets: VecDeque<(i64, u32)>,
    blocked_until: Option<Timestamp>,
    /// Times in a row that it was blocked.
    #[serde(skip)]
    strikes: u32,
    /// Of the last time it was blocked.
    #[serde(skip)]
    incident: Incident,
}

impl Allowance {
    pub(super) fn new() -> Allowance {
        Allowance {
            api: Window::new(RateGroup::Api),
            raw_files: Window::new(RateGroup::RawFiles),
            revoked: false,
        }
    }

    /// Takes in what another process has seen of the same allowance.
    pub(super) fn learn(&mut self, other: &Allowance) {
        self.api.learn(&other.api);
        self.raw_files.learn(&other.raw_files);
    }

    fn window(&mut self, group: RateGroup) -> &mut Window {
        match group {
            RateGroup::Api => &mut self.api,
            RateGroup::RawFiles => &mut self.raw_files,
        }
    }

    /// Requests to the API that may go within this hour.
    pub fn requests_left(&mut self, now: Timestamp) -> u32 {
        self.left(RateGroup::Api, 0.0, now)
    }

    /// Requests to the API that Bitbucket takes within an hour.
    pub fn requests_an_hour(&self) -> u32 {
        self.api.limit
    }

    /// Requests that may go within this hour, a `reserve` apart.
    pub(super) fn left(&mut self, group: RateGroup, reserve: f64, now: Timestamp) -> u32 {
        self.window(group).left(reserve, now).unwrap_or(0)
    }

    /// A request is sent; what is returned comes back with its answer.
    pub(super) fn count(&mut self, group: RateGroup, now: Timestamp) -> Incident {
        let window = self.window(group);
        window.count(now, 1);
        window.incident
    }

    /// A 429: nothing more with this credential for as long as the answer says. Where it says nothing, or no time at
    /// all, for twice as long as the last time in a row; where it says too little again and again, hardly shorter.
    ///
    /// A request that was sent before the window was blocked adds no strike: it met the same limit.
    pub(super) fn refuse(
        &mut self,
        group: RateGroup,
        sent: Incident,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        let window = self.window(group);
        let asked = retry_after.filter(|wait| !wait.is_zero());
        let until = |wait: Duration| Some(crate::deadline::later(now, wait.min(LONGEST_WAIT)));
        if sent != window.incident {
            window.blocked_until = window.blocked_until.max(asked.and_then(until));
            return;
        }
        let doubled = |times| FIRST_WAIT * 2_u32.saturating_pow(times);
        let wait = match asked {
            None => doubled(window.strikes),
            // One second, again and again, is not believed.
            Some(asked) => asked.max(window.strikes.checked_sub(1).map_or(asked, doubled)),
        };
        window.strikes = (window.strikes + 1).min(10);
        window.incident = Incident(window.incident.0 + 1);
        window.blocked_until = until(wait);
    }

    /// An answer that is no 429, with what its headers say about the allowance.
    pub(super) fn accept(
        &mut self,
        group: RateGroup,
        sent: Incident,
        limit: Option<u32>,
        near_limit: bool,
        now: Timestamp,
    ) {
        let window = self.window(group);
        if sent == window.incident {
            window.strikes = 0;
        }
        if let Some(limit) = limit.filter(|limit| 0 < *limit) {
            window.limit = limit;
        }
        if near_limit {
            // Somebody else spends it too.
            let used = (f64::from(window.limit) * (1.0 - NEAR_LIMIT_LEFT)) as u32;
            let unseen = used.saturating_sub(window.used(now));
            window.count(now, unseen);
        }
    }
}

impl Window {
    fn new(group: RateGroup) -> Window {
        Window {
            limit: group.default_limit(),
            buckets: VecDeque::new(),
            blocked_until: None,
            strikes: 0,
            incident: Incident::default(),
        }
    }

    /// The larger count of each bucket: part of what both have counted is the same.
    fn learn(&mut self, other: &Window) {
        let mut counts: BTreeMap<i64, u32> = self.buckets.iter().copied().collect();
        for (bucket, count) in &other.buckets {
            let known = counts.entry(*bucket).or_default();
            *known = (*known).max(*count);
        }
        self.buckets = counts.into_iter().collect();
        self.limit = self.limit.max(other.limit);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
    }

    fn count(&mut self, now: Timestamp, requests: u32) {
        self.forget_old(now);
        let bucket = now.as_second().div_euclid(BUCKET);
        match self.buckets.back_mut() {
            Some((last, count)) if *last == bucket => *count += requests,
            _ => self.buckets.push_back((bucket, requests)),
        }
    }

    /// A bucket counts until all of it is an hour ago.
    fn forget_old(&mut self, now: Timestamp) {
        let is_old = |bucket: i64| (bucket + 1) * BUCKET + WINDOW <= now.as_second();
        while self
            .buckets
            .front()
            .is_some_and(|(bucket, _)| is_old(*bucket))
        {
            self.buckets.pop_front();
        }
    }

    fn used(&mut self, now: Timestamp) -> u32 {
        self.forget_old(now);
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// How many more requests may go now, or when the next one may.
    fn left(&mut self, reserve: f64, now: Timestamp) -> Result<u32, Timestamp> {
        let open = (f64::from(self.limit) * (1.0 - reserve)).round().max(1.0) as u32;
        let used = self.used(now);
        let blocked = self.blocked_until.filter(|until| now < *until);
        if used < open && blocked.is_none() {
            return Ok(open - used);
        }
        // The oldest buckets leave the window first.
        let (mut left, mut free_at) = (used, now.as_second());
        for (bucket, count) in &self.buckets {
            if left < open {
                break;
            }
            left -= count;
            free_at = (bucket + 1) * BUCKET + WINDOW;
        }
        let free_at = Timestamp::from_second(free_at).unwrap_or(Timestamp::MAX);
        Err(blocked.map_or(free_at, |blocked| blocked.max(free_at)))
    }
}

/// The outcome of a choice among credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Index of the credential that has most left.
    Take(usize),
    /// None has anything left for this long.
    Wait(Duration),
    /// There is none that Bitbucket accepts.
    Nobody,
}

/// Whose turn it is. The request is counted by the caller, each time it is sent.
pub(super) fn turn<'a>(
    allowances: impl Iterator<Item = &'a mut Allowance>,
    group: RateGroup,
    reserve: f64,
    now: Timestamp,
) -> Slot {
    let mut best: Option<(usize, u32)> = None;
    let mut soonest: Option<Timestamp> = None;
    for (index, allowance) in allowances
        .enumerate()
        .filter(|(_, allowance)| !allowance.revoked)
    {
        match allowance.window(group).left(reserve, now) {
            Ok(left) if best.is_none_or(|(_, most)| most < left) => best = Some((index, left)),
            Ok(_) => {}
            Err(free_at) => soonest = Some(soonest.map_or(free_at, |soonest| soonest.min(free_at))),
        }
    }
    match (best, soonest) {
        (Some((index, _)), _) => Slot::Take(index),
        (None, Some(free_at)) => {
            Slot::Wait(Duration::try_from(free_at.duration_since(now)).unwrap_or_default())
        }
        (None, None) => Slot::Nobody,
    }
}

#[cfg(test)]
mod tests;
