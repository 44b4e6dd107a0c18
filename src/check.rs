//! What stands in the way of a resync and of webhooks, looked for one by one: `ferry check`.
//!
//! Reads, and writes nothing. Each finding says what was looked at, and what to do where it is not as it should be.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use crate::app::{App, Session};
use crate::bitbucket::{self, BitbucketClient, Credential};
use crate::deadline::Deadline;
use crate::entity::EntityKey;
use crate::extract::{self, Listing, Repository, Source};
use crate::failure::chain;
use crate::mapping::{Mapping, Resource, defaults};
use crate::pipeline::{Pipeline, Target};
use crate::port::{self, PortClient};
use crate::refresh;
use crate::subscription::{self, Standing};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fine(String),
    /// It works, and not as it could.
    Doubtful {
        reason: String,
        remedy: String,
    },
    Wrong {
        reason: String,
        remedy: String,
    },
}

struct Findings(Vec<Finding>);

impl Findings {
    fn fine(&mut self, what: impl Into<String>, how: impl Into<String>) {
        self.add(what, Verdict::Fine(how.into()));
    }

    fn doubtful(&mut self, what: impl Into<String>, reason: impl Into<String>, remedy: &str) {
        let (reason, remedy) = (reason.into(), remedy.to_owned());
        self.add(what, Verdict::Doubtful { reason, remedy });
    }

    fn wrong(&mut self, what: impl Into<String>, reason: impl Into<String>, remedy: &str) {
        let (reason, remedy) = (reason.into(), remedy.to_owned());
        self.add(what, Verdict::Wrong { reason, remedy });
    }

    fn add(&mut self, what: impl Into<String>, verdict: Verdict) {
        let what = what.into();
        self.0.push(Finding { what, verdict });
    }
}

/// Looks at everything that can be looked at; `base` is where Bitbucket reaches us, if that is known.
pub async fn check(app: &App, base: Option<&str>, deadline: &Deadline) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let session = match app.session(deadline).await {
        Ok(session) => session,
        Err(error) => {
            let remedy = "see docs/configuration.md for what goes where";
            findings.wrong("credentials", chain(&error), remedy);
            return findings.0;
        }
    };
    findings.fine("configuration", "every value can be read");
    for setting in &app.config.without_effect {
        let remedy = "take it out, or leave it: nothing depends on it";
        findings.doubtful("configuration", setting.to_string(), remedy);
    }
    check_tokens(&session.credentials.bitbucket, &mut findings);
    let in_port = check_port(app, &session.port, &mut findings, deadline).await;
    let workspace = check_workspace(&session.bitbucket, &mut findings, deadline).await;
    if let Some(mapping) = in_port {
        check_blueprints(&session.port, &mapping, &mut findings, deadline).await;
        if workspace {
            check_sources(&session, &mapping, &mut findings, deadline).await;
        }
    }
    check_webhook(app, base, &mut findings, deadline).await;
    findings.0
}

/// Bitbucket answers a token of the wrong kind with a plain 401. Tokens begin with what they are (Atlassian support,
/// "Using API tokens", "Using access tokens").
fn check_tokens(credentials: &[Credential], findings: &mut Findings) {
    for (index, credential) in credentials.iter().enumerate() {
        let what = format!(
            "Bitbucket credential {} of {}",
            index + 1,
            credentials.len()
        );
        let secret = credential.secret().expose_secret();
        let is_token = matches!(credential, Credential::Token(_));
        let mistake = match (secret.get(..5), is_token) {
            (Some("ATATT"), true) => Some((
                "it is the API token of a user, and is sent as if it were an access token",
                "move it to BITBUCKET_USER_SCOPED_TOKEN, with the account's e-mail address as BITBUCKET_USER_EMAIL",
            )),
            (Some("ATCTT"), false) => Some((
                "it is an access token, and is sent as if it were a user's",
                "move it to BITBUCKET_WORKSPACE_TOKEN; it needs no e-mail address",
            )),
            (Some(start), _) if start.starts_with("ATBB") => Some((
                "it is an app password, and Bitbucket has taken none since 28 July 2026",
                "create a workspace access token, or an API token with scopes",
            )),
            _ if secret.contains(char::is_whitespace) => Some((
                "it holds a blank or a line break",
                "copy it again, without what surrounds it",
            )),
            _ => None,
        };
        if let Some((reason, remedy)) = mistake {
            findings.wrong(what, reason, remedy);
        }
    }
}

