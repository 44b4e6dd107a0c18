//! The installation in AWS: its CloudFormation stack, the package that the stack is made of, the secrets that outlive it.
//!
//! The only place of the command line that talks to AWS's APIs by itself. Asks nobody and prints nothing; knows neither
//! Bitbucket nor Port.

mod deployment;
mod events;
mod left_behind;
mod package;
mod parameters;
mod refusal;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation as cloudformation;
use aws_sdk_cloudformation::config::timeout::TimeoutConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_types::SdkConfig;

pub(crate) use left_behind::LeftSecret;
pub(crate) use package::{Origin, Placed, is_packaged};
pub(crate) use parameters::{Declared, Setting, effective, settle};
pub(crate) use refusal::AwsRefusal;

use refusal::refused;

/// How long one request to CloudFormation may take.
const FORMATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one upload or download may take.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(300);

/// What the stack needs to be allowed: roles without names of their own, and the expansion of the serverless transform.
pub(crate) const CAPABILITIES: [&str; 2] = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"];

/// CloudFormation's code for nearly everything; its message tells what.
const VALIDATION: &str = "ValidationError";

/// The AWS of one region, as the machine's configuration names it.
pub(crate) struct Cloud {
    sdk: SdkConfig,
    region: String,
    formation: cloudformation::Client,
    storage: aws_sdk_s3::Client,
    secrets: aws_sdk_secretsmanager::Client,
}

/// A stack as CloudFormation describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Names this stack and no later one of the same name.
    pub(crate) id: String,
    pub(crate) name: String,
    /// In CloudFormation's words: `CREATE_COMPLETE`.
    pub(crate) status: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
}

/// How an operation on a stack has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Deployed(Stack),
    /// The stack is already what it is to be.
    Unchanged(Stack),
}

/// Why a stack is not what it was to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error(transparent)]
    Refused(#[from] AwsRefusal),
    #[error("the stack `{name}` is {status}: {reason}; {remedy}")]
    Failed {
        name: String,
        status: String,
        reason: String,
        remedy: &'static str,
    },
    #[error("no AWS region is configured: set AWS_REGION, or a region in the profile")]
    NoRegion,
}

impl Stack {
    pub(crate) fn output(&self, name: &str) -> Option<&str> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Where Bitbucket reaches the receiver, without the path of webhooks.
    pub(crate) fn address(&self) -> Option<&str> {
        let webhooks = self.output("WebhookUrl");
        webhooks
            .and_then(|url| url.strip_suffix("webhook"))
            .or(self.output("FunctionUrl"))
    }

    /// CloudFormation is removing it, or has tried to.
    pub(crate) fn is_being_deleted(&self) -> bool {
        self.status.starts_with("DELETE")
    }
}

impl Cloud {
    pub(crate) fn connect(sdk: &SdkConfig) -> Result<Cloud, StackError> {
        let region = sdk.region().ok_or(StackError::NoRegion)?.to_string();
        let within = |limit: Duration| TimeoutConfig::builder().operation_attempt_timeout(limit);
        let formation = cloudformation::config::Builder::from(sdk)
            .timeout_config(within(FORMATION_TIMEOUT).build())
            .build();
        let storage = aws_sdk_s3::config::Builder::from(sdk)
            .timeout_config(within(STORAGE_TIMEOUT).build())
            .build();
        Ok(Cloud {
            sdk: sdk.clone(),
            region,
            formation: cloudformation::Client::from_conf(formation),
            storage: aws_sdk_s3::Client::from_conf(storage),
            secrets: aws_sdk_secretsmanager::Client::new(sdk),
        })
    }

    /// For clients of other services.
    pub(crate) fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The stack of this name or id; `None` where there is none, or none any more.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Stack>, AwsRefusal> {
        let asked = self.formation.describe_stacks().stack_name(name).send();
        let found = match asked.await {
            Ok(answer) => answer.stacks.unwrap_or_default(),
            Err(error) if is_unknown(error.code(), error.message()) => return Ok(None),
            Err(error) => return Err(refused(format!("cannot look at the stack `{name}`"), error)),
        };
        let stack = found.into_iter().next().map(described);
        Ok(stack.filter(|stack| stack.status != "DELETE_COMPLETE"))
    }

    /// The parameters that a template takes.
    pub(crate) async fn declared(&self, template: &Placed) -> Result<Vec<Declared>, AwsRefusal> {
        let asked = self
            .formation
            .get_template_summary()
            .set_template_body(template.body())
            .set_template_url(template.url());
        let answer = asked.send().await;
        let answer =
            answer.map_err(|error| refused("CloudFormation does not take the template", error))?;
        let parameters = answer.parameters.unwrap_or_default().into_iter();
        let declared = parameters.map(|parameter| Declared {
            name: parameter.parameter_key.unwrap_or_default(),
            default: parameter.default_value,
            allowed: parameter
                .parameter_constraints
                .and_then(|constraints| constraints.allowed_values)
                .unwrap_or_default(),
        });
        Ok(declared.collect())
    }
}

fn is_unknown(code: Option<&str>, message: Option<&str>) -> bool {
    code == Some(VALIDATION) && message.is_some_and(|text| text.contains("does not exist"))
}

fn described(stack: cloudformation::types::Stack) -> Stack {
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    Stack {
        id: stack.stack_id.unwrap_or_default(),
        name: stack.stack_name.unwrap_or_default(),
        status: stack
            .stack_status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        parameters: parameters
            .filter_map(|one| Some((one.parameter_key?, one.parameter_value.unwrap_or_default())))
            .collect(),
        outputs: outputs
            .filter_map(|one| Some((one.output_key?, one.output_value.unwrap_or_default())))
            .collect(),
    }
}
