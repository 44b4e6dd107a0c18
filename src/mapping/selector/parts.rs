//! Selectors of what a repository has many of: branches, tags, pipelines, deployments, environments.

use super::super::path_glob::PathGlob;
use super::super::read::{Object, Reader};
use super::{Kind, read_glob};

/// Branches, tags, pipelines, deployments or environments of a repository, the newest first where there is an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: Kind,
    /// In Bitbucket's query language; branches and tags only.
    pub query: Option<String>,
    /// Globs for the name; empty means every name. Not for pipelines and deployments, which have none.
    pub names: Vec<PathGlob>,
    /// Of pipelines: how old they may be, in days.
    pub since_days: Option<u32>,
    /// Of pipelines: the branch that they ran on.
    pub target_branch: Option<String>,
    /// Items of one repository at most.
    pub limit: usize,
}

/// Items of one repository, unless the selector's `limit` says otherwise: a resync must not explode by default.
const DEFAULT_LIMIT: usize = 200;
/// Days that pipelines are looked back, unless the selector's `sinceDays` says otherwise.
const DEFAULT_SINCE_DAYS: u32 = 30;

impl Part {
    pub(super) fn read(reader: &mut Reader, kind: Kind, selector: &Object<'_>) -> Part {
        let query = match kind {
            Kind::Branch => reader.given_text(selector, "branchQuery"),
            Kind::Tag => reader.given_text(selector, "tagQuery"),
            _ => None,
        };
        let names = if matches!(kind, Kind::Branch | Kind::Tag | Kind::Environment) {
            reader.texts(selector, "names")
        } else {
            Vec::new()
        };
        let node = selector.get("names");
        let globs = names
            .iter()
            .filter_map(|name| read_glob(reader, node.as_ref()?, name));
        let names = globs.collect();
        let is_pipeline = kind == Kind::Pipeline;
        let since_days = is_pipeline
            .then(|| reader.count(selector, "sinceDays"))
            .flatten();
        Part {
            kind,
            query,
            names,
            since_days: is_pipeline.then(|| since_days.unwrap_or(DEFAULT_SINCE_DAYS)),
            target_branch: is_pipeline
                .then(|| reader.given_text(selector, "targetBranch"))
                .flatten(),
            limit: reader
                .count(selector, "limit")
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(DEFAULT_LIMIT),
        }
    }
}