/// The mapping, if Port lets us in and has one that can be read.
async fn check_port(
    app: &App,
    port: &PortClient,
    findings: &mut Findings,
    deadline: &Deadline,
) -> Option<Mapping> {
    let integration = match port.integration(deadline).await {
        Ok(integration) => integration,
        Err(error @ port::Error::Unauthorized { .. }) => {
            let remedy = "copy client id and secret from Port (… menu > Credentials), and check that \
                          OCEAN__PORT__BASE_URL is the API of your region";
            findings.wrong("Port", chain(&error), remedy);
            return None;
        }
        Err(error) => {
            findings.wrong(
                "Port",
                chain(&error),
                "check OCEAN__PORT__BASE_URL, and try again",
            );
            return None;
        }
    };
    let identifier = &app.config.identifier;
    let config = match (&app.mapping_override, integration) {
        (Some(mapping), _) => {
            findings.fine("Port", "lets us in; the mapping is the given file");
            mapping.clone()
        }
        (None, Some(integration)) => match integration.config {
            Some(config) => {
                findings.fine("Port", format!("knows the installation `{identifier}`"));
                config
            }
            None => {
                let reason = format!("the installation `{identifier}` has no mapping");
                findings.wrong("Port", reason, "save a mapping on its data source page");
                return None;
            }
        },
        (None, None) => {
            findings.fine(
                "Port",
                format!("does not know `{identifier}` yet: the first resync registers it"),
            );
            defaults::mapping()
        }
    };
    let mapping = match Mapping::from_config(&config) {
        Ok(mapping) => mapping,
        Err(invalid) => {
            findings.wrong(
                "mapping",
                chain(&invalid),
                "correct it on the data source page",
            );
            return None;
        }
    };
    match mapping.problems() {
        [] => findings.fine(
            "mapping",
            format!(
                "{} resources, every filter compiles",
                mapping.resources().len()
            ),
        ),
        problems => {
            for problem in problems {
                let remedy = "until it is corrected it evaluates to null";
                findings.wrong("mapping", problem.to_string(), remedy);
            }
        }
    }
    Some(mapping)
}

async fn check_workspace(
    bitbucket: &BitbucketClient,
    findings: &mut Findings,
    deadline: &Deadline,
) -> bool {
    let what = "Bitbucket workspace";
    match bitbucket.workspace(deadline).await {
        Ok(workspace) => {
            let name = workspace.get("name").and_then(|name| name.as_str());
            findings.fine(what, format!("{} can be read", name.unwrap_or("it")));
            true
        }
        Err(error @ bitbucket::Error::NotFound { .. }) => {
            let remedy = "give the slug of the workspace, the first part of its address, and a token of that workspace";
            findings.wrong(what, chain(&error), remedy);
            false
        }
        // Repository data may be open to a token that may not see the workspace itself.
        Err(error @ bitbucket::Error::Forbidden { .. }) => {
            findings.doubtful(
                what,
                chain(&error),
                "give the token the scope account (read)",
            );
            true
        }
        Err(error) => {
            let remedy = "create a workspace access token, or an API token with scopes; app passwords are refused";
            findings.wrong(what, chain(&error), remedy);
            false
        }
    }
}

