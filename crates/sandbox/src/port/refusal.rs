//! How Port says no: a status, a code from its short list, and a sentence.

use serde_json::{Value, json};

use crate::server::Response;

/// An answer other than success, as `{"ok": false, "error": code, "message": text}`.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    /// One of Port's error codes. Clients branch on it, never on the message.
    pub error: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, error: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            error,
            message: message.into(),
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "bad_request", message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Refusal {
        Refusal::new(401, "unauthorized", message)
    }

    pub fn has_dependents(message: impl Into<String>) -> Refusal {
        Refusal::new(403, "has_dependents", message)
    }

    pub fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(404, "not_found", message)
    }

    pub fn taken(message: impl Into<String>) -> Refusal {
        Refusal::new(409, "identifier_taken", message)
    }

    pub fn too_large() -> Refusal {
        Refusal::new(413, "bad_request", "request body is larger than 1 MiB")
    }

    /// The request itself has the wrong shape.
    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(422, "invalid_request", message)
    }

    /// The request is well formed but does not fit the blueprint.
    pub fn mismatch(message: impl Into<String>) -> Refusal {
        Refusal::new(422, "blueprint_schema_mismatch", message)
    }

    pub fn required_relation(message: impl Into<String>) -> Refusal {
        Refusal::new(422, "required_relation", message)
    }

    pub fn many(message: impl Into<String>) -> Refusal {
        Refusal::new(422, "relation_many_violation", message)
    }

    /// 429 with Port's header, whose value is either seconds left or an epoch (Port's pages contradict each other).
    pub fn too_many(reset: u64) -> Response {
        Refusal::new(429, "too_many_requests", "rate limit exceeded")
            .response()
            .with_header("x-ratelimit-limit", 35_000)
            .with_header("x-ratelimit-period", 300)
            .with_header("x-ratelimit-remaining", 0)
            .with_header("x-ratelimit-reset", reset)
    }

    pub fn response(&self) -> Response {
        Response::json(self.status, &self.body())
    }

    fn body(&self) -> Value {
        json!({"ok": false, "error": self.error, "message": self.message, "details": {}})
    }
}
