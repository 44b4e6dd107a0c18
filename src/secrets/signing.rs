//! Which secrets count while the one that signs webhooks is being rotated, and the one that counts where nobody has chosen
//! any.
//!
//! Pure. A new version's age tells what other processes may still have in their caches.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::TTL;
use crate::deadline::later;

/// For so long after a rotation some process may still know the old secret only: the life of its cache, and a minute
/// for clocks that differ.
const UNKNOWN_TO_SOME: Duration = Duration::from_secs(TTL.as_secs() + 60);

/// For so long after a rotation webhooks may come that are signed with the old secret: until every process knows the new
/// one, and from then until Bitbucket has been told it.
pub(super) const BOTH_COUNT: Duration = Duration::from_secs(2 * TTL.as_secs());

/// What signs webhooks, made of Port's client secret: every process that has the credentials knows it, it needs no place
/// of its own, and who learns it, as Bitbucket does, learns nothing of Port's. Another one for each `identifier`. `None`
/// for an empty secret.
pub(super) fn derived(port_client_secret: &SecretString, identifier: &str) -> Option<SecretString> {
    let key = port_client_secret.expose_secret();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(b"ferry: secret of webhooks\n");
    mac.update(identifier.as_bytes());
    (!key.is_empty()).then(|| SecretString::from(hex::encode(mac.finalize().into_bytes())))
}

/// The secrets of webhooks, as they were read.
#[derive(Default)]
pub(super) struct Signing {
    pub(super) current: Option<SecretString>,
    /// The one before, and when the current one took its place.
    pub(super) previous: Option<(SecretString, Timestamp)>,
}

impl Signing {
    /// Those that count at `now`, first the one to sign with.
    pub(super) fn at(&self, now: Timestamp) -> Vec<SecretString> {
        let mut secrets: Vec<SecretString> = self.current.iter().cloned().collect();
        if let Some((previous, since)) = &self.previous {
            if now < later(*since, UNKNOWN_TO_SOME) {
                secrets.insert(0, previous.clone());
            } else if now < later(*since, BOTH_COUNT) {
                secrets.push(previous.clone());
            }
        }
        secrets
    }
}
