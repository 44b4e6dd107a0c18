//! One allowance of a rolling hour: what was used of it, what a 429 says about it, and when the next request may go.
//!
//! Pure: times come from the caller. Knows no credential, and not what its requests are for.
//!
//! A 429 without `Retry-After`, which is the usual one (Bitbucket Cloud, API request limits; its clients' reports), has one
//! of two causes. Either the hour is used up, by us and by whoever else has the same token: then nothing goes until our
//! oldest requests have left the hour, and the others are left their part from then on. Or too many came at once, far
//! below the hourly limit: then requests go one by one, some time apart. Neither is found out by asking again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deadline::later;

/// The rolling window, in seconds.
const WINDOW: i64 = 3600;

/// Requests are counted by ten seconds: 360 numbers instead of a thousand times.
const BUCKET: i64 = 10;

/// The wait after the first 429 that names none; each further one in a row takes six times as long: 10 s, 1, 6 and 30
/// minutes.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGER: u32 = 6;
const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// More than an hour is not believed: by then, the window has passed.
const LONGEST_BELIEVED: Duration = Duration::from_secs(WINDOW.unsigned_abs());

/// `X-RateLimit-NearLimit` says that less than this share is left.
const NEAR_LIMIT_LEFT: f64 = 0.2;

/// Who has used this share of the limit and gets a 429 has used the hour up.
const USED_UP: f64 = 0.8;

/// Others are left at most what is above this share of the limit.
const LEAST_SHARE: f64 = 0.1;

/// By how much of the limit our part grows with each hour in which nobody minded.
const GROWTH: f64 = 0.1;

/// Pauses after which the same 429 tells that the hour is used up: a burst is forgotten by then.
const PAUSES_OF_A_BURST: u32 = 2;

/// After a burst, requests go at this share of the speed at which it was refused, measured over the pause that it takes.
const CALMER: f64 = 0.85;

/// After a burst in spite of a spacing, it is so much longer; after an hour without one, so much shorter.
const SPARSER: f64 = 1.2;
const DENSER: f64 = 0.9;
const LONGEST_SPACING: Duration = Duration::from_secs(8);

/// How often a window had been blocked when a request was sent. Several requests under way meet one limit together:
/// only the first 429 among them is news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bitbucket) struct Incident(u64);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Window {
    /// Requests an hour, as Bitbucket says.
    pub(super) limit: u32,
    /// Number of the ten seconds and requests in them, oldest first.
    buckets: VecDeque<(i64, u32)>,
    blocked_until: Option<Timestamp>,
    /// Our part of the limit, where others use the same allowance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<Share>,
    /// How far apart requests go, where bursts are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spacing: Option<Spacing>,
    /// When the last request went.
    #[serde(skip)]
    last: Option<Timestamp>,
    /// Times in a row that it was blocked.
    #[serde(skip)]
    strikes: u32,
    /// Of the last time it was blocked.
    #[serde(skip)]
    incident: Incident,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    requests: u32,
    since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spacing {
    milliseconds: u64,
    /// How many waits it takes until a burst is forgotten, less the first.
    pauses: u32,
    since: Timestamp,
}

/// How long a window is blocked after so many strikes in a row.
fn backed_off(strikes: u32) -> Duration {
    (FIRST_WAIT * LONGER.saturating_pow(strikes)).min(LONGEST_WAIT)
}

impl Window {
    pub(super) fn new(limit: u32) -> Window {
        Window {
            limit,
            buckets: VecDeque::new(),
            blocked_until: None,
            share: None,
            spacing: None,
            last: None,
            strikes: 0,
            incident: Incident::default(),
        }
    }

    /// What another process has seen of the same window. The larger count of each bucket: part of what both have counted
    /// is the same.
    pub(super) fn learn(&mut self, other: &Window) {
        self.count_all(other, u32::max);
        self.limit = self.limit.max(other.limit);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
        self.share = later_of(self.share, other.share, |share| share.since);
        self.spacing = later_of(self.spacing, other.spacing, |spacing| spacing.since);
    }

    /// The requests of `other` turn out to have been counted in this window, too.
    pub(super) fn absorb(&mut self, other: &Window) {
        self.count_all(other, |one, another| one + another);
        self.blocked_until = self.blocked_until.max(other.blocked_until);
        // What was sent in either before is no news for both.
        self.incident = Incident(self.incident.0.max(other.incident.0) + 1);
    }

    fn count_all(&mut self, other: &Window, both: impl Fn(u32, u32) -> u32) {
        let mut counts: BTreeMap<i64, u32> = self.buckets.iter().copied().collect();
        for (bucket, count) in &other.buckets {
            let known = counts.entry(*bucket).or_default();
            *known = both(*known, *count);
        }
        self.buckets = counts.into_iter().collect();
    }

    /// A request is sent; what is returned comes back with its answer.
    pub(super) fn count(&mut self, now: Timestamp) -> Incident {
        self.add(now, 1);
        self.last = Some(now);
        self.incident
    }

    /// Whether a request that was sent so is the first of its incident to be refused.
    pub(super) fn is_news(&self, sent: Incident) -> bool {
        sent == self.incident
    }

    /// A 429 to a request that another one's 429 has told of already. What it asks for is granted.
    pub(super) fn refuse_again(&mut self, asked: Option<Duration>, now: Timestamp) {
        let until = asked.map(|wait| later(now, wait.min(LONGEST_BELIEVED)));
        self.blocked_until = self.blocked_until.max(until);
    }

