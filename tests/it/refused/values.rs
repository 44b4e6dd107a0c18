//! Values that a blueprint or Port's request schema does not take cost themselves, never the entity.

use sandbox::server::{Fault, FaultKind, Request};
use serde_json::{Map, Value, json};

use super::{assert_settled, repositories};
use crate::doubt::{NUMBERED, is_write, retitle};
use crate::support::{IDENTIFIER, World};

/// A blueprint with one property or relation for each way in which a value may not fit.
pub(super) fn service() -> Value {
    let relation = |many: bool| json!({"target": "service", "many": many, "required": false});
    json!({
        "identifier": "service", "title": "Service",
        "schema": {"required": [], "properties": {
            "name": {"type": "string"},
            "size": {"type": "number", "maximum": 10},
            "owners": {"type": "array", "items": {"type": "string"}},
            "text": {"type": "string", "format": "markdown"},
            "link": {"type": "string", "format": "url"},
            "stage": {"type": "string", "enum": ["live", "old"]},
            "private": {"type": "boolean"},
        }},
        "relations": {"parent": relation(false), "friends": relation(true)},
    })
}

/// How a repository is called in Port.
fn plain(uuid: &str) -> &str {
    uuid.trim_matches(['{', '}'])
}

/// The eight repositories that go wrong are named by their positions; the ninth is as it should be.
pub(super) fn services(uuids: &[String]) -> Value {
    let bad = |at: usize, bad: &str, good: &str| {
        let uuid = &uuids[at];
        format!("if .uuid == \"{uuid}\" then {bad} else {good} end")
    };
    repositories(json!({
        "identifier": ".uuid[1:-1]", "blueprint": "\"service\"",
        "title": bad(0, "{a: 1}", ".name"),
        "properties": {
            "name": ".name",
            "size": bad(0, "\"many\"", &bad(1, "11", "1")),
            "owners": bad(1, "[\"a\", null, 7]", "[\"a\"]"),
            "text": ".description",
            "link": bad(3, "\"nowhere\"", ".links.html.href"),
            "stage": bad(4, "\"ancient\"", "\"live\""),
            "private": bad(5, "\"no\"", "true"),
        },
        "relations": {
            "parent": bad(6, "\"a b#1\"", &bad(8, "[\"one\"]", "\"root\"")),
            "friends": bad(7, "[\"x\", \"a b\", null, 12]", &bad(8, "\"x\"", "[]")),
        },
    }))
}

fn mapping(uuids: &[String]) -> Value {
    json!({"resources": [services(uuids)]})
}

async fn world() -> (World, Vec<String>) {
    let world = World::demo().await;
    let uuids = world.bitbucket.repositories();
    assert_eq!(uuids.len(), 9);
    world.port.put_blueprint(&service()).unwrap();
    world.port.install(IDENTIFIER, mapping(&uuids));
    let long = "ä".repeat(600_000);
    world
        .bitbucket
        .describe_repository(&uuids[2], &long)
        .unwrap();
    (world, uuids)
}

/// The entity as it is where nothing is wrong.
fn sound(world: &World, uuid: &str) -> Value {
    let all = world.port.catalogue();
    let entity = &all["service"][plain(uuid)];
    json!({"size": entity["properties"]["size"], "owners": entity["properties"]["owners"],
        "stage": entity["properties"]["stage"], "private": entity["properties"]["private"],
        "link": entity["properties"]["link"].is_string(), "parent": entity["relations"]["parent"],
        "friends": entity["relations"]["friends"], "title": entity["title"].is_string()})
}

