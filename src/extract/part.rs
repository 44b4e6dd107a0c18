//! Branches, tags, pipelines, deployments and environments: what a repository has many of, newest first and bounded.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Batch, Repository};
use crate::bitbucket::{self, BitbucketClient, Pages};
use crate::deadline::Deadline;
use crate::mapping::{Kind, Part};

/// One part of one repository, page by page. Items are `{<kind>: .., repo: ..}`.
pub(super) struct PartListing<'a> {
    bitbucket: &'a BitbucketClient,
    resources: &'a [usize],
    part: &'a Part,
    uuid: String,
    /// `None` when nothing more is wanted.
    pages: Option<Pages>,
    /// The repository as items carry it; asked for when there is an item.
    repository: Option<Value>,
    taken: usize,
}

const HOURS_PER_DAY: i64 = 24;

impl<'a> PartListing<'a> {
    pub(super) fn new(
        bitbucket: &'a BitbucketClient,
        resources: &'a [usize],
        part: &'a Part,
        repository: &Repository,
    ) -> PartListing<'a> {
        let uuid = repository.uuid.clone();
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
            resources,
            part,
            uuid,
            pages: Some(pages),
            repository: None,
            taken: 0,
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
        }
        if items.is_empty() {
            return Ok(Some(Batch::default()));
        }
        let repository = match &self.repository {
            Some(repository) => repository,
            None => {
                let repository = self.bitbucket.repository(&self.uuid, deadline).await?;
                self.repository.insert(repository)
            }
        };
        let items = items
            .into_iter()
            .map(|item| json!({ self.part.kind.name(): item, "repo": repository }));
        Ok(Some(Batch {
            resources: self.resources.to_vec(),
            items: items.collect(),
            ..Batch::default()
        }))
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
