//! What AWS has refused, in words: its own reason and what to do, never the SDK's rendering of its types.

use std::fmt::Debug;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use ferry::telemetry::chain;

/// A request that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}; {remedy}")]
pub(crate) struct AwsRefusal {
    pub(super) what: String,
    pub(super) reason: String,
    pub(super) remedy: &'static str,
}

/// Parts of codes and reasons, in lower case, and what helps. The first that fits counts.
const REMEDIES: [(&str, &str); 8] = [
    ("expired", "sign in to AWS again"),
    (
        "credential",
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; with single sign-on first run \
         eval \"$(aws configure export-credentials --format env)\"",
    ),
    (
        "invalidclienttoken",
        "these AWS credentials are unknown: sign in again, or set others",
    ),
    (
        "accessdenied",
        "docs/command-line.md lists the rights that this takes; where they cannot be had, --print shows the commands for somebody who has them",
    ),
    (
        "not authorized",
        "docs/command-line.md lists the rights that this takes; where they cannot be had, --print shows the commands for somebody who has them",
    ),
    ("nosuchbucket", "give a --bucket that exists in this region"),
    (
        "permanentredirect",
        "give a --bucket in the region of the stack",
    ),
    (
        "validationerror",
        "docs/configuration.md says what each parameter takes",
    ),
];

const OTHERWISE: &str = "try again";

/// `what` could not be done.
pub(super) fn refused<E, R>(what: impl Into<String>, error: SdkError<E, R>) -> AwsRefusal
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    let reason = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        // No answer, or none that says why.
        (None, _) => chain(&error),
    };
    AwsRefusal {
        what: what.into(),
        remedy: remedy(&reason),
        reason,
    }
}

fn remedy(reason: &str) -> &'static str {
    let lower = reason.to_lowercase();
    let found = REMEDIES.iter().find(|(part, _)| lower.contains(part));
    found.map_or(OTHERWISE, |(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_know_the_usual_refusals() {
        assert!(remedy("AccessDenied: no").contains("--print"));
        assert!(remedy("NoSuchBucket: it does not exist").contains("--bucket"));
        assert_eq!(remedy("InternalFailure: sorry"), "try again");
    }
}
