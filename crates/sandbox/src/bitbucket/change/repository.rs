//! Repositories are created, renamed, moved, forked, transferred and deleted; their pipelines run.

use serde_json::json;

use super::replaced;
use crate::bitbucket::Bitbucket;
use crate::bitbucket::render::{set, workspace_ref};
use crate::bitbucket::state::{
    Deployment, Environment, File, Pipeline, Repository, State, slugify,
};
use crate::webhook::Delivery;

impl Bitbucket {
    /// Returns the uuid. The repository is empty and has no main branch.
    pub fn create_repository(
        &self,
        project: &str,
        name: &str,
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let state = &mut self.model().state;
        let uuid = state.add_repository(project, name)?;
        let actor = state.default_actor()?;
        let body = state.repository_body(&uuid)?;
        let created = state.delivery("repo:created", &actor, [("repository", body)]);
        Ok((uuid, vec![created]))
    }

    /// The slug, the full name and the links change with the name.
    pub fn rename_repository(&self, repository: &str, name: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let before = state.repository(repository)?.clone();
        let slug = match slugify(name) {
            slug if slug == before.slug => slug,
            _ => state.free_slug(name)?,
        };
        let old_full_name = state.full_name(&before);
        let old_links = state.repository_links(&before.slug, &before.uuid);
        let after = state.repository_mut(&before.uuid)?;
        after.name = name.to_owned();
        after.slug.clone_from(&slug);
        let mut changes = json!({"name": replaced(&before.name, name)});
        if slug != before.slug {
            let full_name = format!("{}/{slug}", state.slug);
            let links = state.repository_links(&slug, &before.uuid);
            set(
                &mut changes,
                "full_name",
                replaced(old_full_name, full_name),
            );
            set(&mut changes, "links", replaced(old_links, links));
        }
        state.repository_updated(&before.uuid, changes)
    }

    pub fn describe_repository(
        &self,
        repository: &str,
        description: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let old = std::mem::replace(
            &mut state.repository_mut(repository)?.description,
            description.to_owned(),
        );
        let changes = json!({"description": replaced(old, description)});
        state.repository_updated(repository, changes)
    }

    pub fn set_language(&self, repository: &str, language: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let old = std::mem::replace(
            &mut state.repository_mut(repository)?.language,
            language.to_owned(),
        );
        state.repository_updated(repository, json!({"language": replaced(old, language)}))
    }

    /// `changes` does not say that the project is another one.
    pub fn move_repository(
        &self,
        repository: &str,
        project: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let project = state.project(project)?.uuid.clone();
        state.repository_mut(repository)?.project = project;
        state.repository_updated(repository, json!({}))
    }

    /// `changes` does not say that the main branch is another one.
    pub fn set_default_branch(
        &self,
        repository: &str,
        branch: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let found = state.repository_mut(repository)?;
        anyhow::ensure!(found.branches.contains_key(branch), "no branch {branch}");
        found.main_branch = Some(branch.to_owned());
        state.repository_updated(repository, json!({}))
    }

    /// Returns the uuid of the fork, which begins with all branches of the repository.
    pub fn fork_repository(
        &self,
        repository: &str,
        project: &str,
        name: &str,
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let state = &mut self.model().state;
        let uuid = state.fork(repository, project, name)?;
        let (actor, source) = (state.default_actor()?, state.repository_body(repository)?);
        let fork = state.repository_body(&uuid)?;
        let parts = [("repository", source), ("fork", fork)];
        Ok((uuid, vec![state.delivery("repo:fork", &actor, parts)]))
    }

    pub fn delete_repository(&self, repository: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let body = state.repository_body(repository)?;
        state.remove_repository(repository)?;
        let actor = state.default_actor()?;
        Ok(vec![state.delivery(
            "repo:deleted",
            &actor,
            [("repository", body)],
        )])
    }

    /// Hands a repository to another workspace. Whether the old workspace's hook hears of it is not documented: a test
    /// may drop the delivery.
    pub fn transfer_out(&self, repository: &str, workspace: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let found = state.repository(repository)?;
        let slug = found.slug.clone();
        let mut body = state.repository_event_json(found);
        let uuid = state.next_uuid();
        let new = workspace_ref(&state.base, &uuid, workspace, workspace);
        set(&mut body, "full_name", json!(format!("{workspace}/{slug}")));
        set(&mut body, "workspace", new);
        set(&mut body, "project", json!(null));
        state.remove_repository(repository)?;
        let (actor, previous) = (state.default_actor()?, state.workspace_ref());
        Ok(vec![state.delivery(
            "repo:transfer",
            &actor,
            [("repository", body), ("previous_workspace", previous)],
        )])
    }

