//! `ferry secret put`: the credentials, asked for or read from standard input, checked, and stored for the functions.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use ferry::aws;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::secrets::Secrets;

use super::credentials::{Offer, are_taken};
use super::terminal::{GOOD, painted, print};

/// For both sides to say what they think of the credentials, and for Secrets Manager to take them.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Ask for the credentials, or read them as a JSON object from standard input; check them; store them.
    ///
    /// Stores nothing that Port or Bitbucket refuses. docs/configuration.md lists the keys of the object.
    Put,
}

/// Fails where the credentials are refused, and leaves the secret alone then.
pub(crate) async fn run(action: Action, config: Config) -> anyhow::Result<ExitCode> {
    let Action::Put = action;
    let Some(id) = config.secret_id.clone() else {
        bail!(
            "FERRY__SECRET_ID is missing: give the ARN of the secret, which is the stack's output CredentialsSecretArn"
        );
    };
    let offer = match io::stdin().is_terminal() {
        true => Offer::ask()?,
        false => Offer::read_from_input()?,
    };
    let http = Http::new(Clock::System)?.with_timeout(config.client_timeout);
    let http = http.failing_fast();
    let deadline = Deadline::after(http.clock(), PATIENCE);
    if !are_taken(&offer.trial(&config, &http), &deadline).await? {
        bail!("nothing is stored: the credentials do not work");
    }
    let aws = aws::of_machine(&http).await;
    let secrets = Secrets::connect(&config, Some(&aws), http.clock().clone());
    secrets.put(&offer.text, &deadline).await?;
    print(painted(GOOD, format!("stored in {id}")))?;
    Ok(ExitCode::SUCCESS)
}
