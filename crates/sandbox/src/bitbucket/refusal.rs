//! The bodies of refusals.

use serde_json::{Value, json};

use crate::server::Response;

/// An error answer with its message.
pub(super) fn refuse(status: u16, message: &str) -> Response {
    error(status, json!({"message": message}))
}

/// 403 for want of a scope.
pub(super) fn lacks_scope(required: &str, granted: impl serde::Serialize) -> Response {
    let message = "Your credentials lack one or more required privilege scopes.";
    let detail = json!({"required": [required], "granted": granted});
    error(403, json!({"message": message, "detail": detail}))
}

/// 410 for what a numbered change of the API removed.
pub(super) fn removed(change: &str, detail: &str) -> Response {
    let url = format!("https://developer.atlassian.com/cloud/bitbucket/changelog/#{change}");
    error(
        410,
        json!({
            "message": format!("{change} - Functionality has been deprecated"),
            "detail": detail,
            "data": {"announcement_url": url},
        }),
    )
}

fn error(status: u16, error: Value) -> Response {
    Response::json(status, &json!({"type": "error", "error": error}))
}
