//! A secret that nobody has filled yet: how it is recognised, and how often that is said.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Credentials, Secrets, SecretsError, Version};
use crate::deadline::{Deadline, later};
use crate::locked::locked;

/// How often it is said that the secret is empty.
const REMIND_AFTER: Duration = Duration::from_secs(3600);

impl Version {
    /// A blank text is what emulators make of a secret without a value, and what people put there for the time being.
    pub(super) fn is_blank(&self) -> bool {
        self.text.expose_secret().trim().is_empty()
    }
}

impl Secrets {
    /// The credentials; `None` as long as nobody has filled the secret, which is a matter of a new installation and no
    /// failure. It is said once an hour.
    pub async fn credentials_if_filled(
        &self,
        deadline: &Deadline,
    ) -> Result<Option<Arc<Credentials>>, SecretsError> {
        match self.credentials(deadline).await {
            Err(empty @ SecretsError::Empty { .. }) => {
                self.remind(&empty);
                Ok(None)
            }
            credentials => credentials.map(Some),
        }
    }

    fn remind(&self, empty: &SecretsError) {
        let now = self.clock.now();
        let mut reminded_at = locked(&self.reminded_at);
        if reminded_at.is_none_or(|at| later(at, REMIND_AFTER) <= now) {
            *reminded_at = Some(now);
            tracing::warn!(reason = %empty, "waiting for credentials");
        }
    }
}
