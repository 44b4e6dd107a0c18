//! Workspaces to start from.

use super::change::NewPullRequest;
use super::state::{File, FileKind, PullRequestState, Stamp, State, Verdict};
use crate::random::Random;

/// Paths that git takes, with what ends or begins something in addresses, headers, queries and patterns.
pub const AWKWARD_PATHS: &[&str] = &[
    "two\nlines.yml",
    "a\ttab.yml",
    "\"quoted\" 'twice'.yml",
    "back\\slash\\n.yml",
    "50% of #1?.yml",
    "%2e%2e/%00.yml",
    "a+b&c=d;e.yml",
    "Übersicht/日本語 😀.yml",
    "[set]{a,b}*?/!x.yml",
    "...dots/..a.yml",
    " blank at both ends /  .yml",
    "<tag>|`pipe`^.yml",
    "src:https:/host/@me.yml",
];

/// The contents of a workspace before it is served.
#[derive(Clone)]
pub struct Workspace {
    state: State,
}

impl Workspace {
    /// One user, nothing else.
    pub fn empty(slug: &str) -> Workspace {
        let mut state = State::new(slug);
        state.add_user("Dana Okafor");
        Workspace { state }
    }

    /// Adds a project.
    pub fn with_project(mut self, key: &str, name: &str) -> anyhow::Result<Workspace> {
        self.state.add_project(key, name)?;
        Ok(self)
    }

