//! Why an entity is in Port, or is not: which items make it, and what would have to happen for it to go.
//!
//! Reads the records and rows, asks Port whose the entity is and Bitbucket what its repositories are called, and writes
//! nothing. `rule` says what would delete it.

mod rule;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use ferry::app::{App, Session};
use ferry::deadline::Deadline;
use ferry::entity::EntityKey;
use ferry::identity::{ItemId, ItemRef, Place, RepositoryId};
use ferry::store::documents::{Claim, Entry, LastWrite, record, row};
use ferry::sync::sources::Sources;
use ferry::telemetry::chain;
use serde::Serialize;

use rule::{Rule, rule};

/// All that is known of an entity.
#[derive(Serialize)]
pub(crate) struct Explanation {
    pub(crate) entity: String,
    pub(crate) in_port: InPort,
    /// Items that claim it: those that make it before those whose relations lead to it.
    pub(crate) claims: Vec<Claimant>,
    pub(crate) rule: Rule,
}

/// What Port says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InPort {
    Absent,
    Ours,
    /// Port names another data source, or none.
    NotOurs,
    Unknown(String),
}

/// An item that claims the entity.
#[derive(Serialize)]
pub(crate) struct Claimant {
    /// `resources[2] (pull-request)`; `None` where it has left the mapping.
    pub(crate) resource: Option<String>,
    /// What it is: `pull request 4`, a branch or file, or `the repository`.
    pub(crate) item: String,
    /// Full name, or uuid where Bitbucket does not show it; `None`: the workspace.
    pub(crate) repository: Option<String>,
    pub(crate) how: Claims,
    /// False while a commit of the item is under way, or was given up: another look follows.
    pub(crate) is_sure: bool,
    /// When Port took something of the item last, and why that was written.
    pub(crate) last_write: Option<LastWrite>,
    /// Why it stays when nothing claims it any more, as far as its resource says so.
    #[serde(skip)]
    pub(crate) fingerprint: String,
    #[serde(skip)]
    uuid: Option<RepositoryId>,
}

/// What a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Claims {
    /// It writes the entity.
    Writes,
    /// It makes the same entity, and another item writes it.
    Makes,
    /// Port refused what it makes.
    Refused,
    /// A relation of it leads there.
    LeadsTo,
}

pub(crate) async fn explain(
    app: &App,
    key: &EntityKey,
    deadline: &Deadline,
) -> anyhow::Result<Explanation> {
    let Some(current) = app.generations.current(&app.store).await? else {
        bail!(
            "nothing is known of any entity: there was no resync with this state yet. Set FERRY__STATE_TABLE to the \
             function's table, or FERRY__STATE_DIR to the directory that `ferry` works with"
        );
    };
    let mut claims = claimants(app, key, &current.sources).await?;
    let in_port = match app.session(deadline).await {
        Err(error) => InPort::Unknown(chain(&error)),
        Ok(session) => {
            name_repositories(&session, &mut claims, deadline).await;
            in_port(&session, key, deadline).await
        }
    };
    let rule = rule(app, &current, key, (&claims, &in_port)).await?;
    Ok(Explanation {
        entity: key.to_string(),
        in_port,
        claims,
        rule,
    })
}

/// Whoever claims `key`, as the records say that its row names.
async fn claimants(app: &App, key: &EntityKey, sources: &Sources) -> anyhow::Result<Vec<Claimant>> {
    let row = app.store.load(&row(key)).await?.value.unwrap_or_default();
    let row = (row.key.as_ref() == Some(key)).then_some(row);
    let places: BTreeSet<Place> = row
        .into_iter()
        .flat_map(|row| row.content.into_iter().chain(row.targets))
        .collect();
    let keys: Vec<_> = places.iter().map(record).collect();
    let records = app.store.load_all(&keys).await?;
    let mut claims = Vec::new();
    for (place, found) in places.iter().zip(records) {
        for (item, entry) in found.value.unwrap_or_default().items {
            let item = place.partition.item(item);
            let all = entry.claims.iter();
            claims.extend(all.filter_map(|claim| claimant(sources, (&item, &entry), claim, key)));
        }
    }
    claims.sort_by_key(|claim| claim.how);
    Ok(claims)
}

fn claimant(
    sources: &Sources,
    (item, entry): (&ItemRef, &Entry),
    claim: &Claim,
    key: &EntityKey,
) -> Option<Claimant> {
    let held = claim.content.iter().find(|held| held.key == *key);
    let how = match held {
        Some(held) if held.refused => Claims::Refused,
        Some(held) if held.written.is_some() => Claims::Writes,
        Some(_) => Claims::Makes,
        None if claim.targets.contains(key) => Claims::LeadsTo,
        None => return None,
    };
    let mut resources = sources.mapping().resources().iter();
    let resource = resources.find(|resource| resource.fingerprint == claim.resource);
    Some(Claimant {
        resource: resource.map(|resource| resource.name()),
        item: shown(item, &claim.member),
        repository: item.partition.repository.as_ref().map(ToString::to_string),
        how,
        is_sure: entry.sure,
        last_write: entry.last_write.clone(),
        fingerprint: claim.resource.clone(),
        uuid: item.partition.repository.clone(),
    })
}

fn shown(item: &ItemRef, member: &str) -> String {
    match item.item {
        ItemId::Number(number) => format!("pull request {number}"),
        ItemId::Whole if !member.is_empty() => member.to_owned(),
        ItemId::Whole if item.partition.repository.is_some() => "the repository".to_owned(),
        ItemId::Whole => "the workspace".to_owned(),
    }
}

/// Where Bitbucket does not show one, its uuid has to do.
async fn name_repositories(session: &Session, claims: &mut [Claimant], deadline: &Deadline) {
    let mut names: BTreeMap<RepositoryId, Option<String>> = BTreeMap::new();
    for claim in claims {
        let Some(uuid) = &claim.uuid else {
            continue;
        };
        if !names.contains_key(uuid) {
            let found = session.bitbucket.repository(uuid.as_str(), deadline).await;
            let name = found.ok().and_then(|raw| {
                let name = raw.get("full_name")?.as_str()?;
                Some(name.to_owned())
            });
            names.insert(uuid.clone(), name);
        }
        if let Some(Some(name)) = names.get(uuid) {
            claim.repository = Some(name.clone());
        }
    }
}

async fn in_port(session: &Session, key: &EntityKey, deadline: &Deadline) -> InPort {
    let port = &session.port;
    match port.owned_among(std::slice::from_ref(key), deadline).await {
        Err(error) => return InPort::Unknown(chain(&error)),
        Ok(owned) if !owned.is_empty() => return InPort::Ours,
        Ok(_) => {}
    }
    match port.present(std::slice::from_ref(key), deadline).await {
        Err(error) => InPort::Unknown(chain(&error)),
        Ok(present) if present.contains_key(key) => InPort::NotOurs,
        Ok(_) => InPort::Absent,
    }
}
