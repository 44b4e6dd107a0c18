//! What goes wrong: which requests, when, and how.
//!
//! A [`Fault`] says it in one line, as in `Fault::status("/pullrequests", 503).after(1).times(2)`. [`Faults`] are many, written down or
//! drawn from a seed. A [`Server`](crate::server::Server) acts on them. The models of the services know nothing of faults.
//!
//! | what goes wrong | how to say it |
//! |---|---|
//! | a status, once or always | `Fault::refused("/members", 401).always()` |
//! | an outage | `Fault::new("", FaultKind::html(503)).times(5)` |
//! | the write happens, its answer is lost | `Fault::new("/entities/bulk", FaultKind::Reset)` |
//! | one pull request is broken | `Fault::refused(format!("{uuid}/pullrequests/7"), 500).at_end().always()` |
//! | one entity is refused among others | `Fault::entity_fails("payments-api", 422)` |
//! | a repository is slow | `Fault::slow(uuid, 40)` |
//! | the list shifts before its second page | `Fault::new("/pullrequests", bitbucket.before(|it| ..)).nth(2)` |
//! | a replica lags | `Fault::new("/pullrequests/7", bitbucket.as_of(&moment)).times(3)` |
//! | anything, from a seed | `Faults::random(7, 0.05).only(Class::PASSING)` |
//!
//! Each goes to [`Server::misbehave`](crate::server::Server::misbehave) of the service that is to do it.

mod kind;
mod pages;
mod port;
mod random;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use axum::http::Method;

pub use self::kind::{Action, FaultKind, Stand};
pub use self::random::{Class, RandomFaults};

use crate::random::Random;
use crate::server::{Request, Response};

/// A misbehaviour waiting for the requests it applies to.
#[derive(Clone, Debug)]
pub struct Fault {
    method: Option<Method>,
    /// A part of the (encoded) path, or of `path?query` in decoded form.
    part: String,
    /// The part ends the path.
    at_end: bool,
    /// A query parameter, and what its value contains.
    query: Option<(String, String)>,
    /// A part of the body.
    body: Option<String>,
    predicate: Option<Predicate>,
    skip: usize,
    times: usize,
    chance: Option<Chance>,
    kind: FaultKind,
    used: usize,
}

#[derive(Clone)]
struct Predicate(Arc<dyn Fn(&Request) -> bool + Send + Sync>);

#[derive(Clone, Debug)]
struct Chance {
    rate: f64,
    random: Random,
}

impl Fault {
    /// For the next request whose path contains `part`: encoded, or decoded and followed by its query.
    pub fn new(part: impl Into<String>, kind: FaultKind) -> Fault {
        Fault {
            method: None,
            part: part.into(),
            at_end: false,
            query: None,
            body: None,
            predicate: None,
            skip: 0,
            times: 1,
            chance: None,
            kind,
            used: 0,
        }
    }

    /// Answers `status` with an empty JSON object.
    pub fn status(part: impl Into<String>, status: u16) -> Fault {
        let answer = Response::json(status, &serde_json::json!({}));
        Fault::new(part, FaultKind::Answer(answer))
    }

    /// Answers `status` with the body that the service has for it.
    pub fn refused(part: impl Into<String>, status: u16) -> Fault {
        Fault::new(part, FaultKind::refused(status))
    }

    #[must_use]
    pub fn on(mut self, method: Method) -> Fault {
        self.method = Some(method);
        self
    }

    /// Only where `part` ends the path, so that `/pullrequests/7` is not the 70th.
    #[must_use]
    pub fn at_end(mut self) -> Fault {
        self.at_end = true;
        self
    }

    /// Only where a query parameter of this name contains `part` (decoded).
    #[must_use]
    pub fn with_query(mut self, name: impl Into<String>, part: impl Into<String>) -> Fault {
        self.query = Some((name.into(), part.into()));
        self
    }

    /// Only where the body contains `part`.
    #[must_use]
    pub fn with_body(mut self, part: impl Into<String>) -> Fault {
        self.body = Some(part.into());
        self
    }

