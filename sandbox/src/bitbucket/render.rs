//! The JSON that Bitbucket shows of each object, in full: what a list leaves out is taken away later.
//!
//! Knows the state, not the request that asks.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::state::{
    Commit, Deployment, Environment, File, FileKind, Hook, Participant, Pipeline, Project,
    PullRequest, Repository, Side, Stamp, State, Tag, User, Verdict,
};

/// What a path segment must not contain; `/` stays, for whole paths.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'`')
    .add(b'{')
    .add(b'}');

const MERGE_STRATEGIES: [&str; 3] = ["merge_commit", "squash", "fast_forward"];

impl Stamp {
    /// `2026-11-20T09:00:00.000123+00:00`, as most objects have it.
    pub(super) fn micros(self) -> String {
        // A fraction that is never the same twice in a row, as in life.
        let fraction = (self.0.wrapping_mul(7_919)).rem_euclid(1_000_000);
        format!("{}.{fraction:06}+00:00", self.civil())
    }

    /// `2026-11-20T09:00:00+00:00`, as commits have it.
    pub(super) fn seconds(self) -> String {
        format!("{}+00:00", self.civil())
    }

    /// `2026-11-20T09:00:00.000Z`, as pipelines have it.
    fn zulu(self) -> String {
        format!("{}.000Z", self.civil())
    }

    fn civil(self) -> impl std::fmt::Display {
        jiff::Timestamp::from_second(self.0)
            .unwrap_or_default()
            .strftime("%Y-%m-%dT%H:%M:%S")
    }
}

impl State {
    pub(super) fn workspace_json(&self) -> Value {
        let (base, slug) = (&self.base, &self.slug);
        let mut value = self.workspace_ref();
        set(&mut value, "is_private", json!(true));
        set(&mut value, "is_privacy_enforced", json!(false));
        set(&mut value, "forking_mode", json!("internal_only"));
        set(
            &mut value,
            "created_on",
            json!("2021-05-04T10:00:00.000001+00:00"),
        );
        set(
            &mut value,
            "updated_on",
            json!("2026-09-01T10:00:00.000001+00:00"),
        );
        for (name, url) in [
            ("members", format!("{base}/workspaces/{slug}/members")),
            (
                "owners",
                format!("{base}/workspaces/{slug}/permissions?q=permission%3D%22owner%22"),
            ),
            ("projects", format!("{base}/workspaces/{slug}/projects")),
            ("repositories", format!("{base}/repositories/{slug}")),
            ("snippets", format!("{base}/snippets/{slug}")),
            ("hooks", format!("{base}/workspaces/{slug}/hooks")),
        ] {
            set(&mut value["links"], name, href(url));
        }
        value
    }

    pub(super) fn workspace_ref(&self) -> Value {
        workspace_ref(&self.base, &self.uuid, &self.name, &self.slug)
    }

    fn owner(&self) -> Value {
        let id = encode(&self.uuid);
        json!({
            "display_name": self.name,
            "links": {
                "self": href(format!("{}/workspaces/{id}", self.base)),
                "avatar": href(format!("https://bitbucket.org/account/{}/avatar/", self.slug)),
                "html": href(format!("https://bitbucket.org/{id}/")),
            },
            "type": "team",
            "uuid": self.uuid,
            "username": self.slug,
        })
    }

    pub(super) fn user_json(&self, uuid: &str) -> Value {
        self.find_user(uuid)
            .map_or(Value::Null, |user| account(&self.base, user))
    }

    /// A membership, with the e-mail address that only `fields` shows.
    pub(super) fn member_json(&self, user: &User) -> Value {
        let mut account = account(&self.base, user);
        set(&mut account, "email", json!(user.email));
        let id = encode(&user.uuid);
        json!({
            "type": "workspace_membership",
            "user": account,
            "workspace": self.workspace_ref(),
            "links": {"self": href(format!("{}/workspaces/{}/members/{id}", self.base, self.slug))},
        })
    }

