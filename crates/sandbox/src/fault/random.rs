//! Faults drawn from a seed, fit for the request that meets them.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::FaultKind;
use super::kind::{is_bitbucket, is_port};
use super::port::is_bulk_upsert;
use crate::random::Random;
use crate::server::Request;

/// What a failure costs, and so what a client has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Port refuses the value of one entity, and with it the whole bulk call.
    Value,
    /// Port refuses one entity.
    Item,
    /// A list, a query or a blueprint is refused: 400, 403, 404.
    Part,
    /// 429, 5xx, garbage under 200, slowness, broken connections; Port's 207 with such. It passes.
    Later,
    /// One 401 for a token that is alive.
    Credentials,
}

impl Class {
    pub const ALL: [Class; 5] = [
        Class::Value,
        Class::Item,
        Class::Part,
        Class::Later,
        Class::Credentials,
    ];

    /// Those after which a client that tries again has lost nothing.
    pub const PASSING: [Class; 2] = [Class::Later, Class::Credentials];
}

/// Faults that come with a probability; see [`Faults::random`](super::Faults::random).
#[derive(Clone)]
pub struct RandomFaults {
    seed: u64,
    rate: f64,
    classes: Vec<Class>,
    /// How often each request came.
    seen: HashMap<String, u64>,
}

impl RandomFaults {
    pub(super) fn new(seed: u64, rate: f64) -> RandomFaults {
        RandomFaults {
            seed,
            rate,
            classes: Class::ALL.to_vec(),
            seen: HashMap::new(),
        }
    }

    /// Only these classes, such as [`Class::PASSING`].
    #[must_use]
    pub fn only(mut self, classes: impl IntoIterator<Item = Class>) -> RandomFaults {
        self.classes = classes.into_iter().collect();
        self
    }

    /// What happens to this request.
    pub(super) fn draw(&mut self, request: &Request) -> Option<FaultKind> {
        let key = key(request);
        let seen = self.seen.entry(key.clone()).or_default();
        *seen += 1;
        let digest = Sha256::digest(format!("{} {key} {seen}", self.seed));
        let start = digest.iter().take(8);
        let mut random = Random(start.fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        if !random.happens(self.rate) {
            return None;
        }
        let classes = self.classes.iter();
        let fitting: Vec<Vec<FaultKind>> = classes
            .map(|class| kinds(*class, request))
            .filter(|kinds| !kinds.is_empty())
            .collect();
        let kinds = random.one_of(&fitting)?;
        random.one_of(kinds).cloned()
    }
}

impl fmt::Debug for RandomFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RandomFaults {
            seed,
            rate,
            classes,
            seen: _,
        } = self;
        write!(f, "random {classes:?} at {rate} from {seed}")
    }
}

/// The request without what differs from run to run.
fn key(request: &Request) -> String {
    let query = request.query.iter();
    let query: Vec<String> = query
        .filter(|(name, _)| !name.starts_with("ocean_info_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{} {} {}", request.method, request.path, query.join("&"))
}

/// The faults of a class that this request may meet.
fn kinds(class: Class, request: &Request) -> Vec<FaultKind> {
    if is_bitbucket(request) {
        of_bitbucket(class, request)
    } else if is_port(request) {
        of_port(class, request)
    } else {
        Vec::new()
    }
}

fn of_bitbucket(class: Class, request: &Request) -> Vec<FaultKind> {
    match class {
        // What Bitbucket holds is set in the workspace: a value that came and went would be a change without an event.
        Class::Value | Class::Item => Vec::new(),
        Class::Part if is_list(request) => {
            let mut kinds = vec![FaultKind::refused(403), FaultKind::refused(404)];
            if request.query("q").is_some() {
                kinds.push(FaultKind::refused(400));
            }
            kinds
        }
        Class::Part => Vec::new(),
        Class::Later => {
            let mut kinds = passing();
            // Nobody sees that half of a file is missing.
            if !is_file(request) {
                kinds.push(FaultKind::half_json());
            }
            kinds.push(FaultKind::rate_limited(None));
            kinds.push(FaultKind::rate_limited(Some(2)));
            kinds
        }
        Class::Credentials => vec![FaultKind::refused(401)],
    }
}

fn of_port(class: Class, request: &Request) -> Vec<FaultKind> {
    let bulk = is_bulk_upsert(request);
    let token = request.path.ends_with("/auth/access_token");
    match class {
        Class::Value if bulk => vec![FaultKind::refused(422)],
        Class::Item if bulk => some_entity(request)
            .map(|identifier| FaultKind::entity_fails(&identifier, 422))
            .into_iter()
            .collect(),
        Class::Part if request.path.contains("/blueprints/") => {
            vec![FaultKind::refused(403), FaultKind::refused(404)]
        }
        Class::Value | Class::Item | Class::Part => Vec::new(),
        Class::Later => {
            let mut kinds = passing();
            kinds.push(FaultKind::half_json());
            kinds.push(FaultKind::rate_limited_until(2));
            if bulk {
                for status in [429, 500, 503] {
                    kinds.push(FaultKind::all_entities_fail(status));
                    let one = some_entity(request);
                    kinds.extend(one.map(|one| FaultKind::entity_fails(&one, status)));
                }
                kinds.push(FaultKind::no_entity_mentioned());
            }
            kinds
        }
        // A refused sign-in is final.
        Class::Credentials if token => Vec::new(),
        Class::Credentials => vec![FaultKind::refused(401)],
    }
}

/// What any server does on a bad day. A hang is not among it: it would take the machine's time.
fn passing() -> Vec<FaultKind> {
    vec![
        FaultKind::refused(500),
        FaultKind::refused(502),
        FaultKind::refused(503),
        FaultKind::html(200),
        FaultKind::html(502),
        FaultKind::Truncate,
        FaultKind::Reset,
        FaultKind::Refuse,
        FaultKind::slow(20),
    ]
}

/// The identifier of an entity in the middle of a bulk call.
fn some_entity(request: &Request) -> Option<String> {
    let body = request.json();
    let entities = body["entities"].as_array()?;
    let entity = entities.get(entities.len() / 2)?;
    entity["identifier"].as_str().map(str::to_owned)
}

/// Whether the bytes of a file are asked for; the address of a folder ends with a slash.
fn is_file(request: &Request) -> bool {
    request.path.contains("/src/") && !request.path.ends_with('/')
}

fn is_list(request: &Request) -> bool {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    matches!(
        segments.as_slice(),
        ["2.0", "repositories", _]
            | ["2.0", "workspaces", _, "projects" | "members"]
            | ["2.0", "repositories", _, _, "refs", _]
            | [
                "2.0",
                "repositories",
                _,
                _,
                "pullrequests" | "pipelines" | "deployments" | "environments",
                ..
            ]
    ) && !segments
        .last()
        .is_some_and(|last| last.starts_with('{') || last.parse::<u64>().is_ok())
}
