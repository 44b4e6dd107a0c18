//! `ferry uninstall`: webhook, stack, code and secret go; what remains in Port is told, or goes as well.
//!
//! Owns the order of the steps. What is gone already is no failure, so whatever interrupts it, the next one goes on: the
//! secret goes last, since the other steps need what is in it.

mod entities;

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use dialoguer::Input;
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::Deadline;
use ferry::own_secrets::OwnSecrets;
use ferry::secrets::SecretsError;
use ferry::subscription;
use ferry::telemetry::chain;
use indicatif::MultiProgress;
use jiff::Timestamp;

use super::AskedWrongly;
use super::credentials::Offer;
use super::installation::{
    Asking, CODE_BUCKET, CODE_KEY, Installer, OWN_SECRET, Subject, spinner, tell_done,
};
use super::secret::PATIENCE;
use super::terminal::{DOUBTFUL, painted, print};
use crate::stack::{LeftSecret, Stack};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Name of the stack.
    #[arg(long, value_name = "NAME", default_value = "ferry")]
    stack: String,
    /// Keep the secret with the credentials.
    #[arg(long)]
    keep_secret: bool,
    /// Leave the webhook in Bitbucket where it is, for somebody else to remove.
    #[arg(long)]
    keep_webhook: bool,
    /// Delete the entities in Port, too, that this installation's data source owns.
    #[arg(long)]
    delete_entities: bool,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

/// What was found of an installation.
struct Found {
    stack: Option<Stack>,
    secrets: Vec<LeftSecret>,
    subject: Subject,
    /// With credentials that are at hand; `None` where there are none.
    app: Option<App>,
}

