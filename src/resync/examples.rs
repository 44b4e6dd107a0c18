//! Raw items that Port's mapping editor gets to show.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::slice::Slice;
use crate::mapping::Kind;
use crate::store::Revision;
use crate::store::run::{ExamplesDigest, examples};
use crate::telemetry::chain;

impl Slice<'_> {
    /// Gives Port's mapping editor something to show of each kind. Its failure costs nothing else.
    pub(super) async fn send_examples(&self) {
        // Of kinds that were not read altogether Port keeps those that it has.
        let taken_over = self.run().skipping.taken_over.tallies.items.clone();
        let examples = self.mapper.take_examples().into_iter();
        for (kind, items) in examples.filter(|(kind, _)| !taken_over.contains_key(kind.name())) {
            if let Err(error) = self.send_examples_of(kind, &items).await {
                tracing::warn!(%kind, error, "examples not sent to Port, or not remembered as sent");
            }
        }
    }

    async fn send_examples_of(&self, kind: Kind, items: &[Value]) -> Result<(), String> {
        let key = examples(kind.name());
        let digest = Sha256::digest(Value::from(items.to_vec()).to_string());
        let digest = ExamplesDigest(hex::encode(digest));
        // Unchanged examples are not worth a request; a store that cannot tell is asked again next time.
        let known = self.store().load(&key).await.ok();
        if known.and_then(|known| known.value).as_ref() == Some(&digest) {
            return Ok(());
        }
        let masker = self
            .session
            .masker()
            .map_err(|error| format!("{error:#}"))?;
        let port = &self.session.port;
        let sent = port
            .send_examples(kind.name(), items, &masker, &self.deadline)
            .await;
        sent.map_err(|error| chain(&error))?;
        let saved = self.store().save(&key, &digest, Revision::ANYTHING).await;
        saved.map(|_| ()).map_err(|error| chain(&error))
    }
}
