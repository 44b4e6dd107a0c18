//! What Bitbucket answers for each kind of the mapping, and what the mapping makes of the first items.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry::app::Session;
use ferry::bitbucket;
use ferry::deadline::Deadline;
use ferry::entity::EntityKey;
use ferry::extract::{Batch, Group, Listing, Source};
use ferry::identity::Repository;
use ferry::mapping::Mapping;
use ferry::port::{self, PortClient};
use ferry::sync::blueprints::Blueprints;
use ferry::sync::image::Image;
use ferry::sync::mapper::Mapper;
use ferry::sync::sources::Sources;

use super::names::check_names;
use super::{Findings, a_line, lint, reason_of, reason_of_port};
use crate::targets;

/// Asks for the first page of everything that the mapping wants.
pub(super) async fn check_items(
    session: &Session,
    mapping: Mapping,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) {
    let sources = Sources::new(Arc::new(mapping));
    let mapper = Mapper::default();
    let mut sample = Image::default();
    let mut first: Option<Repository> = None;
    let mut asked = BTreeSet::new();
    for group in sources.groups() {
        if first.is_none() && group.source.repositories().is_some() {
            match first_repository(session, &group.source, &a_line(deadline)).await {
                Ok(found) => first = found,
                Err(error) => {
                    findings.wrong("kind repository", reason_of(&error), scope_of("repository"));
                    continue;
                }
            }
        }
        let kind = group.source.name();
        if !asked.insert(kind) {
            continue;
        }
        let what = format!("kind {kind}");
        if first.is_none() && group.source.repositories().is_some() {
            let remedy = "check repoQuery and userRole, and what the token may see";
            findings.doubtful(what, "no repository with commits is selected", remedy);
            continue;
        }
        match first_items(session, group, first.as_ref(), &a_line(deadline)).await {
            Ok(batch) => {
                findings.fine(what, "can be read");
                for raw in &batch.items {
                    let member = group.source.member(raw);
                    let made = mapper.map(&batch.resources, raw, &member);
                    sample.made.extend(made);
                }
            }
            Err(error) => findings.wrong(what, reason_of(&error), scope_of(kind)),
        }
    }
    check_names(session, &sources, findings, deadline).await;
    let identifiers = sample.blueprints();
    let blueprints = Blueprints::of(&session.port, identifiers, &a_line(deadline)).await;
    let blueprints = blueprints.unwrap_or_else(|error| {
        findings.doubtful("values", reason_of_port(&error), "try again");
        Blueprints::default()
    });
    mapper.left_out(sample.resolve(&blueprints));
    let problems = mapper.take_problems();
    let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    problems.extend(lint::slips(&sources, &mapper));
    problems.extend(lint::clashes(&sample));
    check_sample(&sources, &sample, problems, findings);
    lint::tell(&sources, &mapper, findings);
    if !sources.creates_targets() {
        let sample = (&sample, &blueprints);
        check_targets(&session.port, &sources, sample, findings, deadline).await;
    }
}

/// A repository with commits, of those that `source` covers.
async fn first_repository(
    session: &Session,
    source: &Source,
    deadline: &Deadline,
) -> Result<Option<Repository>, bitbucket::Error> {
    let Some(filter) = source.repositories() else {
        return Ok(None);
    };
    let list = Group::of_nobody(Source::Repositories(filter.clone()));
    let batch = first_items(session, &list, None, deadline).await?;
    let mut repositories = batch.items.iter().filter_map(Repository::of);
    Ok(repositories.find(|repository| repository.main_branch.is_some()))
}

async fn first_items(
    session: &Session,
    group: &Group,
    repository: Option<&Repository>,
    deadline: &Deadline,
) -> Result<Batch, bitbucket::Error> {
    let mut listing = Listing::open(&session.bitbucket, group, repository);
    Ok(listing.next(deadline).await?.unwrap_or_default())
}

/// What the mapping makes of the first items of each kind.
fn check_sample(
    sources: &Sources,
    sample: &Image,
    problems: Vec<String>,
    findings: &mut Findings<'_>,
) {
    let what = "first items of each kind";
    if problems.is_empty() {
        let entities = sample.entities(sources.merges()).len();
        findings.fine(what, format!("stand for {entities} entities"));
    }
    for problem in problems {
        let remedy = "correct the expression; `ferry preview` says what becomes of all items";
        findings.wrong(what, problem, remedy);
    }
}

/// Whether the entities exist that relations lead to, where Port would not create them.
async fn check_targets(
    port: &PortClient,
    sources: &Sources,
    (sample, blueprints): (&Image, &Blueprints),
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) {
    let what = "relations";
    match missing_targets(port, sources, sample, &a_line(deadline)).await {
        Ok(missing) => match missing.first() {
            None => findings.fine(what, "lead to entities that exist, or will"),
            Some(first) => {
                let count = missing.len();
                let place = targets::place_of(sample, blueprints, first);
                let place = place.map_or_else(String::new, |place| format!("{place}: "));
                let reason = format!(
                    "{place}{count} of the entities that relations lead to do not exist, such as {first}"
                );
                let remedy = "create them, map them too, or set createMissingRelatedEntities in the mapping: Port \
                              refuses an entity whose relation leads nowhere";
                findings.wrong(what, reason, remedy);
            }
        },
        Err(error) => findings.doubtful(what, reason_of_port(&error), "try again"),
    }
}

/// Targets that neither exist nor are of a blueprint that the mapping fills itself.
async fn missing_targets(
    port: &PortClient,
    sources: &Sources,
    sample: &Image,
    deadline: &Deadline,
) -> Result<Vec<EntityKey>, port::Error> {
    let made = sample.entities(sources.merges());
    let resources = sources.mapping().resources().iter();
    let ours: BTreeSet<&str> = resources
        .filter_map(|resource| resource.constant_blueprint())
        .collect();
    let targets = sample.made.iter().flat_map(|made| &made.targets);
    let wanted = targets
        .filter(|key| !made.contains_key(key) && !ours.contains(key.blueprint.as_str()))
        .cloned();
    let wanted: BTreeSet<EntityKey> = wanted.collect();
    let mut wanted: Vec<EntityKey> = wanted.into_iter().collect();
    let present = port.present(&wanted, deadline).await?;
    wanted.retain(|key| !present.contains_key(key));
    Ok(wanted)
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
