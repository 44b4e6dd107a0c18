//! Branches, tags, pipelines, deployments and environments: what a repository has many of, newest first and bounded.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::{Hidden, completed};
use super::{Batch, Group};
use crate::bitbucket::{self, BitbucketClient, Pages, Shown};
use crate::deadline::Deadline;
use crate::identity::Repository;
use crate::mapping::{Kind, Part};

/// One part of one repository, page by page. Items are `{<kind>: .., repo: ..}`.
pub(super) struct PartListing<'a> {
    bitbucket: &'a BitbucketClient,
    group: &'a Group,
    part: &'a Part,
    uuid: String,
    /// `None` when nothing more is wanted.
    pages: Option<Pages>,
    /// The repository as items carry it; asked for when there is an item.
    repository: Option<Value>,
    taken: usize,
    is_cut: bool,
    shown: Shown,
    pages_read: usize,
}

const HOURS_PER_DAY: i64 = 24;

impl<'a> PartListing<'a> {
    pub(super) fn new(
        bitbucket: &'a BitbucketClient,
        group: &'a Group,
        part: &'a Part,
        repository: &Repository,
    ) -> PartListing<'a> {
        let uuid = repository.uuid.as_str().to_owned();
        let query = part.query.as_deref();
        let pages = match part.kind {
            Kind::Branch => bitbucket.refs(&uuid, "branches", query),
            Kind::Tag => bitbucket.refs(&uuid, "tags", query),
            Kind::Deployment => bitbucket.releases(&uuid, "deployments"),
            Kind::Environment => bitbucket.releases(&uuid, "environments"),
            _ => bitbucket.pipelines(&uuid, part.target_branch.as_deref()),
        };
        PartListing {
            bitbucket,
            group,
            part,
            uuid,
            pages: Some(pages),
            repository: None,
            taken: 0,
            is_cut: false,
            shown: Shown::WHOLE,
            pages_read: 0,
        }
    }

    pub(super) async fn next(
        &mut self,
        deadline: &Deadline,
    ) -> Result<Option<Batch>, bitbucket::Error> {
        let Some(pages) = &mut self.pages else {
            return Ok(None);
        };
        let found = match pages.next(deadline).await {
            Ok(found) => found,
            Err(error @ bitbucket::Error::NotFound { .. }) => {
                // Where Pipelines are switched off there are none. A repository that cannot be seen looks the same.
                let optional = !matches!(self.part.kind, Kind::Branch | Kind::Tag);
                if !optional {
                    return Err(error);
                }
                self.bitbucket.repository(&self.uuid, deadline).await?;
                None
            }
            Err(error) => return Err(error),
        };
        self.shown = pages.shown();
        self.pages_read += 1;
        let Some(found) = found else {
            self.pages = None;
            return Ok(None);
        };
        let oldest = self.oldest(deadline.now());
        let recent: Vec<Value> = found
            .iter()
            .filter(|item| !is_older(item, oldest))
            .cloned()
            .collect();
        let reached_the_old = recent.len() < found.len();
        let left = self.part.limit.saturating_sub(self.taken);
        let items: Vec<Value> = recent
            .into_iter()
            .filter(|item| self.is_wanted(item))
            .take(left)
            .collect();
        self.taken += items.len();
        if reached_the_old || self.part.limit <= self.taken {
            self.pages = None;
            self.is_cut = true;
            // One page does not move while it is read.
            if self.pages_read == 1 {
                self.shown = Shown::WHOLE;
            }
        }
        if items.is_empty() {
            return Ok(Some(Batch::default()));
        }
        let repository = match &self.repository {
            Some(repository) => repository,
            None => {
                let raw = self.bitbucket.repository(&self.uuid, deadline).await?;
                let raw = completed(self.bitbucket, self.group, raw, deadline).await?;
                self.repository.insert(raw)
            }
        };
        let items = items
            .into_iter()
            .map(|item| json!({ self.part.kind.name(): item, "repo": repository }));
        Ok(Some(Batch {
            resources: self.group.resources.clone(),
            items: items.collect(),
            ..Batch::default()
        }))
    }

    /// What this reading has shown of the list.
    pub(super) fn shown(&self) -> Shown {
        self.shown
    }

    /// Whether it ended at a number or an age, and not where Bitbucket's own list does.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn oldest(&self, now: Timestamp) -> Option<Timestamp> {
        let days = i64::from(self.part.since_days?);
        now.checked_sub(jiff::SignedDuration::from_hours(
            days.saturating_mul(HOURS_PER_DAY),
        ))
        .ok()
    }

    fn is_wanted(&self, item: &Value) -> bool {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        self.part.names.is_empty() || self.part.names.iter().any(|glob| glob.is_match(name))
    }
}

fn is_older(item: &Value, oldest: Option<Timestamp>) -> bool {
    let created_on = item.get("created_on").and_then(Value::as_str);
    let created_on = created_on.and_then(|text| text.parse::<Timestamp>().ok());
    matches!((created_on, oldest), (Some(created_on), Some(oldest)) if created_on < oldest)
}

/// The name by which Bitbucket can be asked for the branch, pipeline, .. that `raw` carries.
pub(super) fn member(kind: Kind, raw: &Value) -> String {
    let field = match kind {
        Kind::Branch | Kind::Tag => "name",
        _ => "uuid",
    };
    let value = raw.get(kind.name()).and_then(|item| item.get(field));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether `member`, which the list did not show, is there, and whether the list should have shown it.
///
/// A list that `is_cut` at a number or an age leaves things out, and so does a query, which only Bitbucket can judge.
pub(super) async fn hidden(
    bitbucket: &BitbucketClient,
    (group, part): (&Group, &Part),
    repository: &Repository,
    (member, is_cut): (&str, bool),
    deadline: &Deadline,
) -> Result<Hidden, bitbucket::Error> {
    let uuid = repository.uuid.as_str();
    let found = match part.kind {
        Kind::Branch => bitbucket.branch(uuid, member, deadline).await?,
        Kind::Tag => bitbucket.tag(uuid, member, deadline).await?,
        Kind::Deployment => bitbucket.deployment(uuid, member, deadline).await?,
        Kind::Environment => bitbucket.environment(uuid, member, deadline).await?,
        _ => bitbucket.pipeline(uuid, member, deadline).await?,
    };
    let Some(found) = found else {
        return Ok(Hidden::Gone);
    };
    if is_cut || part.query.is_some() || part.target_branch.is_some() {
        return Ok(Hidden::LeftOut);
    }
    let raw = bitbucket.repository(uuid, deadline).await?;
    let raw = completed(bitbucket, group, raw, deadline).await?;
    Ok(Hidden::Overlooked(
        json!({ part.kind.name(): found, "repo": raw }),
    ))
}