#[tokio::test]
async fn each_bad_value_costs_itself_and_is_told_by_kind() {
    let (world, uuids) = world().await;
    let outcome = world.resync_with_losses().await;
    let catalogue = world.port.catalogue();
    let services = catalogue["service"].as_object().unwrap();
    let missing: Vec<&String> = uuids
        .iter()
        .filter(|uuid| !services.contains_key(plain(uuid)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let good = json!({"size": 1, "owners": ["a"], "stage": "live", "private": true, "link": true,
        "parent": "root", "friends": null, "title": true});
    let with = |changes: Value| {
        let mut expected: Map<String, Value> = good.as_object().unwrap().clone();
        expected.extend(changes.as_object().unwrap().clone());
        Value::Object(expected)
    };
    let expected = [
        json!({"title": false, "size": null}),
        json!({"size": null}),
        json!({}),
        json!({"link": false}),
        json!({"stage": null}),
        json!({"private": null}),
        json!({"parent": null}),
        json!({"friends": ["x", "12"]}),
        json!({"parent": "one", "friends": ["x"]}),
    ];
    for (uuid, expected) in uuids.iter().zip(expected) {
        assert_eq!(sound(&world, uuid), with(expected), "{uuid}");
    }
    let counts = &outcome["counts"];
    assert_eq!(
        (&counts["refused"], &counts["left_out"]),
        (&json!(0), &json!(10)),
        "{outcome:#}"
    );
    let problems = outcome["mapping_problems"].as_array().unwrap().iter();
    let problems: Vec<&str> = problems.map(|line| line.as_str().unwrap()).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    resources[0].port.entity.mappings.properties.link: 1 value left out of service: not of the format url; give null for what is none, or change the property's format (for example 78e0be17-2de3-55d0-8191-2131596ee186: "nowhere")
    resources[0].port.entity.mappings.properties.owners: 1 element left out of service: not of the type string; make it a text, such as with tostring, or join(", ") for a list (for example b06f29dc-f967-5e2d-9512-53405101f778: 7)
    resources[0].port.entity.mappings.properties.owners: 1 element left out of service: null in a list; leave it out, with map(select(. != null)) (for example b06f29dc-f967-5e2d-9512-53405101f778: null)
    resources[0].port.entity.mappings.properties.private: 1 value left out of service: not of the type boolean; make it true or false, such as with == "yes" (for example 08afa501-a614-5b3c-bfb4-a7277f63af8b: "no")
    resources[0].port.entity.mappings.properties.size: 1 value left out of service: not of the type number; make it a number, such as with tonumber (for example e10466c6-7334-567e-b0bf-5babbdfb4de0: "many")
    resources[0].port.entity.mappings.properties.size: 1 value left out of service: shorter, longer, less or more than the blueprint allows; keep it within them, or change the blueprint's bounds (for example b06f29dc-f967-5e2d-9512-53405101f778: 11)
    resources[0].port.entity.mappings.properties.stage: 1 value left out of service: none of the values that the blueprint lists; map it to one of them, or add it to the blueprint's enum (for example 4397c21f-7863-56e5-ae62-3ed5334b37fd: "ancient")
    resources[0].port.entity.mappings.properties.text: 1 value left out of service: with it the entity is larger than the 1 MiB that Port takes; cut it, such as with .[:10000], or take it out (for example 42e0745e-e24a-5bfd-9394-0c225e75d1b4: "ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää"… (1200000 bytes))
    resources[0].port.entity.mappings.relations.friends: 1 element left out of service: null in a list; leave it out, with map(select(. != null)) (for example 3d42ef0d-cef6-5ca5-9c8c-26c58ed46d99: null)
    resources[0].port.entity.mappings.relations.friends: 1 element left out of service: no identifier that Port takes: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace other characters, with gsub (for example 3d42ef0d-cef6-5ca5-9c8c-26c58ed46d99: "a b")
    resources[0].port.entity.mappings.relations.parent: 1 value left out of service: no identifier that Port takes: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace other characters, with gsub (for example 91dab843-cfb7-5047-b3d6-0641a4931dd2: "a b#1")
    resources[0].port.entity.mappings.title: 1 value left out of service: no text; make it a text, such as with tostring (for example e10466c6-7334-567e-b0bf-5babbdfb4de0: {"a":1})
    "#);
    // Port's log has the same lines.
    let logs = json!(world.port.logs()).to_string();
    assert!(
        logs.contains("none of the values that the blueprint lists"),
        "{logs}"
    );
    assert_settled(&world, "completed_with_losses", "nothing has changed").await;
    world.finish();
}

#[tokio::test]
async fn an_event_leaves_out_what_a_run_does() {
    let (world, uuids) = world().await;
    world.resync_with_losses().await;
    for uuid in &uuids {
        let news = world.bitbucket.set_language(uuid, "rust").unwrap();
        world.accept(&news).await;
    }
    assert_settled(&world, "completed_with_losses", "after events").await;
    // A value that fitted once does not stay when it fits no longer.
    let renamed = mapping(&[&uuids[1..], &uuids[..1]].concat());
    world.port.set_config(renamed);
    world.resync_with_losses().await;
    let now = sound(&world, &uuids[5]);
    assert_eq!(
        (&now["stage"], &now["private"]),
        (&json!(null), &json!(true))
    );
    world.finish();
}

/// A property that somebody makes a number, or adds, counts from the next event on.
#[tokio::test]
async fn a_blueprint_that_changes_is_read_again() {
    let (world, uuids) = world().await;
    world.resync_with_losses().await;
    let mut wider = service();
    wider["schema"]["properties"]["size"] = json!({"type": "string"});
    world.port.put_blueprint(&wider).unwrap();
    world
        .accept(&world.bitbucket.set_language(&uuids[0], "rust").unwrap())
        .await;
    assert_eq!(sound(&world, &uuids[0])["size"], json!("many"));
    world.finish();
}

/// Whether a request is one to Port, the token aside.
fn counts(request: &Request) -> bool {
    !request.path.ends_with("access_token")
}

#[tokio::test]
async fn a_pull_request_event_costs_port_one_or_two_requests() {
    let world = World::demo().await;
    world.resync().await;
    world.take_requests();
    for (title, most) in [("one", 2), ("two", 1), ("three", 1)] {
        let news = retitle(&world.bitbucket, "payments-api", 1, title);
        world.accept(&news).await;
        let (_, port) = world.take_requests();
        let asked: Vec<String> = port
            .iter()
            .filter(|it| counts(it))
            .map(Request::target)
            .collect();
        assert!(asked.len() <= most, "{title}: {asked:?}");
    }
    world.finish();
}

/// People whose profile has no name, as Bitbucket shows some apps and deleted accounts.
pub(super) fn nameless() -> Fault {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if members.get("type") == Some(&json!("user")) {
                    members.shift_remove("display_name");
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let kind = FaultKind::rewrite("people without names", |_, mut answer| {
        if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
            strip(&mut body);
            answer.body = body.to_string().into_bytes();
        }
        answer
    });
    Fault::new("/pullrequests", kind).always()
}

#[tokio::test]
async fn the_default_mapping_bears_people_without_names() {
    let world = World::demo().await;
    world.bitbucket.server().misbehave(nameless());
    world.resync().await;
    let pulls = world.identifiers()["bitbucketPullRequest"].len();
    let sent = world.port.server().requests();
    let sent = sent.iter().filter(|request| is_write(request));
    let nulls = sent.filter(|request| String::from_utf8_lossy(&request.body).contains("[null"));
    assert_eq!(nulls.count(), 0);
    world.bitbucket.server().behave();
    world.resync().await;
    assert_eq!(world.identifiers()["bitbucketPullRequest"].len(), pulls);
    world.finish();
}

/// A list that holds a null is written without it, and that is no loss: nothing with a value is missing.
#[tokio::test]
async fn a_null_in_a_list_is_left_out_and_told_and_no_loss() {
    let world = World::demo().await;
    let pull = json!({"identifier": "pull", "title": "Pull", "relations": {},
        "schema": {"required": [], "properties": {"people": {"type": "array", "items": {"type": "string"}}}}});
    world.port.put_blueprint(&pull).unwrap();
    let config = json!({"resources": [{"kind": "pull-request", "selector": {"query": "true"}, "port": {"entity": {
        "mappings": {"identifier": NUMBERED, "blueprint": "\"pull\"",
            "properties": {"people": "[.title, .author.nothing]"}}}}}]});
    world.port.install(IDENTIFIER, config);
    let outcome = world.resync().await;
    let problems = outcome["mapping_problems"].to_string();
    assert!(problems.contains("null in a list"), "{problems}");
    let all = world.port.entities();
    assert!(!all.is_empty());
    assert!(
        all.iter()
            .all(|it| it.properties["people"].as_array().unwrap().len() == 1)
    );
    world.assert_converged().await;
    world.finish();
}
