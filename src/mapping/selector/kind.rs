//! The kinds of raw items, by the names that they have in Port.

use std::fmt;

/// A kind of raw item, by the name that it has in Port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Project,
    Repository,
    PullRequest,
    Folder,
    File,
    Workspace,
    User,
    Branch,
    Tag,
    Pipeline,
    Deployment,
    Environment,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Project,
        Kind::Repository,
        Kind::PullRequest,
        Kind::Folder,
        Kind::File,
        Kind::Workspace,
        Kind::User,
        Kind::Branch,
        Kind::Tag,
        Kind::Pipeline,
        Kind::Deployment,
        Kind::Environment,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Project => "project",
            Kind::Repository => "repository",
            Kind::PullRequest => "pull-request",
            Kind::Folder => "folder",
            Kind::File => "file",
            Kind::Workspace => "workspace",
            Kind::User => "user",
            Kind::Branch => "branch",
            Kind::Tag => "tag",
            Kind::Pipeline => "pipeline",
            Kind::Deployment => "deployment",
            Kind::Environment => "environment",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
