//! The workspace's webhook: that it exists, leads to us, is active, tells of our events and signs them.
//!
//! Looks from time to time, repairs what is wrong, and says once what it may not repair.

mod removal;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::bitbucket::{self, Hook, HookSettings};
use crate::condition::Condition;
use crate::config::PublicAddress;
use crate::deadline::{Deadline, later};
use crate::failure::Failure;
use crate::resync;
use crate::secrets::SecretsError;
use crate::store::Revision;
use crate::store::subscribed::{Subscription, WebhookTrouble, subscription};
use crate::telemetry::chain;
use crate::webhook::subscribed_events;

pub use removal::{Uninstalled, allow, remove_from_bitbucket, uninstall};

const DESCRIPTION: &str = "Ferry: keeps Port in step with this workspace";

/// Where Bitbucket's requests go, below the address of the function.
const PATH: &str = "webhook";

/// Where Port asks for resyncs.
const PORT_PATH: &str = "resync";

const NOT_ACTIVE: &str = "it is not active";

/// Where Ocean's subscriptions lead; the same address, and taken in as well.
const OCEAN_PATH: &str = "integration/webhook";

/// A subscription that was looked at this recently is left alone by ticks: what is lost meanwhile, a run finds.
const TRUSTED_FOR: Duration = Duration::from_secs(300);

/// How the subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Right,
    Missing,
    /// What is wrong with it.
    Wrong(Vec<&'static str>),
    /// These credentials may not look, or not change it.
    Refused(String),
    /// Without a secret every webhook is refused, so none is subscribed to.
    NoSecret,
}

/// Why the webhook is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A tick: it looks only if nobody has done so lately.
    Tick,
    /// The schedule's resync.
    Schedule,
    /// A resync that somebody has asked for: it takes back an uninstallation.
    Request,
}

/// Makes sure that the workspace's webhook leads to `base`, the function's address, unless it was [uninstalled](uninstall).
/// Its failure costs nothing else.
pub async fn keep(app: &App, base: &str, occasion: Occasion, deadline: &Deadline) {
    let _alone = app.subscribing.lock().await;
    match try_to_keep(app, base, occasion, deadline).await {
        // A tick says so.
        Ok(()) | Err(Failure::Secrets(SecretsError::Empty { .. })) => {}
        Err(failure) => {
            let error = chain(&failure);
            tracing::warn!(error, "webhook subscription not looked at");
        }
    }
}

async fn try_to_keep(
    app: &App,
    base: &str,
    occasion: Occasion,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let url = address(base);
    let now = occasion != Occasion::Tick;
    let key = subscription();
    let found = app.store.load(&key).await?.value;
    let is_uninstalled = found.as_ref().is_some_and(|found| found.uninstalled);
    if is_uninstalled && occasion != Occasion::Request {
        return Ok(());
    }
    let secret = app.webhook_secrets(deadline).await?.first().cloned();
    let digest = secret.as_ref().map(digest).unwrap_or_default();
    let settled = found.as_ref().is_some_and(|found| {
        found.url == url
            && found.secret == digest
            && app.clock.now() < later(found.checked_at, TRUSTED_FOR)
    });
    if settled && !now {
        if let Some(found) = found.filter(|found| found.port_asks_at.is_none()) {
            let port_asks_at = register_with_port(app, base, Some(&found), now, deadline).await;
            let found = Subscription {
                port_asks_at,
                ..found
            };
            app.store.save(&key, &found, Revision::ANYTHING).await?;
        }
        return Ok(());
    }
    let known_secret = found.as_ref().is_some_and(|found| found.secret == digest);
    let mut standing = look(app, &url, known_secret, deadline).await?;
    if let Standing::Missing | Standing::Wrong(_) = standing {
        let before = standing;
        standing = repair(app, &url, deadline).await?;
        if standing == Standing::Right {
            tracing::info!(url = %PublicAddress::new(&url), found = ?before, "webhook subscription made right");
            let was_right = |found: &Subscription| found.url == url && found.trouble.is_none();
            if known_secret && is_deaf(&before) && found.as_ref().is_some_and(was_right) {
                make_up(app).await?;
            }
        }
    }
    let refused = matches!(standing, Standing::Refused(_));
    let trouble = trouble(&standing, found.as_ref(), app.clock.now());
    let port_asks_at = register_with_port(app, base, found.as_ref(), now, deadline).await;
    tell(&standing, &url, found.is_some_and(|found| found.refused));
    let found = Subscription {
        url,
        secret: digest,
        checked_at: app.clock.now(),
        refused,
        uninstalled: false,
        trouble,
        port_asks_at,
    };
    app.store.save(&key, &found, Revision::ANYTHING).await?;
    Ok(())
}