    pub(super) fn project_json(&self, project: &Project) -> Value {
        let mut value = self.project_ref(project);
        let repositories = format!(
            "{}/repositories/{}?q=project.key=\"{}\"",
            self.base, self.slug, project.key
        );
        set(&mut value["links"], "repositories", href(repositories));
        set(&mut value, "description", json!(project.description));
        set(&mut value, "is_private", json!(project.is_private));
        set(&mut value, "owner", self.owner());
        set(&mut value, "workspace", self.workspace_ref());
        set(&mut value, "created_on", json!(project.created_on.micros()));
        set(&mut value, "updated_on", json!(project.updated_on.micros()));
        set(&mut value, "has_publicly_visible_repos", json!(false));
        value
    }

    fn project_ref(&self, project: &Project) -> Value {
        let (key, slug) = (&project.key, &self.slug);
        let html = format!("https://bitbucket.org/{slug}/workspace/projects/{key}");
        json!({
            "type": "project",
            "key": key,
            "uuid": project.uuid,
            "name": project.name,
            "links": {
                "self": href(format!("{}/workspaces/{slug}/projects/{key}", self.base)),
                "html": href(html.clone()),
                "avatar": href(format!("{html}/avatar/32?ts={}", project.updated_on.0)),
            },
        })
    }

    /// As the API shows it.
    pub(super) fn repository_json(&self, repository: &Repository) -> Value {
        let url = self.repository_url(repository);
        let full_name = self.full_name(repository);
        let mut value = self.repository_event_json(repository);
        for (name, path) in [
            ("pullrequests", "pullrequests"),
            ("commits", "commits"),
            ("forks", "forks"),
            ("watchers", "watchers"),
            ("branches", "refs/branches"),
            ("tags", "refs/tags"),
            ("downloads", "downloads"),
            ("source", "src"),
            ("hooks", "hooks"),
        ] {
            set(&mut value["links"], name, href(format!("{url}/{path}")));
        }
        set(
            &mut value["links"],
            "clone",
            json!([
                {"name": "https", "href": format!("https://bitbucket.org/{full_name}.git")},
                {"name": "ssh", "href": format!("git@bitbucket.org:{full_name}.git")},
            ]),
        );
        let main_branch = repository
            .main_branch
            .as_ref()
            .map(|name| json!({"name": name, "type": "branch"}));
        let size: usize = repository
            .head()
            .and_then(|hash| repository.commits.get(&hash))
            .map_or(0, |commit| {
                commit.tree.values().map(|file| file.content.len()).sum()
            });
        for (name, member) in [
            ("slug", json!(repository.slug)),
            ("description", json!(repository.description)),
            ("website", json!(repository.website)),
            ("fork_policy", json!("no_public_forks")),
            ("created_on", json!(repository.created_on.micros())),
            ("updated_on", json!(repository.updated_on.micros())),
            ("size", json!(size)),
            ("language", json!(repository.language)),
            ("mainbranch", json!(main_branch)),
            (
                "override_settings",
                json!({"default_merge_strategy": false, "branching_model": false}),
            ),
            ("enforced_signed_commits", Value::Null),
            ("has_issues", json!(false)),
            ("has_wiki", json!(false)),
        ] {
            set(&mut value, name, member);
        }
        value
    }

    /// As a webhook body shows it: no slug, main branch, language, description or dates.
    pub(super) fn repository_event_json(&self, repository: &Repository) -> Value {
        let mut value = self.repository_ref(repository);
        let project = self.find_project(&repository.project);
        let parent = repository
            .parent
            .as_ref()
            .and_then(|uuid| self.find_repository(uuid));
        let website = Some(&repository.website).filter(|website| !website.is_empty());
        for (name, member) in [
            ("scm", json!("git")),
            ("website", json!(website)),
            ("owner", self.owner()),
            ("workspace", self.workspace_ref()),
            ("is_private", json!(repository.is_private)),
            ("project", json!(project.map(|p| self.project_ref(p)))),
            ("parent", json!(parent.map(|p| self.repository_ref(p)))),
        ] {
            set(&mut value, name, member);
        }
        value
    }

    /// As other objects refer to it.
    pub(super) fn repository_ref(&self, repository: &Repository) -> Value {
        json!({
            "type": "repository",
            "full_name": self.full_name(repository),
            "links": self.repository_links(&repository.slug, &repository.uuid),
            "name": repository.name,
            "uuid": repository.uuid,
        })
    }

