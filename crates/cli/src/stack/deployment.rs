//! A stack on its way: created, brought up to date or removed, and waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, Parameter};

use super::events::{StackEvent, told};
use super::refusal::refused;
use super::state::{Readiness, readiness};
use super::{
    AwsRefusal, CAPABILITIES, Cloud, Ended, Placed, Setting, Stack, StackError, VALIDATION,
    is_unknown,
};

/// How often it is asked how far a stack is.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How often it is asked before nobody believes any more that the stack gets anywhere: an hour.
const MOST_QUESTIONS: usize = 1800;

/// CloudFormation's code for a stack of the same name.
const ALREADY_THERE: &str = "AlreadyExistsException";

impl Cloud {
    /// Creates the stack, or brings it up to date, and waits for the end of that. What an earlier attempt has left is
    /// gone on with, or removed where CloudFormation takes nothing else. `before`: what its parameters have been. `tell`
    /// hears what is being worked on.
    pub(crate) async fn deploy(
        &self,
        name: &str,
        template: &Placed,
        (settings, before): (&BTreeMap<String, Setting>, &BTreeMap<String, String>),
        tell: &(impl Fn(&str) + Sync),
    ) -> Result<Ended, StackError> {
        let Some(stack) = self.at_rest(name, tell).await? else {
            let settings = anew(settings, before);
            let id = self.create(name, template, &settings).await?;
            return Ok(Ended::Deployed(self.settled(&id, None, tell).await?));
        };
        let before = self.latest_event(&stack.id).await?;
        match self.update(name, template, settings).await? {
            true => {
                let settled = self.settled(&stack.id, before.as_deref(), tell).await?;
                Ok(Ended::Deployed(settled))
            }
            false => Ok(Ended::Unchanged(stack)),
        }
    }

    /// Removes the stack, and waits until it is gone. One that is gone already is none.
    pub(crate) async fn delete(
        &self,
        name: &str,
        tell: &(impl Fn(&str) + Sync),
    ) -> Result<(), StackError> {
        let Some(stack) = self.find(name).await? else {
            return Ok(());
        };
        let before = self.latest_event(&stack.id).await?;
        let asked = self.formation.delete_stack().stack_name(&stack.id).send();
        let asked = asked.await;
        asked.map_err(|error| refused(format!("cannot remove the stack `{name}`"), error))?;
        for _ in 0..MOST_QUESTIONS {
            let Some(now) = self.find(&stack.id).await? else {
                return Ok(());
            };
            if now.status == "DELETE_FAILED" {
                return Err(self.failure(&now, before.as_deref()).await?);
            }
            self.tell_latest(&now, tell).await?;
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(too_long(&stack))
    }

    /// The stack when nothing is under way; `None` where one has to be created.
    async fn at_rest(
        &self,
        name: &str,
        tell: &(impl Fn(&str) + Sync),
    ) -> Result<Option<Stack>, StackError> {
        for _ in 0..MOST_QUESTIONS {
            let Some(stack) = self.find(name).await? else {
                return Ok(None);
            };
            match readiness(&stack.status) {
                Readiness::Update => return Ok(Some(stack)),
                Readiness::Remove => self.delete(name, tell).await?,
                Readiness::Wait => {
                    self.tell_latest(&stack, tell).await?;
                    tokio::time::sleep(ASK_EVERY).await;
                }
                Readiness::Stuck(remedy) => {
                    return Err(StackError::Failed {
                        reason: "it takes no update in this state".to_owned(),
                        name: stack.name,
                        status: stack.status,
                        remedy,
                    });
                }
            }
        }
        Err(too_long(&Stack {
            name: name.to_owned(),
            ..Stack::default()
        }))
    }

    /// Returns the new stack's id.
    async fn create(
        &self,
        name: &str,
        template: &Placed,
        settings: &BTreeMap<String, Setting>,
    ) -> Result<String, AwsRefusal> {
        let request = self
            .formation
            .create_stack()
            .stack_name(name)
            .set_template_body(template.body())
            .set_template_url(template.url())
            .set_parameters(Some(parameters(settings)))
            .set_capabilities(Some(CAPABILITIES.map(Capability::from).to_vec()));
        match request.send().await {
            Ok(created) => Ok(created.stack_id.unwrap_or_else(|| name.to_owned())),
            // The answer to an earlier attempt at this request was lost.
            Err(error) if error.code() == Some(ALREADY_THERE) => Ok(name.to_owned()),
            Err(error) => Err(refused(format!("cannot create the stack `{name}`"), error)),
        }
    }

    /// Returns whether anything is to be changed.
    async fn update(
        &self,
        name: &str,
        template: &Placed,
        settings: &BTreeMap<String, Setting>,
    ) -> Result<bool, AwsRefusal> {
        let request = self
            .formation
            .update_stack()
            .stack_name(name)
            .set_template_body(template.body())
            .set_template_url(template.url())
            .set_parameters(Some(parameters(settings)))
            .set_capabilities(Some(CAPABILITIES.map(Capability::from).to_vec()));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_no_update(error.code(), error.message()) => Ok(false),
            Err(error) => Err(refused(format!("cannot update the stack `{name}`"), error)),
        }
    }

