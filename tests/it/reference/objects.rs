//! Pull requests and projects that nobody thought of, and what the rules say of them.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sandbox::bitbucket::{Bitbucket, NewPullRequest};
use serde_json::{Value, json};

/// Keys and names. Repositories lie in the first one.
pub(super) const PROJECTS: [(&str, &str); 3] =
    [("SHOP", "Shop"), ("ZOO", "Zoo"), ("NIL", "Nobody's")];

/// People; the last one's account is deleted later.
const PEOPLE: [&str; 3] = ["Ann Li", "Ben Ó", "Gone"];

/// In Bitbucket's query language; a blank one is none.
pub(super) const QUERIES: [&str; 5] = [
    "",
    " \n",
    "state=\"DECLINED\"",
    "state=\"OPEN\" OR state=\"SUPERSEDED\"",
    "state=\"MERGED\"",
];

#[derive(Clone, Debug)]
pub(super) struct MadeUpPullRequest {
    pub(super) title: &'static str,
    pub(super) state: &'static str,
    /// `None`: Bitbucket does not know any more.
    pub(super) author: Option<&'static str>,
    pub(super) reviewers: Vec<&'static str>,
}

pub(super) fn pull_request() -> impl Strategy<Value = MadeUpPullRequest> {
    (
        select(vec!["Fix", "\"Ünï\" \\ code", "a: b"]),
        select(vec!["OPEN", "OPEN", "DECLINED", "SUPERSEDED"]),
        prop::option::weighted(0.8, select(&PEOPLE[..])),
        subsequence(PEOPLE.to_vec(), 0..=2),
    )
        .prop_map(|(title, state, author, reviewers)| MadeUpPullRequest {
            title,
            state,
            author,
            reviewers,
        })
}

/// Kind, selector, identifier and raw item of a resource of pull requests.
pub(super) fn written(
    query: Option<&str>,
    included: &[&str],
) -> (&'static str, Value, &'static str, &'static str) {
    let mut selector = json!({ "includedFiles": included });
    if let Some(query) = query {
        selector["pullRequestQuery"] = json!(query);
    }
    (
        "pull-request",
        selector,
        "[.destination.repository.full_name, .id]",
        "{included: .__includedFiles, title: .title, state: .state, author: .author.display_name, \
         reviewers: [.reviewers[] | .display_name], to: .destination.branch.name}",
    )
}

/// The query that a text means: open ones where it says nothing.
pub(super) fn meant(query: Option<&str>) -> &str {
    match query.unwrap_or_default().trim() {
        "" => "state=\"OPEN\"",
        query => query,
    }
}

impl MadeUpPullRequest {
    /// Whether `query` selects it.
    pub(super) fn is_selected(&self, query: &str) -> bool {
        let states = query.split(" OR ");
        states
            .map(|one| one.trim())
            .any(|one| one == format!("state=\"{}\"", self.state))
    }

    /// The raw item, but for the files that go along.
    pub(super) fn raw(&self) -> Value {
        let shown = |name: &&str| {
            if *name == "Gone" {
                "Former user"
            } else {
                *name
            }
            .to_owned()
        };
        json!({
            "title": self.title,
            "state": self.state,
            "author": self.author.as_ref().map(shown),
            "reviewers": self.reviewers.iter().map(shown).collect::<Vec<String>>(),
            "to": "main",
        })
    }

    /// Opens it as number `id`, from a branch of its own.
    pub(super) fn open(
        &self,
        bitbucket: &Bitbucket,
        slug: &str,
        id: usize,
    ) -> Vec<sandbox::webhook::Delivery> {
        let mut new = NewPullRequest {
            source: Some(format!("pr-{id}")),
            ..NewPullRequest::new(self.title, self.author.unwrap_or(PEOPLE[0]))
        };
        for reviewer in &self.reviewers {
            new = new.reviewed_by(*reviewer);
        }
        let (number, opened) = bitbucket.open_pull_request(slug, new).unwrap();
        assert_eq!(number, id as u64);
        if self.author.is_none() {
            bitbucket.forget_author(slug, number).unwrap();
        }
        match self.state {
            "DECLINED" => drop(bitbucket.decline(slug, number, PEOPLE[0], "no").unwrap()),
            "SUPERSEDED" => drop(bitbucket.supersede(slug, number).unwrap()),
            _ => {}
        }
        opened
    }
}

/// The account of one of them goes; what it took part in shows it as a former user.
pub(super) fn lose_one(bitbucket: &Bitbucket) {
    bitbucket.delete_user(PEOPLE[2]).unwrap();
}

pub(super) fn add_people(bitbucket: &Bitbucket) {
    for name in PEOPLE {
        bitbucket.add_user(name);
    }
}