    /// Adds a repository with these files on `main`; without files it is empty.
    pub fn with_repository(
        mut self,
        project: &str,
        name: &str,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Workspace> {
        add_repository(&mut self.state, project, name, "main", files)?;
        Ok(self)
    }

    /// As many as asked for, the same for the same `seed`: repositories are spread over the projects, and of each
    /// repository's pull requests about a third is open.
    pub fn generate(
        projects: usize,
        repositories: usize,
        pull_requests_per_repository: usize,
        seed: u64,
    ) -> anyhow::Result<Workspace> {
        anyhow::ensure!(0 < projects, "a repository needs a project");
        let mut state = State::new(&format!("generated-{seed}"));
        let mut random = Random(seed);
        let users: Vec<String> = (1..=12)
            .map(|number| state.add_user(&format!("Person {number}")))
            .collect();
        let mut keys = Vec::new();
        for number in 1..=projects {
            let key = format!("P{number}");
            keys.push(state.add_project(&key, &format!("Project {number}"))?);
        }
        for number in 1..=repositories {
            let project = random.one_of(&keys).cloned().unwrap_or_default();
            let name = format!("Service {number}");
            let readme = format!("# {name}\n\nA generated service.\n");
            let files = [
                ("README.md", readme.as_str()),
                ("src/main.rs", "fn main() {}\n"),
            ];
            let uuid = add_repository(&mut state, &project, &name, "main", &files)?;
            for pull_request in 1..=pull_requests_per_repository {
                let mut user = || random.one_of(&users).cloned();
                let (author, reviewer) = (user().unwrap_or_default(), user().unwrap_or_default());
                let new = NewPullRequest {
                    description: format!("Changes part {pull_request} of {name}."),
                    // One branch for all, so that thousands of pull requests need no commits of their own.
                    source: Some("feature/generated".to_owned()),
                    ..NewPullRequest::new(format!("Change {pull_request}"), author)
                        .reviewed_by(reviewer.as_str())
                };
                let (id, _) = state.add_pull_request(&uuid, &new)?;
                let outcome = match random.below(6) {
                    0 | 1 => continue,
                    2 => PullRequestState::Declined,
                    3 => PullRequestState::Superseded,
                    _ => PullRequestState::Merged,
                };
                let later = Stamp(state.now().0 + 3_600);
                let found = state.pull_request_mut(&uuid, id)?;
                super::change::close_as(found, outcome, Some(&reviewer), later);
            }
        }
        Ok(Workspace { state })
    }

    /// `acme-platform`: three projects and nine repositories with most of what is awkward in real workspaces.
    pub fn demo() -> anyhow::Result<Workspace> {
        let mut state = State::new("acme-platform");
        let dana = state.add_user("Dana Okafor");
        let luis = state.add_user("Luis Ferro");
        let mina = state.add_user("Mina Sato");
        let gone = state.add_user("Jo Leaver");
        state.add_project("PAY", "Payments")?;
        state.add_project("PLAT", "Plattform für Entwickler")?;
        state.add_project("LEGACY", "Legacy")?;
        state.project_mut("PAY")?.description = Some("Money in and out".to_owned());

        let payments = payments_api(&mut state)?;
        let checkout = add_repository(
            &mut state,
            "PAY",
            "Checkout Service",
            "main",
            &[
                ("README.md", "# Checkout\n\nCarts become orders.\n"),
                ("package.json", PACKAGE_JSON),
                ("src/cart/index.js", "export const cart = [];\n"),
                ("src/index.js", "import './cart/index.js';\n"),
            ],
        )?;
        add_repository(
            &mut state,
            "PLAT",
            "Zürich Ünïcode",
            "trunk",
            &[
                ("LIESMICH.md", "# Grüße aus Zürich\n"),
                ("docs/Übersicht & Pläne #1.md", "Alles gut.\n"),
                ("docs/100%.txt", "?\n"),
            ],
        )?;
        add_repository(
            &mut state,
            "PLAT",
            "a.b_c",
            "release/2026",
            &[("README.md", "A main branch with a slash.\n")],
        )?;
        add_repository(&mut state, "PLAT", "Empty Repo", "main", &[])?;
        let tools = add_repository(
            &mut state,
            "PLAT",
            "monorepo",
            "main",
            &[
                ("CODEOWNERS", "* @acme/platform\n"),
                ("services/alpha/port.yml", "identifier: alpha\n"),
                ("services/alpha/package.json", "{\"name\": \"alpha\"}\n"),
                ("services/beta/package.json", "{\"name\": \"beta\"}\n"),
                ("services/beta/deep/er/notes.md", "Deep.\n"),
                ("libraries/core/README.md", "# Core\n"),
            ],
        )?;
        let old = add_repository(
            &mut state,
            "LEGACY",
            "Old Billing (archived)",
            "master",
            &[("readme.txt", "Do not touch.\n")],
        )?;
        add_repository(
            &mut state,
            "LEGACY",
            "perl-scripts",
            "master",
            &[("bin/run.pl", "print 1;\n")],
        )?;
        let fork = state.fork(&payments, "LEGACY", "Payments API (Luis)")?;
        state.repository_mut(&old)?.updated_on = Stamp(1_500_000_000);
        state.repository_mut(&old)?.created_on = Stamp(1_400_000_000);
        special_files(&mut state, &tools, &dana)?;

        let people = People { dana, luis, mina };
        payments_pull_requests(&mut state, &payments, &fork, &people)?;
        checkout_pull_requests(&mut state, &checkout, &gone, &people)?;
        for user in state.users.iter_mut().filter(|user| user.uuid == gone) {
            user.former = true;
        }
        state.add_tag(&payments, "v1.0.0", None)?;
        state.add_tag(&payments, "v1.1.0", Some("Second release\n"))?;
        state.add_pipeline(&payments, "main", Some("SUCCESSFUL"))?;
        state.add_pipeline(&payments, "main", Some("FAILED"))?;
        state.add_pipeline(&payments, "main", None)?;
        state.add_deployment(&payments, "Staging", true)?;
        state.add_deployment(&payments, "Production", false)?;
        Ok(Workspace { state })
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }
}

struct People {
    dana: String,
    luis: String,
    mina: String,
}

const PACKAGE_JSON: &str = r#"{
  "name": "checkout-service",
  "version": "2.4.0",
  "dependencies": {"left-pad": "^1.3.0"}
}
"#;

const PORT_YML: &str = "identifier: payments-api\ntitle: Payments API\nblueprint: service\nproperties:\n  tier: 1\n  language: Rust\n";

fn payments_api(state: &mut State) -> anyhow::Result<String> {
    let uuid = add_repository(
        state,
        "PAY",
        "Payments API",
        "main",
        &[
            ("README.md", "# Payments API\n\nTakes and returns money.\n"),
            ("CODEOWNERS", "* @acme/payments\n/docs @acme/writers\n"),
            ("port.yml", PORT_YML),
            ("docs/adr/0001-use-rust.md", "# Use Rust\n"),
            ("docs/index.md", "# Documentation\n"),
            ("src/ledger/export.rs", "pub fn export() {}\n"),
            ("src/main.rs", "fn main() {}\n"),
        ],
    )?;
    let repository = state.repository_mut(&uuid)?;
    repository.description = "Takes and returns money".to_owned();
    repository.language = "rust".to_owned();
    repository.website = "https://payments.acme.example/".to_owned();
    repository.pipelines = Some(Vec::new());
    Ok(uuid)
}

