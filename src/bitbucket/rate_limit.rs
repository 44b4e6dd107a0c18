//! Bitbucket's allowance: how much of it each credential has used, whose turn it is, and when nobody's is.
//!
//! Pure: times come from the caller. Bitbucket counts requests in a rolling hour, per credential and per group of
//! resources (Bitbucket Cloud, API request limits). Which group a read of a file's contents falls into, its documentation
//! says in two ways: an answer's `X-RateLimit-Resource` tells; without it, contents count apart until they meet a 429 that
//! what was read of them does not explain.

mod window;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use window::Incident;
use window::Window;

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
    /// What git sends.
    Git,
}

/// What an answer's headers say about the allowance that its request was counted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RateHeaders {
    /// `X-RateLimit-Limit`: requests an hour.
    pub(super) limit: Option<u32>,
    /// `X-RateLimit-NearLimit`: less than a fifth is left.
    pub(super) near_limit: bool,
    /// `X-RateLimit-Resource`: the name of the group.
    pub(super) resource: Option<String>,
}

/// Groups have few names; more than this, nobody needs to know.
const MOST_NAMES: usize = 16;

/// Who has read this share of what contents allow has met their own limit.
const EXPLAINS: f64 = 0.8;

impl RateGroup {
    /// Requests per hour (Bitbucket Cloud, API request limits), unless the answers name more.
    fn default_limit(self) -> u32 {
        match self {
            RateGroup::Api => 1_000,
            RateGroup::RawFiles => 5_000,
            RateGroup::Git => 60_000,
        }
    }
}

/// The allowance of one credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Allowance {
    api: Window,
    /// Unused while contents are counted with everything else.
    raw_files: Window,
    #[serde(default = "of_git")]
    git: Window,
    /// Bitbucket counts contents with everything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_joined: bool,
    #[serde(skip)]
    names: Names,
    /// Refused with a 401.
    #[serde(skip)]
    pub(super) revoked: bool,
}

/// What Bitbucket calls the groups.
#[derive(Clone, Debug, Default)]
struct Names {
    api: BTreeSet<String>,
    raw_files: Option<String>,
}

impl Allowance {
    pub(super) fn new() -> Allowance {
        Allowance {
            api: Window::new(RateGroup::Api.default_limit()),
            raw_files: Window::new(RateGroup::RawFiles.default_limit()),
            git: of_git(),
            is_joined: false,
            names: Names::default(),
            revoked: false,
        }
    }

    /// Takes in what another process has seen of the same allowance.
    pub(super) fn learn(&mut self, other: &Allowance) {
        if other.is_joined {
            self.join();
        }
        self.api.learn(&other.api);
        self.raw_files.learn(&other.raw_files);
        self.git.learn(&other.git);
    }

    fn window(&mut self, group: RateGroup) -> &mut Window {
        match group {
            RateGroup::RawFiles if !self.is_joined => &mut self.raw_files,
            RateGroup::Api | RateGroup::RawFiles => &mut self.api,
            RateGroup::Git => &mut self.git,
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

    pub(super) fn counts_contents_apart(&self) -> bool {
        !self.is_joined
    }

    /// Requests that may go within this hour, a `reserve` apart.
    pub(super) fn left(&mut self, group: RateGroup, reserve: f64, now: Timestamp) -> u32 {
        self.window(group).left(reserve, now).unwrap_or(0)
    }

    /// A request is sent; what is returned comes back with its answer.
    pub(super) fn count(&mut self, group: RateGroup, now: Timestamp) -> Incident {
        self.window(group).count(now)
    }

    /// A 429: nothing more with this credential for as long as the answer says, or as the window finds fit.
    ///
    /// A request that was sent before the window was blocked is no news: it met the same limit.
    pub(super) fn refuse(
        &mut self,
        group: RateGroup,
        sent: Incident,
        headers: &RateHeaders,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        let asked = retry_after.filter(|wait| !wait.is_zero());
        let is_news = self.window(group).is_news(sent);
        self.note_name(group, headers);
        if group == RateGroup::RawFiles && !self.is_explained_by_contents(now) {
            self.join();
        }
        match is_news {
            true => self.window(group).refuse(asked, now),
            false => self.window(group).refuse_again(asked, now),
        }
    }

    /// An answer that is no 429, with what its headers say about the allowance.
    pub(super) fn accept(
        &mut self,
        group: RateGroup,
        sent: Incident,
        headers: &RateHeaders,
        now: Timestamp,
    ) {
        self.note_name(group, headers);
        let (limit, near_limit) = (headers.limit, headers.near_limit);
        self.window(group).accept(sent, limit, near_limit, now);
    }

    /// Names decide whether contents are counted with everything else.
    fn note_name(&mut self, group: RateGroup, headers: &RateHeaders) {
        let Some(name) = &headers.resource else {
            return;
        };
        let names = &mut self.names;
        match group {
            RateGroup::RawFiles => names.raw_files = Some(name.clone()),
            RateGroup::Api if names.api.len() < MOST_NAMES => {
                names.api.insert(name.clone());
            }
            // Git has a limit of its own, whatever it is called.
            RateGroup::Api | RateGroup::Git => {}
        }
        let Some(raw_files) = names.raw_files.as_ref().filter(|_| !names.api.is_empty()) else {
            return;
        };
        match names.api.contains(raw_files) {
            true => self.join(),
            false => self.is_joined = false,
        }
    }

    /// Whether a 429 to a read of contents has its reason in those reads: Bitbucket says that they are a group of their
    /// own, or they are as many as it allows.
    fn is_explained_by_contents(&mut self, now: Timestamp) -> bool {
        let used = f64::from(self.raw_files.used(now));
        self.names.raw_files.is_some() || f64::from(self.raw_files.limit) * EXPLAINS <= used
    }

    fn join(&mut self) {
        if !self.is_joined {
            self.is_joined = true;
            let raw_files = Window::new(RateGroup::RawFiles.default_limit());
            let raw_files = std::mem::replace(&mut self.raw_files, raw_files);
            self.api.absorb(&raw_files);
        }
    }
}

/// Of a process that knew of no git, there is nothing to learn.
fn of_git() -> Window {
    Window::new(RateGroup::Git.default_limit())
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
        match allowance.window(group).turn(reserve, now) {
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
