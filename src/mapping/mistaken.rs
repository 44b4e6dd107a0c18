//! Mistakes that many mappings share, each with what to write instead: keys that documentation of Port has and nothing reads,
//! and expressions of Ocean's default mapping that cannot give what they say.
//!
//! Pure. Knows texts only; where they stand is the reader's business.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::selector::Kind;

/// A reviewer is a user and holds none; a participant does (Bitbucket REST API, pull requests). Ocean's default mapping
/// takes the one for the other.
static USER_OF_A_REVIEWER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\.reviewers\s*\[\s*\]\??)\s*\|?\s*\.user\b").ok());

/// The same within `map`: something has to be left of it.
static USER_OF_A_REVIEWER_IN_MAP: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\.reviewers\s*\|\s*map\(\s*)\.user(\s*\|\s*)?\.").ok());

/// What to write instead of `key`, which is none of those `known` where it stands.
pub(super) fn instead_of(key: &str, value: &Value, known: &[&str]) -> Option<String> {
    let has = |key: &str| known.contains(&key);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(match key {
        "repo" | "repository" | "repositories" if has("repos") => {
            format!("write repos: {}", list(value))
        }
        "repoFilter" if has("repoQuery") => {
            "write repoQuery, in Bitbucket's query language, such as repoQuery: 'project.key=\"PAY\"'"
                .to_owned()
        }
        "repo" | "repos" if has("files") => format!("write it below files, as repos: {}", list(value)),
        "repo" | "repos" if has("folders") => {
            format!("write it below each of folders, as repos: {}", list(value))
        }
        "repo" | "repos" if has("repoQuery") => {
            format!("write repoQuery: '{}'", any_of("slug", value, str::to_owned))
        }
        "path" | "filenames" | "skipParsing" if has("files") => "write it below files".to_owned(),
        "path" if has("folders") => {
            let path = text(value).unwrap_or_else(|| "apps/*".to_owned());
            format!("write folders: [{{path: {path:?}}}]")
        }
        "state" | "states" if has("pullRequestQuery") => {
            let states = any_of("state", value, |state| match state.to_uppercase().as_str() {
                "CLOSED" => "DECLINED".to_owned(),
                upper => upper.to_owned(),
            });
            format!("write pullRequestQuery: '{states}'")
        }
        "maxResults" | "maxPullRequests" if has("limit") => format!("write limit: {value}"),
        "maxResults" | "maxPullRequests" if has("pullRequestQuery") => {
            "all that pullRequestQuery selects are read: narrow that, such as \
             pullRequestQuery: 'state=\"OPEN\" AND updated_on>2026-01-01'"
                .to_owned()
        }
        "maxResults" if has("repoQuery") => {
            "all that repoQuery selects are read: narrow that".to_owned()
        }
        "maxResults" => "all of them are read: take some with query".to_owned(),
        _ => return None,
    })
}

/// `source`, an expression on items of `kind`, without a mistake that is known; and what that is.
pub(super) fn corrected(kind: Kind, source: &str) -> Option<(&'static str, String)> {
    if kind != Kind::PullRequest {
        return None;
    }
    let without = |pattern: &LazyLock<Option<Regex>>, with: &str| {
        let pattern = pattern.as_ref()?;
        let is_there = pattern.is_match(source);
        is_there.then(|| pattern.replace_all(source, with).into_owned())
    };
    let corrected = without(&USER_OF_A_REVIEWER, "${1}")
        .or_else(|| without(&USER_OF_A_REVIEWER_IN_MAP, "${1}."))?;
    Some((
        "reads .user of reviewers, who are users and have none, so it gives null",
        corrected,
    ))
}

/// As YAML within a line.
fn list(value: &Value) -> String {
    match value {
        Value::Array(_) => value.to_string(),
        value => Value::from(vec![value.clone()]).to_string(),
    }
}

/// `state="OPEN" OR state="MERGED"`.
fn any_of(field: &str, value: &Value, spelt: impl Fn(&str) -> String) -> String {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let all = values.iter().map(|value| {
        let text = value.as_str().map_or_else(|| value.to_string(), &spelt);
        format!("{field}={text:?}")
    });
    all.collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reviewers_are_users() {
        for (source, meant) in [
            (
                "[.reviewers[].user.display_name]",
                Some("[.reviewers[].display_name]"),
            ),
            ("[.reviewers[]? | .user.uuid]", Some("[.reviewers[]?.uuid]")),
            (
                ".reviewers | map(.user.display_name)",
                Some(".reviewers | map(.display_name)"),
            ),
            (".reviewers | map(.user)", None),
            ("[.participants[].user.display_name]", None),
            ("[.reviewers[].username]", None),
        ] {
            let found = corrected(Kind::PullRequest, source).map(|(_, corrected)| corrected);
            assert_eq!(found.as_deref(), meant, "{source}");
        }
        assert_eq!(corrected(Kind::File, ".reviewers[].user.name"), None);
    }

    #[test]
    fn keys_of_other_documentation_are_understood() {
        let pulls = ["query", "repoQuery", "pullRequestQuery"];
        let files = ["path", "filenames", "repos"];
        for (key, value, known, meant) in [
            (
                "states",
                json!(["open", "merged"]),
                &pulls[..],
                "pullRequestQuery: 'state=\"OPEN\" OR state=\"MERGED\"'",
            ),
            ("states", json!("closed"), &pulls, "'state=\"DECLINED\"'"),
            ("maxResults", json!(50), &pulls, "updated_on"),
            ("maxResults", json!(50), &["query", "limit"], "limit: 50"),
            ("maxResults", json!(50), &["query"], "query"),
            ("repoFilter", json!({}), &pulls, "project.key"),
            ("repo", json!("api"), &files, "repos: [\"api\"]"),
            (
                "repos",
                json!(["api"]),
                &["query", "files", "repoQuery"],
                "below files, as repos: [\"api\"]",
            ),
            (
                "repos",
                json!(["api", "web"]),
                &pulls,
                "repoQuery: 'slug=\"api\" OR slug=\"web\"'",
            ),
            (
                "path",
                json!("apps/*"),
                &["folders"],
                "[{path: \"apps/*\"}]",
            ),
        ] {
            let found = instead_of(key, &value, known).unwrap_or_default();
            assert!(found.contains(meant), "{key}: {found}");
        }
        assert_eq!(instead_of("states", &json!("open"), &["query"]), None);
    }
}