/// Asks for the first page of everything that the mapping wants.
async fn check_sources(
    session: &Session,
    mapping: &Mapping,
    findings: &mut Findings,
    deadline: &Deadline,
) {
    let groups = extract::groups(mapping);
    let pipeline = Pipeline::for_live(&session.port, mapping);
    let (mut keys, mut targets) = (BTreeSet::new(), BTreeSet::new());
    let mut first: Option<Repository> = None;
    let mut asked = BTreeSet::new();
    for group in &groups {
        if let (None, Some(filter)) = (&first, group.source.repositories()) {
            let list = extract::Group::of_nobody(Source::Repositories(filter.clone()));
            let mut listing = Listing::open(&session.bitbucket, &list, None);
            match listing.next(deadline).await {
                Ok(Some(batch)) => {
                    let mut found = batch.items.iter().filter_map(Repository::of);
                    first = found.find(|repository| repository.main_branch.is_some());
                }
                Ok(None) => {}
                Err(error) => {
                    findings.wrong("kind repository", chain(&error), scope_of("repository"));
                    continue;
                }
            }
        }
        let kind = group.source.name();
        if !asked.insert(kind) {
            continue;
        }
        let repository = match (group.source.repositories(), &first) {
            (Some(_), None) => {
                let remedy = "check repoQuery and userRole, and what the token may see";
                findings.doubtful(
                    format!("kind {kind}"),
                    "no repository with commits is selected",
                    remedy,
                );
                continue;
            }
            (_, repository) => repository.as_ref(),
        };
        let mut listing = Listing::open(&session.bitbucket, group, repository);
        match listing.next(deadline).await {
            Ok(batch) => {
                findings.fine(format!("kind {kind}"), "can be read");
                let batch = batch.unwrap_or_default();
                for raw in &batch.items {
                    let produced = pipeline.produced(&batch.resources, raw);
                    keys.extend(produced.keys);
                    targets.extend(produced.targets);
                }
            }
            Err(error) => findings.wrong(format!("kind {kind}"), chain(&error), scope_of(kind)),
        }
    }
    let problems = pipeline.take_report().lines();
    let sample = (keys, targets);
    check_sample(session, mapping, sample, problems, findings, deadline).await;
}

/// What the mapping makes of the first items of each kind.
async fn check_sample(
    session: &Session,
    mapping: &Mapping,
    (keys, targets): (BTreeSet<EntityKey>, BTreeSet<Target>),
    problems: Vec<String>,
    findings: &mut Findings,
    deadline: &Deadline,
) {
    let what = "first items of each kind";
    let remedy = "correct the expression; `ferry preview` says what becomes of all items";
    match problems.is_empty() {
        true => findings.fine(what, format!("stand for {} entities", keys.len())),
        false => {
            for problem in problems {
                findings.wrong(what, problem, remedy);
            }
        }
    }
    if mapping.settings().create_missing_related_entities {
        return;
    }
    let ours: BTreeSet<&str> = mapping
        .resources()
        .iter()
        .filter_map(|resource| resource.constant_blueprint())
        .collect();
    let missing = async {
        let wanted = refresh::resolve(&session.port, &targets, deadline).await?;
        // What this mapping brings itself is there in time.
        let wanted = wanted
            .into_iter()
            .filter(|key| !keys.contains(key) && !ours.contains(key.blueprint.as_str()));
        let wanted: Vec<EntityKey> = wanted.collect();
        let present = session.port.present(&wanted, deadline).await?;
        let present: BTreeSet<EntityKey> = present.into_keys().collect();
        Ok::<_, port::Error>(
            wanted
                .into_iter()
                .filter(|key| !present.contains(key))
                .collect::<Vec<EntityKey>>(),
        )
    };
    let what = "relations";
    match missing.await {
        Ok(missing) => match missing.first() {
            None => findings.fine(what, "lead to entities that exist, or will"),
            Some(first) => {
                let reason = format!(
                    "{} of the entities that relations lead to do not exist, such as {first}",
                    missing.len()
                );
                let remedy = "create them, map them too, or set createMissingRelatedEntities in the mapping: Port \
                              refuses an entity whose relation leads nowhere";
                findings.wrong(what, reason, remedy);
            }
        },
        Err(error) => findings.doubtful(what, chain(&error), "try again"),
    }
}

