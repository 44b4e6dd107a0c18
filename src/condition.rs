//! What may be wrong with an installation, by number: one table for the figure `Health`, the log, `ferry status` and
//! docs/operations.md.
//!
//! A number never changes its meaning. A larger one is more serious, so that the maximum of the figure over some minutes
//! is the most serious condition of these minutes. There is room between the numbers for later ones. Knows nothing of how
//! a condition is found.

use std::time::Duration;

use serde::Serialize;

/// Something that somebody has to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    RunPaused,
    WebhookLost,
    NoWebhooks,
    WebhookRefused,
    DeletionsHeldBack,
    UnreadChanged,
    RunLosses,
    EventsLate,
    WorkerDied,
    DeadLetters,
    NoCompletedRun,
    RunFailed,
    MappingRefused,
    TwoInstallations,
    BitbucketUnreachable,
    PortUnreachable,
    SecretUnreadable,
    SettingsInvalid,
    SecretEmpty,
    BitbucketTokenRefused,
    BitbucketRefused,
    PortRefused,
    StateUnreachable,
}

impl Condition {
    /// Least serious first.
    pub const ALL: [Condition; 23] = [
        Condition::RunPaused,
        Condition::WebhookLost,
        Condition::NoWebhooks,
        Condition::WebhookRefused,
        Condition::DeletionsHeldBack,
        Condition::UnreadChanged,
        Condition::RunLosses,
        Condition::EventsLate,
        Condition::WorkerDied,
        Condition::DeadLetters,
        Condition::NoCompletedRun,
        Condition::RunFailed,
        Condition::MappingRefused,
        Condition::TwoInstallations,
        Condition::BitbucketUnreachable,
        Condition::PortUnreachable,
        Condition::SecretUnreadable,
        Condition::SettingsInvalid,
        Condition::SecretEmpty,
        Condition::BitbucketTokenRefused,
        Condition::BitbucketRefused,
        Condition::PortRefused,
        Condition::StateUnreachable,
    ];

    /// What the figure `Health` says.
    pub fn number(self) -> u8 {
        match self {
            Condition::RunPaused => 10,
            Condition::WebhookLost => 14,
            Condition::NoWebhooks => 18,
            Condition::WebhookRefused => 22,
            Condition::DeletionsHeldBack => 26,
            Condition::UnreadChanged => 28,
            Condition::RunLosses => 30,
            Condition::EventsLate => 34,
            Condition::WorkerDied => 38,
            Condition::DeadLetters => 42,
            Condition::NoCompletedRun => 46,
            Condition::RunFailed => 50,
            Condition::MappingRefused => 54,
            Condition::TwoInstallations => 58,
            Condition::BitbucketUnreachable => 62,
            Condition::PortUnreachable => 66,
            Condition::SecretUnreadable => 70,
            Condition::SettingsInvalid => 74,
            Condition::SecretEmpty => 78,
            Condition::BitbucketTokenRefused => 82,
            Condition::BitbucketRefused => 86,
            Condition::PortRefused => 90,
            Condition::StateUnreachable => 94,
        }
    }

    pub fn of_number(number: u8) -> Option<Condition> {
        Condition::ALL
            .into_iter()
            .find(|condition| condition.number() == number)
    }

