//! `ferry install`: the stack, its credentials and the first run, asked for or given; and all of that again as an update.
//!
//! Owns the order of the steps. Each may be repeated: an installation that was interrupted is gone on with.

mod access;
mod commands;
mod first_run;
mod wishes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use dialoguer::Input;
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::Deadline;
use ferry::own_secrets::OwnSecrets;
use ferry::secrets::Secrets;
use ferry::subscription::{self, Standing};
use ferry::telemetry::chain;
use indicatif::MultiProgress;
use jiff::Timestamp;

use super::AskedWrongly;
use super::installation::{
    Asking, CODE_BUCKET, CODE_KEY, IDENTIFIER, Installer, OWN_SECRET, PORT_URL, Subject, WORKSPACE,
    spinner, tell_done,
};
use super::secret::PATIENCE;
use super::terminal::{DOUBTFUL, painted, print};
use crate::stack::{Ended, Origin, Placed, Stack, is_packaged};
use access::{Credentials, credentials, known_secret};
use wishes::Wishes;

/// The release that this version belongs to, for the template's own choice of processor.
const RELEASE: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/releases/download/v",
    env!("CARGO_PKG_VERSION"),
    "/ferry-",
    env!("CARGO_PKG_VERSION"),
    "-arm64.yaml"
);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Name of the stack.
    #[arg(long, value_name = "NAME", default_value = "ferry")]
    stack: String,
    /// The packaged template: a file, `https://…` or `s3://BUCKET/KEY`; that of this version's release if not given.
    #[arg(long, value_name = "WHERE")]
    template: Option<Origin>,
    /// The zip with the function's code; the one beside the template, with the same name, if not given.
    #[arg(long, value_name = "WHERE")]
    code: Option<Origin>,
    /// S3 bucket for the code, in the region of the stack.
    #[arg(long)]
    bucket: Option<String>,
    /// A parameter of the template; an empty value clears it. May be given several times.
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// File with the credentials as a JSON object; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Ask nothing: what is not given keeps its value, or its default.
    #[arg(long)]
    yes: bool,
    /// Print the commands of the AWS command line that do the same, and do nothing.
    #[arg(long)]
    print: bool,
    /// Minutes to wait for the first completed run; 0 does not wait.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    wait: u64,
}

