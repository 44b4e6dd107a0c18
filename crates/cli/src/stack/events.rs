//! Why an operation on a stack has failed, out of its events, and what to do about it. Pure.

/// One line of a stack's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StackEvent {
    pub(super) id: String,
    /// Its name in the template.
    pub(super) resource: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
}

/// What is said of resources that failed because another one had.
const FOLLOWED: [&str; 2] = ["cancelled", "The following resource(s) failed"];

/// Parts of reasons, in lower case, and what helps. The first that fits counts.
const REMEDIES: [(&str, &str); 9] = [
    (
        "not authorized to perform",
        "have somebody with this right run the same, or give the right to whom you have signed in as",
    ),
    (
        "accessdenied",
        "have somebody with this right run the same, or give the right to whom you have signed in as",
    ),
    (
        "unreservedconcurrentexecution",
        "give --parameter ReservedConcurrency= (none), or ask AWS for a higher limit of the account",
    ),
    (
        "nosuchbucket",
        "give a --bucket that exists in the region of the stack",
    ),
    (
        "nosuchkey",
        "the function's code is not in the bucket: run `ferry install` again, it uploads it",
    ),
    (
        "permanentredirect",
        "give a --bucket in the region of the stack: Lambda takes code from no other",
    ),
    (
        "different region",
        "give a --bucket in the region of the stack: Lambda takes code from no other",
    ),
    (
        "already exists",
        "remove what has this name, or give another name with --stack",
    ),
    (
        "codeuri is not a valid s3 uri",
        "give the packaged template of a release, or what `sam package` makes of template.yaml",
    ),
];

const OTHERWISE: &str = "mend it and run the same again: it goes on with this stack";

/// The reason of the failure that came first, and its remedy; `events` are the operation's, latest first.
pub(super) fn told(events: &[StackEvent]) -> (String, &'static str) {
    let is_failed = |event: &&StackEvent| event.status.ends_with("_FAILED");
    let is_cause = |event: &&StackEvent| {
        let follows = FOLLOWED.iter().any(|part| event.reason.contains(part));
        !follows && !event.reason.is_empty()
    };
    let oldest_first = || events.iter().rev();
    let cause = oldest_first()
        .filter(is_failed)
        .find(is_cause)
        // The transform of the template fails the stack as a whole, before any resource.
        .or_else(|| {
            oldest_first().find(|event| event.status.contains("ROLLBACK") && is_cause(event))
        });
    let Some(cause) = cause else {
        return ("its events do not say why".to_owned(), OTHERWISE);
    };
    let lower = cause.reason.to_lowercase();
    let remedy = REMEDIES.iter().find(|(part, _)| lower.contains(part));
    let reason = format!("{} ({}): {}", cause.resource, cause.kind, cause.reason);
    (reason, remedy.map_or(OTHERWISE, |(_, remedy)| *remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(resource: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            resource: resource.to_owned(),
            kind: "AWS::X::Y".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..StackEvent::default()
        }
    }

    /// A failed creation as CloudFormation tells it, latest first: the cause is neither the first nor the last line.
    #[test]
    fn the_first_failure_is_the_reason() {
        let events = [
            event("ferry", "ROLLBACK_COMPLETE", ""),
            event(
                "ferry",
                "ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [A, B].",
            ),
            event("B", "CREATE_FAILED", "Resource creation cancelled"),
            event(
                "A",
                "CREATE_FAILED",
                "User: arn is not authorized to perform: iam:CreateRole",
            ),
            event("A", "CREATE_IN_PROGRESS", ""),
            event("ferry", "CREATE_IN_PROGRESS", "User Initiated"),
        ];
        let (reason, remedy) = told(&events);
        assert_eq!(
            reason,
            "A (AWS::X::Y): User: arn is not authorized to perform: iam:CreateRole"
        );
        assert!(remedy.contains("right"), "{remedy}");
    }

    #[test]
    fn what_nobody_has_foreseen_is_told_as_it_is() {
        let (reason, remedy) = told(&[event("A", "UPDATE_FAILED", "Internal failure")]);
        assert_eq!(
            (reason.as_str(), remedy),
            ("A (AWS::X::Y): Internal failure", OTHERWISE)
        );
        assert_eq!(told(&[]).1, OTHERWISE);
        let transform = event(
            "ferry",
            "ROLLBACK_IN_PROGRESS",
            "Transform AWS::Serverless-2016-10-31 failed",
        );
        assert!(told(&[transform]).0.contains("Transform"));
    }
}
