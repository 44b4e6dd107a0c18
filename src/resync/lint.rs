//! What a run says of its mapping: mistakes that can be seen before anything is read, and in the end what has given nothing.
//!
//! What they are is found in `mapping`; what fails for some items is told as it comes (`end`), names that mean no repository
//! by `names`, entities that several items make by `clashes`.

use super::journal::Phase;
use super::slice::Slice;
use crate::mapping::{FieldFigures, Problem, Resource, ResourceFigures};

/// Of those that a run tells; more would tell nobody more.
const MOST_NOTES: usize = 50;

impl Slice<'_> {
    /// Says what is wrong with the mapping whatever the items are.
    pub(super) fn tell_mistakes(&self) {
        for problem in self.sources().mapping().problems() {
            tracing::warn!(%problem, "the mapping does not do what it says");
            self.journal.warn(Phase::Transform, problem.to_string());
        }
    }

    /// Says which queries have selected nothing, and which fields were null for all that this slice has read.
    pub(super) fn tell_notes(&self) {
        for note in self.notes().into_iter().take(MOST_NOTES) {
            tracing::info!(%note, "the mapping gives nothing here");
            self.journal.tell(Phase::Transform, None, note.to_string());
        }
    }

    pub(super) fn notes(&self) -> Vec<Problem> {
        self.of_each(Resource::notes)
    }

    /// How often which fields were null.
    pub(super) fn null_fields(&self) -> Vec<FieldFigures> {
        self.of_each(Resource::null_fields)
    }

    fn of_each<T>(&self, tell: impl Fn(&Resource, &ResourceFigures) -> Vec<T>) -> Vec<T> {
        let resources = self.sources().mapping().resources().iter();
        let told = resources.map(|resource| tell(resource, &self.mapper.figures(resource)));
        told.flatten().collect()
    }
}
