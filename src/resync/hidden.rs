//! Lists that say they have objects and show none: Bitbucket may count what these credentials are not to see.
//!
//! It may be a fault that passes, so such a list is read again as often as any part that fails. Then it is believed in what
//! it shows, and never in what it does not: nothing goes for it. It is a loss of the run that believes it first; later
//! ones only go on saying so, for as long as it lasts.

use super::journal::Phase;
use super::read::MOST_STALLS;
use super::slice::{RunPart, Slice};
use crate::bitbucket;
use crate::failure::Failure;
use crate::telemetry::chain;

/// Lists that are remembered; any more fail.
const MOST_HIDDEN: usize = 200;

impl Slice<'_> {
    /// Whether `failure` says that the list of `part` shows none of its objects, and that is how it is by now.
    pub(super) fn believes(&self, part: &RunPart, failure: &Failure) -> bool {
        let is_so = matches!(
            failure,
            Failure::Bitbucket(bitbucket::Error::ShowsNone { .. })
        );
        let mut run = self.run();
        let name = part.id.to_string();
        let is_known = run.hidden_before.contains(&name);
        if !is_so || run.stalls < MOST_STALLS && !is_known || MOST_HIDDEN <= run.hidden.len() {
            return false;
        }
        let is_new = run.hidden.insert(name) && !is_known;
        drop(run);
        let group = self.sources().group(&part.id.source);
        let kind = group.map_or("", |group| group.source.name());
        let name = part.name.as_deref().unwrap_or("the workspace");
        let error = chain(failure);
        tracing::warn!(kind, repository = name, error, "taken as it is");
        if is_new {
            let line = format!("{kind} of {name}: {error}: may the credentials see them?");
            self.journal.warn_of(kind, Phase::Extract, line);
        }
        if let Some(group) = group {
            self.doubt(group);
        }
        true
    }
}