/// What a token needs for a kind (Bitbucket Cloud, API scopes).
fn scope_of(kind: &str) -> &'static str {
    match kind {
        "project" => "give the token the scope project (read)",
        "pull-request" => "give the token the scope pullrequest (read)",
        "pipeline" | "deployment" | "environment" => "give the token the scope pipeline (read)",
        "user" | "workspace" => "give the token the scope account (read)",
        _ => "give the token the scope repository (read)",
    }
}

async fn check_blueprints(
    port: &PortClient,
    mapping: &Mapping,
    findings: &mut Findings,
    deadline: &Deadline,
) {
    let mut missing = BTreeSet::new();
    for resource in mapping.resources() {
        let Some(identifier) = resource.constant_blueprint() else {
            let what = resource.name();
            findings.fine(what, "the items say which blueprint is theirs");
            continue;
        };
        match port.blueprint(identifier, deadline).await {
            Ok(blueprint) => check_fields(resource, identifier, &blueprint, findings),
            Err(port::Error::NotFound { .. }) if missing.insert(identifier.to_owned()) => {
                let initial = defaults::mapping().to_string().contains(identifier);
                let remedy = match initial {
                    true => "create it, or let the first resync of a new installation do it",
                    false => "create it in Port's builder, or correct the mapping",
                };
                findings.wrong(
                    resource.name(),
                    format!("the blueprint `{identifier}` does not exist"),
                    remedy,
                );
            }
            Err(port::Error::NotFound { .. }) => {}
            Err(error) => findings.wrong(resource.name(), chain(&error), "try again"),
        }
    }
}

fn check_fields(
    resource: &Resource,
    identifier: &str,
    blueprint: &port::Blueprint,
    findings: &mut Findings,
) {
    let properties = resource
        .property_names()
        .filter(|name| !blueprint.properties.contains(*name));
    let relations = resource
        .relation_names()
        .filter(|name| !blueprint.relations.contains_key(*name));
    let lacking: Vec<String> = properties
        .map(|name| format!("property `{name}`"))
        .chain(relations.map(|name| format!("relation `{name}`")))
        .collect();
    match lacking.is_empty() {
        true => findings.fine(
            resource.name(),
            format!("fits the blueprint `{identifier}`"),
        ),
        false => findings.wrong(
            resource.name(),
            format!("the blueprint `{identifier}` lacks {}", lacking.join(", ")),
            "add them to the blueprint, or take them out of the mapping",
        ),
    }
}

async fn check_webhook(
    app: &App,
    base: Option<&str>,
    findings: &mut Findings,
    deadline: &Deadline,
) {
    let what = "webhook";
    let Some(base) = base else {
        let remedy = "give --url, or set OCEAN__BASE_URL to where Bitbucket reaches Ferry";
        findings.doubtful(
            what,
            "not looked at: it is not known where it should lead",
            remedy,
        );
        return;
    };
    let install = "run `ferry webhook install`, or let the next resync repair it";
    match subscription::status(app, base, deadline).await {
        Ok(Standing::Right) => findings.fine(what, format!("leads to {base}, with all events")),
        Ok(Standing::Missing) => findings.wrong(what, format!("none leads to {base}"), install),
        Ok(Standing::Wrong(wrong)) => findings.wrong(what, wrong.join(", "), install),
        Ok(Standing::NoSecret) => findings.wrong(
            what,
            "no webhook secret is configured: every webhook is refused",
            "set webhookSecret in the secret, or OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
        ),
        Ok(Standing::Refused(reason)) => {
            let remedy = "give the token the scope webhook of a workspace administrator, or add the webhook by hand";
            findings.doubtful(what, reason, remedy);
        }
        Err(failure) => findings.wrong(what, chain(&failure), "try again"),
    }
}