    /// The stack once its operation has ended, if well. `before`: the last event of earlier operations.
    async fn settled(
        &self,
        id: &str,
        before: Option<&str>,
        tell: &(impl Fn(&str) + Sync),
    ) -> Result<Stack, StackError> {
        let gone = || Stack {
            name: id.to_owned(),
            status: "DELETE_COMPLETE".to_owned(),
            ..Stack::default()
        };
        let mut stack = gone();
        for _ in 0..MOST_QUESTIONS {
            stack = self.find(id).await?.unwrap_or_else(gone);
            if !stack.status.ends_with("_IN_PROGRESS") {
                return match stack.status.as_str() {
                    "CREATE_COMPLETE" | "UPDATE_COMPLETE" => Ok(stack),
                    _ => Err(self.failure(&stack, before).await?),
                };
            }
            self.tell_latest(&stack, tell).await?;
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(too_long(&stack))
    }

    async fn failure(&self, stack: &Stack, before: Option<&str>) -> Result<StackError, AwsRefusal> {
        let events = self.events(&stack.id, before).await?;
        let (reason, remedy) = told(&events);
        Ok(StackError::Failed {
            name: stack.name.clone(),
            status: stack.status.clone(),
            reason,
            remedy,
        })
    }

    async fn tell_latest(
        &self,
        stack: &Stack,
        tell: &(impl Fn(&str) + Sync),
    ) -> Result<(), AwsRefusal> {
        let latest = self.page_of_events(&stack.id, None).await?.0;
        if let Some(event) = latest.first() {
            tell(&format!("{} {}", event.resource, event.status));
        }
        Ok(())
    }

    async fn latest_event(&self, id: &str) -> Result<Option<String>, AwsRefusal> {
        let (events, _) = self.page_of_events(id, None).await?;
        Ok(events.into_iter().next().map(|event| event.id))
    }

    /// Events after the one named `before`, latest first.
    async fn events(&self, id: &str, before: Option<&str>) -> Result<Vec<StackEvent>, AwsRefusal> {
        let mut events = Vec::new();
        let mut next = None;
        loop {
            let (page, token) = self.page_of_events(id, next).await?;
            for event in page {
                if Some(event.id.as_str()) == before {
                    return Ok(events);
                }
                events.push(event);
            }
            if token.is_none() {
                return Ok(events);
            }
            next = token;
        }
    }

    async fn page_of_events(
        &self,
        id: &str,
        page: Option<String>,
    ) -> Result<(Vec<StackEvent>, Option<String>), AwsRefusal> {
        let asked = self.formation.describe_stack_events().stack_name(id);
        let answer = match asked.set_next_token(page).send().await {
            Ok(answer) => answer,
            Err(error) if is_unknown(error.code(), error.message()) => {
                return Ok((Vec::new(), None));
            }
            Err(error) => return Err(refused("cannot read the events of the stack", error)),
        };
        let events = answer.stack_events.unwrap_or_default().into_iter();
        let events = events.map(|event| StackEvent {
            id: event.event_id.unwrap_or_default(),
            resource: event.logical_resource_id.unwrap_or_default(),
            kind: event.resource_type.unwrap_or_default(),
            status: event
                .resource_status
                .map(|status| status.as_str().to_owned())
                .unwrap_or_default(),
            reason: event.resource_status_reason.unwrap_or_default(),
        });
        Ok((events.collect(), answer.next_token))
    }
}

/// The same for a stack that has no values of before.
fn anew(
    settings: &BTreeMap<String, Setting>,
    before: &BTreeMap<String, String>,
) -> BTreeMap<String, Setting> {
    let value = |(name, setting): (&String, &Setting)| {
        let setting = match setting {
            Setting::To(value) => Setting::To(value.clone()),
            Setting::AsBefore => Setting::To(before.get(name)?.clone()),
        };
        Some((name.clone(), setting))
    };
    settings.iter().filter_map(value).collect()
}

fn too_long(stack: &Stack) -> StackError {
    StackError::Failed {
        name: stack.name.clone(),
        status: stack.status.clone(),
        reason: "it has got nowhere for an hour".to_owned(),
        remedy: "look at its events in the CloudFormation console, then run this again",
    }
}

fn is_no_update(code: Option<&str>, message: Option<&str>) -> bool {
    code == Some(VALIDATION)
        && message.is_some_and(|text| text.contains("No updates are to be performed"))
}

fn parameters(settings: &BTreeMap<String, Setting>) -> Vec<Parameter> {
    let parameter = |(name, setting): (&String, &Setting)| {
        let parameter = Parameter::builder().parameter_key(name);
        match setting {
            Setting::To(value) => parameter.parameter_value(value).build(),
            Setting::AsBefore => parameter.use_previous_value(true).build(),
        }
    };
    settings.iter().map(parameter).collect()
}
