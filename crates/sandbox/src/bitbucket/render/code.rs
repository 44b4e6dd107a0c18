//! Commits, branches, tags and files.

use serde_json::{Value, json};

use super::{escape_path, href, rendered, set};
use crate::bitbucket::object::Object;
use crate::bitbucket::state::{Commit, File, FileKind, Repository, State, Tag};

const MERGE_STRATEGIES: [&str; 6] = [
    "merge_commit",
    "squash",
    "fast_forward",
    "squash_fast_forward",
    "rebase_fast_forward",
    "rebase_merge",
];

impl State {
    pub(in crate::bitbucket) fn commit_ref(&self, repository: &Repository, hash: &str) -> Value {
        json!({
            "hash": hash,
            "links": {
                "self": href(format!("{}/commit/{hash}", self.repository_url(repository))),
                "html": href(format!("{}/commits/{hash}", self.repository_html(repository))),
            },
            "type": "commit",
        })
    }

    pub(in crate::bitbucket) fn commit_json(
        &self,
        repository: &Repository,
        commit: &Commit,
    ) -> Value {
        let hash = &commit.hash;
        let url = self.repository_url(repository);
        let (raw, user) = match self.find_user(&commit.author) {
            Some(user) => (
                format!("{} <{}>", user.display_name, user.email),
                Some(self.account(user)),
            ),
            None => ("build bot <build@localhost>".to_owned(), None),
        };
        let mut author = json!({"type": "author", "raw": raw});
        if let Some(user) = user {
            set(&mut author, "user", user);
        }
        let mut value = self.commit_ref(repository, hash);
        for name in ["diff", "patch"] {
            set(
                &mut value["links"],
                name,
                href(format!("{url}/{name}/{hash}")),
            );
        }
        for name in ["approve", "comments", "statuses"] {
            set(
                &mut value["links"],
                name,
                href(format!("{url}/commit/{hash}/{name}")),
            );
        }
        let parents = commit.parents.iter();
        for (name, member) in [
            ("date", json!(commit.date.seconds())),
            ("author", author),
            ("committer", json!({})),
            ("message", json!(commit.message)),
            ("summary", rendered(&commit.message)),
            (
                "parents",
                parents
                    .map(|parent| self.commit_ref(repository, parent))
                    .collect(),
            ),
            ("rendered", json!({})),
            ("properties", json!({})),
        ] {
            set(&mut value, name, member);
        }
        value
    }

    pub(in crate::bitbucket) fn branch_json(
        &self,
        repository: &Repository,
        name: &str,
        hash: &str,
    ) -> Value {
        let (url, html) = (
            self.repository_url(repository),
            self.repository_html(repository),
        );
        let value = json!({
            "name": name,
            "target": self.target(repository, hash),
            "links": {
                "self": href(format!("{url}/refs/branches/{name}")),
                "commits": href(format!("{url}/commits/{name}")),
                "html": href(format!("{html}/branch/{name}")),
                "pullrequest_create": href(format!("{html}/pull-requests/new?source={name}&t=1")),
            },
            "type": "branch",
            "merge_strategies": MERGE_STRATEGIES,
            "default_merge_strategy": "merge_commit",
        });
        self.shown(
            || Object::Branch(repository.uuid.clone(), name.to_owned()),
            value,
        )
    }

    /// As a push shows it.
    pub(in crate::bitbucket) fn branch_event_json(
        &self,
        repository: &Repository,
        name: &str,
        hash: &str,
    ) -> Value {
        let mut value = self.branch_json(repository, name, hash);
        set(
            &mut value,
            "sync_strategies",
            json!(["merge_commit", "rebase"]),
        );
        set(&mut value, "target", self.event_target(repository, hash));
        value
    }

    /// As a push shows it.
    pub(in crate::bitbucket) fn tag_event_json(
        &self,
        repository: &Repository,
        name: &str,
        tag: &Tag,
    ) -> Value {
        let mut value = self.tag_json(repository, name, tag);
        let target = self.event_target(repository, &tag.hash);
        set(&mut value, "target", target);
        value
    }

    pub(in crate::bitbucket) fn tag_json(
        &self,
        repository: &Repository,
        name: &str,
        tag: &Tag,
    ) -> Value {
        let (url, html) = (
            self.repository_url(repository),
            self.repository_html(repository),
        );
        let annotated = tag.message.is_some();
        let value = json!({
            "name": name,
            "type": "tag",
            "message": tag.message,
            "date": annotated.then(|| tag.date.seconds()),
            "tagger": annotated.then(|| json!({})),
            "target": self.target(repository, &tag.hash),
            "links": {
                "self": href(format!("{url}/refs/tags/{name}")),
                "commits": href(format!("{url}/commits/{name}")),
                "html": href(format!("{html}/commits/tag/{name}")),
            },
        });
        self.shown(
            || Object::Tag(repository.uuid.clone(), name.to_owned()),
            value,
        )
    }

    pub(in crate::bitbucket) fn target(&self, repository: &Repository, hash: &str) -> Value {
        let Some(commit) = repository.commits.get(hash) else {
            return self.commit_ref(repository, hash);
        };
        let mut value = self.commit_json(repository, commit);
        set(&mut value, "repository", self.repository_ref(repository));
        value
    }

    /// Fewer links than through the API, and no repository.
    fn event_target(&self, repository: &Repository, hash: &str) -> Value {
        let mut reference = self.commit_ref(repository, hash);
        let Some(commit) = repository.commits.get(hash) else {
            return reference;
        };
        let mut value = self.commit_json(repository, commit);
        set(&mut value, "links", reference["links"].take());
        value
    }

    /// A file or, without one, a directory.
    pub(in crate::bitbucket) fn entry_json(
        &self,
        repository: &Repository,
        hash: &str,
        path: &str,
        file: Option<&File>,
    ) -> Value {
        let url = self.repository_url(repository);
        let escaped = escape_path(path);
        let commit = self.commit_ref(repository, hash);
        let Some(file) = file else {
            let this = format!("{url}/src/{hash}/{escaped}/");
            let meta = format!("{this}?format=meta");
            return json!({
                "path": path,
                "commit": commit,
                "type": "commit_directory",
                "links": {"self": href(this), "meta": href(meta)},
            });
        };
        let attributes: &[&str] = match file.kind {
            FileKind::Plain => &[],
            FileKind::Executable => &["executable"],
            FileKind::Binary => &["binary"],
            FileKind::Link => &["link"],
            FileKind::Submodule => &["subrepository"],
            FileKind::Lfs => &["lfs"],
        };
        let this = format!("{url}/src/{hash}/{escaped}");
        json!({
            "path": path,
            "commit": commit,
            "type": "commit_file",
            "links": {
                "self": href(this.clone()),
                "meta": href(format!("{this}?format=meta")),
                "history": href(format!("{url}/filehistory/{hash}/{escaped}")),
            },
            "attributes": attributes,
            "escaped_path": escaped,
            "size": file.content.len(),
            "mimetype": null,
        })
    }
}
