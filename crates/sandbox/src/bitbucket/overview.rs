//! The workspace as people look at it: who has what, without the shapes of the API.

use serde::Serialize;

use super::Bitbucket;
use super::state::{PullRequest, Repository, State};

/// Projects and repositories, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    pub workspace: String,
    /// Where the workspace's webhooks lead that are active.
    pub webhooks: Vec<String>,
    pub projects: Vec<ProjectSeen>,
    pub repositories: Vec<RepositorySeen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectSeen {
    pub key: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositorySeen {
    /// With braces.
    pub uuid: String,
    pub slug: String,
    pub name: String,
    /// The key of its project.
    pub project: String,
    /// None while nothing was pushed.
    pub main_branch: Option<String>,
    /// By number.
    pub pull_requests: Vec<PullRequestSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PullRequestSeen {
    pub id: u64,
    pub title: String,
    /// As Bitbucket writes it: `OPEN`.
    pub state: &'static str,
}

impl Bitbucket {
    pub fn overview(&self) -> Overview {
        let state = &self.model().state;
        let webhooks = state.hooks.iter().filter(|hook| hook.active);
        let projects = state.projects.iter().map(|project| ProjectSeen {
            key: project.key.clone(),
            name: project.name.clone(),
        });
        let repositories = state.repositories.iter();
        Overview {
            workspace: state.slug.clone(),
            webhooks: webhooks.map(|hook| hook.url.clone()).collect(),
            projects: projects.collect(),
            repositories: repositories.map(|it| seen(state, it)).collect(),
        }
    }
}

fn seen(state: &State, repository: &Repository) -> RepositorySeen {
    let project = state.find_project(&repository.project);
    let pull_requests = repository.pull_requests.values();
    RepositorySeen {
        uuid: repository.uuid.clone(),
        slug: repository.slug.clone(),
        name: repository.name.clone(),
        project: project.map_or_else(String::new, |project| project.key.clone()),
        main_branch: repository.main_branch.clone(),
        pull_requests: pull_requests.map(pull_request_seen).collect(),
    }
}

fn pull_request_seen(pull_request: &PullRequest) -> PullRequestSeen {
    PullRequestSeen {
        id: pull_request.id,
        title: pull_request.title.clone(),
        state: pull_request.state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NewPullRequest, Workspace};
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_at_once() {
        let workspace = Workspace::empty("acme").with_project("PAY", "Payments");
        let files = [("README.md", "# A\n")];
        let workspace = workspace.unwrap().with_repository("PAY", "A b", &files);
        let bitbucket = Bitbucket::start(workspace.unwrap()).await.unwrap();
        let new = NewPullRequest::new("Idea", "Dana Okafor");
        let (id, _) = bitbucket.open_pull_request("a-b", new).unwrap();
        bitbucket.merge("a-b", id, "Dana Okafor").unwrap();
        bitbucket.rename_repository("a-b", "B").unwrap();
        let seen = bitbucket.overview();
        let merged = PullRequestSeen {
            id,
            title: "Idea".to_owned(),
            state: "MERGED",
        };
        let expected = RepositorySeen {
            uuid: bitbucket.repository_uuid("b").unwrap(),
            slug: "b".to_owned(),
            name: "B".to_owned(),
            project: "PAY".to_owned(),
            main_branch: Some("main".to_owned()),
            pull_requests: vec![merged],
        };
        assert_eq!(
            (seen.workspace.as_str(), seen.repositories),
            ("acme", vec![expected])
        );
    }
}
