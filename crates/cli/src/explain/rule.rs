//! What would delete an entity, and what keeps it: ARCHITECTURE.md, "The one path of deletion", asked of one entity.
//!
//! Deletes nothing, and decides nothing: `ferry::sync::plan` does when the time comes.

use ferry::app::App;
use ferry::entity::EntityKey;
use ferry::store::documents::{CompletedRun, completed};
use ferry::sync::generation::Current;
use ferry::sync::guard::Guard;
use ferry::sync::plan::Kept;
use ferry::sync::sources::Sources;
use serde::Serialize;

use super::{Claimant, Claims, InPort};

/// In sentences, for people.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rule {
    /// What has to happen for it to go.
    pub(crate) goes_when: String,
    /// What keeps it even then, as things stand.
    pub(crate) stays_because: Vec<String>,
}

pub(super) async fn rule(
    app: &App,
    current: &Current,
    key: &EntityKey,
    (claims, in_port): (&[Claimant], &InPort),
) -> anyhow::Result<Rule> {
    let sources = &current.sources;
    let completed = app.store.load(&completed()).await?.value;
    let settings = sources.mapping().settings();
    let guard = Guard::live(
        app.config.deletes_off,
        settings.entity_deletion_threshold,
        app.clock.clone(),
    );
    let kept = match guard.keeps_all() {
        Some(kept) => Some(kept),
        None => guard.refuses(1, &app.store).await?,
    };
    let mut stays_because: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let completed = completed.unwrap_or_default();
    stays_because.extend(kept_by_resources(sources, &completed, key, claims));
    if *in_port == InPort::NotOurs {
        stays_because.push("Port says that it is not our data source's".to_owned());
    }
    let is_nobodys = claims.is_empty();
    if is_nobodys && !sources.may_adopt(&key.blueprint) {
        stays_because.push(
            "entities of its blueprint are addressed by a search query, or their resource says enableDelete: false"
                .to_owned(),
        );
    }
    if is_nobodys && !completed.all_recorded {
        stays_because.push(Kept::Unsound.to_string());
    }
    Ok(Rule {
        goes_when: goes_when(sources, claims, in_port),
        stays_because,
    })
}

fn goes_when(sources: &Sources, claims: &[Claimant], in_port: &InPort) -> String {
    if *in_port == InPort::Absent {
        return match claims.iter().any(|claim| claim.how != Claims::LeadsTo) {
            true => {
                "Port does not hold it, though it is claimed: the next resync writes it".to_owned()
            }
            false => "Port does not hold it".to_owned(),
        };
    }
    let own = claims.iter().filter(|claim| claim.how != Claims::LeadsTo);
    let own = own.count();
    let leading = claims.len() - own;
    match (own, leading) {
        (0, 0) => {
            "nothing claims it: the next resync that reads everything deletes it, if it is ours".to_owned()
        }
        (0, _) if !sources.creates_targets() => {
            "only relations lead to it, and Port did not create it for them: it stays".to_owned()
        }
        (0, leading) => format!("the last of {leading} relations leads there no longer"),
        (1, _) => {
            "its item is gone, or is not selected or makes it no longer: a look at the item by its id, or at its whole \
             partition, has to say so"
                .to_owned()
        }
        (own, _) => format!(
            "all {own} items that make it are gone, or make it no longer: until then the next of them writes it"
        ),
    }
}

fn kept_by_resources<'a>(
    sources: &'a Sources,
    completed: &'a CompletedRun,
    key: &'a EntityKey,
    claims: &'a [Claimant],
) -> impl Iterator<Item = String> + 'a {
    let own = claims.iter().filter(|claim| claim.how != Claims::LeadsTo);
    own.filter_map(move |claim| {
        let resource = claim.fingerprint.as_str();
        let is_known = sources.has_resource(resource);
        let kept = if !sources.allows_deletion(resource, &key.blueprint) {
            Kept::Resource
        } else if completed
            .distrusted
            .covers(resource, is_known, &key.blueprint)
        {
            Kept::Identifiers
        } else {
            return None;
        };
        Some(kept.to_string())
    })
}