/// Fails where a step fails; the next run goes on there.
pub(crate) async fn run(
    options: &Options,
    config: Config,
    own: OwnSecrets,
    bars: &MultiProgress,
) -> anyhow::Result<ExitCode> {
    let asking = Asking::of(options.yes)?;
    if options.delete_entities && config.deletes_off {
        bail!(AskedWrongly(
            "FERRY__DELETE is off: nothing is deleted in Port".to_owned()
        ));
    }
    let installer = Installer::open(config, own).await?;
    let found = look(options, &installer).await?;
    if found.stack.is_none() && found.secrets.is_empty() && !options.delete_entities {
        let region = installer.cloud.region();
        print(format!(
            "There is no stack `{}` in {region}, and no secret of it.",
            options.stack
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    confirm(options, &installer, &found, asking).await?;
    remove_webhook(options, &found).await?;
    remove_stack(options, &installer, &found, bars).await?;
    if options.delete_entities {
        let app = found.app.as_ref().ok_or_else(no_credentials)?;
        let deleted = entities::delete_all(app, bars).await?;
        tell_done("entities", &format!("{deleted} deleted in Port"))?;
    }
    // With the credentials, which go next.
    let owned = match (&found.app, options.delete_entities) {
        (Some(app), false) => entities::count(app).await.ok(),
        _ => None,
    };
    remove_secrets(options, &installer, &found).await?;
    tell_what_remains(options, &found, owned)?;
    Ok(ExitCode::SUCCESS)
}

async fn look(options: &Options, installer: &Installer) -> anyhow::Result<Found> {
    let stack = installer.cloud.find(&options.stack).await?;
    let secrets = installer.cloud.left_secrets(&options.stack).await?;
    let subject = match &stack {
        Some(stack) => Subject::of_stack(stack, &installer.config),
        None => Subject::of_environment(&installer.config),
    };
    let deadline = Deadline::after(installer.http.clock(), PATIENCE);
    let candidate = match (&stack, secrets.first()) {
        (Some(stack), _) if stack.output(OWN_SECRET).is_some() => {
            Some(installer.app_of(stack, &subject)?)
        }
        // Of one whose creation failed.
        (Some(_), _) => None,
        (None, Some(secret)) => Some(installer.app_with_secret(&secret.arn, &subject)?),
        (None, None) => None,
    };
    let mut app = None;
    if let Some(candidate) = candidate {
        match candidate.secrets.credentials(&deadline).await {
            Ok(_) => app = Some(candidate),
            // Nobody has filled it, so nothing was made with it.
            Err(SecretsError::Empty { .. }) => {}
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the installation's credentials cannot be read"
            ),
        }
    }
    if app.is_none()
        && let Some(offer) = Offer::of_environment(&installer.config.given)
    {
        let config = subject.config(&installer.config)?;
        app = Some(offer.trial(&config, &installer.http));
    }
    Ok(Found {
        stack,
        secrets,
        subject,
        app,
    })
}

/// Before anything is removed: everything that will be, in one question; and one more for what is in Port.
async fn confirm(
    options: &Options,
    installer: &Installer,
    found: &Found,
    asking: Asking,
) -> anyhow::Result<()> {
    let mut what = Vec::new();
    if found.stack.is_some() {
        what.push(format!(
            "the stack `{}` in {}",
            options.stack,
            installer.cloud.region()
        ));
    }
    if found.stack.is_some() && !options.keep_webhook {
        what.push("its webhook in Bitbucket".to_owned());
    }
    if !options.keep_secret {
        let secrets = found
            .secrets
            .iter()
            .map(|secret| format!("the secret {}", secret.arn));
        what.extend(secrets);
    }
    if !what.is_empty() && !asking.agrees(&format!("Removes {}; go on?", what.join(", ")))? {
        bail!("nothing is removed");
    }
    if !options.delete_entities || asking == Asking::Nobody {
        return Ok(());
    }
    let app = found.app.as_ref().ok_or_else(no_credentials)?;
    let owned = entities::count(app).await?;
    let identifier = &found.subject.identifier;
    let typed: String = Input::new()
        .with_prompt(format!(
            "Deletes {owned} entities of the data source `{identifier}` in Port; type its identifier to go on"
        ))
        .allow_empty(true)
        .interact_text()?;
    match typed.trim() == identifier {
        true => Ok(()),
        false => bail!("nothing is removed: that is not `{identifier}`"),
    }
}

/// While the stack is there, its table remembers that the webhook is not to be made again.
async fn remove_webhook(options: &Options, found: &Found) -> anyhow::Result<()> {
    if options.keep_webhook {
        return Ok(());
    }
    let Some(address) = found.stack.as_ref().and_then(Stack::address) else {
        return Ok(());
    };
    let Some(app) = &found.app else {
        let note = painted(DOUBTFUL, "note  ");
        print(format!(
            "{note} webhook: no credentials have been found to look for it with; without any none was made\n       \
             one that was made by hand leads to {address}webhook: remove it in Bitbucket"
        ))?;
        return Ok(());
    };
    let address = app.config.reached_at(address);
    let deadline = Deadline::after(&app.clock, PATIENCE);
    let removed = subscription::uninstall(app, Some(&address), &deadline).await;
    let removed = removed.map_err(|failure| anyhow!(chain(&failure))).context(
        "the webhook cannot be removed, so nothing else is; remove it in Bitbucket and give --keep-webhook, or mend this",
    )?;
    tell_done("webhook", &format!("{} removed", removed.webhooks_removed))?;
    Ok(())
}

async fn remove_stack(
    options: &Options,
    installer: &Installer,
    found: &Found,
    bars: &MultiProgress,
) -> anyhow::Result<()> {
    let Some(stack) = &found.stack else {
        return Ok(());
    };
    let turning = spinner(bars);
    turning.set_message("removing the stack");
    let tell = |text: &str| turning.set_message(text.to_owned());
    let removed = installer.cloud.delete(&options.stack, &tell).await;
    turning.finish_and_clear();
    removed?;
    tell_done("stack", &format!("`{}` is gone, with its log", stack.name))?;
    again_without_functions(options, found, stack).await?;
    let code = (
        stack.parameters.get(CODE_BUCKET),
        stack.parameters.get(CODE_KEY),
    );
    if let (Some(bucket), Some(key)) = code {
        match installer.cloud.remove_code(bucket, key).await {
            Ok(true) => tell_done("code", &format!("s3://{bucket}/{key} is gone"))?,
            Ok(false) => {}
            // It is worth a word, and no second attempt.
            Err(refusal) => print(format!("{} code: {refusal}", painted(DOUBTFUL, "note  ")))?,
        }
    }
    Ok(())
}

/// A tick that was under way may have made the webhook once more. Now none is left.
async fn again_without_functions(
    options: &Options,
    found: &Found,
    stack: &Stack,
) -> anyhow::Result<()> {
    let (Some(app), Some(address), false) = (&found.app, stack.address(), options.keep_webhook)
    else {
        return Ok(());
    };
    let address = app.config.reached_at(address);
    let deadline = Deadline::at(&app.clock, Timestamp::MAX).at_most(PATIENCE);
    let left = subscription::remove_from_bitbucket(app, &address, &deadline).await;
    let left = left.map_err(|failure| anyhow!(chain(&failure)));
    left.context("cannot see whether the webhook has stayed away")?;
    Ok(())
}

async fn remove_secrets(
    options: &Options,
    installer: &Installer,
    found: &Found,
) -> anyhow::Result<()> {
    if options.keep_secret {
        return Ok(());
    }
    for secret in &found.secrets {
        installer.cloud.remove_secret(secret).await?;
        tell_done("secret", &format!("{} is gone", secret.arn))?;
    }
    Ok(())
}

/// `owned`: entities in Port, where that is known.
fn tell_what_remains(options: &Options, found: &Found, owned: Option<usize>) -> anyhow::Result<()> {
    let note = painted(DOUBTFUL, "note  ");
    if options.keep_secret {
        for secret in &found.secrets {
            print(format!("{note} secret: {} is kept", secret.arn))?;
        }
    }
    let subject = &found.subject;
    let data_source = format!(
        "the data source `{}` ({})",
        subject.identifier,
        subject.page()
    );
    if options.delete_entities {
        print(format!(
            "{note} Port: {data_source} and its blueprints remain; remove them there"
        ))?;
        return Ok(());
    }
    let entities = owned.map_or("its entities".to_owned(), |owned| {
        format!("its {owned} entities")
    });
    print(format!(
        "{note} Port: {data_source}, {entities} and their blueprints remain\n       to delete the entities: `ferry uninstall \
         --delete-entities`, with the credentials in the variables of docs/configuration.md; the rest in Port"
    ))
}

fn no_credentials() -> anyhow::Error {
    let missing = "credentials are missing, without which nothing can be deleted in Port: give the variables of \
                   docs/configuration.md";
    AskedWrongly(missing.to_owned()).into()
}
