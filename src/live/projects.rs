//! A look at projects: all of them are one partition, and repositories may show fields of theirs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::objects::Looked;
use crate::extract::{self, Group, Source};
use crate::failure::Failure;
use crate::identity::{ItemId, RepositoryId};
use crate::look::{Look, News};
use crate::sync::look::Looker;

/// All projects; and where one has changed, the repositories that show it, a page at a time.
pub(super) async fn projects(
    looker: &Looker<'_>,
    keys: &BTreeSet<String>,
    cursor: Option<&str>,
) -> Result<Looked, Failure> {
    let mut looked = Looked::default();
    let groups = looker.sources.groups();
    if cursor.is_none() {
        for group in groups
            .iter()
            .filter(|group| group.source == Source::Projects)
        {
            looked.seen.push(looker.whole(group, None).await?);
        }
    }
    let shows_project = |group: &Group| group.shows(&["project"]);
    let Some(key) = keys.first().filter(|_| groups.iter().any(shows_project)) else {
        return Ok(looked);
    };
    let found = extract::repositories_of_project(looker.bitbucket, key, cursor, looker.deadline);
    let (repositories, next) = found.await?;
    let repositories: BTreeSet<RepositoryId> = repositories.into_iter().collect();
    looked
        .follow
        .extend(repositories.into_iter().map(|repository| Look::Repository {
            repository,
            news: News {
                project: true,
                ..News::default()
            },
        }));
    let mut left = keys.clone();
    if next.is_none() {
        left.remove(key);
    }
    if !left.is_empty() {
        looked.follow.push(Look::Projects {
            keys: left,
            cursor: next,
        });
    }
    Ok(looked)
}

/// A project that no record names comes with its first repository.
pub(super) async fn new_project(
    looker: &Looker<'_>,
    raw: &Value,
    news: &News,
) -> Result<Option<Look>, Failure> {
    let key = raw.pointer("/project/key").and_then(Value::as_str);
    let group = looker
        .sources
        .groups()
        .iter()
        .find(|group| group.source == Source::Projects);
    let (Some(group), Some(key), true) = (group, key, news.all) else {
        return Ok(None);
    };
    let item = group.partition(None).item(ItemId::Whole);
    let entry = looker.entry(&item).await?;
    let is_known = entry
        .iter()
        .flat_map(|entry| &entry.claims)
        .any(|claim| claim.member == key);
    Ok((!is_known).then_some(Look::Projects {
        keys: BTreeSet::new(),
        cursor: None,
    }))
}
