//! What lies in the queue is read back: today's messages, the first edition's, a later one's.

use serde_json::json;

use super::*;
use crate::identity::{ItemId, PartitionId, SourceId};
use crate::look::{Numbers, Progress};

fn repository(uuid: &str, news: News) -> Look {
    Look::Repository {
        repository: RepositoryId::new(uuid),
        news,
    }
}

fn looks() -> Vec<Look> {
    let partition =
        PartitionId::of_repository(SourceId::new("pull-request"), RepositoryId::new("{1}"));
    let mut listed = Numbers::default();
    listed.insert(7);
    let news = News {
        left: true,
        all: true,
        pushed: BTreeSet::from(["main".to_owned(), "ä\u{ffff}\"".to_owned()]),
        changed: true,
        project: true,
    };
    vec![
        Look::PullRequest {
            repository: RepositoryId::new("{1}"),
            id: 7,
            closed: false,
        },
        repository("{1}", news),
        Look::Projects {
            keys: BTreeSet::from(["PAY".to_owned()]),
            cursor: None,
        },
        Look::Item {
            item: partition.item(ItemId::Number(7)),
        },
        Look::Partition {
            partition,
            progress: Some(Progress {
                cursor: Some("https://api.bitbucket.org/2.0/?page=2".to_owned()),
                listed,
            }),
        },
    ]
}

#[test]
fn a_message_says_what_was_sent() {
    for look in looks() {
        let sent = Message {
            look,
            not_older_than: Some("2026-11-20T10:05:00.112233Z".parse().unwrap()),
            event_key: "repo:push".to_owned(),
            request_id: "4a5b6c7d".to_owned(),
            accepted_at: Some(Timestamp::UNIX_EPOCH),
            tries: 3,
            again: true,
        };
        let Outgoing { group, body, .. } = sent.outgoing("4a5b6c7d").unwrap();
        assert_eq!(Message::decode(&body).unwrap(), sent);
        assert!(!body.contains('\u{ffff}'), "SQS does not take it");
        assert!(group.len() <= MAX_NAME_CHARS && group.is_ascii(), "{group}");
        let plain = Message::of_look(sent.look, Timestamp::UNIX_EPOCH);
        let body = plain.outgoing("").unwrap().body;
        assert_eq!(Message::decode(&body).unwrap(), plain);
    }
}

#[test]
fn a_group_is_the_object_and_an_id_the_occasion() {
    let outgoing = |look: &Look, occasion: &str| {
        Message::of_look(look.clone(), Timestamp::UNIX_EPOCH)
            .outgoing(occasion)
            .unwrap()
    };
    let looks = looks();
    let [pull_request, .., partition] = looks.as_slice() else {
        panic!("several looks");
    };
    let (first, second) = (outgoing(pull_request, "a"), outgoing(pull_request, "b"));
    assert_eq!(first.group, "{1}/7");
    assert_eq!(first.group, second.group);
    assert_ne!(first.id, second.id);
    assert_eq!(first.id, outgoing(pull_request, "a").id);
    assert_ne!(first.id, outgoing(partition, "a").id);
    let long = repository(&"ä".repeat(100), News::default());
    assert_eq!(outgoing(&long, "a").group.len(), 64);
}

fn first_edition(event_key: &str, change: Value) -> Message {
    let body = json!({"version": 1, "eventKey": event_key, "requestId": "r", "change": change});
    Message::decode(&body.to_string()).unwrap()
}

#[test]
fn the_first_editions_messages_are_understood() {
    let of = json!({"uuid": "{1}", "full_name": "acme/payments"});
    let change = json!({
        "kind": "pull_request", "repository": of, "id": 7,
        "last_seen": {"id": 7, "updated_on": "2026-11-20T10:05:00.112233+00:00"},
    });
    let message = first_edition("pullrequest:updated", change);
    assert_eq!(message.look.object(), "{1}/7");
    let bound = "2026-11-20T10:05:00.112233Z".parse().unwrap();
    assert_eq!(message.not_older_than, Some(bound));
    assert_eq!(message.event_key, "pullrequest:updated");

    let unseen = json!({"kind": "pull_request", "repository": of, "id": 7, "last_seen": null});
    let message = first_edition("pullrequest:updated", unseen);
    assert_eq!(message.not_older_than, None);

    let changed = News {
        changed: true,
        ..News::default()
    };
    let all = News {
        all: true,
        ..changed.clone()
    };
    let left = News {
        left: true,
        ..News::default()
    };
    let pushed = News {
        pushed: BTreeSet::from(["main".to_owned()]),
        ..News::default()
    };
    let former = json!({"name": "old", "full_name": null});
    for (key, former, branches, expected) in [
        ("repo:push", json!(null), json!(["main"]), pushed),
        ("repo:push", json!(null), json!([]), changed.clone()),
        ("repo:updated", json!(null), json!(null), changed),
        ("repo:updated", former, json!(null), all.clone()),
        ("repo:created", json!(null), json!(null), all.clone()),
        (
            "repo:transfer",
            json!(null),
            json!(null),
            News { left: true, ..all },
        ),
    ] {
        let change = json!({
            "kind": "repository", "repository": of, "former": former, "pushed": branches, "last_seen": {},
        });
        let look = first_edition(key, change).look;
        assert_eq!(look, repository("{1}", expected), "{key}");
    }
    let gone = json!({"kind": "repository_gone", "repository": of, "last_seen": {}});
    let look = first_edition("repo:deleted", gone).look;
    assert_eq!(look, repository("{1}", left));
    let projects = json!({"kind": "projects", "key": "PAY"});
    let look = first_edition("project:updated", projects).look;
    assert_eq!(look.object(), "projects");
}

#[test]
fn what_is_no_message_is_told_from_what_a_later_edition_wrote() {
    let later = Message::decode(r#"{"version": 3, "look": "elsewhere"}"#);
    assert!(matches!(later, Err(Undecodable::Later(3))), "{later:?}");
    for body in [
        "",
        "{}",
        "[]",
        r#"{"version": 2}"#,
        r#"{"version": 1, "eventKey": "x"}"#,
    ] {
        let decoded = Message::decode(body);
        assert!(matches!(decoded, Err(Undecodable::Malformed(_))), "{body}");
    }
}