    /// What log lines and `ferry status` call it.
    pub fn name(self) -> &'static str {
        match self {
            Condition::RunPaused => "run-paused",
            Condition::WebhookLost => "webhook-lost",
            Condition::NoWebhooks => "no-webhooks",
            Condition::WebhookRefused => "webhook-refused",
            Condition::DeletionsHeldBack => "deletions-held-back",
            Condition::UnreadChanged => "unread-changed",
            Condition::RunLosses => "run-losses",
            Condition::EventsLate => "events-late",
            Condition::WorkerDied => "worker-died",
            Condition::DeadLetters => "dead-letters",
            Condition::NoCompletedRun => "no-completed-run",
            Condition::RunFailed => "run-failed",
            Condition::MappingRefused => "mapping-refused",
            Condition::TwoInstallations => "two-installations",
            Condition::BitbucketUnreachable => "bitbucket-unreachable",
            Condition::PortUnreachable => "port-unreachable",
            Condition::SecretUnreadable => "secret-unreadable",
            Condition::SettingsInvalid => "settings-invalid",
            Condition::SecretEmpty => "secret-empty",
            Condition::BitbucketTokenRefused => "bitbucket-token-refused",
            Condition::BitbucketRefused => "bitbucket-refused",
            Condition::PortRefused => "port-refused",
            Condition::StateUnreachable => "state-unreachable",
        }
    }

    /// When it is said to be so, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Condition::RunPaused => {
                "a resync has waited for five minutes or more, mostly for Bitbucket's rate limit"
            }
            Condition::WebhookLost => {
                "the workspace's webhook had gone or was switched off; it has been made again"
            }
            Condition::NoWebhooks => {
                "a resync found changed pull requests, and no webhook has come since the resync before"
            }
            Condition::WebhookRefused => {
                "no webhook has ever come, and Ferry may not make one, or has no secret for it"
            }
            Condition::DeletionsHeldBack => {
                "entities that nothing claims any more stay in Port, by the threshold or another guard"
            }
            Condition::UnreadChanged => {
                "contents that a resync would have taken over as unchanged were not as recorded; it has read everything instead"
            }
            Condition::RunLosses => "the last resync could not read, map or write everything",
            Condition::EventsLate => "an event has waited for more than an hour",
            Condition::WorkerDied => {
                "an invocation ended in the middle of its work: out of time or memory, or a crash"
            }
            Condition::DeadLetters => "an event could not be worked off in ten tries",
            Condition::NoCompletedRun => "no resync was completed within two intervals",
            Condition::RunFailed => "the last resync failed; it is tried again, later and later",
            Condition::MappingRefused => "the mapping in Port cannot be used",
            Condition::TwoInstallations => {
                "another installation works under this identifier, so nothing is deleted"
            }
            Condition::BitbucketUnreachable => "Bitbucket has not answered for three minutes",
            Condition::PortUnreachable => "Port has not answered for three minutes",
            Condition::SecretUnreadable => "Secrets Manager does not give the credentials",
            Condition::SettingsInvalid => {
                "the credentials are incomplete, or the settings lead to no Port or no Bitbucket"
            }
            Condition::SecretEmpty => "nobody has filled the secret with the credentials yet",
            Condition::BitbucketTokenRefused => {
                "Bitbucket refuses one of several tokens; the others share its work"
            }
            Condition::BitbucketRefused => "Bitbucket refuses the credentials",
            Condition::PortRefused => "Port refuses the credentials",
            Condition::StateUnreachable => "the table, or the state directory, cannot be read",
        }
    }

    /// What mends it.
    pub fn remedy(self) -> &'static str {
        match self {
            Condition::RunPaused => {
                "nothing: ticks go on with it. Where it lasts, more tokens share the work, or a longer interval spares it"
            }
            Condition::WebhookLost => {
                "nothing: a resync finds what events would have told. Find out who removes it"
            }
            Condition::NoWebhooks => {
                "look at the webhook with `ferry webhook status`, and at its last requests in Bitbucket; `ferry webhook install` makes it right"
            }
            Condition::WebhookRefused => {
                "give the token the scope webhook of a workspace administrator, or make the webhook by hand; set the webhook secret"
            }
            Condition::DeletionsHeldBack => {
                "see in the log which entities stay and why; if they are to go, raise entityDeletionThreshold in the mapping and resync"
            }
            Condition::UnreadChanged => {
                "nothing for now: that resync has mended it. Report it with the log, and set FERRY__SKIP_UNCHANGED=off until it is mended"
            }
            Condition::RunLosses => {
                "see the lines of that resync in the log or in Port: rights of the token, expressions of the mapping, blueprints"
            }
            Condition::EventsLate => {
                "see `look failed` in the log: its error says what stands in the way"
            }
            Condition::WorkerDied => {
                "nothing, if it was once. If it comes back: more memory (MemorySize), and the line before the end in the log"
            }
            Condition::DeadLetters => {
                "see the error in the log; the next resync does what the event asked for. Send the dead letters again after an update, or purge them"
            }
            Condition::NoCompletedRun => {
                "see `resync` in the log: a large workspace needs an interval longer than its resync, or more tokens"
            }
            Condition::RunFailed => "as the cause says; the next attempt begins by itself",
            Condition::MappingRefused => {
                "correct the mapping in Port and save it: that begins a resync"
            }
            Condition::TwoInstallations => {
                "stop the other installation, or give one of the two another OCEAN__INTEGRATION__IDENTIFIER"
            }
            Condition::BitbucketUnreachable => {
                "nothing, if Bitbucket is down; otherwise BITBUCKET_HOST_URL, the network, the proxy"
            }
            Condition::PortUnreachable => {
                "nothing, if Port is down; otherwise OCEAN__PORT__BASE_URL, the network, the proxy"
            }
            Condition::SecretUnreadable => {
                "let the function's role read the secret and use its key, and check that FERRY__SECRET_ID names it"
            }
            Condition::SettingsInvalid => {
                "correct what the cause names; a changed secret is found within a minute"
            }
            Condition::SecretEmpty => {
                "fill it with `ferry secret put`, or with the command in the stack's output StoreCredentials"
            }
            Condition::BitbucketTokenRefused | Condition::BitbucketRefused => {
                "put a new token into the secret; it is found within a minute. An API token needs the e-mail address of its user"
            }
            Condition::PortRefused => {
                "put client id and secret of Port (… menu > Credentials) into the secret, and check that PortBaseUrl is your region"
            }
            Condition::StateUnreachable => {
                "nothing, if it was once; otherwise the function's role, the table's key, or the disk"
            }
        }
    }

    /// Whether it keeps Ferry from its work until somebody acts.
    pub fn is_serious(self) -> bool {
        Condition::DeadLetters <= self && self != Condition::SecretEmpty
    }

    /// Whether Bitbucket, Port or Secrets Manager is asked for it at each look around, and so says itself when it has
    /// passed.
    pub fn is_asked_for(self) -> bool {
        matches!(
            self,
            Condition::BitbucketUnreachable
                | Condition::PortUnreachable
                | Condition::SecretUnreadable
                | Condition::SettingsInvalid
                | Condition::SecretEmpty
                | Condition::BitbucketTokenRefused
                | Condition::BitbucketRefused
                | Condition::PortRefused
        )
    }

    /// How long it has to last before it is one.
    pub fn patience(self) -> Duration {
        let minutes = match self {
            Condition::RunPaused => 5,
            Condition::BitbucketUnreachable | Condition::PortUnreachable => 3,
            _ => 0,
        };
        Duration::from_secs(60 * minutes)
    }

    /// How long after it was met last it has passed, where nothing else says so.
    pub fn passes_after(self) -> Option<Duration> {
        let minutes = match self {
            Condition::WorkerDied | Condition::WebhookLost => 10,
            // What waits is met again within half an hour.
            Condition::EventsLate => 45,
            _ => return None,
        };
        Some(Duration::from_secs(60 * minutes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_grow_with_the_seriousness_and_are_told_apart() {
        let numbers = Condition::ALL.map(Condition::number);
        assert!(numbers.is_sorted() && Condition::ALL.is_sorted());
        let distinct: BTreeSet<u8> = numbers.into_iter().collect();
        assert_eq!(distinct.len(), Condition::ALL.len());
        assert!(0 < numbers[0], "0 is healthy");
        for condition in Condition::ALL {
            assert_eq!(Condition::of_number(condition.number()), Some(condition));
            let name = serde_json::to_value(condition).unwrap();
            assert_eq!(name, condition.name());
        }
        assert_eq!(Condition::of_number(0), None);
    }
}
