//! What no list shows and nobody has recorded, or what cannot be told apart: it is not taken for gone.

use sandbox::bitbucket::{Bitbucket, NewPullRequest, Quirks, Workspace};
use sandbox::server::{Fault, FaultKind, Request, Response};
use serde_json::{Value, json};

use super::{NUMBERED, assert_fresh, assert_spared, blueprint, resource, run, with_resources};
use crate::support::{IDENTIFIER, Settings, World};

fn is_second_page(request: &Request) -> bool {
    let mut pages = request.query_all("page");
    let mut queries = request.query_all("q");
    pages.any(|page| page != "1")
        && !queries.any(|query| query.contains("uuid") || query.contains("id="))
}

fn repositories() -> Value {
    resource("repository", json!({}), "repository", json!(".slug"))
}

fn pull_requests() -> Value {
    resource("pull-request", json!({}), "pr", json!(NUMBERED))
}

/// Repositories on several pages of a list, the second with several pages of pull requests.
async fn several_pages(resources: Vec<Value>) -> World {
    let workspace = Workspace::generate(1, 12, 16, 3).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    let longest_page = 3;
    world.bitbucket.set_quirks(Quirks {
        longest_page,
        ..Quirks::default()
    });
    for identifier in ["repository", "pr"] {
        blueprint(&world, identifier, &[]);
    }
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    world
}

/// What another installation has written before is there, and nothing is recorded of it.
async fn forget(world: &mut World) {
    world.resync().await;
    world.replace_function(Settings::new());
    world.port.take_writes();
}

/// A run in which `change` comes before the second page of `list`, and one after it: nothing that exists goes.
async fn read_while(world: World, list: &str, change: impl Fn(&Bitbucket) + Send + Sync + 'static) {
    let fault = Fault::new(list, world.bitbucket.before(change)).when(is_second_page);
    world.bitbucket.server().misbehave(fault.times(1));
    run(&world).await.unwrap();
    world.settle().await;
    assert_spared(&world, &world.fresh_catalogue().await, list);
    run(&world).await.unwrap();
    assert_fresh(&world, list).await;
    world.finish();
}

#[tokio::test]
async fn what_slips_through_a_list_without_records_stays() {
    for list in ["/repositories/", "/pullrequests"] {
        let mut world = several_pages(vec![repositories(), pull_requests()]).await;
        forget(&mut world).await;
        let first = world.bitbucket.repositories()[0].clone();
        let remove = move |bitbucket: &Bitbucket| match list {
            "/pullrequests" => {
                bitbucket.decline(&first, 1, "Dana Okafor", "No").unwrap();
            }
            _ => {
                bitbucket.delete_repository(&first).unwrap();
            }
        };
        read_while(world, list, remove).await;
    }
}

/// One goes and another comes while the list is read: the count is right, and one that exists is not shown.
#[tokio::test]
async fn what_slips_through_while_another_comes_stays() {
    for list in ["/repositories/", "/pullrequests"] {
        let mut world = several_pages(vec![repositories(), pull_requests()]).await;
        // What comes last stands last.
        world.bitbucket.set_quirks(Quirks {
            longest_page: 3,
            reversed_lists: list == "/pullrequests",
            ..Quirks::default()
        });
        forget(&mut world).await;
        let first = world.bitbucket.repositories()[0].clone();
        let replace = move |bitbucket: &Bitbucket| match list {
            "/pullrequests" => {
                bitbucket.decline(&first, 1, "Dana Okafor", "No").unwrap();
                let new = NewPullRequest::new("One more", "Person 1");
                bitbucket.open_pull_request(&first, new).unwrap();
            }
            _ => {
                bitbucket.delete_repository(&first).unwrap();
                bitbucket.create_repository("P1", "One more").unwrap();
            }
        };
        read_while(world, list, replace).await;
    }
}

/// Something of ours that nothing makes.
fn leave_over(world: &World) {
    let ours = format!("port-ocean/bitbucket-cloud/1/{IDENTIFIER}/exporter");
    world
        .port
        .put_entity("repository", &json!({"identifier": "left-over"}), &ours)
        .unwrap();
}

/// By number it cannot be read; by key it can.
#[tokio::test]
async fn a_list_that_never_holds_still_is_read_by_key() {
    let mut world = several_pages(vec![repositories()]).await;
    forget(&mut world).await;
    leave_over(&world);
    let remove = move |bitbucket: &Bitbucket| {
        if let Some(first) = bitbucket.repositories().first() {
            bitbucket.delete_repository(first).unwrap();
        }
    };
    let fault = Fault::new("/repositories/", world.bitbucket.before(remove));
    world
        .bitbucket
        .server()
        .misbehave(fault.when(is_second_page).always());
    run(&world).await.unwrap();
    assert_spared(&world, &world.fresh_catalogue().await, "never still");
    let left_over = ("repository".to_owned(), "left-over".to_owned());
    assert!(super::deleted(&world).contains(&left_over));
    world.bitbucket.server().behave();
    run(&world).await.unwrap();
    assert_fresh(&world, "the list holds still").await;
    world.finish();
}

