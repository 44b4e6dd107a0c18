//! Whether git is asked at all, by what has become of asking. Pure: times come from the caller.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::ContentsOver;
use crate::deadline::later;

/// How long it holds what a server has said that it can do, or cannot.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How long nobody is asked whom no credential satisfies.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// How long nobody is asked who has failed again and again.
const A_WHILE: Duration = Duration::from_secs(600);

/// Repositories in a row that git has failed for before it is left alone.
const OUTAGE: usize = 5;

/// What to do about the contents of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Fetch,
    /// Nobody knows yet what the server can do.
    Probe,
    Rest,
}

/// Why git has given nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GitFailure {
    /// Always the same for the same reason.
    pub(super) cause: &'static str,
    /// What else is known of it.
    pub(super) detail: String,
    pub(super) scope: FailureScope,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureScope {
    /// The server does not do what is needed.
    Server,
    /// None of the credentials is taken.
    Credentials,
    /// They are used up for so long.
    Allowance(Duration),
    /// The one repository, as far as anybody can tell.
    Repository,
    /// The caller has no time left.
    Caller,
}

pub(super) struct GitStanding {
    over: ContentsOver,
    /// Until when the server is known to do what is needed.
    speaks_until: Option<Timestamp>,
    /// Until when it is not asked.
    silent_until: Option<Timestamp>,
    failed_in_a_row: usize,
    told: BTreeSet<&'static str>,
    /// Repositories that REST has read in the place of git.
    fallbacks: usize,
}

impl GitStanding {
    pub(super) fn new(over: ContentsOver) -> GitStanding {
        GitStanding {
            over,
            speaks_until: None,
            silent_until: None,
            failed_in_a_row: 0,
            told: BTreeSet::new(),
            fallbacks: 0,
        }
    }

    pub(super) fn course(&self, now: Timestamp) -> Course {
        let is_ahead = |until: Option<Timestamp>| until.is_some_and(|until| now < until);
        match self.over {
            ContentsOver::Rest => Course::Rest,
            _ if is_ahead(self.silent_until) => Course::Rest,
            ContentsOver::Git => Course::Fetch,
            ContentsOver::Auto if is_ahead(self.speaks_until) => Course::Fetch,
            ContentsOver::Auto => Course::Probe,
        }
    }

    /// The server does what is needed.
    pub(super) fn speaks(&mut self, now: Timestamp) {
        self.speaks_until = Some(later(now, A_DAY));
    }

    pub(super) fn succeeded(&mut self) {
        self.failed_in_a_row = 0;
    }

    /// Takes in a failure; says whether it is the first of its cause since [`take_fallbacks`](GitStanding::take_fallbacks).
    pub(super) fn failed(&mut self, now: Timestamp, failure: &GitFailure) -> bool {
        let silence = match failure.scope {
            FailureScope::Server => Some(A_DAY),
            FailureScope::Credentials => Some(AN_HOUR),
            FailureScope::Allowance(wait) => Some(wait),
            FailureScope::Repository => {
                self.failed_in_a_row += 1;
                (OUTAGE <= self.failed_in_a_row).then_some(A_WHILE)
            }
            FailureScope::Caller => None,
        };
        if let Some(silence) = silence {
            self.silent_until = Some(later(now, silence));
            self.failed_in_a_row = 0;
        }
        failure.scope != FailureScope::Caller && self.told.insert(failure.cause)
    }

    /// REST reads a repository in the place of git.
    pub(super) fn fell_back(&mut self) {
        self.fallbacks += usize::from(self.over != ContentsOver::Rest);
    }

    /// How many repositories REST has read in the place of git since this was asked last. Causes are told anew from now
    /// on.
    pub(super) fn take_fallbacks(&mut self) -> usize {
        self.told.clear();
        std::mem::take(&mut self.fallbacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn failure(scope: FailureScope) -> GitFailure {
        GitFailure {
            cause: "a cause",
            detail: String::new(),
            scope,
        }
    }

    #[test]
    fn a_server_is_probed_once_a_day() {
        let mut standing = GitStanding::new(ContentsOver::Auto);
        assert_eq!(standing.course(at(0)), Course::Probe);
        standing.speaks(at(0));
        assert_eq!(standing.course(at(86_399)), Course::Fetch);
        assert_eq!(standing.course(at(86_400)), Course::Probe);
        standing.failed(at(86_400), &failure(FailureScope::Server));
        assert_eq!(standing.course(at(86_400 + 86_399)), Course::Rest);
        assert_eq!(standing.course(at(2 * 86_400)), Course::Probe);
    }

    #[test]
    fn the_setting_has_the_last_word() {
        assert_eq!(
            GitStanding::new(ContentsOver::Rest).course(at(0)),
            Course::Rest
        );
        let mut standing = GitStanding::new(ContentsOver::Git);
        assert_eq!(standing.course(at(0)), Course::Fetch);
        standing.failed(at(0), &failure(FailureScope::Credentials));
        assert_eq!(standing.course(at(3_599)), Course::Rest);
        assert_eq!(standing.course(at(3_600)), Course::Fetch);
    }

    #[test]
    fn only_what_fails_again_and_again_is_left_alone() {
        let mut standing = GitStanding::new(ContentsOver::Git);
        for _ in 0..3 {
            for _ in 1..OUTAGE {
                standing.failed(at(0), &failure(FailureScope::Repository));
            }
            standing.failed(at(0), &failure(FailureScope::Caller));
            assert_eq!(standing.course(at(0)), Course::Fetch);
            standing.succeeded();
        }
        for _ in 0..OUTAGE {
            standing.failed(at(0), &failure(FailureScope::Repository));
        }
        assert_eq!(standing.course(at(599)), Course::Rest);
        assert_eq!(standing.course(at(600)), Course::Fetch);
        standing.failed(at(600), &failure(FailureScope::Allowance(AN_HOUR)));
        assert_eq!(standing.course(at(4_199)), Course::Rest);
    }

    #[test]
    fn a_cause_is_told_once_and_each_repository_counted() {
        let mut standing = GitStanding::new(ContentsOver::Git);
        for is_first in [true, false] {
            let told = standing.failed(at(0), &failure(FailureScope::Repository));
            assert_eq!(told, is_first);
            standing.fell_back();
        }
        assert_eq!(standing.take_fallbacks(), 2);
        assert!(standing.failed(at(0), &failure(FailureScope::Repository)));
        assert_eq!(standing.take_fallbacks(), 0);
        let mut standing = GitStanding::new(ContentsOver::Rest);
        standing.fell_back();
        assert_eq!(standing.take_fallbacks(), 0);
    }
}
