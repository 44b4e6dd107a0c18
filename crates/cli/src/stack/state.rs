//! What a stack's state allows. Pure.

/// What can be done with a stack that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Update,
    /// Its creation failed: CloudFormation takes nothing but its removal.
    Remove,
    /// Something is under way.
    Wait,
    /// Somebody has to do something first, namely this.
    Stuck(&'static str),
}

/// By the stack's status (CloudFormation user guide, stack status codes).
pub(super) fn readiness(status: &str) -> Readiness {
    match status {
        // Left by a change set that was never executed: there is nothing in it.
        "REVIEW_IN_PROGRESS" => Readiness::Remove,
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => Readiness::Remove,
        "DELETE_FAILED" => {
            Readiness::Stuck("run `ferry uninstall` until the stack is gone, then install anew")
        }
        "UPDATE_ROLLBACK_FAILED" => Readiness::Stuck(
            "run `aws cloudformation continue-update-rollback --stack-name` with its name, then install again",
        ),
        status if status.ends_with("_IN_PROGRESS") => Readiness::Wait,
        _ => Readiness::Update,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_gone_on_with_wherever_it_stands() {
        for (status, expected) in [
            ("CREATE_COMPLETE", Readiness::Update),
            ("UPDATE_COMPLETE", Readiness::Update),
            ("UPDATE_ROLLBACK_COMPLETE", Readiness::Update),
            ("ROLLBACK_COMPLETE", Readiness::Remove),
            ("REVIEW_IN_PROGRESS", Readiness::Remove),
            ("CREATE_IN_PROGRESS", Readiness::Wait),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Readiness::Wait),
            ("DELETE_IN_PROGRESS", Readiness::Wait),
        ] {
            assert_eq!(readiness(status), expected, "{status}");
        }
        for status in ["DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"] {
            assert!(matches!(readiness(status), Readiness::Stuck(_)), "{status}");
        }
    }
}