/// Files that are not plain text.
fn special_files(state: &mut State, repository: &str, author: &str) -> anyhow::Result<()> {
    let special = |content: &[u8], kind| {
        Some(File {
            content: content.into(),
            kind,
        })
    };
    let files = [
        (
            "assets/logo.png".to_owned(),
            special(b"\x89PNG\r\n\x1a\n\0", FileKind::Binary),
        ),
        (
            "assets/video.bin".to_owned(),
            special(b"large\0file", FileKind::Lfs),
        ),
        (
            "run.sh".to_owned(),
            special(b"#!/bin/sh\n", FileKind::Executable),
        ),
        (
            "services/gamma".to_owned(),
            special(b"beta", FileKind::Link),
        ),
        (
            "vendor/upstream".to_owned(),
            special(b"", FileKind::Submodule),
        ),
    ];
    state.commit_files(repository, "main", author, "Add what is not text\n", &files)?;
    Ok(())
}

fn payments_pull_requests(
    state: &mut State,
    payments: &str,
    fork: &str,
    people: &People,
) -> anyhow::Result<()> {
    let People { dana, luis, mina } = people;
    let export = NewPullRequest {
        description: "Writes rows to the ledger topic.".to_owned(),
        ..NewPullRequest::new("Export ledger rows", luis.as_str())
            .reviewed_by(dana.as_str())
            .reviewed_by(mina.as_str())
    };
    let (open, _) = state.add_pull_request(payments, &export)?;
    let now = state.tick();
    let found = state.pull_request_mut(payments, open)?;
    let approval = super::change::participant(found, dana);
    approval.verdict = Some(Verdict::Approved);
    approval.participated_on = Some(now);
    let wish = super::change::participant(found, mina);
    wish.verdict = Some(Verdict::ChangesRequested);
    wish.participated_on = Some(now);
    found.comments = 2;

    let draft = NewPullRequest {
        draft: true,
        ..NewPullRequest::new("Try \"quotes\" & <tags> – ünïcode", mina.as_str())
    };
    state.add_pull_request(payments, &draft)?;
    for (title, outcome) in [
        ("Add retry policy", PullRequestState::Merged),
        ("Rewrite in Perl", PullRequestState::Declined),
        ("Add retry policy, first try", PullRequestState::Superseded),
    ] {
        let new = NewPullRequest::new(title, dana.as_str()).reviewed_by(luis.as_str());
        let (id, _) = state.add_pull_request(payments, &new)?;
        state.advance(86_400);
        let (now, merge_commit) = (state.tick(), state.repository(payments)?.head());
        let found = state.pull_request_mut(payments, id)?;
        super::change::close_as(found, outcome, Some(luis), now);
        if outcome == PullRequestState::Merged {
            found.merge_commit = merge_commit;
        }
    }
    let from_fork = NewPullRequest {
        source_repository: Some(fork.to_owned()),
        ..NewPullRequest::new("Fix rounding", luis.as_str())
    };
    state.add_pull_request(payments, &from_fork)?;
    Ok(())
}

/// Pull requests that miss what one would expect: the author, the source repository.
fn checkout_pull_requests(
    state: &mut State,
    checkout: &str,
    gone: &str,
    people: &People,
) -> anyhow::Result<()> {
    let former = NewPullRequest::new("Speed up the cart", gone).reviewed_by(people.dana.as_str());
    state.add_pull_request(checkout, &former)?;
    let orphan = NewPullRequest::new("From a deleted fork", people.mina.as_str());
    let (id, _) = state.add_pull_request(checkout, &orphan)?;
    let deleted = state.next_uuid();
    state.pull_request_mut(checkout, id)?.source.repository = deleted;
    let unknown = NewPullRequest::new("Nobody knows who", people.mina.as_str());
    let (id, _) = state.add_pull_request(checkout, &unknown)?;
    state.pull_request_mut(checkout, id)?.author = None;
    Ok(())
}

fn add_repository(
    state: &mut State,
    project: &str,
    name: &str,
    branch: &str,
    files: &[(&str, &str)],
) -> anyhow::Result<String> {
    let uuid = state.add_repository(project, name)?;
    if !files.is_empty() {
        let author = state.default_actor()?;
        let files: Vec<_> = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), Some(File::new(content))))
            .collect();
        state.commit_files(&uuid, branch, &author, "First commit\n", &files)?;
    }
    Ok(uuid)
}
