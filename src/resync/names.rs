//! Which names of repositories in the mapping mean none of those that the run has listed.

use super::slice::Slice;
use crate::extract::{Source, filter_id};
use crate::identity::Repository;

impl Slice<'_> {
    /// One line for each, in the order of the mapping. Nothing is said of a list that could not be read to its end.
    pub(super) fn unmet_names(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        for group in self.sources().groups() {
            let Source::Trees(filter) = &group.source else {
                continue;
            };
            let list = filter_id(filter);
            if !self.is_complete(&list) {
                continue;
            }
            let repositories = self.pages.repositories(&list).into_iter();
            let repositories: Vec<Repository> = repositories.map(|(_, one)| one).collect();
            for resource in &group.resources {
                let problems = resource.unmet_names(filter, &repositories);
                unmet.extend(
                    problems
                        .into_iter()
                        .map(|problem| (resource.index, problem)),
                );
            }
        }
        unmet.sort_by_key(|(index, _)| *index);
        unmet
            .into_iter()
            .map(|(_, problem)| problem.to_string())
            .collect()
    }
}
