//! What is stored of the webhooks that lead to us: Bitbucket's and Port's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::{Folder, Key, documents};

/// What was found when the workspace's webhook was looked at last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub url: String,
    /// Digest of the secret that Bitbucket was given: it never shows it.
    pub secret: String,
    pub checked_at: Timestamp,
    /// We may not look, or not repair.
    pub refused: bool,
    /// It was removed for good: neither ticks nor the schedule make it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uninstalled: bool,
    /// Why there may be none that leads here.
    #[serde(default)]
    pub trouble: Option<WebhookTrouble>,
    /// Where Port was told to ask for resyncs.
    #[serde(default)]
    pub port_asks_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTrouble {
    pub since: Timestamp,
    pub reason: String,
}

documents! {
    Subscription: "webhook subscription", version 1;
}

pub fn subscription() -> Key<Subscription> {
    Folder::named("webhook").key("subscription")
}