    pub(super) fn repository_links(&self, slug: &str, uuid: &str) -> Value {
        let full_name = format!("{}/{slug}", self.slug);
        json!({
            "self": href(format!("{}/repositories/{full_name}", self.base)),
            "html": href(format!("https://bitbucket.org/{full_name}")),
            "avatar": href(format!("https://bytebucket.org/ravatar/{}?ts=default", encode(uuid))),
        })
    }

    pub(super) fn full_name(&self, repository: &Repository) -> String {
        format!("{}/{}", self.slug, repository.slug)
    }

    pub(super) fn repository_url(&self, repository: &Repository) -> String {
        format!("{}/repositories/{}", self.base, self.full_name(repository))
    }

    fn repository_html(&self, repository: &Repository) -> String {
        format!("https://bitbucket.org/{}", self.full_name(repository))
    }

    pub(super) fn pull_request_json(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
    ) -> Value {
        let id = pull_request.id;
        let url = format!("{}/pullrequests/{id}", self.repository_url(repository));
        let spec = format!(
            "{}:{}%0D{}?from_pullrequest_id={id}&topic=true",
            self.full_name(repository),
            short(&pull_request.source.hash),
            short(&pull_request.destination.hash),
        );
        let mut links = json!({
            "self": href(url.clone()),
            "html": href(format!("{}/pull-requests/{id}", self.repository_html(repository))),
        });
        for name in ["commits", "approve", "request-changes"] {
            set(&mut links, name, href(format!("{url}/{name}")));
        }
        for name in ["diff", "diffstat"] {
            let target = format!("{}/{name}/{spec}", self.repository_url(repository));
            set(&mut links, name, href(target));
        }
        for name in ["comments", "activity", "merge", "decline", "statuses"] {
            set(&mut links, name, href(format!("{url}/{name}")));
        }
        let account = |uuid: &Option<String>| {
            uuid.as_ref()
                .map_or(Value::Null, |uuid| self.user_json(uuid))
        };
        let merge_commit = pull_request.merge_commit.as_ref().map(|hash| {
            let mut value = self.commit_ref(repository, short(hash));
            set(&mut value, "type", json!("commit"));
            value
        });
        json!({
            "comment_count": pull_request.comments,
            "task_count": 0,
            "type": "pullrequest",
            "id": id,
            "title": pull_request.title,
            "description": pull_request.description,
            "rendered": {
                "title": rendered(&pull_request.title),
                "description": rendered(&pull_request.description),
            },
            "state": pull_request.state.as_str(),
            "draft": pull_request.draft,
            "merge_commit": merge_commit,
            "close_source_branch": pull_request.close_source_branch,
            "closed_by": account(&pull_request.closed_by),
            "closed_on": pull_request.closed_on.map(Stamp::micros),
            "author": account(&pull_request.author),
            "reason": pull_request.reason,
            "created_on": pull_request.created_on.micros(),
            "updated_on": pull_request.updated_on.micros(),
            "destination": self.side(&pull_request.destination, false),
            "source": self.side(&pull_request.source, true),
            "reviewers": pull_request.reviewers.iter().map(|user| self.user_json(user)).collect::<Vec<_>>(),
            "participants": pull_request.participants.iter().map(|p| self.participant(p)).collect::<Vec<_>>(),
            "links": links,
            "summary": rendered(&pull_request.description),
            "queued": false,
        })
    }

    fn side(&self, side: &Side, source: bool) -> Value {
        let branch = if source {
            json!({"name": side.branch, "links": {}, "sync_strategies": ["merge_commit", "rebase"]})
        } else {
            json!({"name": side.branch})
        };
        match self.find_repository(&side.repository) {
            Some(repository) => json!({
                "branch": branch,
                "commit": self.commit_ref(repository, short(&side.hash)),
                "repository": self.repository_ref(repository),
            }),
            // The fork was deleted, and its commits with it.
            None => json!({"branch": branch, "commit": null, "repository": null}),
        }
    }

