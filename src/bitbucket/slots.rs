//! How many requests of each group may be under way at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::rate_limit::RateGroup;

/// Requests to the API under way at once, with each credential and with all. Short bursts draw a 429 far below the
/// hourly limit, and answers take memory.
pub(super) const API: AtOnce = AtOnce { each: 8, all: 32 };

/// The same of files: five times as many may go within an hour, and most are a few KB.
pub(super) const RAW_FILES: AtOnce = AtOnce { each: 16, all: 64 };

/// The same of git: each answer may take megabytes of memory.
const GIT: AtOnce = AtOnce { each: 4, all: 8 };

/// How many requests may be under way.
pub(super) struct AtOnce {
    /// With each credential.
    each: usize,
    /// With all of them.
    all: usize,
}

/// As many permits as requests may be under way.
pub(super) struct Slots {
    api: Arc<Semaphore>,
    raw_files: Arc<Semaphore>,
    git: Arc<Semaphore>,
}

impl AtOnce {
    /// Credentials share the work, so each adds to what may be under way.
    pub(super) fn with(&self, credentials: usize) -> usize {
        (self.each * credentials.max(1)).min(self.all)
    }
}

impl Slots {
    pub(super) fn new(credentials: usize) -> Slots {
        let permits = |limit: AtOnce| Arc::new(Semaphore::new(limit.with(credentials)));
        Slots {
            api: permits(API),
            raw_files: permits(RAW_FILES),
            git: permits(GIT),
        }
    }

    pub(super) fn of(&self, group: RateGroup) -> Arc<Semaphore> {
        Arc::clone(match group {
            RateGroup::Api => &self.api,
            RateGroup::RawFiles => &self.raw_files,
            RateGroup::Git => &self.git,
        })
    }
}
