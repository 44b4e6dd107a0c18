//! A webhook delivery as Bitbucket sends it: event key, identifiers, body, signature.
//!
//! Knows how a delivery travels, not what it says; the bodies are written beside the changes they report.

use std::time::Duration;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::bitbucket::HALF_SURROGATE_WRITTEN;
use crate::loopback;

/// One event on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `repo:push`, `pullrequest:created`, ...
    pub event_key: String,
    /// The same for every attempt at one delivery; without braces.
    pub request_uuid: String,
    /// The subscription it is sent for; without braces.
    pub hook_uuid: String,
    /// From 1.
    pub attempt: u32,
    pub body: Vec<u8>,
}

/// Bitbucket gives up on an answer after 10 seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tries in total when the subscriber answers 5xx.
const ATTEMPTS: u32 = 3;

impl Delivery {
    /// The headers of the request, with the signature of the body under `secret`.
    pub fn headers(&self, secret: &str) -> Vec<(String, String)> {
        let mut headers = self.unsigned_headers();
        headers.push(("X-Hub-Signature".to_owned(), sign(secret, &self.body)));
        headers
    }

    /// The headers for a subscription without a secret.
    pub fn unsigned_headers(&self) -> Vec<(String, String)> {
        [
            ("Content-Type", "application/json"),
            ("User-Agent", "Bitbucket-Webhooks/2.0"),
            ("X-Event-Key", self.event_key.as_str()),
            ("X-Hook-UUID", self.hook_uuid.as_str()),
            ("X-Request-UUID", self.request_uuid.as_str()),
            ("X-Attempt-Number", self.attempt.to_string().as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// The next attempt at the same delivery.
    #[must_use]
    pub fn redelivered(&self) -> Delivery {
        Delivery {
            attempt: self.attempt + 1,
            ..self.clone()
        }
    }

    /// The body as JSON, with U+FFFD for half a surrogate pair; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&self.body);
            let text = text.replace(HALF_SURROGATE_WRITTEN, "\u{fffd}");
            serde_json::from_str(&text).unwrap_or_default()
        })
    }

    /// Posts the delivery to `url` and returns the status of the last attempt: 5xx is tried three times in all and at
    /// once, as Bitbucket does; any other answer is final.
    pub async fn post(&self, url: &str, secret: Option<&str>) -> anyhow::Result<u16> {
        let mut delivery = self.clone();
        loop {
            let headers = match secret {
                Some(secret) => delivery.headers(secret),
                None => delivery.unsigned_headers(),
            };
            let status = loopback::post(url, &headers, &delivery.body, TIMEOUT)
                .await
                .with_context(|| format!("cannot deliver {} to {url}", delivery.event_key))?;
            if status < 500 || ATTEMPTS <= delivery.attempt {
                return Ok(status);
            }
            tracing::debug!(status, event = delivery.event_key, "delivering again");
            delivery = delivery.redelivered();
        }
    }
}

/// The value of `X-Hub-Signature`: `sha256=` and the hexadecimal HMAC-SHA256 of the raw body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(sign_bytes(secret, body)))
}

/// The HMAC-SHA256 itself.
pub fn sign_bytes(secret: &str, body: &[u8]) -> Vec<u8> {
    // An HMAC takes a key of any length; the error is there for other constructions.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return Vec::new();
    };
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_met() {
        assert_eq!(
            sign("It's a Secret to Everybody", b"Hello World!"),
            "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
        );
    }

    #[test]
    fn another_attempt_keeps_the_request_uuid_and_the_signature() {
        let first = Delivery {
            event_key: "repo:push".to_owned(),
            request_uuid: "1".to_owned(),
            hook_uuid: "2".to_owned(),
            attempt: 1,
            body: b"{}".to_vec(),
        };
        let second = first.redelivered();
        let differing: Vec<_> = std::iter::zip(first.headers("s"), second.headers("s"))
            .filter(|(first, second)| first != second)
            .map(|(_, (name, value))| format!("{name}: {value}"))
            .collect();
        assert_eq!(differing, ["X-Attempt-Number: 2"]);
    }
}