    /// Only where `predicate` holds. It must not ask the server that it is for.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Fault {
        self.predicate = Some(Predicate(Arc::new(predicate)));
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn after(mut self, count: usize) -> Fault {
        self.skip = count;
        self
    }

    /// Only the `n`th matching request, from 1.
    #[must_use]
    pub fn nth(self, n: usize) -> Fault {
        self.after(n.saturating_sub(1)).times(1)
    }

    #[must_use]
    pub fn times(mut self, count: usize) -> Fault {
        self.times = count;
        self
    }

    #[must_use]
    pub fn always(self) -> Fault {
        self.times(usize::MAX)
    }

    /// Each matching request only with this probability, drawn from `seed`. It stays for as long as [`times`](Fault::times) says.
    #[must_use]
    pub fn chance(mut self, rate: f64, seed: u64) -> Fault {
        self.chance = Some(Chance {
            rate,
            random: Random(seed),
        });
        self
    }

    fn take(&mut self, request: &Request) -> Option<FaultKind> {
        if self.times == 0 || !self.matches(request) {
            return None;
        }
        if let Some(Chance { rate, random }) = &mut self.chance
            && !random.happens(*rate)
        {
            return None;
        }
        if 0 < self.skip {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        self.used += 1;
        Some(self.kind.clone())
    }

    fn matches(&self, request: &Request) -> bool {
        let place = match self.at_end {
            true => request.path.ends_with(&self.part) || request.place().ends_with(&self.part),
            false => request.path.contains(&self.part) || request.target().contains(&self.part),
        };
        let method = self.method.as_ref();
        place
            && method.is_none_or(|method| *method == request.method)
            && self.query.as_ref().is_none_or(|(name, part)| {
                let mut values = request.query_all(name);
                values.any(|value| value.contains(part))
            })
            && self.body.as_ref().is_none_or(|part| {
                let body = String::from_utf8_lossy(&request.body);
                body.contains(part)
            })
            && self.predicate.as_ref().is_none_or(|only| only.0(request))
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Faults in the order in which they are tried, and a record of those that were met.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    written: Vec<Fault>,
    random: Vec<RandomFaults>,
    met: Vec<String>,
}

impl Faults {
    /// Faults of every class on either side, drawn for each request with the probability `rate`.
    ///
    /// The draw depends on the seed, the request and how often it came before, not on what else is under way: a history repeats.
    pub fn random(seed: u64, rate: f64) -> RandomFaults {
        RandomFaults::new(seed, rate)
    }

    /// What happens to this request: any number of kinds that let it pass, then at most one that answers it.
    pub(crate) fn take(&mut self, request: &Request) -> Vec<FaultKind> {
        let mut kinds = Vec::new();
        for fault in &mut self.written {
            if let Some(kind) = fault.take(request) {
                kinds.push(kind);
            }
            if kinds.last().is_some_and(FaultKind::answers) {
                break;
            }
        }
        for random in &mut self.random {
            if !kinds.last().is_some_and(FaultKind::answers) {
                kinds.extend(random.draw(request));
            }
        }
        let line = |kind| format!("{} {}: {kind}", request.method, request.target());
        self.met.extend(kinds.iter().map(line));
        // What has come to its end lets go of what it holds.
        self.written
            .retain(|fault| fault.times != 0 || fault.used == 0);
        kinds
    }

    pub(crate) fn extend(&mut self, more: Faults) {
        self.written.extend(more.written);
        self.random.extend(more.random);
    }

    /// Those written down that no request has met.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.written.iter().filter(|fault| fault.used == 0);
        unused.map(|fault| format!("{fault:?}")).collect()
    }

    pub(crate) fn met(&self) -> &[String] {
        &self.met
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults::from_iter([fault])
    }
}

impl From<RandomFaults> for Faults {
    fn from(random: RandomFaults) -> Faults {
        Faults {
            random: vec![random],
            ..Faults::default()
        }
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Faults {
        Faults {
            written: faults.into_iter().collect(),
            ..Faults::default()
        }
    }
}
