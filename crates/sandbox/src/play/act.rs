//! Changing the outside: Bitbucket, Port, the way between them. What Ferry makes of it is `work`'s part.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use sandbox::bitbucket::{Bitbucket, NewPullRequest};
use sandbox::clock::{machine_now, millis};
use sandbox::fault::{Fault, FaultKind};
use sandbox::loopback;
use sandbox::webhook::{Delivery, sign_bytes};
use serde::Serialize;
use serde_json::{Value, json};

use super::mapping::{Mapping, Place};
use super::{Action, Kind, Phase, Playground};
use crate::deployed::{IDENTIFIER, PORT_CLIENT_SECRET};

/// Port gives up on an answer to its call.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an action was not taken.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) message: String,
    /// Where a mapping is wrong.
    pub(super) places: Vec<Place>,
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Refused {
        Refused {
            message: format!("{error:#}"),
            places: Vec::new(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.places.iter().try_for_each(|place| match place.line {
            Some(line) => write!(f, "\n  line {line}: {}", place.message),
            None => write!(f, "\n  {}", place.message),
        })
    }
}

impl Playground {
    /// Does what somebody asks for at the page or the prompt, after what was asked for before. Returns what they should know
    /// about a mapping that was saved.
    pub(super) async fn act(self: &Arc<Self>, action: Action) -> Result<Vec<Place>, Refused> {
        if self.phase() != Phase::Ready {
            let error = anyhow::anyhow!("the sandbox is not ready yet: the scenes come first");
            return Err(error.into());
        }
        let _turn = self.acting.lock().await;
        match action {
            Action::Lose { lost } => {
                self.switches().loses_next_webhook = lost;
                let title = match lost {
                    true => "The next webhook will be lost on its way",
                    false => "The next webhook will arrive after all",
                };
                self.tell(Kind::Bitbucket, title, &[], &[]);
            }
            Action::Port { up } => self.switch_port(up),
            Action::Token { valid } => self.switch_token(valid),
            Action::Map { text } => return self.save_mapping(&text).await,
            Action::Resync => {
                let playground = Arc::clone(self);
                tokio::spawn(async move { playground.resync().await });
            }
            Action::Hurry => self.hurry(),
            change => {
                let (what, deliveries) = self.change_bitbucket(change)?;
                self.report(&what, &deliveries).await;
            }
        }
        Ok(Vec::new())
    }

    /// Tells of a change of Bitbucket, finds out what should come of it, and delivers its webhooks.
    async fn report(&self, what: &str, deliveries: &[Delivery]) {
        self.fresh.expire();
        self.tell(Kind::Bitbucket, &format!("Bitbucket: {what}"), &[], &[]);
        self.deliver(deliveries).await;
    }

    /// Finds out what should come of a change, then delivers its webhooks: Bitbucket, too, takes its time.
    pub(crate) async fn deliver(&self, deliveries: &[Delivery]) {
        self.fresh.look(&self.outside).await;
        self.show();
        for delivery in deliveries {
            self.deliver_one(delivery).await;
            self.mail.notify_one();
        }
    }

    async fn deliver_one(&self, delivery: &Delivery) {
        let event = &delivery.event_key;
        if std::mem::take(&mut self.switches().loses_next_webhook) {
            let title = format!("{event} is lost on its way");
            let hint = "Ferry does not hear of it; the next resync finds what it was about";
            return self.tell(Kind::Trouble, &title, &[hint.to_owned()], &[]);
        }
        let started = Instant::now();
        let statuses = self.outside.bitbucket.deliver(delivery).await;
        let took = started.elapsed().as_millis();
        match statuses.as_deref() {
            Ok([]) => {
                let title = format!("{event}: no webhook of the workspace is subscribed to it");
                self.tell(Kind::Webhook, &title, &[], &[]);
            }
            Ok(statuses) => {
                for status in statuses {
                    let title = format!("{event} → {status} in {took} ms");
                    self.tell(Kind::Webhook, &title, &[], &[]);
                }
            }
            Err(error) => self.tell(Kind::Trouble, &format!("{error:#}"), &[], &[]),
        }
    }

    fn change_bitbucket(&self, action: Action) -> anyhow::Result<(String, Vec<Delivery>)> {
        let bitbucket = &self.outside.bitbucket;
        let users = bitbucket.users();
        let mut users = users.iter().map(String::as_str);
        let (author, reviewer) = (users.next().context("nobody is here")?, users.next());
        Ok(match action {
            Action::Rename { repository, name } => {
                let told = bitbucket.rename_repository(&repository, &name)?;
                (
                    format!("the repository {repository} is renamed to {name}"),
                    told,
                )
            }
            Action::Push { repository } => {
                let branch = main_branch(bitbucket, &repository)?;
                let text = format!("# {repository}\n\nWritten at {}.\n", millis(machine_now()));
                let (hash, told) =
                    bitbucket.push(&repository, &branch, &[("README.md", Some(text))])?;
                let hash: String = hash.chars().take(7).collect();
                (
                    format!("{hash} is pushed to {branch} of {repository}: README.md"),
                    told,
                )
            }
            Action::Open { repository, title } => {
                let mut new = NewPullRequest::new(&title, author);
                if let Some(reviewer) = reviewer {
                    new = new.reviewed_by(reviewer);
                }
                let (id, told) = bitbucket.open_pull_request(&repository, new)?;
                (
                    format!("pull request #{id} of {repository} is opened: {title}"),
                    told,
                )
            }
            Action::Merge { repository, id } => {
                let told = bitbucket.merge(&repository, id, author)?;
                (
                    format!("pull request #{id} of {repository} is merged"),
                    told,
                )
            }
            Action::Decline { repository, id } => {
                let told = bitbucket.decline(&repository, id, author, "Not now")?;
                (
                    format!("pull request #{id} of {repository} is declined"),
                    told,
                )
            }
            Action::Delete { repository } => {
                let told = bitbucket.delete_repository(&repository)?;
                (format!("the repository {repository} is deleted"), told)
            }
            Action::Create { project, name } => {
                let (_, told) = bitbucket.create_repository(&project, &name)?;
                (
                    format!("the repository {name} is created in {project}"),
                    told,
                )
            }
            _ => self.change_at_random()?,
        })
    }

    fn change_at_random(&self) -> anyhow::Result<(String, Vec<Delivery>)> {
        let bitbucket = &self.outside.bitbucket;
        let before = bitbucket.overview();
        let choice = machine_now().as_nanosecond().unsigned_abs() as u64;
        let (mut what, told) = bitbucket.change_at_random(choice)?;
        for repository in &before.repositories {
            what = what.replace(&repository.uuid, &repository.slug);
        }
        Ok((what, told))
    }

    fn switch_port(&self, up: bool) {
        if self.switches().port_is_down != up {
            return;
        }
        self.switches().port_is_down = !up;
        let server = self.outside.port.server();
        match up {
            true => {
                server.behave();
                self.tell(Kind::Port, "Port is up again", &self.waiting(), &[]);
            }
            false => {
                server.misbehave(Fault::new("", FaultKind::html(503)).always());
                let hint = "it answers 503 to everything; events wait in the queue".to_owned();
                self.tell(Kind::Port, "Port is down", &[hint], &[]);
            }
        }
    }

    fn switch_token(&self, valid: bool) {
        if self.switches().token_is_revoked != valid {
            return;
        }
        self.switches().token_is_revoked = !valid;
        match valid {
            true => {
                self.outside.bitbucket.accept_token(Bitbucket::TOKEN);
                let title = "Bitbucket takes the token again";
                self.tell(Kind::Bitbucket, title, &self.waiting(), &[]);
            }
            false => {
                self.outside.bitbucket.revoke(Bitbucket::TOKEN);
                let hint = "Bitbucket answers 401; nothing is deleted because of it".to_owned();
                self.tell(Kind::Bitbucket, "The token is revoked", &[hint], &[]);
            }
        }
    }

    /// What still waits, and what can be done about it.
    fn waiting(&self) -> Vec<String> {
        let queue = &self.outside.queue;
        let Some(next) = queue.next_at() else {
            return Vec::new();
        };
        let left = next.duration_since(self.queue_now()).as_secs().max(0);
        let what = queue.len();
        vec![format!(
            "{what} in the queue, the next in {left} s; `hurry` spares the wait"
        )]
    }

    fn hurry(&self) {
        let queue = &self.outside.queue;
        let Some(next) = queue.next_at() else {
            return self.tell(Kind::Events, "Nothing waits in the queue", &[], &[]);
        };
        let left = next
            .duration_since(self.queue_now())
            .max(SignedDuration::ZERO);
        self.switches().skipped += left;
        let title = format!(
            "The queue does not wait: {} s are passed over",
            left.as_secs()
        );
        self.tell(Kind::Events, &title, &[], &[]);
        self.mail.notify_one();
    }

    /// Saves a mapping in Port if Ferry can work with it. Returns what it could not map all the same.
    async fn save_mapping(self: &Arc<Self>, text: &str) -> Result<Vec<Place>, Refused> {
        let refused = |message: &str, places| Refused {
            message: message.to_owned(),
            places,
        };
        let mapping = Mapping::read(text);
        let mapping = mapping.map_err(|place| refused("the mapping was not saved", vec![place]))?;
        if self.switches().port_is_down {
            return Err(refused("Port is down: it takes no mapping", Vec::new()));
        }
        let found = self
            .fresh
            .try_out(&self.outside, Some(mapping.value.clone()))
            .await;
        let found = found.map_err(|error| {
            // It was stored in the Port that it was tried out with.
            let verdict = format!("{error:#}").replace("the mapping stored in Port", "the mapping");
            let places = mapping.place(&verdict);
            refused(
                "Ferry cannot work with this mapping, so it was not saved",
                places,
            )
        })?;
        self.switches().mapping = Some(text.to_owned());
        let notes = mapping.place(&found.losses.join("\n"));
        self.outside.port.set_config(mapping.value);
        self.tell(
            Kind::Port,
            "Another mapping is saved in Port",
            &found.losses,
            &[],
        );
        self.fresh.keep(found);
        self.show();
        if let Err(error) = self.have_port_ask().await {
            self.tell(Kind::Trouble, &format!("{error:#}"), &[], &[]);
        }
        let playground = Arc::clone(self);
        tokio::spawn(async move { playground.tick().await });
        Ok(notes)
    }

    /// What Port does when a mapping is saved: it calls the integration's changelog destination, signed.
    async fn have_port_ask(&self) -> anyhow::Result<()> {
        let integration = self.outside.port.integration().unwrap_or_default();
        let Some(url) = integration["changelogDestination"]["url"].as_str() else {
            return Ok(());
        };
        let body: Value = json!({
            "action": "UPDATE", "resourceType": "integration", "status": "SUCCESS",
            "context": {"integration": IDENTIFIER},
        });
        let (body, seconds) = (body.to_string(), machine_now().as_second().to_string());
        let signature = sign_bytes(PORT_CLIENT_SECRET, format!("{seconds}.{body}").as_bytes());
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-port-timestamp", seconds),
            (
                "x-port-signature",
                format!("v1,{}", STANDARD.encode(signature)),
            ),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let started = Instant::now();
        let status = loopback::post(url, &headers, body.as_bytes(), PATIENCE).await?;
        let took = started.elapsed().as_millis();
        self.tell(
            Kind::Webhook,
            &format!("Port asks for a resync → {status} in {took} ms"),
            &[],
            &[],
        );
        Ok(())
    }
}

/// The main branch, or what becomes it with the first push.
fn main_branch(bitbucket: &Bitbucket, repository: &str) -> anyhow::Result<String> {
    let overview = bitbucket.overview();
    let found = overview
        .repositories
        .into_iter()
        .find(|it| it.slug == repository);
    let found = found.with_context(|| format!("no repository {repository}"))?;
    Ok(found.main_branch.unwrap_or_else(|| "main".to_owned()))
}