/// Says what may not be repaired: a refusal once, until it is over.
fn tell(standing: &Standing, url: &str, is_known: bool) {
    match standing {
        Standing::Refused(reason) if !is_known => tracing::warn!(
            url = %PublicAddress::new(url),
            reason,
            remedy = "give the token the webhook scope of a workspace administrator, or add the webhook by hand",
            "webhook subscription not kept: these credentials may not"
        ),
        Standing::NoSecret => tracing::warn!(
            remedy = "set webhookSecret in the secret, or FERRY__WEBHOOK_SECRET_ID",
            "webhook subscription not kept: no webhook secret is configured"
        ),
        _ => {}
    }
}

/// Whether Bitbucket has told nothing meanwhile.
fn is_deaf(standing: &Standing) -> bool {
    match standing {
        Standing::Missing => true,
        Standing::Wrong(wrong) => wrong.contains(&NOT_ACTIVE),
        Standing::Right | Standing::Refused(_) | Standing::NoSecret => false,
    }
}

/// What events would have told while there was no webhook, a run finds.
async fn make_up(app: &App) -> Result<(), Failure> {
    let cause = "the webhook of the workspace had gone, or was switched off, and was made again";
    app.note(Condition::WebhookLost, cause).await;
    resync::request(app, "the webhook had gone").await
}

/// Why no webhook may lead here, and since when that is so.
fn trouble(
    standing: &Standing,
    found: Option<&Subscription>,
    now: Timestamp,
) -> Option<WebhookTrouble> {
    let reason = match standing {
        Standing::Refused(reason) => {
            format!("these credentials may not keep the webhook: {reason}")
        }
        Standing::NoSecret => "no webhook secret is configured".to_owned(),
        Standing::Right | Standing::Missing | Standing::Wrong(_) => return None,
    };
    let known = found.and_then(|found| found.trouble.as_ref());
    let since = known.map_or(now, |known| known.since);
    Some(WebhookTrouble { since, reason })
}

/// Has Port ask for resyncs at our address, so that they need not wait until Port is asked. Its failure costs nothing
/// else: Port is asked all the same. Returns where Port asks, as far as that is known.
async fn register_with_port(
    app: &App,
    base: &str,
    found: Option<&Subscription>,
    now: bool,
    deadline: &Deadline,
) -> Option<String> {
    let url = format!("{}/{PORT_PATH}", base.trim_end_matches('/'));
    let known = found.and_then(|found| found.port_asks_at.clone());
    if known.as_ref() == Some(&url) && !now {
        return known;
    }
    let session = app.session(deadline).await.ok()?;
    match session.port.register_webhook(&url, deadline).await {
        Ok(true) => Some(url),
        // The first run registers the installation.
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "Port is not told where to ask for resyncs"
            );
            known
        }
    }
}

/// How the subscription for `url` stands. `known_secret`: Bitbucket was given the present one.
async fn look(
    app: &App,
    url: &str,
    known_secret: bool,
    deadline: &Deadline,
) -> Result<Standing, Failure> {
    let session = app.session(deadline).await?;
    if app.webhook_secrets(deadline).await?.is_empty() {
        return Ok(Standing::NoSecret);
    }
    let hooks = match allowed(session.bitbucket.hooks(deadline).await)? {
        Ok(hooks) => hooks,
        Err(reason) => return Ok(Standing::Refused(reason)),
    };
    let [hook, others @ ..] = &ours(&hooks, url)[..] else {
        return Ok(Standing::Missing);
    };
    let mut wrong = Vec::new();
    if !others.is_empty() {
        wrong.push("there are several of them");
    }
    if !hook.active {
        wrong.push(NOT_ACTIVE);
    }
    let is_told = |event: &&str| hook.events.iter().any(|told| told == event);
    if !subscribed_events().iter().all(is_told) {
        wrong.push("it does not tell of all events");
    }
    if hook.secret_set == Some(false) || !known_secret {
        wrong.push("it may not sign with the present secret");
    }
    Ok(match wrong.is_empty() {
        true => Standing::Right,
        false => Standing::Wrong(wrong),
    })
}

