//! `ferry webhook`: the workspace's subscription, by hand.

use anyhow::{anyhow, bail};
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::failure::{Failure, chain};
use ferry::subscription::{self, Standing};
use jiff::Timestamp;

use super::terminal::print;

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Create the webhook, or make the present one right.
    Install,
    /// Remove it.
    Remove,
    /// Say whether it exists, is active, tells of all events and signs them.
    Status,
}

/// Without `address` there is nothing a webhook could lead to.
pub(crate) async fn run(app: &App, action: Action, address: Option<&str>) -> anyhow::Result<()> {
    let Some(address) = address.or(app.config.base_url.as_deref()) else {
        bail!(
            "the address is missing: give --url, or set OCEAN__BASE_URL to where Bitbucket reaches Ferry"
        );
    };
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let failed = |failure: Failure| anyhow!(chain(&failure));
    match action {
        Action::Install => {
            let standing = subscription::install(app, address, &deadline).await;
            say(&standing.map_err(failed)?, address)
        }
        Action::Status => {
            let standing = subscription::status(app, address, &deadline).await;
            say(&standing.map_err(failed)?, address)
        }
        Action::Remove => {
            let removed = subscription::remove(app, address, &deadline).await;
            print(format!("{} webhook(s) removed", removed.map_err(failed)?));
            Ok(())
        }
    }
}

fn say(standing: &Standing, address: &str) -> anyhow::Result<()> {
    match standing {
        Standing::Right => {
            print(format!("the webhook of {address} is right"));
            Ok(())
        }
        Standing::Missing => bail!("no webhook leads to {address}: run `ferry webhook install`"),
        Standing::Wrong(wrong) => bail!(
            "the webhook of {address} is wrong: {}; run `ferry webhook install`",
            wrong.join(", ")
        ),
        Standing::Refused(reason) => bail!(
            "these credentials may not look at the workspace's webhooks, or change them ({reason}): give the token the \
             webhook scope of a workspace administrator"
        ),
        Standing::NoSecret => bail!(
            "no webhook secret is configured, and without one every webhook is refused: set webhookSecret in the \
             secret, or OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET"
        ),
    }
}
