//! The right to work on something, held by one invocation at a time.
//!
//! A lease runs out by itself, so a killed invocation blocks nobody for long. Its fence grows with every holder: a
//! holder that overslept its lease finds a higher one and must not write any more.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Document, Expected, StateError, Store};
use crate::deadline::{Clock, later};

/// A lease that was held when it was last checked.
#[derive(Debug)]
pub struct Lease {
    key: String,
    fence: u64,
    /// Held while it is renewed, so that of several writers one does.
    expires: Mutex<Timestamp>,
    duration: Duration,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    fence: u64,
    expires: Timestamp,
}

impl Lease {
    /// Takes the lease `key` for at most `duration`, unless somebody else holds it.
    pub async fn acquire(
        store: &Store,
        key: &str,
        clock: &Clock,
        duration: Duration,
    ) -> Result<Option<Lease>, StateError> {
        let found: Option<Document<Holder>> = store.load(key).await?;
        let (fence, expected) = match &found {
            Some(found) if clock.now() < found.value.expires => return Ok(None),
            Some(found) => (found.value.fence + 1, Expected::Version(found.version)),
            None => (1, Expected::Absent),
        };
        let holder = Holder {
            fence,
            expires: later(clock.now(), duration),
        };
        match store.save(key, &holder, expected).await {
            Ok(_) => Ok(Some(Lease {
                key: key.to_owned(),
                fence,
                expires: Mutex::new(holder.expires),
                duration,
            })),
            Err(StateError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Call before each write that only the holder may make. Renews the lease when half of it is over; once it has
    /// run out, somebody else may hold it, and this is a conflict.
    pub async fn keep(&self, store: &Store, clock: &Clock) -> Result<(), StateError> {
        let mut expires = self.expires.lock().await;
        let now = clock.now();
        let lost = || StateError::Conflict {
            key: self.key.clone(),
        };
        if *expires <= now {
            return Err(lost());
        }
        if later(now, self.duration / 2) <= *expires {
            return Ok(());
        }
        let found: Option<Document<Holder>> = store.load(&self.key).await?;
        let found = found.filter(|found| found.value.fence == self.fence);
        let version = found.ok_or_else(lost)?.version;
        let holder = Holder {
            fence: self.fence,
            expires: later(now, self.duration),
        };
        store
            .save(&self.key, &holder, Expected::Version(version))
            .await?;
        *expires = holder.expires;
        Ok(())
    }

    /// Whether nobody has taken the lease over, and it has not run out.
    pub async fn is_held(&self, store: &Store, clock: &Clock) -> Result<bool, StateError> {
        let found: Option<Document<Holder>> = store.load(&self.key).await?;
        Ok(found.is_some_and(|found| {
            found.value.fence == self.fence && clock.now() < found.value.expires
        }))
    }

    /// Lets the next one in. The fence stays behind, so that it keeps growing.
    pub async fn release(self, store: &Store) -> Result<(), StateError> {
        let found: Option<Document<Holder>> = store.load(&self.key).await?;
        let Some(found) = found.filter(|found| found.value.fence == self.fence) else {
            return Ok(());
        };
        let holder = Holder {
            fence: self.fence,
            expires: Timestamp::UNIX_EPOCH,
        };
        match store
            .save(&self.key, &holder, Expected::Version(found.version))
            .await
        {
            Ok(_) | Err(StateError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_is_renewed_in_time_and_not_after_it() {
        let (store, clock) = (Store::memory(), Clock::simulated(Timestamp::UNIX_EPOCH));
        let minute = Duration::from_secs(60);
        let acquire = || Lease::acquire(&store, "lease", &clock, minute);
        let lease = acquire().await.unwrap().unwrap();
        for _ in 0..5 {
            clock.advance(minute * 2 / 3);
            lease.keep(&store, &clock).await.unwrap();
            assert!(acquire().await.unwrap().is_none());
        }
        clock.advance(minute);
        let lost = lease.keep(&store, &clock).await;
        assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
        assert!(acquire().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn one_holder_at_a_time_and_a_dead_one_blocks_nobody_for_long() {
        let (store, clock) = (Store::memory(), Clock::simulated(Timestamp::UNIX_EPOCH));
        clock.advance(Duration::from_secs(1));
        let minute = Duration::from_secs(60);
        let first = Lease::acquire(&store, "lease", &clock, minute)
            .await
            .unwrap()
            .unwrap();
        assert!(
            Lease::acquire(&store, "lease", &clock, minute)
                .await
                .unwrap()
                .is_none()
        );
        assert!(first.is_held(&store, &clock).await.unwrap());

        clock.advance(minute);
        assert!(!first.is_held(&store, &clock).await.unwrap());
        let second = Lease::acquire(&store, "lease", &clock, minute)
            .await
            .unwrap()
            .unwrap();
        first.release(&store).await.unwrap();
        assert!(
            second.is_held(&store, &clock).await.unwrap(),
            "a zombie must not free another's lease"
        );

        second.release(&store).await.unwrap();
        assert!(
            Lease::acquire(&store, "lease", &clock, minute)
                .await
                .unwrap()
                .is_some()
        );
    }
}
