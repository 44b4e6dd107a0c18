//! Names of repositories in selectors that mean no repository: each is a slip of the pen that selects nothing.

use super::resource::Resource;
use super::{Problem, RepositoryFilter};
use crate::identity::Repository;
use crate::nearest::nearest;

impl Resource {
    /// The names in this resource's selector that mean none of `repositories`, which are all that `filter` selects.
    pub fn unmet_names(
        &self,
        filter: &RepositoryFilter,
        repositories: &[Repository],
    ) -> Vec<Problem> {
        let names = self.selector.repository_names();
        let unmet = names
            .into_iter()
            .filter(|name| !repositories.iter().any(|repository| name.means(repository)));
        let among = match filter.selects() {
            true => "of those that userRole and repoQuery select",
            false => "that the credentials see",
        };
        let known = || {
            repositories
                .iter()
                .flat_map(|one| [one.slug(), one.name.as_str()])
        };
        unmet
            .map(|unmet| {
                let name = &unmet.name;
                let remedy = match nearest(name, known()) {
                    Some(meant) => format!("the nearest name is {meant:?}"),
                    None => "give a slug or a name".to_owned(),
                };
                Problem {
                    path: unmet.path.clone(),
                    line: None,
                    message: format!(
                        "{name:?} is no repository {among}, so it selects nothing: {remedy}"
                    ),
                }
            })
            .collect()
    }
}
