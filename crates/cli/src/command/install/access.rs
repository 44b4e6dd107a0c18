//! The credentials of an installation, before it is deployed: where they come from, and whether both sides take them.

use std::path::Path;

use anyhow::bail;
use ferry::deadline::Deadline;
use ferry::secrets::SecretsError;

use crate::command::AskedWrongly;
use crate::command::credentials::{Offer, are_taken};
use crate::command::installation::{Asking, Installer, OWN_SECRET, Subject};
use crate::command::secret::PATIENCE;
use crate::command::terminal::print;
use crate::stack::Stack;

/// What the functions will work with.
pub(super) enum Credentials {
    /// In the secret already.
    Stored,
    ToStore(Offer),
}

/// The secret that the functions will read, as far as there is one before the deployment.
pub(super) fn known_secret(before: Option<&Stack>, own: &str) -> Option<String> {
    if !own.is_empty() {
        return Some(own.to_owned());
    }
    // Where a secret of one's own is taken away again, the stack creates another.
    let stack = before.filter(|stack| {
        stack
            .parameters
            .get(OWN_SECRET)
            .is_none_or(String::is_empty)
    });
    stack
        .and_then(|stack| stack.output(OWN_SECRET))
        .map(str::to_owned)
}

/// Credentials that both sides have taken, wherever they come from. Nothing is deployed without.
pub(super) async fn credentials(
    file: Option<&Path>,
    installer: &Installer,
    subject: &Subject,
    known: Option<&str>,
    asking: Asking,
) -> anyhow::Result<Credentials> {
    let deadline = || Deadline::after(installer.http.clock(), PATIENCE);
    let stored = match known.filter(|_| file.is_none()) {
        Some(arn) => {
            let app = installer.app_with_secret(arn, subject)?;
            match app.secrets.credentials(&deadline()).await {
                Ok(_) => Some(app),
                Err(SecretsError::Empty { .. }) => None,
                Err(error) => return Err(error.into()),
            }
        }
        None => None,
    };
    if let Some(app) = stored {
        if are_taken(&app, &deadline()).await? {
            return Ok(Credentials::Stored);
        }
        if asking == Asking::Nobody {
            bail!("the credentials in the secret do not work: give others with --credentials");
        }
        print("The credentials in the secret do not work; others are needed.")?;
    }
    let config = subject.config(&installer.config)?;
    let of_environment = || Offer::of_environment(&installer.config.given);
    let offer = match (file, of_environment(), asking) {
        (Some(path), ..) => Offer::read_from(path)?,
        (None, Some(offer), _) => offer,
        (None, None, Asking::Terminal) => Offer::ask()?,
        (None, None, Asking::Nobody) => bail!(AskedWrongly(
            "credentials are missing: give --credentials, or the variables of docs/configuration.md".to_owned()
        )),
    };
    if !are_taken(&offer.trial(&config, &installer.http), &deadline()).await? {
        bail!("nothing is deployed: the credentials do not work");
    }
    Ok(Credentials::ToStore(offer))
}
