//! `ferry explain`: where an entity comes from, for people or for machines.

use std::str::FromStr;
use std::time::Duration;

use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::entity::EntityKey;
use ferry::store::StoreError;
use serde_json::json;

use super::terminal::{BAD, DOUBTFUL, FAINT, GOOD, STRONG, painted, print, print_fitted};
use crate::explain::{Claimant, Claims, Explanation, InPort, explain};

/// For Port and Bitbucket to say what they know of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An entity as people name it.
#[derive(Clone, Debug)]
pub(crate) struct Named(EntityKey);

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Named, Self::Err> {
        match text.split_once('/') {
            Some((blueprint, identifier)) if !blueprint.is_empty() && !identifier.is_empty() => {
                Ok(Named(EntityKey::new(blueprint, identifier)))
            }
            _ => Err("give blueprint and identifier, such as service/cart"),
        }
    }
}

pub(crate) async fn run(app: &App, Named(key): &Named, as_json: bool) -> anyhow::Result<()> {
    let deadline = Deadline::after(&app.clock, PATIENCE);
    let explanation = Box::pin(explain(app, key, &deadline)).await?;
    match as_json {
        true => print(format!("{:#}", json!(explanation))),
        false => print_fitted(as_text(&explanation)),
    }
}

/// The file has one reader at a time: what to do while another process works with it.
pub(crate) fn while_in_use(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::InUse { .. }) => error.context(
            "the records cannot be read while another `ferry` works with them: stop it for a moment (SIGTERM; it goes on \
             where it stopped), and ask again",
        ),
        _ => error,
    }
}

fn as_text(explanation: &Explanation) -> String {
    let mut lines = vec![format!(
        "{}: {}",
        painted(STRONG, &explanation.entity),
        match &explanation.in_port {
            InPort::Ours => painted(GOOD, "in Port, and ours"),
            InPort::NotOurs => painted(DOUBTFUL, "in Port, and not ours"),
            InPort::Absent => painted(DOUBTFUL, "not in Port"),
            InPort::Unknown(reason) => painted(BAD, format!("Port does not say: {reason}")),
        }
    )];
    if explanation.claims.is_empty() {
        lines.push("  nothing claims it".to_owned());
    }
    lines.extend(explanation.claims.iter().map(line_of));
    let rule = &explanation.rule;
    lines.push(format!("  goes when: {}", rule.goes_when));
    let stays = rule.stays_because.iter();
    lines.extend(stays.map(|why| painted(DOUBTFUL, format!("  stays even then: {why}"))));
    lines.join("\n")
}

fn line_of(claim: &Claimant) -> String {
    let Claimant {
        resource,
        item,
        repository,
        how,
        is_sure,
        last_write,
        ..
    } = claim;
    let how = match how {
        Claims::Writes => "written by",
        Claims::Makes => "also made by",
        Claims::Refused => "made, and refused by Port, by",
        Claims::LeadsTo => "a relation leads to it from",
    };
    let resource = resource
        .as_deref()
        .unwrap_or("a resource that has left the mapping");
    let of = match repository {
        Some(repository) => format!(" of {repository}"),
        None => String::new(),
    };
    let mut line = format!("  {how} {resource}: {item}{of}");
    if let Some(last) = last_write {
        let when = format!(", last written {} because of {}", last.at, last.cause);
        line.push_str(&painted(FAINT, when));
    }
    if !is_sure {
        line.push_str(&painted(DOUBTFUL, "; a commit of it is not over"));
    }
    line
}
