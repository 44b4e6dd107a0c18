//! Every recorded payload, and what is looked at because of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::*;

const OURS: &str = "acme-platform";
const CHECKOUT: &str = "{c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}";

#[derive(Deserialize)]
struct Index {
    secret: String,
    files: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    file: String,
    #[serde(rename = "X-Event-Key")]
    event_key: String,
    #[serde(rename = "X-Hub-Signature")]
    signature: String,
}

fn payload(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/payloads");
    fs::read(folder.join(file)).unwrap()
}

fn index() -> Index {
    serde_json::from_slice(&payload("_index.json")).unwrap()
}

fn shown(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Ignored(reason) => format!("{reason:?}"),
        Parsed::Look(Wanted {
            look,
            not_older_than,
            ..
        }) => {
            let since = not_older_than.map(|since| format!(" since {since}"));
            let news = match look {
                Look::Repository { news, .. } => {
                    let News {
                        left,
                        all,
                        pushed,
                        changed,
                        project: _,
                    } = news;
                    let flags = [(left, "left"), (all, "all"), (changed, "changed")];
                    let flags = flags.iter().filter(|(is, _)| **is).map(|(_, name)| *name);
                    let pushed = pushed.iter().map(String::as_str);
                    flags.chain(pushed).collect::<Vec<_>>().join(" ")
                }
                Look::Projects { keys, .. } => keys.iter().cloned().collect::<String>(),
                _ => String::new(),
            };
            let news = Some(news).filter(|news| !news.is_empty());
            let news = news.map(|news| format!(" {news}"));
            let object = look.object();
            format!(
                "{object}{}{}",
                news.unwrap_or_default(),
                since.unwrap_or_default()
            )
        }
    }
}

#[test]
fn every_sample_leads_to_its_look() {
    let mut lines = Vec::new();
    let index = index();
    for sample in &index.files {
        let body = payload(&sample.file);
        let parsed = parse(&sample.event_key, &body, Some(OURS)).unwrap();
        lines.push(format!("{}: {}", sample.file, shown(&parsed)));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    repo-push.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} main
    repo-push-branch-create.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} feature/ledger-export
    repo-push-branch-delete.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} feature/ledger-export
    repo-push-force.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} main
    repo-push-truncated.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} main
    repo-push-multi-change.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} main old/spike release/2.4 v2.4.0
    repo-push-tag-create.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} v2.4.0
    repo-push-tag-annotated.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} v2.4.1
    repo-push-tag-delete.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} v2.4.0
    repo-push-empty.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} changed
    repo-created.json: {e2d7c6b5-3f18-4a90-b2c4-8d5e1f7a9c22} all
    repo-deleted.json: {e2d7c6b5-3f18-4a90-b2c4-8d5e1f7a9c22} left
    repo-updated.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} all changed
    repo-updated-description-only.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21} changed
    repo-transfer.json: {41b6f0d8-2c93-4e57-9a1d-6c8f3b5e7d23} left all
    repo-fork.json: {6fd09a7c-84e1-4b35-8c72-5a9d1e3f7b24} all
    project-updated.json: projects PAY
    pullrequest-created.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    pullrequest-updated.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:20:00.000009Z
    pullrequest-approved.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T11:00:00.445566Z
    pullrequest-unapproved.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    pullrequest-changes-request-created.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    pullrequest-changes-request-removed.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    pullrequest-fulfilled.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T12:00:00.000001Z
    pullrequest-rejected.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T12:00:00.000001Z
    pullrequest-rejected-source-repo-deleted.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    pullrequest-comment-created.json: {c8e5b3f2-1a47-4d9c-a06b-4f7e2d9c8b21}/57 since 2026-11-20T10:05:00.112233Z
    repo-commit-status-created.json: UnknownEvent
    repo-commit-status-updated.json: UnknownEvent
    pipeline-span-created.json: UnknownEvent
    "#);
}

#[test]
fn every_sample_is_signed() {
    let index = index();
    let secret = secrecy::SecretString::from(index.secret);
    for Sample {
        file, signature, ..
    } in &index.files
    {
        let secrets = std::slice::from_ref(&secret);
        let is_valid = |body: &[u8]| {
            crate::webhook::signature::is_valid(secrets, body, Some(signature.as_str()))
        };
        let mut body = payload(file);
        assert!(is_valid(&body), "{file}");
        body.push(b' ');
        assert!(!is_valid(&body), "{file}");
    }
}

/// No sample says what is pushed to pull requests, or that comments change; every key promises the same, though.
#[test]
fn every_event_of_the_table_is_looked_at_and_needs_its_fields() {
    let by_about = BTreeMap::from([
        (
            "pullrequest",
            json!({"repository": {"uuid": CHECKOUT}, "pullrequest": {"id": 7}}),
        ),
        (
            "repo",
            json!({"repository": {"uuid": CHECKOUT}, "fork": {"uuid": CHECKOUT}, "push": {"changes": []}}),
        ),
        ("project", json!({})),
    ]);
    for (key, about, _) in EVENTS {
        let (family, _) = key.split_once(':').unwrap();
        let body = by_about[family].to_string();
        let parsed = parse(key, body.as_bytes(), Some(OURS));
        assert!(matches!(parsed, Ok(Parsed::Look(_))), "{key}: {parsed:?}");
        let nothing = parse(key, b"{}", Some(OURS));
        match about {
            About::Project => assert!(nothing.is_ok(), "{key}"),
            _ => assert!(matches!(nothing, Err(Malformed::Field { .. })), "{key}"),
        }
        let garbage = parse(key, b"<html>", Some(OURS));
        assert!(matches!(garbage, Err(Malformed::NotJson)), "{key}");
    }
}

