//! `ferry webhook`: the workspace's subscription, by hand.

use anyhow::{anyhow, bail};
use ferry::app::App;
use ferry::config::PublicAddress;
use ferry::deadline::Deadline;
use ferry::failure::Failure;
use ferry::subscription::{self, Standing};
use ferry::telemetry::chain;
use jiff::Timestamp;
use serde_json::json;

use super::terminal::{GOOD, painted, print, print_fitted};

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Create the webhook, or make the present one right.
    Install,
    /// Remove it.
    Remove,
    /// Say whether it exists, is active, tells of all events and signs them.
    Status,
}

/// Without `address` there is nothing a webhook could lead to. Fails where the webhook is not right in the end.
pub(crate) async fn run(
    app: &App,
    action: Action,
    address: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    let given = address.map(PublicAddress::new);
    let Some(address) = given.as_ref().or(app.config.base_url.as_ref()) else {
        bail!(
            "the address is missing: give --url, or set OCEAN__BASE_URL to where Bitbucket reaches Ferry"
        );
    };
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let failed = |failure: Failure| anyhow!(chain(&failure));
    let standing = match action {
        Action::Install => subscription::install(app, address.as_str(), &deadline).await,
        Action::Status => subscription::status(app, address.as_str(), &deadline).await,
        Action::Remove => {
            let removed = subscription::remove(app, address.as_str(), &deadline).await;
            let removed = removed.map_err(failed)?;
            print(match as_json {
                true => json!({"url": address.to_string(), "removed": removed}).to_string(),
                false => format!("{removed} webhook(s) removed"),
            })?;
            return Ok(());
        }
    };
    let standing = standing.map_err(failed)?;
    let wrong = wrong(&standing, address);
    match (as_json, wrong) {
        (true, wrong) => {
            let is_right = wrong.is_none();
            print(json!({"url": address.to_string(), "right": is_right, "reason": wrong}))?;
            match is_right {
                true => Ok(()),
                false => bail!("the webhook is not right"),
            }
        }
        (false, None) => print_fitted(painted(GOOD, format!("the webhook of {address} is right"))),
        (false, Some(wrong)) => bail!(wrong),
    }
}

/// What is wrong, and what to do.
fn wrong(standing: &Standing, address: &PublicAddress) -> Option<String> {
    match standing {
        Standing::Right => None,
        Standing::Missing => Some(format!(
            "no webhook leads to {address}: run `ferry webhook install`"
        )),
        Standing::Wrong(wrong) => Some(format!(
            "the webhook of {address} is wrong: {}; run `ferry webhook install`",
            wrong.join(", ")
        )),
        Standing::Refused(reason) => Some(format!(
            "these credentials may not look at the workspace's webhooks, or change them ({reason}): give the token the \
             webhook scope of a workspace administrator"
        )),
        Standing::NoSecret => Some(
            "no webhook secret is configured, and without one every webhook is refused: set webhookSecret in the \
             secret, or OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET"
                .to_owned(),
        ),
    }
}
