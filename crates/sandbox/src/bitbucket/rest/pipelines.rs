//! Pipelines, deployments and environments: another service behind the same address, with manners of its own.

use super::Call;
use crate::bitbucket::page::{Rules, list, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Repository, State};
use crate::server::Response;

const PIPELINES: Rules = Rules {
    parameters: &["sort", "target.ref_name", "target.branch"],
    may_lack_next: true,
    ..Rules::PLAIN
};

const DEPLOYMENTS: Rules = Rules {
    // `q` is ignored without a word.
    parameters: &["q", "sort", "environment"],
    ..Rules::PLAIN
};

/// `pipelines/..`, `deployments/..` and `environments/..` below a repository.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    let (request, quirks) = (call.request, call.quirks);
    match segments {
        ["pipelines"] | ["pipelines", ""] => {
            let pipelines = enabled(state, repository)?;
            let mut pipelines: Vec<_> = pipelines
                .iter()
                .filter(|pipeline| {
                    let branch = request
                        .query("target.branch")
                        .or(request.query("target.ref_name"));
                    branch.is_none_or(|branch| pipeline.branch == branch)
                })
                .collect();
            match request.query("sort") {
                None | Some("created_on") => {}
                Some("-created_on") => pipelines.reverse(),
                Some(other) => return Err(refuse(400, &format!("Invalid sort: {other}"))),
            }
            list(request, quirks, &PIPELINES, pipelines, |pipeline| {
                state.pipeline_json(repository, pipeline)
            })
        }
        ["pipelines", uuid] => {
            let pipeline = enabled(state, repository)?
                .iter()
                .find(|pipeline| pipeline.uuid == *uuid)
                .ok_or_else(|| refuse(404, "Pipeline not found"))?;
            single(request, state.pipeline_json(repository, pipeline), &[])
        }
        ["deployments"] | ["deployments", ""] => {
            if request.query("sort").is_some() {
                return Err(refuse(400, "Sorting is not supported"));
            }
            let deployments: Vec<_> = repository
                .deployments
                .iter()
                .rev()
                .filter(|deployment| {
                    let environment = request.query("environment");
                    environment.is_none_or(|uuid| deployment.environment == uuid)
                })
                .collect();
            list(request, quirks, &DEPLOYMENTS, deployments, |deployment| {
                state.deployment_json(repository, deployment)
            })
        }
        ["deployments", uuid] => {
            let deployment = repository
                .deployments
                .iter()
                .find(|deployment| deployment.uuid == *uuid)
                .ok_or_else(|| refuse(404, "Deployment not found"))?;
            single(request, state.deployment_json(repository, deployment), &[])
        }
        ["environments"] | ["environments", ""] => list(
            request,
            quirks,
            &Rules::PLAIN,
            repository.environments.iter().collect(),
            |environment| state.environment_json(repository, environment),
        ),
        ["environments", uuid] => {
            let environment = repository
                .environments
                .iter()
                .find(|environment| environment.uuid == *uuid)
                .ok_or_else(|| refuse(404, "Environment not found"))?;
            single(
                request,
                state.environment_json(repository, environment),
                &[],
            )
        }
        _ => Err(refuse(404, "Resource not found")),
    }
}

fn enabled<'r>(
    state: &State,
    repository: &'r Repository,
) -> Result<&'r [crate::bitbucket::state::Pipeline], Response> {
    repository.pipelines.as_deref().ok_or_else(|| {
        let name = state.full_name(repository);
        refuse(404, &format!("Pipelines is not enabled for {name}"))
    })
}