/// Bitbucket refuses to sort long lists, or ignores that it should.
#[tokio::test]
async fn a_list_that_cannot_be_read_by_key_makes_nothing_go() {
    let ignored = FaultKind::rewrite("in any order", |_, mut response: Response| {
        let mut page: Value = serde_json::from_slice(&response.body).unwrap();
        if let Some(values) = page["values"].as_array_mut() {
            values.reverse();
            response.body = page.to_string().into_bytes();
        }
        response
    });
    for kind in [FaultKind::refused(400), ignored] {
        let mut world = several_pages(vec![repositories()]).await;
        forget(&mut world).await;
        leave_over(&world);
        let is_sorted = |request: &Request| request.query("sort").is_some();
        let fault = Fault::new("/repositories/", kind).when(is_sorted);
        world.bitbucket.server().misbehave(fault.always());
        let outcome = world.resync_with_losses().await;
        assert_eq!(super::deleted(&world), []);
        assert_eq!(outcome["withheld"], 1, "{outcome:#}");
        world.bitbucket.server().behave();
        world.resync().await;
        let asked = world.take_requests().0;
        assert_fresh(&world, "it can be read by key").await;
        // Once nothing is left over, nothing is asked for by key.
        world.resync().await;
        let by_key = |requests: &[Request]| requests.iter().filter(|it| is_sorted(it)).count();
        assert!(0 < by_key(&asked));
        assert_eq!(by_key(&world.take_requests().0), 0);
        world.finish();
    }
}

/// As on the way to a repository that no list shows: one is forbidden, the lists lag behind another.
#[tokio::test]
async fn a_repository_that_no_list_shows_is_asked_for_itself() {
    for status in [200, 403] {
        let world =
            with_resources(&["repository", "pr"], vec![repositories(), pull_requests()]).await;
        world.resync().await;
        world.port.take_writes();
        let before = world.identifiers();
        let lists = FaultKind::rewrite("leaves one out", |_, mut response: Response| {
            let mut page: Value = serde_json::from_slice(&response.body).unwrap();
            if let Some(values) = page["values"].as_array_mut() {
                values.retain(|one| one["slug"] != "payments-api");
                let left = values.len();
                page["size"] = json!(left);
                response.body = page.to_string().into_bytes();
            }
            response
        });
        let is_list = |request: &Request| request.segments().len() <= 3;
        world
            .bitbucket
            .server()
            .misbehave(Fault::new("/repositories/", lists).when(is_list).always());
        if status == 403 {
            let is_itself = |request: &Request| request.segments().len() == 4;
            let forbidden = Fault::refused("/repositories/", 403).when(is_itself);
            world.bitbucket.server().misbehave(forbidden.always());
        }
        world.resync_with_losses().await;
        assert_eq!(world.identifiers(), before, "{status}");
        // Nor does an event that says so.
        let other = World::demo().await;
        let deleted = other.bitbucket.delete_repository("payments-api").unwrap();
        other.finish();
        world.accept(&deleted).await;
        assert_eq!(world.identifiers(), before, "{status}");
        world.bitbucket.server().behave();
        run(&world).await.unwrap();
        assert_fresh(&world, "the lists show it again").await;
        world.finish();
    }
}

/// `null`, no number, a page that says it has objects and shows none.
#[tokio::test]
async fn what_cannot_be_told_apart_proves_nothing() {
    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil); 5] = [
        ("/pullrequests", |page| {
            page["values"][0]["id"] = Value::Null
        }),
        ("/pullrequests", |page| page["values"][0] = Value::Null),
        ("/pullrequests", |page| page["values"] = json!([])),
        ("/repositories/", |page| page["values"][0] = Value::Null),
        ("/repositories/", |page| page["values"] = json!([])),
    ];
    for (position, (list, spoil)) in spoils.into_iter().enumerate() {
        let world =
            with_resources(&["repository", "pr"], vec![repositories(), pull_requests()]).await;
        world.resync().await;
        world.port.take_writes();
        let before = world.identifiers();
        let spoilt = FaultKind::rewrite("spoilt", move |_, mut response: Response| {
            let mut page: Value = serde_json::from_slice(&response.body).unwrap();
            if page["values"][0].is_object() {
                spoil(&mut page);
                response.body = page.to_string().into_bytes();
            }
            response
        });
        let is_list =
            move |request: &Request| list != "/repositories/" || request.segments().len() <= 3;
        let fault = Fault::new(list, spoilt).when(is_list);
        world.bitbucket.server().misbehave(fault.always());
        let outcome = run(&world).await;
        let is_plain = outcome.is_ok_and(|outcome| outcome["status"] == "completed");
        assert!(!is_plain, "{position}: completed");
        assert_eq!(world.identifiers(), before, "{position}");
        world.bitbucket.server().behave();
        run(&world).await.unwrap();
        assert_fresh(&world, list).await;
        world.finish();
    }
}

/// Numbers as text, or with a point: they are numbers all the same.
#[tokio::test]
async fn a_number_may_come_as_text() {
    let world = with_resources(&["pr"], vec![pull_requests()]).await;
    let as_text = FaultKind::rewrite("numbers as text", |_, mut response: Response| {
        let mut page: Value = serde_json::from_slice(&response.body).unwrap();
        for one in page["values"].as_array_mut().into_iter().flatten() {
            one["id"] = json!(one["id"].to_string());
        }
        response.body = page.to_string().into_bytes();
        response
    });
    world
        .bitbucket
        .server()
        .misbehave(Fault::new("/pullrequests", as_text).always());
    world.resync().await;
    let text = world.identifiers();
    world.bitbucket.server().behave();
    world.resync().await;
    assert_eq!(world.identifiers(), text);
    assert!(!text["pr"].is_empty());
    world.finish();
}
