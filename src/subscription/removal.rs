//! The way out: our webhooks removed from Bitbucket, and none made again.

use serde::Serialize;

use super::{PATH, address, leads_to};
use crate::app::App;
use crate::bitbucket;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::store::Revision;
use crate::store::subscribed::{Subscription, subscription};

/// What [`uninstall`] has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uninstalled {
    /// Where the webhooks led; `None` where none was ever made.
    pub url: Option<String>,
    pub webhooks_removed: usize,
}

/// Removes the subscriptions that lead to `base`, or without it to where the last one led; and has Port ask nobody any more.
///
/// Ticks and the schedule make none until somebody asks for a resync or [installs](allow) anew. It may be repeated.
pub async fn uninstall(
    app: &App,
    base: Option<&str>,
    deadline: &Deadline,
) -> Result<Uninstalled, Failure> {
    let key = subscription();
    let found = app.store.load(&key).await?.value;
    let known = found
        .as_ref()
        .and_then(|found| found.url.strip_suffix(PATH));
    let base = base.or(known);
    let url = base.map(address);
    // First: a tick in the meantime would make it again.
    let mark = Subscription {
        url: url.clone().unwrap_or_default(),
        secret: String::new(),
        checked_at: app.clock.now(),
        refused: false,
        uninstalled: true,
        trouble: None,
        port_asks_at: None,
    };
    app.store.save(&key, &mark, Revision::ANYTHING).await?;
    let webhooks_removed = match base {
        Some(base) => remove_from_bitbucket(app, base, deadline).await?,
        None => 0,
    };
    let session = app.session(deadline).await?;
    session.port.unregister_webhook(deadline).await?;
    tracing::info!(webhooks_removed, "webhook uninstalled");
    Ok(Uninstalled {
        url,
        webhooks_removed,
    })
}

/// Takes back an [uninstallation](uninstall): the next tick makes the webhook.
pub async fn allow(app: &App) -> Result<(), Failure> {
    let key = subscription();
    let found = app.store.load(&key).await?.value;
    if found.is_some_and(|found| found.uninstalled) {
        app.store.remove(&key).await?;
    }
    Ok(())
}

/// Removes the subscriptions that lead to `base` and changes nothing in the store: for when the functions are gone. Returns
/// how many there were.
pub async fn remove_from_bitbucket(
    app: &App,
    base: &str,
    deadline: &Deadline,
) -> Result<usize, Failure> {
    let url = address(base);
    let session = app.session(deadline).await?;
    let hooks = session.bitbucket.hooks(deadline).await?;
    let mut removed = 0;
    for hook in hooks.iter().filter(|hook| leads_to(hook, &url)) {
        match session.bitbucket.delete_hook(&hook.uuid, deadline).await {
            Ok(()) => removed += 1,
            // Somebody was faster.
            Err(bitbucket::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(removed)
}