    /// A 429 that is news: nothing more for as long as it says, and where it says nothing, as this file's head says.
    /// Where the same follows again and again, hardly shorter than before.
    pub(super) fn refuse(&mut self, asked: Option<Duration>, now: Timestamp) {
        let wait = match asked {
            // One second, again and again, is not believed.
            Some(asked) => asked.max(self.strikes.checked_sub(1).map_or(asked, backed_off)),
            None if self.is_used_up(now) => {
                self.leave_room(now);
                backed_off(self.strikes)
            }
            None => backed_off(self.calm_down(now)),
        };
        self.strikes = (self.strikes + 1).min(10);
        self.incident = Incident(self.incident.0 + 1);
        self.blocked_until = Some(later(now, wait.min(LONGEST_BELIEVED)));
    }

    /// Whether the hour is what a 429 is about, and not a burst: others are known to use it, or pauses have not helped, or
    /// most of it was used, and never was a burst refused.
    fn is_used_up(&mut self, now: Timestamp) -> bool {
        let used = f64::from(self.used(now));
        let is_most = f64::from(self.limit) * USED_UP <= used;
        self.share.is_some()
            || PAUSES_OF_A_BURST <= self.strikes
            || (is_most && self.spacing.is_none())
    }

    /// What was used within this hour is all that others leave of it.
    fn leave_room(&mut self, now: Timestamp) {
        let least = portion(self.limit, LEAST_SHARE);
        let requests = self.used(now).saturating_sub(1).max(least);
        self.share = Some(Share {
            requests,
            since: now,
        });
    }

    /// Requests go slower than they went. Returns how many waits the burst is worth, less the first.
    fn calm_down(&mut self, now: Timestamp) -> u32 {
        let known = self.spacing.map_or(0, |spacing| spacing.pauses);
        // A pause that has not helped is shorter than what the server looks at.
        let pauses = known.max(self.strikes);
        let pause = backed_off(pauses);
        let since = bucket_of(now) - i64::try_from(pause.as_secs()).unwrap_or(WINDOW) / BUCKET;
        let recent = self.buckets.iter().rev();
        let recent = recent.take_while(|(at, _)| since <= *at);
        let recent: u32 = recent.map(|(_, count)| count).sum();
        let by_speed = pause.div_f64(f64::from(recent.max(1)) * CALMER);
        let by_last = self.spacing().mul_f64(SPARSER);
        self.space(by_speed.max(by_last).min(LONGEST_SPACING), pauses, now);
        pauses
    }

    fn spacing(&self) -> Duration {
        self.spacing.map_or(Duration::ZERO, |spacing| {
            Duration::from_millis(spacing.milliseconds)
        })
    }

    fn space(&mut self, spacing: Duration, pauses: u32, since: Timestamp) {
        let milliseconds = u64::try_from(spacing.as_millis()).unwrap_or(u64::MAX);
        self.spacing = Some(Spacing {
            milliseconds,
            pauses,
            since,
        });
    }

    /// An answer that is no 429, with what its headers say.
    pub(super) fn accept(
        &mut self,
        sent: Incident,
        limit: Option<u32>,
        near_limit: bool,
        now: Timestamp,
    ) {
        if self.is_news(sent) {
            self.strikes = 0;
            self.take_more(now);
        }
        if let Some(limit) = limit.filter(|limit| 0 < *limit) {
            self.limit = limit;
        }
        if near_limit {
            // Somebody else spends it too.
            let used = portion(self.limit, 1.0 - NEAR_LIMIT_LEFT);
            let unseen = used.saturating_sub(self.used(now));
            self.add(now, unseen);
        }
    }

    /// An hour without a 429: there may be more room by now.
    fn take_more(&mut self, now: Timestamp) {
        let hour = Duration::from_secs(WINDOW.unsigned_abs());
        if let Some(share) = self.share.filter(|share| later(share.since, hour) <= now) {
            let requests = share.requests + portion(self.limit, GROWTH).max(1);
            self.share = (requests < self.limit).then_some(Share {
                requests,
                since: now,
            });
        }
        if let Some(spacing) = self
            .spacing
            .filter(|spacing| later(spacing.since, hour) <= now)
        {
            self.space(self.spacing().mul_f64(DENSER), spacing.pauses, now);
        }
    }

    fn add(&mut self, now: Timestamp, requests: u32) {
        self.forget_old(now);
        let bucket = bucket_of(now);
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

    pub(super) fn used(&mut self, now: Timestamp) -> u32 {
        self.forget_old(now);
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// How many more requests may go within this hour, or when the next one may.
    pub(super) fn left(&mut self, reserve: f64, now: Timestamp) -> Result<u32, Timestamp> {
        let ours = self.share.map_or(self.limit, |share| share.requests);
        let open = (f64::from(ours) * (1.0 - reserve)).round().max(1.0) as u32;
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

    /// The same for a request that is to go now: another may have gone a moment ago.
    pub(super) fn turn(&mut self, reserve: f64, now: Timestamp) -> Result<u32, Timestamp> {
        let left = self.left(reserve, now)?;
        let spaced = self.last.map(|last| later(last, self.spacing()));
        match spaced.filter(|spaced| now < *spaced) {
            Some(spaced) => Err(spaced),
            None => Ok(left),
        }
    }
}

fn bucket_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(BUCKET)
}

fn portion(limit: u32, share: f64) -> u32 {
    (f64::from(limit) * share) as u32
}

fn later_of<T>(one: Option<T>, another: Option<T>, since: impl Fn(&T) -> Timestamp) -> Option<T> {
    match (one, another) {
        (Some(one), Some(another)) if since(&one) < since(&another) => Some(another),
        (Some(one), _) => Some(one),
        (None, another) => another,
    }
}
