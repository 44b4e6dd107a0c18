//! Raw items that Port's mapping editor gets to show.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::slice::Slice;
use crate::failure::chain;
use crate::mapping::Kind;
use crate::state::Expected;

/// Of each kind.
pub(super) const EXAMPLES_PER_KIND: usize = 5;

impl Slice<'_> {
    /// Whether Port is to be shown items of `kind`, and has not been in this run.
    pub(super) fn lacks_examples(&self, kind: Kind) -> bool {
        self.app.config.send_raw_data_examples && !self.run().examples.contains(kind.name())
    }

    /// Gives Port's mapping editor something to show. Its failure costs nothing else.
    pub(super) async fn send_examples(&self, kind: Kind, items: &[Value]) {
        if items.is_empty() || !self.lacks_examples(kind) {
            return;
        }
        let kind = kind.to_string();
        self.run().examples.insert(kind.clone());
        let examples = items.get(..EXAMPLES_PER_KIND).unwrap_or(items);
        let key = format!("examples/{kind}");
        let digest = hex::encode(Sha256::digest(Value::from(examples.to_vec()).to_string()));
        // Unchanged examples are not worth a request; a store that cannot tell is asked again next time.
        let known = self.app.store.load::<String>(&key).await.ok().flatten();
        if known.is_some_and(|known| known.value == digest) {
            return;
        }
        let sent = match self.session.masker() {
            Ok(masker) => {
                let sent = self
                    .session
                    .port
                    .send_examples(&kind, examples, &masker, &self.deadline)
                    .await;
                sent.map_err(|error| chain(&error))
            }
            Err(error) => Err(format!("{error:#}")),
        };
        let remembered = match sent {
            Ok(()) => self
                .app
                .store
                .save(&key, &digest, Expected::Anything)
                .await
                .map_err(|error| chain(&error)),
            failed => failed.map(|()| 0),
        };
        if let Err(error) = remembered {
            tracing::warn!(
                kind,
                error,
                "examples not sent to Port, or not remembered as sent"
            );
        }
    }
}
