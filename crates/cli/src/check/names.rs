//! Whether the names of repositories in the mapping mean any.

use ferry::app::Session;
use ferry::bitbucket;
use ferry::deadline::Deadline;
use ferry::extract::{Group, Listing, Source};
use ferry::identity::Repository;
use ferry::mapping::RepositoryFilter;
use ferry::sync::sources::Sources;

use super::{Findings, a_line, reason_of};

/// Lists the repositories that each resource with such names is about.
pub(super) async fn check_names(
    session: &Session,
    sources: &Sources,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) {
    let what = "names of repositories";
    for group in sources.groups() {
        let Source::Trees(filter) = &group.source else {
            continue;
        };
        // Where there is no repository at all, each name means none.
        let mut resources = group.resources.iter();
        if resources.all(|resource| resource.unmet_names(filter, &[]).is_empty()) {
            continue;
        }
        let repositories = match listed(session, filter, &a_line(deadline)).await {
            Ok(repositories) => repositories,
            Err(error) => {
                findings.doubtful(what, reason_of(&error), "try again");
                continue;
            }
        };
        let resources = group.resources.iter();
        let unmet = resources.flat_map(|resource| resource.unmet_names(filter, &repositories));
        let before = findings.found.len();
        for problem in unmet {
            let remedy = "correct it in the mapping, or take it out";
            findings.wrong(what, problem.to_string(), remedy);
        }
        if findings.found.len() == before {
            findings.fine(what, "mean repositories that are there");
        }
    }
}

async fn listed(
    session: &Session,
    filter: &RepositoryFilter,
    deadline: &Deadline,
) -> Result<Vec<Repository>, bitbucket::Error> {
    let list = Group::of_nobody(Source::Repositories(filter.clone()));
    let mut listing = Listing::open(&session.bitbucket, &list, None);
    let mut repositories = Vec::new();
    while let Some(batch) = listing.next(deadline).await? {
        repositories.extend(batch.items.iter().filter_map(Repository::of));
    }
    Ok(repositories)
}
