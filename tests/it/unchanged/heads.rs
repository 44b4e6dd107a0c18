//! Heads that come along with the list, and servers that do not give them.

use std::time::Duration;

use ferry::store::run::run;
use sandbox::fault::{Fault, FaultKind};
use sandbox::server::{Request, Response};
use serde_json::{Value, json};

use super::{PROPERTIES, mapping, mapping_with, take_contents, workspace, world_of};
use crate::support::{World, event};

fn asks_for_heads(request: &Request) -> bool {
    request
        .query("fields")
        .is_some_and(|fields| fields.contains("mainbranch.target"))
}

/// Never shows a head, whoever asks.
fn without_heads() -> Fault {
    let change = |_: &Request, mut response: Response| {
        let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else {
            return response;
        };
        let strip = |repository: &mut Value| {
            if let Some(Value::Object(main)) = repository.get_mut("mainbranch") {
                main.remove("target");
            }
        };
        strip(&mut body);
        body["values"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .for_each(strip);
        response.body = body.to_string().into_bytes();
        response
    };
    Fault::new("", FaultKind::rewrite("no heads", change))
        .when(asks_for_heads)
        .always()
}

/// The mapping with the time of the last commit.
fn with_last_commit() -> Value {
    mapping_with(
        "folder",
        &format!("{PROPERTIES}/more"),
        json!(".repo.mainbranch.target.date"),
    )
}

/// A repository's last commit can be mapped, by events as by runs.
#[tokio::test]
async fn the_last_commit_comes_along_with_a_repository() {
    let world = world_of(workspace(3), with_last_commit()).await;
    world.resync().await;
    let date = |world: &World| {
        let catalogue = world.port.catalogue();
        let date = &catalogue["folder"]["service-2/apps/web"]["properties"]["more"];
        date.as_str().unwrap().to_owned()
    };
    let first = date(&world);
    let files = [("a.txt", Some("a\n"))];
    let (_, told) = world.bitbucket.push("service-2", "main", &files).unwrap();
    world.accept(&told).await;
    assert!(first < date(&world));
    world.assert_converged().await;
    world.finish();
}

/// Whatever a server does with the question, the catalogue is the same.
#[tokio::test]
async fn a_server_that_shows_no_heads_costs_requests_and_nothing_else() {
    let expected = {
        let world = world_of(workspace(3), with_last_commit()).await;
        world.resync().await;
        let catalogue = world.port.catalogue();
        world.finish();
        catalogue
    };
    type MakeFault = fn() -> Fault;
    let faults: [(&str, MakeFault); 5] = [
        ("500", || {
            Fault::refused("", 500).when(asks_for_heads).always()
        }),
        ("400", || {
            Fault::refused("", 400).when(asks_for_heads).always()
        }),
        ("a page for people", || {
            Fault::new("", FaultKind::html(200))
                .when(asks_for_heads)
                .always()
        }),
        ("no answer", || {
            Fault::new("", FaultKind::Reset)
                .when(asks_for_heads)
                .always()
        }),
        ("no heads", without_heads),
    ];
    for (name, fault) in faults {
        let world = world_of(workspace(3), with_last_commit()).await;
        world.bitbucket.server().misbehave(fault());
        for _ in 0..2 {
            world.take_requests();
            let outcome = world.resync().await;
            assert_eq!(outcome["taken_over"], 0, "{name}");
            assert_eq!(world.port.catalogue(), expected, "{name}");
            let (requests, _) = world.take_requests();
            let asked = requests
                .iter()
                .filter(|request| asks_for_heads(request))
                .count();
            let expected = match name {
                // The list, and each of three repositories: they are shown, without.
                "no heads" => 4,
                // The first page, and nobody asks any more.
                "400" => 1,
                // That may pass: it is asked for twice.
                _ => 2,
            };
            assert_eq!(asked, expected, "{name}");
        }
        // Once it shows them again, so does the next run.
        world.bitbucket.server().behave();
        world.resync().await;
        let outcome = world.resync().await;
        assert_ne!(outcome["taken_over"], 0, "{name}");
        world.finish();
    }
}

/// A run of several slices remembers it.
#[tokio::test]
async fn a_run_that_goes_on_does_not_ask_for_heads_again() {
    let world = world_of(workspace(3), mapping()).await;
    let server = world.bitbucket.server();
    server.misbehave(Fault::refused("", 500).when(asks_for_heads).times(2));
    let clock = world.clock.clone();
    // The first slice ends in the middle.
    let slow = FaultKind::before(move |_| clock.advance(Duration::from_secs(900)));
    server.misbehave(Fault::new("/apps/web/catalog.yml", slow).times(1));
    let outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(outcome["status"], "paused");
    let stored = world.app().store.load(&run()).await.unwrap().value.unwrap();
    assert!(stored.skipping.refuses_heads);
    world.take_requests();
    let other = world.elsewhere();
    let outcome = world
        .invoke_at(&other, json!({"action": "tick"}))
        .await
        .unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    let (requests, _) = world.take_requests();
    assert!(!requests.iter().any(asks_for_heads), "{requests:#?}");
    world.finish();
}

/// Contents are read at one commit, whatever moves meanwhile.
#[tokio::test]
async fn contents_are_read_by_the_hash_of_a_commit() {
    let world = world_of(workspace(3), mapping()).await;
    world.resync().await;
    let asked = take_contents(&world);
    assert!(!asked.is_empty());
    for path in asked {
        let (_, revision) = path.split_once("/src/").unwrap();
        let hash = revision.split('/').next().unwrap();
        assert!(
            hash.len() == 40 && hash.bytes().all(|it| it.is_ascii_hexdigit()),
            "{path}"
        );
    }
    world.finish();
}

/// A replica that has not heard of the commit yet says nothing about its files.
#[tokio::test]
async fn a_file_of_a_commit_that_is_not_known_yet_is_not_taken_for_missing() {
    let world = world_of(workspace(3), mapping()).await;
    let body = json!({"type": "error", "error": {"message": "Commit not found"}});
    let unknown = Fault::new("/README.md", FaultKind::Answer(Response::json(404, &body)));
    world.bitbucket.server().misbehave(unknown.times(1));
    let mut outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    for _ in 0..3 {
        if outcome["status"] == "paused" {
            world.clock.advance(Duration::from_secs(120));
            outcome = world.tick().await.unwrap();
        }
    }
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    for repository in ["service-1", "service-2", "service-3"] {
        let catalogue = world.port.catalogue();
        let readme = &catalogue["repository"][repository]["properties"]["readme"];
        assert_eq!(readme, "# Read me\n", "{repository}");
    }
    world.finish();
}
