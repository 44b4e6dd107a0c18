//! The commands of the AWS command line that `ferry install --print` prints, so that an administrator can install what the
//! user may not. Pure.

use std::collections::BTreeMap;

use crate::command::installation::{CODE_BUCKET, CODE_KEY, Subject};
use crate::stack::{CAPABILITIES, Origin};

/// All that the commands depend on.
pub(super) struct Order<'a> {
    pub(super) stack: &'a str,
    pub(super) template: &'a Origin,
    /// `None` where the template needs none: it says where its code is.
    pub(super) code: Option<&'a Origin>,
    pub(super) bucket: &'a str,
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) subject: &'a Subject,
}

/// A script, with a word before each step.
pub(super) fn script(order: &Order<'_>) -> String {
    let mut lines = vec![
        "# The template, and the function's code into a bucket in the region of the stack."
            .to_owned(),
    ];
    let mut parameters = order.parameters.clone();
    let template = fetched(order.template, &mut lines);
    if let Some(code) = order.code {
        let key = format!("ferry/{}", name_of(code));
        match code {
            Origin::Object { .. } => lines.push(format!(
                "aws s3 cp {} {}",
                quoted(&code.to_string()),
                quoted(&format!("s3://{}/{key}", order.bucket))
            )),
            Origin::File(_) | Origin::Web(_) => {
                let file = fetched(code, &mut lines);
                let to = quoted(&format!("s3://{}/{key}", order.bucket));
                lines.push(format!("aws s3 cp {} {to}", quoted(&file)));
            }
        }
        parameters.insert(CODE_BUCKET.to_owned(), order.bucket.to_owned());
        parameters.insert(CODE_KEY.to_owned(), key);
    }
    let overrides: Vec<String> = parameters
        .iter()
        .map(|(name, value)| quoted(&format!("{name}={value}")))
        .collect();
    let stack = quoted(order.stack);
    lines.push("\n# The stack. The same command brings it up to date later; what it does not name stays as it is.".to_owned());
    lines.push(format!(
        "aws cloudformation deploy --stack-name {stack} --template-file {} \\\n  --s3-bucket {} --s3-prefix ferry \
         --no-fail-on-empty-changeset --capabilities {} \\\n  --parameter-overrides {}",
        quoted(&template),
        quoted(order.bucket),
        CAPABILITIES.join(" "),
        overrides.join(" "),
    ));
    let subject = order.subject;
    lines.push(
        "\n# The secret: this asks for the credentials, checks them and stores them.".to_owned(),
    );
    lines.push(format!(
        "FERRY__SECRET_ID=\"$(aws cloudformation describe-stacks --stack-name {stack} \\\n  --query \
         \"Stacks[0].Outputs[?OutputKey=='CredentialsSecretArn'].OutputValue\" --output text)\" \\\n  \
         OCEAN__PORT__BASE_URL={} OCEAN__INTEGRATION__IDENTIFIER={} \\\n  \
         OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE={} ferry secret put",
        quoted(&subject.port_url),
        quoted(&subject.identifier),
        quoted(&subject.workspace),
    ));
    lines.join("\n")
}

/// The name of the file, once the commands that are added to `lines` have brought it here.
fn fetched(origin: &Origin, lines: &mut Vec<String>) -> String {
    match origin {
        Origin::File(path) => return path.display().to_string(),
        Origin::Web(url) => {
            lines.push(format!(
                "curl --fail --location --remote-name {}",
                quoted(url)
            ));
        }
        Origin::Object { .. } => {
            lines.push(format!("aws s3 cp {} .", quoted(&origin.to_string())));
        }
    }
    name_of(origin)
}

fn name_of(origin: &Origin) -> String {
    let place = origin.to_string();
    place.rsplit('/').next().unwrap_or_default().to_owned()
}

/// As a POSIX shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_holds_every_step() {
        let template: Origin = "https://example.com/v1/ferry-1.0.0-arm64.yaml"
            .parse()
            .unwrap();
        let code = template.code_beside();
        let mut parameters = BTreeMap::new();
        parameters.insert("BitbucketWorkspace".to_owned(), "acme".to_owned());
        parameters.insert("AlarmEmail".to_owned(), String::new());
        parameters.insert("RolePath".to_owned(), "/it's ours/".to_owned());
        let script = script(&Order {
            stack: "ferry",
            template: &template,
            code: Some(&code),
            bucket: "deployments",
            parameters: &parameters,
            subject: &Subject {
                workspace: "acme".to_owned(),
                port_url: "https://api.getport.io".to_owned(),
                identifier: "my-bitbucket".to_owned(),
            },
        });
        for part in [
            "curl --fail --location --remote-name https://example.com/v1/ferry-1.0.0-arm64.yaml",
            "aws s3 cp ferry-1.0.0-arm64.zip s3://deployments/ferry/ferry-1.0.0-arm64.zip",
            "--template-file ferry-1.0.0-arm64.yaml",
            "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND",
            "AlarmEmail= BitbucketWorkspace=acme CodeBucket=deployments CodeKey=ferry/ferry-1.0.0-arm64.zip",
            r"'RolePath=/it'\''s ours/'",
            "ferry secret put",
        ] {
            assert!(script.contains(part), "{part} in\n{script}");
        }
    }
}