    fn participant(&self, participant: &Participant) -> Value {
        let state = participant.verdict.map(|verdict| match verdict {
            Verdict::Approved => "approved",
            Verdict::ChangesRequested => "changes_requested",
        });
        json!({
            "type": "participant",
            "user": self.user_json(&participant.user),
            "role": if participant.reviewer { "REVIEWER" } else { "PARTICIPANT" },
            "approved": participant.verdict == Some(Verdict::Approved),
            "state": state,
            "participated_on": participant.participated_on.map(Stamp::micros),
        })
    }

    pub(super) fn commit_ref(&self, repository: &Repository, hash: &str) -> Value {
        json!({
            "hash": hash,
            "links": {
                "self": href(format!("{}/commit/{hash}", self.repository_url(repository))),
                "html": href(format!("{}/commits/{hash}", self.repository_html(repository))),
            },
            "type": "commit",
        })
    }

    pub(super) fn commit_json(&self, repository: &Repository, commit: &Commit) -> Value {
        let hash = &commit.hash;
        let url = self.repository_url(repository);
        let (raw, user) = match self.find_user(&commit.author) {
            Some(user) => (
                format!("{} <{}>", user.display_name, user.email),
                Some(account(&self.base, user)),
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

    pub(super) fn branch_json(&self, repository: &Repository, name: &str, hash: &str) -> Value {
        let (url, html) = (
            self.repository_url(repository),
            self.repository_html(repository),
        );
        json!({
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
            "sync_strategies": ["merge_commit", "rebase"],
            "default_merge_strategy": "merge_commit",
        })
    }

    pub(super) fn tag_json(&self, repository: &Repository, name: &str, tag: &Tag) -> Value {
        let (url, html) = (
            self.repository_url(repository),
            self.repository_html(repository),
        );
        let annotated = tag.message.is_some();
        json!({
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
        })
    }

    fn target(&self, repository: &Repository, hash: &str) -> Value {
        match repository.commits.get(hash) {
            Some(commit) => self.commit_json(repository, commit),
            None => self.commit_ref(repository, hash),
        }
    }

    /// A file or, without one, a directory.
    pub(super) fn entry_json(
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

    /// One side of a diffstat row.
    pub(super) fn diff_side(&self, repository: &Repository, hash: &str, path: &str) -> Value {
        let escaped = escape_path(path);
        let this = format!("{}/src/{hash}/{escaped}", self.repository_url(repository));
        json!({
            "path": path,
            "type": "commit_file",
            "escaped_path": escaped,
            "links": {"self": href(this)},
        })
    }

    pub(super) fn hook_json(&self, hook: &Hook) -> Value {
        let repository = hook
            .repository
            .as_ref()
            .and_then(|uuid| self.find_repository(uuid));
        let (subject, kind, parent) = match repository {
            Some(repository) => (
                self.repository_ref(repository),
                "repository",
                self.repository_url(repository),
            ),
            None => (
                self.workspace_ref(),
                "workspace",
                format!("{}/workspaces/{}", self.base, self.slug),
            ),
        };
        json!({
            "type": "webhook_subscription",
            "uuid": hook.uuid,
            "description": hook.description,
            "url": hook.url,
            "active": hook.active,
            "skip_cert_verification": false,
            "events": hook.events,
            // Nine digits of fraction, as seen on the live service.
            "created_at": format!("{}.469063524Z", hook.created_on.civil()),
            "subject": subject,
            "subject_type": kind,
            "links": {"self": href(format!("{parent}/hooks/{}", encode(&hook.uuid)))},
            "source": null,
            "read_only": false,
            "history_enabled": false,
            "secret_set": hook.secret.is_some(),
        })
    }

    pub(super) fn pipeline_json(&self, repository: &Repository, pipeline: &Pipeline) -> Value {
        let state = match &pipeline.result {
            Some(result) => json!({
                "name": "COMPLETED",
                "type": "pipeline_state_completed",
                "result": {
                    "name": result,
                    "type": format!("pipeline_state_completed_{}", result.to_lowercase()),
                },
            }),
            None => json!({
                "name": "IN_PROGRESS",
                "type": "pipeline_state_in_progress",
                "stage": {"name": "RUNNING", "type": "pipeline_state_in_progress_running"},
            }),
        };
        let done = pipeline.result.is_some();
        let this = format!(
            "{}/pipelines/{}",
            self.repository_url(repository),
            encode(&pipeline.uuid)
        );
        json!({
            "type": "pipeline",
            "uuid": pipeline.uuid,
            "build_number": pipeline.build_number,
            "repository": self.repository_ref(repository),
            "creator": self.user_json(&pipeline.creator),
            "target": {
                "type": "pipeline_ref_target",
                "ref_type": "branch",
                "ref_name": pipeline.branch,
                "selector": {"type": "default"},
                "commit": self.commit_ref(repository, &pipeline.hash),
            },
            "trigger": {"name": "PUSH", "type": "pipeline_trigger_push"},
            "state": state,
            "created_on": pipeline.created_on.zulu(),
            "completed_on": done.then(|| Stamp(pipeline.created_on.0 + 340).zulu()),
            "build_seconds_used": if done { 320 } else { 0 },
            "duration_in_seconds": done.then_some(340),
            "run_number": 1,
            "links": {"self": href(this)},
        })
    }

    pub(super) fn environment_json(&self, environment: &Environment) -> Value {
        json!({
            "type": "deployment_environment",
            "uuid": environment.uuid,
            "name": environment.name,
            "environment_type": {"type": "deployment_environment_type", "name": environment.tier},
            "lock": {"type": "deployment_environment_lock_open", "name": "OPEN"},
        })
    }

    pub(super) fn deployment_json(
        &self,
        repository: &Repository,
        deployment: &Deployment,
    ) -> Value {
        let environment = repository
            .environments
            .iter()
            .find(|environment| environment.uuid == deployment.environment);
        let status = if deployment.succeeded {
            "SUCCESSFUL"
        } else {
            "FAILED"
        };
        json!({
            "type": "deployment",
            "uuid": deployment.uuid,
            "state": {
                "type": "deployment_state_completed",
                "name": "COMPLETED",
                "status": {"name": status},
                "url": null,
                "deployer": self.user_json(&deployment.deployer),
                "start_date": deployment.date.zulu(),
                "completion_date": Stamp(deployment.date.0 + 60).zulu(),
            },
            "environment": {
                "type": "deployment_environment",
                "uuid": deployment.environment,
                "name": environment.map(|environment| &environment.name),
            },
            "release": {
                "type": "deployment_release",
                "name": deployment.release,
                "url": null,
                "commit": self.commit_ref(repository, &deployment.hash),
                "created_on": deployment.date.zulu(),
            },
        })
    }
}

pub(super) fn workspace_ref(base: &str, uuid: &str, name: &str, slug: &str) -> Value {
    json!({
        "type": "workspace",
        "uuid": uuid,
        "name": name,
        "slug": slug,
        "links": {
            "avatar": href(format!("https://bitbucket.org/workspaces/{slug}/avatar/?ts=1718000000")),
            "html": href(format!("https://bitbucket.org/{slug}/")),
            "self": href(format!("{base}/workspaces/{slug}")),
        },
    })
}

fn account(base: &str, user: &User) -> Value {
    let id = encode(&user.uuid);
    let name = if user.former {
        "Former user"
    } else {
        &user.display_name
    };
    json!({
        "display_name": name,
        "links": {
            "self": href(format!("{base}/users/{id}")),
            "avatar": href(format!("https://secure.gravatar.com/avatar/{}?d=initials", hex::encode(&user.display_name))),
            "html": href(format!("https://bitbucket.org/{id}/")),
        },
        "type": "user",
        "uuid": user.uuid,
        "account_id": user.account_id,
        "nickname": name,
    })
}

/// Marked-up text and what it renders to.
pub(super) fn rendered(text: &str) -> Value {
    let html = match text.trim_end() {
        "" => String::new(),
        text => format!("<p>{text}</p>"),
    };
    json!({"type": "rendered", "raw": text, "markup": "markdown", "html": html})
}

pub(super) fn href(url: String) -> Value {
    json!({"href": url})
}

/// Adds a member to an object.
pub(super) fn set(value: &mut Value, name: &str, member: Value) {
    if let Some(object) = value.as_object_mut() {
        object.insert(name.to_owned(), member);
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn encode(uuid: &str) -> String {
    escape_path(uuid)
}

pub(super) fn escape_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}
