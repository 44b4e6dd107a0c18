//! Secrets that outlive their stack: the template keeps the one with the credentials when the stack goes.

use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};

use super::Cloud;
use super::refusal::{AwsRefusal, refused};

/// A secret with credentials that a stack has created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftSecret {
    pub(crate) arn: String,
}

impl Cloud {
    /// Secrets that stacks called `stack` have created, by the description that the template gives them.
    pub(crate) async fn left_secrets(&self, stack: &str) -> Result<Vec<LeftSecret>, AwsRefusal> {
        let begin = description(stack);
        let filter = Filter::builder()
            .key(FilterNameStringType::Description)
            .values(&begin)
            .build();
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let asked = self.secrets.list_secrets().filters(filter.clone());
            let page = asked.set_next_token(next).send().await;
            let page = page.map_err(|error| refused("cannot list the secrets", error))?;
            for secret in page.secret_list.unwrap_or_default() {
                // The filter disregards case, and more than that.
                let is_ours = secret
                    .description
                    .is_some_and(|text| text.starts_with(&begin));
                if let Some(arn) = secret
                    .arn
                    .filter(|_| is_ours && secret.deleted_date.is_none())
                {
                    found.push(LeftSecret { arn });
                }
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Removes a secret at once, without the days in which it could be had back. One that is gone already is none.
    pub(crate) async fn remove_secret(&self, secret: &LeftSecret) -> Result<(), AwsRefusal> {
        let request = self.secrets.delete_secret().secret_id(&secret.arn);
        match request.force_delete_without_recovery(true).send().await {
            Err(error) if error.code() != Some("ResourceNotFoundException") => Err(refused(
                format!("cannot remove the secret {}", secret.arn),
                error,
            )),
            _ => Ok(()),
        }
    }
}

/// How the template's descriptions of its secrets begin.
fn description(stack: &str) -> String {
    format!("Ferry ({stack}), ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_describes_its_secrets_so() {
        let template = include_str!("../../../../template.yaml");
        let expected = format!("{}credentials", description("${AWS::StackName}"));
        assert!(template.contains(&expected), "{expected}");
    }
}