    /// Takes over a repository from another workspace; returns its uuid.
    pub fn transfer_in(
        &self,
        project: &str,
        name: &str,
        workspace: &str,
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let state = &mut self.model().state;
        let uuid = state.add_repository(project, name)?;
        let actor = state.default_actor()?;
        let files = [("README.md".to_owned(), Some(File::new("# Taken over\n")))];
        state.commit_files(&uuid, "main", &actor, "First commit", &files)?;
        let previous = state.next_uuid();
        let previous = workspace_ref(&state.base, &previous, workspace, workspace);
        let body = state.repository_body(&uuid)?;
        let parts = [("repository", body), ("previous_workspace", previous)];
        Ok((uuid, vec![state.delivery("repo:transfer", &actor, parts)]))
    }

    /// Switches Pipelines on, with nothing run yet, or off. Bitbucket sends nothing.
    pub fn enable_pipelines(&self, repository: &str, enabled: bool) -> anyhow::Result<()> {
        let pipelines = &mut self.model().state;
        let pipelines = &mut pipelines.repository_mut(repository)?.pipelines;
        *pipelines = enabled.then(|| pipelines.take().unwrap_or_default());
        Ok(())
    }

    /// Runs a pipeline on a branch, with this result (`SUCCESSFUL`, `FAILED`, ...), or still running; returns its uuid.
    pub fn run_pipeline(
        &self,
        repository: &str,
        branch: &str,
        result: Option<&str>,
    ) -> anyhow::Result<String> {
        self.model().state.add_pipeline(repository, branch, result)
    }

    /// Deploys the head of the main branch to an environment, which is added when it is new. Returns the deployment's
    /// uuid.
    pub fn deploy(
        &self,
        repository: &str,
        environment: &str,
        succeeded: bool,
    ) -> anyhow::Result<String> {
        self.model()
            .state
            .add_deployment(repository, environment, succeeded)
    }
}

impl State {
    pub(in crate::bitbucket) fn fork(
        &mut self,
        repository: &str,
        project: &str,
        name: &str,
    ) -> anyhow::Result<String> {
        let source: Repository = self.repository(repository)?.clone();
        let uuid = self.add_repository(project, name)?;
        let fork = self.repository_mut(&uuid)?;
        fork.parent = Some(source.uuid);
        fork.description = source.description;
        fork.language = source.language;
        fork.main_branch = source.main_branch;
        fork.branches = source.branches;
        fork.commits = source.commits;
        Ok(uuid)
    }

    fn remove_repository(&mut self, repository: &str) -> anyhow::Result<()> {
        let uuid = self.repository(repository)?.uuid.clone();
        self.repositories.retain(|other| other.uuid != uuid);
        self.hooks
            .retain(|hook| hook.repository.as_ref() != Some(&uuid));
        for other in &mut self.repositories {
            if other.parent.as_ref() == Some(&uuid) {
                other.parent = None;
            }
        }
        self.tick();
        Ok(())
    }

    pub(in crate::bitbucket) fn add_pipeline(
        &mut self,
        repository: &str,
        branch: &str,
        result: Option<&str>,
    ) -> anyhow::Result<String> {
        let (uuid, created_on) = (self.next_uuid(), self.tick());
        let creator = self.default_actor()?;
        let repository = self.repository_mut(repository)?;
        let hash = repository.branches.get(branch).cloned();
        let hash = hash.ok_or_else(|| anyhow::anyhow!("no branch {branch}"))?;
        let pipelines = repository.pipelines.get_or_insert_default();
        pipelines.push(Pipeline {
            uuid: uuid.clone(),
            build_number: pipelines.len() as u64 + 1,
            branch: branch.to_owned(),
            hash,
            creator,
            result: result.map(str::to_owned),
            created_on,
        });
        Ok(uuid)
    }

    pub(in crate::bitbucket) fn add_deployment(
        &mut self,
        repository: &str,
        environment: &str,
        succeeded: bool,
    ) -> anyhow::Result<String> {
        let (uuid, date) = (self.next_uuid(), self.tick());
        let (new_environment, deployer) = (self.next_uuid(), self.default_actor()?);
        let repository = self.repository_mut(repository)?;
        let hash = repository
            .head()
            .ok_or_else(|| anyhow::anyhow!("nothing to deploy"))?;
        let known = repository
            .environments
            .iter()
            .find(|known| known.name == environment);
        let environment = match known {
            Some(known) => known.uuid.clone(),
            None => {
                let tier = match environment.to_lowercase() {
                    name if name.contains("prod") => "Production",
                    name if name.contains("stag") => "Staging",
                    _ => "Test",
                };
                repository.environments.push(Environment {
                    uuid: new_environment.clone(),
                    name: environment.to_owned(),
                    tier: tier.to_owned(),
                });
                new_environment
            }
        };
        repository.deployments.push(Deployment {
            uuid: uuid.clone(),
            environment,
            release: format!("#{}", repository.deployments.len() + 1),
            hash,
            deployer,
            succeeded,
            date,
        });
        Ok(uuid)
    }
}
