//! Pipelines, environments and deployments.

use serde_json::{Value, json};

use super::{encode, href};
use crate::bitbucket::object::Object;
use crate::bitbucket::state::{Deployment, Environment, Pipeline, Repository, Stamp, State};

impl State {
    pub(in crate::bitbucket) fn pipeline_json(
        &self,
        repository: &Repository,
        pipeline: &Pipeline,
    ) -> Value {
        let state = match &pipeline.result {
            Some(result) => json!({
                "name": "COMPLETED",
                "type": "pipeline_state_completed",
                "result": {
                    "name": result,
                    "type": format!("pipeline_state_completed_{}", result.to_lowercase()),
                },
            }),
            None => json!({
                "name": "IN_PROGRESS",
                "type": "pipeline_state_in_progress",
                "stage": {"name": "RUNNING", "type": "pipeline_state_in_progress_running"},
            }),
        };
        let done = pipeline.result.is_some();
        let this = format!(
            "{}/pipelines/{}",
            self.repository_url(repository),
            encode(&pipeline.uuid)
        );
        let value = json!({
            "type": "pipeline",
            "uuid": pipeline.uuid,
            "build_number": pipeline.build_number,
            "repository": self.repository_ref(repository),
            "creator": self.user_json(&pipeline.creator),
            "target": {
                "type": "pipeline_ref_target",
                "ref_type": "branch",
                "ref_name": pipeline.branch,
                "selector": {"type": "default"},
                "commit": self.commit_ref(repository, &pipeline.hash),
            },
            "trigger": {"name": "PUSH", "type": "pipeline_trigger_push"},
            "state": state,
            "created_on": pipeline.created_on.zulu(),
            "completed_on": done.then(|| Stamp(pipeline.created_on.0 + 340).zulu()),
            "build_seconds_used": if done { 320 } else { 0 },
            "duration_in_seconds": done.then_some(340),
            "run_number": 1,
            "links": {"self": href(this)},
        });
        self.shown(
            || Object::Pipeline(repository.uuid.clone(), pipeline.uuid.clone()),
            value,
        )
    }

    pub(in crate::bitbucket) fn environment_json(
        &self,
        repository: &Repository,
        environment: &Environment,
    ) -> Value {
        let value = json!({
            "type": "deployment_environment",
            "uuid": environment.uuid,
            "name": environment.name,
            "environment_type": {"type": "deployment_environment_type", "name": environment.tier},
            "lock": {"type": "deployment_environment_lock_open", "name": "OPEN"},
        });
        let (repository, uuid) = (&repository.uuid, &environment.uuid);
        self.shown(
            || Object::Environment(repository.clone(), uuid.clone()),
            value,
        )
    }

    pub(in crate::bitbucket) fn deployment_json(
        &self,
        repository: &Repository,
        deployment: &Deployment,
    ) -> Value {
        let environment = repository
            .environments
            .iter()
            .find(|environment| environment.uuid == deployment.environment);
        let status = if deployment.succeeded {
            "SUCCESSFUL"
        } else {
            "FAILED"
        };
        let value = json!({
            "type": "deployment",
            "uuid": deployment.uuid,
            "state": {
                "type": "deployment_state_completed",
                "name": "COMPLETED",
                "status": {"name": status},
                "url": null,
                "deployer": self.user_json(&deployment.deployer),
                "start_date": deployment.date.zulu(),
                "completion_date": Stamp(deployment.date.0 + 60).zulu(),
            },
            "environment": {
                "type": "deployment_environment",
                "uuid": deployment.environment,
                "name": environment.map(|environment| &environment.name),
            },
            "release": {
                "type": "deployment_release",
                "name": deployment.release,
                "url": null,
                "commit": self.commit_ref(repository, &deployment.hash),
                "created_on": deployment.date.zulu(),
            },
        });
        self.shown(
            || Object::Deployment(repository.uuid.clone(), deployment.uuid.clone()),
            value,
        )
    }
}