fn look(key: &str, body: &Value) -> Look {
    match parse(key, body.to_string().as_bytes(), Some(OURS)) {
        Ok(Parsed::Look(wanted)) => wanted.look,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn a_missing_field_is_named() {
    let of = json!({"uuid": CHECKOUT});
    for (key, body, missing) in [
        (
            "pullrequest:created",
            json!({"pullrequest": {"id": 7}}),
            "repository.uuid",
        ),
        (
            "pullrequest:created",
            json!({"repository": of}),
            "pullrequest.id",
        ),
        (
            "pullrequest:created",
            json!({"repository": of, "pullrequest": {"id": "7"}}),
            "pullrequest.id",
        ),
        (
            "pullrequest:created",
            json!({"repository": of, "pullrequest": {"id": -7}}),
            "pullrequest.id",
        ),
        ("repo:push", json!({"repository": of}), "push.changes"),
        (
            "repo:push",
            json!({"repository": of, "push": {"changes": null}}),
            "push.changes",
        ),
        (
            "repo:push",
            json!({"repository": null, "push": {"changes": []}}),
            "repository.uuid",
        ),
        (
            "repo:updated",
            json!({"repository": {"uuid": " "}}),
            "repository.uuid",
        ),
        ("repo:fork", json!({"repository": of}), "fork.uuid"),
        ("repo:deleted", json!([]), "repository.uuid"),
    ] {
        let parsed = parse(key, body.to_string().as_bytes(), Some(OURS));
        match parsed {
            Err(Malformed::Field { field }) => assert_eq!(field, missing, "{key} {body}"),
            other => panic!("{key} {body}: {other:?}"),
        }
    }
}

#[test]
fn what_the_table_does_not_know_is_not_even_read() {
    for key in [
        "repo:commit_status_created",
        "pipeline:span_created",
        "pullrequest:",
        "",
        "REPO:PUSH",
    ] {
        let parsed = parse(key, b"\xff", Some(OURS)).unwrap();
        assert!(
            matches!(parsed, Parsed::Ignored(Ignored::UnknownEvent)),
            "{key}"
        );
    }
}

#[test]
fn other_workspaces_are_none_of_ours() {
    let uuid = "{5c1f9e1a-8f0e-4b5d-9c3b-2a7d1e6f4b10}";
    let bare = uuid.trim_matches(['{', '}']);
    let full = json!({"uuid": CHECKOUT, "full_name": "acme-platform/x", "workspace": {"slug": OURS, "uuid": uuid}});
    let slug = json!({"uuid": CHECKOUT, "full_name": "acme-platform/x"});
    let silent = json!({"uuid": CHECKOUT});
    for (place, workspace, elsewhere) in [
        (&full, Some("Acme-Platform"), false),
        (&full, Some(uuid), false),
        (&full, Some(bare), false),
        (&full, Some("acme"), true),
        (&full, Some("{00000000-8f0e-4b5d-9c3b-2a7d1e6f4b10}"), true),
        (&full, None, false),
        (&slug, Some(OURS), false),
        (&slug, Some("acme"), true),
        (&slug, Some(uuid), false),
        (&silent, Some("acme"), false),
    ] {
        assert_eq!(
            is_elsewhere(Some(place), workspace),
            elsewhere,
            "{place} {workspace:?}"
        );
    }
    let fork = json!({"repository": full, "fork": {"uuid": "{1}", "full_name": "somebody/x"}});
    let parsed = parse("repo:fork", fork.to_string().as_bytes(), Some(OURS)).unwrap();
    assert!(matches!(parsed, Parsed::Ignored(Ignored::Elsewhere)));
    let gone = json!({"repository": {"uuid": "{1}", "full_name": "somebody/x"}});
    let Look::Repository { news, .. } = look("repo:transfer", &gone) else {
        panic!("another look");
    };
    assert!(news.left, "one that was transferred away was ours");
}

#[test]
fn half_a_character_costs_no_event() {
    let body = format!(
        r#"{{"repository": {{"uuid": "{CHECKOUT}"}}, "pullrequest": {{"id": 7, "title": "\ud83d", "updated_on": "soon"}}}}"#
    );
    let parsed = parse("pullrequest:updated", body.as_bytes(), Some(OURS)).unwrap();
    let Parsed::Look(wanted) = parsed else {
        panic!("ignored");
    };
    assert_eq!(wanted.look.object(), format!("{CHECKOUT}/7"));
    assert_eq!(wanted.not_older_than, None);
}

#[test]
fn a_uuid_has_braces() {
    let bare = CHECKOUT.trim_matches(['{', '}']);
    let body = json!({"repository": {"uuid": bare}});
    assert_eq!(look("repo:created", &body).object(), CHECKOUT);
}

#[test]
fn a_push_of_something_unknown_changes_the_repository() {
    for change in [
        json!({"new": {"type": "bookmark", "name": "x"}}),
        json!({"new": {"type": "branch"}}),
    ] {
        let body = json!({"repository": {"uuid": CHECKOUT}, "push": {"changes": [change]}});
        let Look::Repository { news, .. } = look("repo:push", &body) else {
            panic!("another look");
        };
        assert!(news.changed && news.pushed.is_empty(), "{body}");
    }
}
