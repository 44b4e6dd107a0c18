//! The mapping that every look uses: adopted by a run under the pen, read from the store by everybody.
//!
//! A live look maps with the mapping of the last run, so that both agree; a mapping that was saved since begins with the
//! next run, which Port or the next tick asks for.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use uuid::Uuid;

use super::sources::Sources;
use crate::failure::Failure;
use crate::locked::locked;
use crate::mapping::Mapping;
use crate::store::documents::{Generation, StoredMapping, generation, mapping};
use crate::store::{Revision, Store};

/// How often the mapping is looked for that the generation names.
const ATTEMPTS: usize = 3;

/// The mapping in force.
#[derive(Clone)]
pub struct Current {
    /// Of the generation.
    pub number: u64,
    pub sources: Arc<Sources>,
}

/// Keeps the compiled mapping between invocations.
#[derive(Default)]
pub struct Generations {
    compiled: Mutex<Option<Arc<Sources>>>,
    /// What was in force when the store was asked last.
    last: Mutex<Option<Current>>,
}

impl Generations {
    /// The mapping that was in force when the store was asked last, or is now. A look may be made with it: a commit
    /// under another generation is refused.
    pub async fn last(&self, store: &Store) -> Result<Option<Current>, Failure> {
        let last = locked(&self.last).clone();
        match last {
            Some(last) => Ok(Some(last)),
            None => self.current(store).await,
        }
    }

    /// The mapping in force; `None` before the first run, or when the store has lost it.
    pub async fn current(&self, store: &Store) -> Result<Option<Current>, Failure> {
        let current = self.read(store).await?;
        locked(&self.last).clone_from(&current);
        Ok(current)
    }

    async fn read(&self, store: &Store) -> Result<Option<Current>, Failure> {
        // The mapping may be replaced between the two reads.
        for _ in 0..ATTEMPTS {
            let Some(found) = store.load(&generation()).await?.value else {
                return Ok(None);
            };
            let Generation {
                number,
                fingerprint,
            } = found;
            if let Some(sources) = self.known(&fingerprint) {
                return Ok(Some(Current { number, sources }));
            }
            if let Some(stored) = store.load(&mapping(&fingerprint)).await?.value {
                let sources = self.compile(&stored.config)?;
                return Ok(Some(Current { number, sources }));
            }
        }
        Err(Failure::NoMapping)
    }

    /// Puts `config` in force. The caller holds the pen, so that no commit under the old mapping is under way.
    pub async fn adopt(&self, store: &Store, config: &Value) -> Result<Current, Failure> {
        let sources = self.compile(config)?;
        let fingerprint = sources.mapping().fingerprint();
        let before = store.load(&generation()).await?;
        let number = match &before.value {
            Some(before) if before.fingerprint == fingerprint => before.number,
            _ => Uuid::new_v4().as_u64_pair().0,
        };
        let (key, stored) = (
            mapping(fingerprint),
            StoredMapping {
                config: config.clone(),
            },
        );
        if store.load(&key).await?.value.as_ref() != Some(&stored) {
            store.save(&key, &stored, Revision::ANYTHING).await?;
        }
        let adopted = Generation {
            number,
            fingerprint: fingerprint.to_owned(),
        };
        if before.value.as_ref() != Some(&adopted) {
            store.save(&generation(), &adopted, before.revision).await?;
        }
        if let Some(before) = before
            .value
            .filter(|before| before.fingerprint != fingerprint)
        {
            store.remove(&mapping(&before.fingerprint)).await?;
        }
        let current = Current { number, sources };
        *locked(&self.last) = Some(current.clone());
        Ok(current)
    }

    fn known(&self, fingerprint: &str) -> Option<Arc<Sources>> {
        let compiled = locked(&self.compiled);
        let known = compiled.as_ref();
        known
            .filter(|sources| sources.mapping().fingerprint() == fingerprint)
            .cloned()
    }

    /// Anew, also where the same is known: a run begins without what the one before has found of expressions that ran
    /// away.
    fn compile(&self, config: &Value) -> Result<Arc<Sources>, Failure> {
        let sources = Arc::new(Sources::new(Arc::new(Mapping::from_config(config)?)));
        let mut compiled = locked(&self.compiled);
        *compiled = Some(Arc::clone(&sources));
        Ok(sources)
    }
}
