//! A call in the making: its address, its body, and how often it may be repeated.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Method;
use url::Url;

use super::error::{Error, TraceId};
use super::upsert::WriteEvent;
use crate::http::RetryPolicy;

/// Longest answer that is read. Searches ask for smaller pages when one is longer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// For calls that may be repeated: Ocean's waits and statuses, so Port sees the load it is used to. A 500 and a body
/// that cannot be read are tried once more: some are a defect that a repetition meets again.
pub(super) const REPEATABLE: RetryPolicy = RetryPolicy {
    max_retries: 10,
    base_delay: Duration::from_millis(300),
    max_delay: Duration::from_secs(300),
    timeout: Duration::from_secs(60),
    max_body: MAX_ANSWER_BYTES,
    statuses: &[408, 429, 500, 502, 503, 504],
    max_defects: 1,
};

/// For what people are shown of a run: worth a second or two, and told again later where that does not help.
pub(super) const BRIEF: RetryPolicy = RetryPolicy {
    max_retries: 2,
    max_delay: Duration::from_secs(2),
    ..REPEATABLE
};

/// For calls that could act twice: PATCH, and POSTs that create.
pub(super) const ONCE: RetryPolicy = RetryPolicy {
    max_retries: 0,
    max_defects: 0,
    statuses: &[],
    ..REPEATABLE
};

/// Which user agent a call carries. Port takes the one of the writer as the entity's data source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    Plain,
    /// Entity and blueprint writes and searches.
    Exporter,
}

/// A request in the making.
pub(super) struct Call {
    pub(super) method: Method,
    target: Target,
    query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) agent: Agent,
    pub(super) policy: &'static RetryPolicy,
}

enum Target {
    /// Segments below `/v1`, not yet encoded.
    Route(Vec<String>),
    /// An absolute address that Port handed out.
    Elsewhere(Url),
}

impl Call {
    pub(super) fn new<const N: usize>(method: Method, route: [&str; N]) -> Call {
        // The table of repeated methods is Ocean's; POST is decided call by call.
        let policy = match method {
            Method::GET | Method::PUT | Method::DELETE => &REPEATABLE,
            _ => &ONCE,
        };
        Call {
            method,
            target: Target::Route(route.map(str::to_owned).to_vec()),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            agent: Agent::Plain,
            policy,
        }
    }

    pub(super) fn get<const N: usize>(route: [&str; N]) -> Call {
        Call::new(Method::GET, route)
    }

    pub(super) fn post<const N: usize>(route: [&str; N], body: &serde_json::Value) -> Call {
        Call::new(Method::POST, route).json(body)
    }

    pub(super) fn patch<const N: usize>(route: [&str; N], body: &serde_json::Value) -> Call {
        Call::new(Method::PATCH, route).json(body)
    }

    /// A POST to an address that Port handed out.
    pub(super) fn post_to(url: Url, body: &serde_json::Value) -> Call {
        let mut call = Call::post([], body);
        call.target = Target::Elsewhere(url);
        call
    }

    pub(super) fn json(self, body: &serde_json::Value) -> Call {
        self.bytes(body.to_string().into_bytes())
    }

    /// A body that is JSON already.
    pub(super) fn bytes(mut self, body: Vec<u8>) -> Call {
        self.body = Some(body);
        self
    }

    /// Says what Port is to show as the cause of a change.
    pub(super) fn caused_by(self, event: &WriteEvent) -> Call {
        match event {
            WriteEvent::Resync { id } => self
                .query("ocean_info_event_type", "resync")
                .query("ocean_info_resync_id", id),
            WriteEvent::Live => self.query("ocean_info_event_type", "http_request"),
        }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Call {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Call {
        self.headers.push((name, value));
        self
    }

    pub(super) fn exporter(mut self) -> Call {
        self.agent = Agent::Exporter;
        self
    }

    /// Allows repetitions of a POST that does the same when it comes twice.
    pub(super) fn briefly_repeatable(mut self) -> Call {
        self.policy = &BRIEF;
        self
    }

    pub(super) fn repeatable(mut self) -> Call {
        self.policy = &REPEATABLE;
        self
    }

    /// For errors.
    pub(super) fn shown(&self) -> String {
        match &self.target {
            Target::Route(segments) => format!("{} /v1/{}", self.method, segments.join("/")),
            Target::Elsewhere(url) => format!("{} {}", self.method, url.path()),
        }
    }

    pub(super) fn url(&self, base: &Url) -> Result<Url, Error> {
        let mut url = match &self.target {
            Target::Elsewhere(url) => url.clone(),
            Target::Route(segments) => {
                // Port allows no such identifier, and the address would resolve to another route.
                let is_no_name = |segment: &&String| matches!(segment.as_str(), "" | "." | "..");
                if let Some(segment) = segments.iter().find(is_no_name) {
                    return Err(Error::NotFound {
                        what: format!("`{segment}` (in {})", self.shown()),
                        trace_id: TraceId::default(),
                    });
                }
                let mut url = base.clone();
                url.path_segments_mut()
                    .map_err(|()| Error::Unexpected {
                        request: self.shown(),
                        trace_id: TraceId::default(),
                        source: anyhow!("OCEAN__PORT__BASE_URL is no http(s) address"),
                    })?
                    .pop_if_empty()
                    .push("v1")
                    .extend(segments);
                url
            }
        };
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}
