//! The JSON that Bitbucket shows of each object, in full: what a list leaves out is taken away later.
//!
//! Knows the state, not the request that asks.

mod code;
mod pipelines;
mod pull_request;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::object::Object;
use super::state::{Hook, Project, Repository, Stamp, State, User};

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

impl Stamp {
    /// `2026-11-20T09:00:00.000123+00:00`, as most objects have it.
    pub(in crate::bitbucket) fn micros(self) -> String {
        // A fraction that is never the same twice in a row, as in life.
        let fraction = (self.0.wrapping_mul(7_919)).rem_euclid(1_000_000);
        format!("{}.{fraction:06}+00:00", self.civil())
    }

    /// `2026-11-20T09:00:00+00:00`, as commits have it.
    pub(in crate::bitbucket) fn seconds(self) -> String {
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
    pub(in crate::bitbucket) fn workspace_json(&self) -> Value {
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

    pub(in crate::bitbucket) fn workspace_ref(&self) -> Value {
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

    pub(in crate::bitbucket) fn user_json(&self, uuid: &str) -> Value {
        self.find_user(uuid)
            .map_or(Value::Null, |user| self.account(user))
    }

    /// A person, wherever one is shown.
    fn account(&self, user: &User) -> Value {
        let (base, id) = (&self.base, encode(&user.uuid));
        let name = if user.former {
            "Former user"
        } else {
            &user.display_name
        };
        let value = json!({
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
        });
        self.shown(|| Object::Member(user.uuid.clone()), value)
    }

    /// A membership, with the e-mail address that only `fields` shows.
    pub(in crate::bitbucket) fn member_json(&self, user: &User) -> Value {
        let mut account = self.account(user);
        set(&mut account, "email", json!(user.email));
        let id = encode(&user.uuid);
        json!({
            "type": "workspace_membership",
            "user": account,
            "workspace": self.workspace_ref(),
            "links": {"self": href(format!("{}/workspaces/{}/members/{id}", self.base, self.slug))},
        })
    }

    pub(in crate::bitbucket) fn project_json(&self, project: &Project) -> Value {
        let mut value = self.project_event_json(project);
        let repositories = format!(
            "{}/repositories/{}?q=project.key=\"{}\"",
            self.base, self.slug, project.key
        );
        set(&mut value["links"], "repositories", href(repositories));
        for (name, member) in [
            ("created_on", json!(project.created_on.micros())),
            ("updated_on", json!(project.updated_on.micros())),
            ("has_publicly_visible_repos", json!(false)),
        ] {
            set(&mut value, name, member);
        }
        self.shown(|| Object::Project(project.uuid.clone()), value)
    }

    /// As a webhook body shows it: the documentation does not say, so no more than the sure part.
    pub(in crate::bitbucket) fn project_event_json(&self, project: &Project) -> Value {
        let mut value = self.project_ref(project);
        for (name, member) in [
            ("description", json!(project.description)),
            ("is_private", json!(project.is_private)),
            ("owner", self.owner()),
            ("workspace", self.workspace_ref()),
        ] {
            set(&mut value, name, member);
        }
        self.shown(|| Object::Project(project.uuid.clone()), value)
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
    pub(in crate::bitbucket) fn repository_json(&self, repository: &Repository) -> Value {
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
        self.shown(|| Object::Repository(repository.uuid.clone()), value)
    }

    /// As a webhook body shows it: no slug, main branch, language, description or dates.
    pub(in crate::bitbucket) fn repository_event_json(&self, repository: &Repository) -> Value {
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
        self.shown(|| Object::Repository(repository.uuid.clone()), value)
    }

    /// As other objects refer to it.
    pub(in crate::bitbucket) fn repository_ref(&self, repository: &Repository) -> Value {
        json!({
            "type": "repository",
            "full_name": self.full_name(repository),
            "links": self.repository_links(&repository.slug, &repository.uuid),
            "name": repository.name,
            "uuid": repository.uuid,
        })
    }

    pub(in crate::bitbucket) fn repository_links(&self, slug: &str, uuid: &str) -> Value {
        let full_name = format!("{}/{slug}", self.slug);
        json!({
            "self": href(format!("{}/repositories/{full_name}", self.base)),
            "html": href(format!("https://bitbucket.org/{full_name}")),
            "avatar": href(format!("https://bytebucket.org/ravatar/{}?ts=default", encode(uuid))),
        })
    }

    pub(in crate::bitbucket) fn full_name(&self, repository: &Repository) -> String {
        format!("{}/{}", self.slug, repository.slug)
    }

    pub(in crate::bitbucket) fn repository_url(&self, repository: &Repository) -> String {
        format!("{}/repositories/{}", self.base, self.full_name(repository))
    }

    fn repository_html(&self, repository: &Repository) -> String {
        format!("https://bitbucket.org/{}", self.full_name(repository))
    }

    pub(in crate::bitbucket) fn hook_json(&self, hook: &Hook) -> Value {
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
}

pub(in crate::bitbucket) fn workspace_ref(base: &str, uuid: &str, name: &str, slug: &str) -> Value {
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

/// Marked-up text and what it renders to.
pub(in crate::bitbucket) fn rendered(text: &str) -> Value {
    let html = match text.trim_end() {
        "" => String::new(),
        text => format!("<p>{text}</p>"),
    };
    json!({"type": "rendered", "raw": text, "markup": "markdown", "html": html})
}

pub(in crate::bitbucket) fn href(url: String) -> Value {
    json!({"href": url})
}

/// Adds a member to an object.
pub(in crate::bitbucket) fn set(value: &mut Value, name: &str, member: Value) {
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

pub(in crate::bitbucket) fn escape_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}