/// How the subscription that leads to `base` stands; changes nothing.
pub async fn status(app: &App, base: &str, deadline: &Deadline) -> Result<Standing, Failure> {
    let found = app.store.load(&subscription()).await?;
    let secret = app.webhook_secrets(deadline).await?.first().map(digest);
    // Where nothing is remembered of it, the secret has the benefit of the doubt.
    let known = found.value.is_none_or(|found| Some(found.secret) == secret);
    look(app, &address(base), known, deadline).await
}

/// Makes the subscription that leads to `base` right, whatever it is now.
pub async fn install(app: &App, base: &str, deadline: &Deadline) -> Result<Standing, Failure> {
    let url = address(base);
    let standing = repair(app, &url, deadline).await?;
    if standing == Standing::Right {
        let secret = app.webhook_secrets(deadline).await?.first().map(digest);
        let found = Subscription {
            url,
            secret: secret.unwrap_or_default(),
            checked_at: app.clock.now(),
            refused: false,
            uninstalled: false,
            trouble: None,
            port_asks_at: None,
        };
        app.store
            .save(&subscription(), &found, Revision::ANYTHING)
            .await?;
    }
    Ok(standing)
}

async fn repair(app: &App, url: &str, deadline: &Deadline) -> Result<Standing, Failure> {
    let session = app.session(deadline).await?;
    let secrets = app.webhook_secrets(deadline).await?;
    let Some(secret) = secrets.first() else {
        return Ok(Standing::NoSecret);
    };
    let hooks = match allowed(session.bitbucket.hooks(deadline).await)? {
        Ok(hooks) => hooks,
        Err(reason) => return Ok(Standing::Refused(reason)),
    };
    let ours = ours(&hooks, url);
    let hook = ours.first();
    let settings = HookSettings {
        description: DESCRIPTION,
        url: hook.map_or(url, |hook| &hook.url),
        events: &subscribed_events(),
        secret,
    };
    let written = match hook {
        Some(hook) => {
            let bitbucket = &session.bitbucket;
            bitbucket.update_hook(&hook.uuid, &settings, deadline).await
        }
        None => session.bitbucket.create_hook(&settings, deadline).await,
    };
    if let Err(reason) = allowed(written)? {
        return Ok(Standing::Refused(reason));
    }
    // Two processes that found none may have made one each: every event would come twice.
    for surplus in ours.iter().skip(1) {
        let removed = session.bitbucket.delete_hook(&surplus.uuid, deadline).await;
        if let Err(reason) = allowed(removed)? {
            tracing::warn!(reason, "a second webhook is not removed");
        }
    }
    Ok(Standing::Right)
}

/// Removes the subscriptions that lead to `base`; returns how many there were.
pub async fn remove(app: &App, base: &str, deadline: &Deadline) -> Result<usize, Failure> {
    let removed = remove_from_bitbucket(app, base, deadline).await?;
    app.store.remove(&subscription()).await?;
    Ok(removed)
}

/// Those that lead to us, in an order on which all agree.
fn ours<'a>(hooks: &'a [Hook], url: &str) -> Vec<&'a Hook> {
    let mut ours: Vec<&Hook> = hooks.iter().filter(|hook| leads_to(hook, url)).collect();
    ours.sort_by(|one, other| one.uuid.cmp(&other.uuid));
    ours
}

fn leads_to(hook: &Hook, url: &str) -> bool {
    let base = url.trim_end_matches(PATH);
    hook.url == url || hook.url.strip_prefix(base) == Some(OCEAN_PATH)
}

fn address(base: &str) -> String {
    format!("{}/{PATH}", base.trim_end_matches('/'))
}

fn digest(secret: &SecretString) -> String {
    hex::encode(Sha256::digest(secret.expose_secret()))
}

/// An answer, or why these credentials do not get one; failures of the moment are failures.
fn allowed<T>(result: Result<T, bitbucket::Error>) -> Result<Result<T, String>, bitbucket::Error> {
    use bitbucket::Error;
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(
            error @ (Error::Forbidden { .. }
            | Error::NotFound { .. }
            | Error::NotForThisToken { .. }
            | Error::Refused { .. }
            | Error::Unexpected { .. }),
        ) => Ok(Err(chain(&error))),
        Err(error) => Err(error),
    }
}
