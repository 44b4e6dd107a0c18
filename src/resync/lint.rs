//! What a run says of its mapping: mistakes that can be seen before anything is read, and in the end what has given nothing.
//!
//! What they are is found in `mapping`; what fails for some items is told as it comes (`end`), names that mean no repository
//! by `names`, entities that several items make by `clashes`.

use super::journal::Phase;
use super::slice::Slice;
use crate::mapping::{Resource, ResourceFigures};

/// Of either that a run tells; more would tell nobody more.
const MOST_TOLD: usize = 50;

impl Slice<'_> {
    /// Says what is wrong with the mapping whatever the items are.
    pub(super) fn tell_mistakes(&self) {
        for problem in self.sources().mapping().problems() {
            tracing::warn!(%problem, "the mapping does not do what it says");
            self.journal.warn(Phase::Transform, problem.to_string());
        }
    }

    /// Says which fields read what no item has, which queries have selected nothing, and which fields were null for all that
    /// this slice has read. Returns what of that is wrong.
    pub(super) fn tell_figures(&self) -> Vec<String> {
        let slips = self.of_each(Resource::slips).into_iter();
        let slips: Vec<String> = slips.take(MOST_TOLD).map(|slip| slip.to_string()).collect();
        for problem in &slips {
            tracing::warn!(problem, "a field of the mapping is never filled");
            self.journal.warn(Phase::Transform, problem.as_str());
        }
        for note in self.of_each(Resource::notes).into_iter().take(MOST_TOLD) {
            tracing::info!(%note, "the mapping gives nothing here");
            self.journal.tell(Phase::Transform, None, note.to_string());
        }
        slips
    }

    /// What `tell` says of each resource and what it has given to this slice. Of those that were taken over in part nothing is
    /// said: few items are no sample of all, and whoever has read them all has said it.
    pub(super) fn of_each<T>(
        &self,
        tell: impl Fn(&Resource, &ResourceFigures) -> Vec<T>,
    ) -> Vec<T> {
        let taken_over = self.run().skipping.taken_over.identifiers.clone();
        let resources = self.sources().mapping().resources().iter();
        let resources = resources.filter(|one| !taken_over.contains_key(&one.fingerprint));
        let told = resources.map(|resource| tell(resource, &self.mapper.figures(resource)));
        told.flatten().collect()
    }
}
