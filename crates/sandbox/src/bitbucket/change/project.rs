//! Projects and people come, change and go.

use serde_json::{Value, json};

use super::replaced;
use crate::bitbucket::Bitbucket;
use crate::bitbucket::state::State;
use crate::webhook::Delivery;

impl Bitbucket {
    /// Returns the uuid. Bitbucket sends nothing for a new project.
    pub fn create_project(&self, key: &str, name: &str) -> anyhow::Result<(String, Vec<Delivery>)> {
        Ok((self.model().state.add_project(key, name)?, Vec::new()))
    }

    /// The key stays.
    pub fn rename_project(&self, project: &str, name: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let old = std::mem::replace(&mut state.project_mut(project)?.name, name.to_owned());
        project_updated(state, project, json!({"name": replaced(old, name)}))
    }

    /// The uuid stays.
    pub fn change_project_key(&self, project: &str, key: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        anyhow::ensure!(
            state.projects.iter().all(|other| other.key != key),
            "there is a project {key} already"
        );
        let project = state.project_mut(project)?;
        let old = std::mem::replace(&mut project.key, key.to_owned());
        let uuid = project.uuid.clone();
        project_updated(state, &uuid, json!({"key": replaced(old, key)}))
    }

    pub fn describe_project(
        &self,
        project: &str,
        description: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let old = state
            .project_mut(project)?
            .description
            .replace(description.to_owned());
        let changes = json!({"description": replaced(old, description)});
        project_updated(state, project, changes)
    }

    /// Only an empty project can go. Bitbucket sends nothing.
    pub fn delete_project(&self, project: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let uuid = state.project(project)?.uuid.clone();
        anyhow::ensure!(
            state.repositories.iter().all(|r| r.project != uuid),
            "the project has repositories"
        );
        state.projects.retain(|project| project.uuid != uuid);
        state.tick();
        Ok(Vec::new())
    }

    /// Returns the uuid. Bitbucket sends nothing for a new member.
    pub fn add_user(&self, display_name: &str) -> String {
        self.model().state.add_user(display_name)
    }

    /// Deletes an account: no longer a member, and a "Former user" wherever it took part. Bitbucket sends nothing.
    pub fn delete_user(&self, user: &str) -> anyhow::Result<()> {
        let state = &mut self.model().state;
        let uuid = state.user(user)?.uuid.clone();
        for user in state.users.iter_mut().filter(|user| user.uuid == uuid) {
            user.former = true;
        }
        Ok(())
    }
}

fn project_updated(
    state: &mut State,
    project: &str,
    changes: Value,
) -> anyhow::Result<Vec<Delivery>> {
    let now = state.tick();
    let project = state.project_mut(project)?;
    project.updated_on = now;
    let uuid = project.uuid.clone();
    let body = state.project_event_json(state.project(&uuid)?);
    let actor = state.default_actor()?;
    Ok(vec![state.delivery(
        "project:updated",
        &actor,
        [("project", body), ("changes", changes)],
    )])
}
