//! Lists that shift, lag or end early while they are read: their silence deletes nothing.

use sandbox::bitbucket::{Bitbucket, NewPullRequest, Object, Quirks};
use sandbox::server::{Fault, FaultKind, Request};

use super::{assert_fresh, assert_spared, run};
use crate::convergence::every_kind;
use crate::support::World;

/// A request for a list as such, not for certain items of it by their ids.
fn is_list(request: &Request) -> bool {
    let mut queries = request.query_all("q");
    !queries.any(|query| query.contains("uuid") || query.contains("id="))
}

fn is_second_page(request: &Request) -> bool {
    let mut pages = request.query_all("page");
    is_list(request) && pages.any(|page| page != "1")
}

/// Pages of three, in a workspace with more of everything than fits on one.
pub(super) async fn several_pages() -> World {
    let world = every_kind().await;
    let quirks = Quirks {
        longest_page: 3,
        ..Quirks::default()
    };
    world.bitbucket.set_quirks(quirks);
    for number in 1..=6 {
        let tag = format!("v2.{number}");
        world
            .bitbucket
            .create_tag("payments-api", &tag, None)
            .unwrap();
        let branch = format!("team/{number}");
        world
            .bitbucket
            .create_branch("payments-api", &branch, None)
            .unwrap();
        world.bitbucket.add_user(&format!("Person {number}"));
        let key = format!("K{number}");
        world
            .bitbucket
            .create_project(&key, &format!("Project {number}"))
            .unwrap();
        let new = NewPullRequest::new(format!("Idea {number}"), "Luis Ferro");
        world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
    }
    world.resync().await;
    world
}

/// Each one that `remove` takes away before a second page shifts the rest by one, and one that exists is not shown.
async fn shifts(
    list: &str,
    first: usize,
    remove: impl Fn(&Bitbucket) + Clone + Send + Sync + 'static,
) {
    let world = several_pages().await;
    world.port.take_writes();
    let before = world.bitbucket.before(remove);
    let fault = Fault::new(list, before).when(is_second_page).at_end();
    world.bitbucket.server().misbehave(fault.after(first));
    run(&world).await.unwrap();
    world.settle().await;
    let story = format!("{list} shifts");
    assert_spared(&world, &world.fresh_catalogue().await, &story);
    run(&world).await.unwrap();
    world.settle().await;
    assert_fresh(&world, &story).await;
    world.finish();
}

#[tokio::test]
async fn a_repository_that_is_not_listed_because_another_went_stays() {
    // One of the first page, before the second; one of the second, before the third.
    for (slug, first) in [
        ("checkout-service", 0),
        ("zurich-unicode", 0),
        ("monorepo", 1),
    ] {
        let remove = move |bitbucket: &Bitbucket| {
            bitbucket.delete_repository(slug).unwrap();
        };
        shifts("/repositories/acme-platform", first, remove).await;
    }
}

#[tokio::test]
async fn a_pull_request_that_is_not_listed_because_another_ended_stays() {
    for id in [1, 2] {
        let remove = move |bitbucket: &Bitbucket| {
            bitbucket
                .decline("payments-api", id, "Dana Okafor", "No")
                .unwrap();
        };
        shifts("/pullrequests", 0, remove).await;
    }
}

#[tokio::test]
async fn branches_and_tags_that_are_not_listed_because_another_went_stay() {
    // Whatever their order is: each in turn, so that some of them stand on the first page.
    for nth in 0..4 {
        let remove = move |bitbucket: &Bitbucket| {
            let branches = bitbucket.branches("payments-api").unwrap();
            let mut others = branches.iter().filter(|(name, _)| name != "main");
            let (name, _) = others.nth(nth).unwrap();
            bitbucket.delete_branch("payments-api", name).unwrap();
        };
        shifts("/refs/branches", 0, remove).await;
    }
    for tag in ["v1.0.0", "v1.1.0", "v2.1", "v2.4", "v2.6"] {
        let remove = move |bitbucket: &Bitbucket| {
            bitbucket.delete_tag("payments-api", tag).unwrap();
        };
        shifts("/refs/tags", 0, remove).await;
    }
}

#[tokio::test]
async fn members_and_projects_that_are_not_listed_because_another_went_stay() {
    let remove = |bitbucket: &Bitbucket| {
        bitbucket.delete_user("Person 1").unwrap();
    };
    shifts("/members", 1, remove).await;
    let remove = |bitbucket: &Bitbucket| {
        bitbucket.delete_project("K1").unwrap();
    };
    shifts("/projects", 1, remove).await;
}