/// Fails, and says where to go on, when a step fails.
pub(crate) async fn run(
    options: &Options,
    config: Config,
    own: OwnSecrets,
    bars: &MultiProgress,
) -> anyhow::Result<ExitCode> {
    let origin = match &options.template {
        Some(origin) => origin.clone(),
        None => RELEASE.parse().map_err(AskedWrongly)?,
    };
    let mut wishes = Wishes::read(&options.parameters)?;
    if options.print {
        print(printed(options, &origin, wishes, &config)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asking = Asking::of(options.yes)?;
    let installer = Installer::open(config, own).await?;
    let before = installer.cloud.find(&options.stack).await?;
    let template = template_text(&installer, &origin).await?;
    let bucket = bucket(
        options,
        &installer,
        &template,
        &mut wishes,
        before.as_ref(),
        asking,
    )
    .await?;
    let placed = installer
        .cloud
        .place_template(template, bucket.as_deref())
        .await?;
    let declared = installer.cloud.declared(&placed).await?;
    let old = before.as_ref().map(|stack| &stack.parameters);
    if asking == Asking::Terminal {
        ask_for(&mut wishes, &installer, before.as_ref())?;
    } else if before.is_none() {
        wishes.take_from(&Subject::of_environment(&installer.config));
    }
    let settings = wishes.settings(&declared, old)?;
    let subject = Subject {
        workspace: wishes.effective(WORKSPACE, &declared, old),
        port_url: wishes.effective(PORT_URL, &declared, old),
        identifier: wishes.effective(IDENTIFIER, &declared, old),
    };
    let known = known_secret(
        before.as_ref(),
        &wishes.effective(OWN_SECRET, &declared, old),
    );
    let credentials = credentials(
        options.credentials.as_deref(),
        &installer,
        &subject,
        known.as_deref(),
        asking,
    )
    .await?;
    agreed(options, &installer, before.is_some(), asking)?;
    let nothing = std::collections::BTreeMap::new();
    let of_before = (&settings, old.unwrap_or(&nothing));
    let stack = deployed(options, &installer, &placed, of_before, bars).await?;
    settle_down(options, &installer, &stack, &subject, credentials, bars).await?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the user whether to go on, and fails if the user says no.
fn agreed(
    options: &Options,
    installer: &Installer,
    is_there: bool,
    asking: Asking,
) -> anyhow::Result<()> {
    let what = match is_there {
        true => "Brings up to date",
        false => "Creates",
    };
    let (stack, region) = (&options.stack, installer.cloud.region());
    if !asking.agrees(&format!("{what} the stack `{stack}` in {region}; go on?"))? {
        bail!("nothing is deployed");
    }
    Ok(())
}

/// The commands that an administrator runs in the user's place.
fn printed(
    options: &Options,
    origin: &Origin,
    mut wishes: Wishes,
    config: &Config,
) -> anyhow::Result<String> {
    let subject = Subject::of_environment(config);
    wishes.take_from(&subject);
    let subject = Subject {
        workspace: wishes.or(WORKSPACE, subject.workspace),
        port_url: wishes.or(PORT_URL, subject.port_url),
        identifier: wishes.or(IDENTIFIER, subject.identifier),
    };
    if subject.workspace.is_empty() {
        bail!(AskedWrongly(format!(
            "the workspace is missing: give --parameter {WORKSPACE}=SLUG"
        )));
    }
    let Some(bucket) = &options.bucket else {
        bail!(AskedWrongly(
            "a bucket is missing: give --bucket, one in the region of the stack".to_owned()
        ));
    };
    // One that names its code itself, as `sam package` makes it, is known only where it can be looked at.
    let names_its_code = match (origin, &options.code) {
        (Origin::File(path), None) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            !text.is_empty() && !text.contains(CODE_BUCKET)
        }
        _ => false,
    };
    let code = options.code.clone().unwrap_or_else(|| origin.code_beside());
    Ok(commands::script(&commands::Order {
        stack: &options.stack,
        template: origin,
        code: (!names_its_code).then_some(&code),
        bucket,
        parameters: wishes.all(),
        subject: &subject,
    }))
}

async fn template_text(installer: &Installer, origin: &Origin) -> anyhow::Result<String> {
    let bytes = installer.cloud.read(origin, &installer.http).await?;
    let text = String::from_utf8(bytes).with_context(|| format!("{origin} is no template"))?;
    if !is_packaged(&text) {
        bail!(AskedWrongly(format!(
            "{origin} is not packaged, its code lies in a folder: give the template of a release, or what `sam package` \
             makes of it"
        )));
    }
    Ok(text)
}

/// The bucket, where there is one, with the code in it if the template takes it from there.
async fn bucket(
    options: &Options,
    installer: &Installer,
    template: &str,
    wishes: &mut Wishes,
    before: Option<&Stack>,
    asking: Asking,
) -> anyhow::Result<Option<String>> {
    let known = || before.and_then(|stack| stack.parameters.get(CODE_BUCKET));
    let named = options
        .bucket
        .as_ref()
        .or(wishes.all().get(CODE_BUCKET))
        .or_else(known);
    let named = named.filter(|name| !name.is_empty()).cloned();
    if !template.contains(CODE_BUCKET) || wishes.all().contains_key(CODE_KEY) {
        return Ok(named);
    }
    let region = installer.cloud.region();
    let bucket = match (named, asking) {
        (Some(bucket), _) => bucket,
        (None, Asking::Terminal) => Input::<String>::new()
            .with_prompt(format!("S3 bucket in {region} for the function's code"))
            .interact_text()?,
        (None, Asking::Nobody) => bail!(AskedWrongly(format!(
            "a bucket for the function's code is missing: give --bucket, one in {region}"
        ))),
    };
    let origin = options.template.clone();
    let beside = || match origin {
        Some(origin) => Ok(origin.code_beside()),
        None => RELEASE.parse().map(|release: Origin| release.code_beside()),
    };
    let code = match &options.code {
        Some(code) => code.clone(),
        None => beside().map_err(AskedWrongly)?,
    };
    let bytes = installer.cloud.read(&code, &installer.http).await?;
    let key = installer.cloud.place_code(bytes, &bucket).await?;
    tell_done("code", &format!("in s3://{bucket}/{key}"))?;
    wishes.set(CODE_BUCKET, &bucket);
    wishes.set(CODE_KEY, &key);
    Ok(Some(bucket))
}

/// What names the installation, with what is known of it as the answer that is offered.
fn ask_for(
    wishes: &mut Wishes,
    installer: &Installer,
    before: Option<&Stack>,
) -> anyhow::Result<()> {
    let known = match before {
        Some(stack) => Subject::of_stack(stack, &installer.config),
        None => Subject::of_environment(&installer.config),
    };
    for (name, question, known) in [
        (
            WORKSPACE,
            "Slug of the Bitbucket workspace",
            known.workspace,
        ),
        (
            PORT_URL,
            "Port's API (US: https://api.us.getport.io)",
            known.port_url,
        ),
        (
            IDENTIFIER,
            "Identifier of the installation in Port (coming from Ocean: the one that it has)",
            known.identifier,
        ),
    ] {
        if wishes.all().contains_key(name) {
            continue;
        }
        let mut input = Input::<String>::new().with_prompt(question);
        if !known.is_empty() {
            input = input.default(known);
        }
        wishes.set(name, input.interact_text()?.trim());
    }
    Ok(())
}

async fn deployed(
    options: &Options,
    installer: &Installer,
    template: &Placed,
    parameters: wishes::Parameters<'_>,
    bars: &MultiProgress,
) -> anyhow::Result<Stack> {
    let turning = spinner(bars);
    turning.set_message("deploying");
    let tell = |text: &str| turning.set_message(text.to_owned());
    let ended = installer
        .cloud
        .deploy(&options.stack, template, parameters, &tell);
    let ended = ended.await;
    turning.finish_and_clear();
    let (stack, how) = match ended? {
        Ended::Deployed(stack) => (stack, "deployed"),
        Ended::Unchanged(stack) => (stack, "is up to date"),
    };
    tell_done(
        "stack",
        &format!("`{}` in {} {how}", stack.name, installer.cloud.region()),
    )?;
    Ok(stack)
}

/// What follows the deployment: credentials, first run, and where to look.
async fn settle_down(
    options: &Options,
    installer: &Installer,
    stack: &Stack,
    subject: &Subject,
    credentials: Credentials,
    bars: &MultiProgress,
) -> anyhow::Result<()> {
    let app = installer.app_of(stack, subject)?;
    if let Credentials::ToStore(offer) = credentials {
        let clock = installer.http.clock();
        let secrets = Secrets::connect(&app.config, Some(installer.cloud.sdk()), clock.clone());
        let deadline = Deadline::after(clock, PATIENCE);
        secrets.put(&offer.text, &deadline).await?;
        tell_done(
            "credentials",
            &format!("in {}", stack.output(OWN_SECRET).unwrap_or_default()),
        )?;
    }
    let failed = |failure: ferry::failure::Failure| anyhow!(chain(&failure));
    subscription::allow(&app).await.map_err(failed)?;
    if 0 < options.wait {
        let limit = Duration::from_secs(options.wait.saturating_mul(60));
        let run = first_run::wait(&app, limit, bars).await?;
        let how = match run.all_recorded {
            true => format!("completed at {}", run.at),
            false => format!(
                "completed at {}, and could not read everything: the log says what",
                run.at
            ),
        };
        tell_done("first run", &how)?;
        tell_webhook(&app, stack).await?;
    }
    tell_done(
        "Port",
        &format!("{}, data source `{}`", subject.page(), subject.identifier),
    )?;
    Ok(())
}

/// A webhook that is not there costs a resync a day its freshness, and the installation nothing.
async fn tell_webhook(app: &App, stack: &Stack) -> anyhow::Result<()> {
    let Some(address) = stack.address() else {
        return Ok(());
    };
    let address = app.config.reached_at(address);
    let deadline = Deadline::at(&app.clock, Timestamp::MAX).at_most(PATIENCE);
    let doubt = match subscription::status(app, &address, &deadline).await {
        Ok(Standing::Right) => {
            return tell_done("webhook", &format!("leads to {address}"));
        }
        Ok(Standing::Refused(reason)) => reason,
        Ok(Standing::Missing) => "there is none yet: the next tick makes it".to_owned(),
        Ok(Standing::Wrong(wrong)) => wrong.join(", "),
        Ok(Standing::NoSecret) => "no secret signs it".to_owned(),
        Err(failure) => chain(&failure),
    };
    let note = painted(DOUBTFUL, "note  ");
    print(format!(
        "{note} webhook: {doubt}\n       docs/operations.md says how an administrator makes it by hand"
    ))
}