/// The end of the path of the list that shows an object, and how the list names it.
fn listed_as(object: &Object) -> Option<(&'static str, String)> {
    Some(match object {
        Object::Project(uuid) => ("/projects", uuid.clone()),
        Object::Repository(uuid) => ("/repositories/acme-platform", uuid.clone()),
        Object::PullRequest(_, id) => ("/pullrequests", id.to_string()),
        Object::Branch(_, name) => ("/refs/branches", name.clone()),
        Object::Tag(_, name) => ("/refs/tags", name.clone()),
        Object::Pipeline(_, uuid) => ("/pipelines", uuid.clone()),
        Object::Deployment(_, uuid) => ("/deployments", uuid.clone()),
        Object::Environment(_, uuid) => ("/environments", uuid.clone()),
        Object::File(..) | Object::Member(_) => return None,
    })
}

/// Bitbucket's lists lag, too: what was made a moment ago is not shown yet, or not any more.
#[tokio::test]
async fn whatever_a_list_leaves_out_stays() {
    let world = every_kind().await;
    world.resync().await;
    let before = world.port.catalogue();
    world.port.take_writes();
    for object in world.bitbucket.objects() {
        let Some((list, name)) = listed_as(&object) else {
            continue;
        };
        let fault = Fault::new(list, FaultKind::without_item(&name)).when(is_list);
        world.bitbucket.server().misbehave(fault.always());
        run(&world).await.unwrap();
        world.bitbucket.server().behave();
        let story = format!("{object:?} is not listed");
        assert_spared(&world, &before, &story);
    }
    world.settle().await;
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}

#[tokio::test]
async fn lists_that_end_early_or_begin_again_delete_nothing() {
    let world = several_pages().await;
    let before = world.port.catalogue();
    world.port.take_writes();
    let lists = [
        "/repositories/acme-platform",
        "/pullrequests",
        "/refs/branches",
        "/refs/tags",
        "/projects",
        "/members",
    ];
    for list in lists {
        for kind in [
            FaultKind::without_next(),
            FaultKind::items_twice(),
            FaultKind::null_items(),
            FaultKind::half_json(),
            FaultKind::empty(204),
        ] {
            let story = format!("{list}: {kind}");
            let fault = Fault::new(list, kind).when(is_list).at_end();
            world.bitbucket.server().misbehave(fault.times(2));
            run(&world).await.ok();
            world.bitbucket.server().behave();
            assert_spared(&world, &before, &story);
        }
    }
    run(&world).await.unwrap();
    world.settle().await;
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}

/// What page 1 has shown is written, whatever becomes of page 2, and nobody takes it back.
#[tokio::test]
async fn what_the_first_page_has_shown_outlives_a_second_that_cannot_be_read() {
    for status in [500, 403] {
        let world = several_pages().await;
        let new = NewPullRequest::new("Brand new", "Mina Sato");
        let (id, _) = world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
        let uuid = world.bitbucket.repository_uuid("payments-api").unwrap();
        let fault = Fault::refused(format!("{uuid}/pullrequests"), status);
        let fault = fault.at_end().when(is_second_page).always();
        world.bitbucket.server().misbehave(fault);
        world.port.take_writes();
        let mut written = Vec::new();
        for _ in 0..3 {
            let outcome = run(&world).await.unwrap();
            assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
            written.push(world.port.take_writes().len());
        }
        world.bitbucket.server().behave();
        let fresh = world.fresh_catalogue().await;
        assert_spared(&world, &fresh, "page 2 cannot be read");
        // The first run may write; the others find that nothing has changed.
        assert_eq!(
            written.get(1..),
            Some([0, 0].as_slice()),
            "{written:?} {id}"
        );
        run(&world).await.unwrap();
        assert_fresh(&world, "page 2 can be read again").await;
        world.finish();
    }
}

/// A live look at everything of a repository reads lists as well.
#[tokio::test]
async fn a_push_that_meets_a_list_with_a_gap_deletes_nothing() {
    let world = several_pages().await.with_queue().await;
    for (list, name) in [("/refs/branches", "team/2"), ("/refs/tags", "v2.2")] {
        world.port.take_writes();
        let fault = Fault::new(list, FaultKind::without_item(name)).when(is_list);
        world.bitbucket.server().misbehave(fault.always());
        let files = [("src/main.rs", Some(format!("// {list}\n")))];
        let (_, pushed) = world
            .bitbucket
            .push("payments-api", "main", &files)
            .unwrap();
        world.accept(&pushed).await;
        world.drain().await;
        world.bitbucket.server().behave();
        assert_fresh(&world, list).await;
    }
    world.finish();
}
