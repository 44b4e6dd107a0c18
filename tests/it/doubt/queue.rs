//! Events that meet trouble: the object at hand waits, its neighbours do not, and nothing ends among dead letters.

use std::task::Poll;
use std::time::Duration;

use ferry::deadline::later;
use ferry::http::Http;
use sandbox::bitbucket::{NewPullRequest, PullRequestChange, Workspace};
use sandbox::server::{Fault, FaultKind, Request};
use sandbox::webhook::Delivery;
use serde_json::Value;

use super::{assert_fresh, deleted, hours, retitle};
use crate::convergence::every_kind;
use crate::support::{Settings, World};

const REPOSITORY: &str = "payments-api";

/// Of the events function, as `template.yaml` has it.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A request for this pull request alone, or for some among which it is.
fn asks_for(id: u64) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    let (query, path) = (format!("id={id}"), format!("/pullrequests/{id}"));
    move |request| {
        let mut queries = request.query_all("q");
        let asked = queries.any(|q| q.replace(' ', "").contains(&query));
        asked || request.path.contains(&path)
    }
}

/// Opens five pull requests; their events wait in the queue.
async fn open_five(world: &World) -> Vec<u64> {
    let mut ids = Vec::new();
    for number in 1..=5 {
        let new = NewPullRequest::new(format!("Idea {number}"), "Luis Ferro");
        let (id, told) = world.bitbucket.open_pull_request(REPOSITORY, new).unwrap();
        world.accept(&told).await;
        ids.push(id);
    }
    ids
}

/// Every one of `ids` has its news in Port, except the one that is `broken`.
fn assert_only_lacks(world: &World, ids: &[u64], broken: u64, story: &str) {
    for id in ids {
        let identifier = format!("{REPOSITORY}/{id}");
        let entity = world.port.entity("bitbucketPullRequest", &identifier);
        let is_there = entity.unwrap().title.as_deref() == Some("Retitled");
        assert_eq!(is_there, *id != broken, "{story}: {identifier}");
    }
}

/// Five pull requests in Port, whose news wait in the queue.
async fn five_with_news() -> (World, Vec<u64>) {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let ids = open_five(&world).await;
    world.drain().await;
    for id in &ids {
        let told = retitle(&world.bitbucket, REPOSITORY, *id, "Retitled");
        world.accept(&told).await;
    }
    (world, ids)
}

/// Five pull requests with news, of which one cannot be read as `kind` says.
async fn one_among_five(kind: FaultKind) {
    let story = kind.to_string();
    let (world, ids) = five_with_news().await;
    let broken = ids[2];
    let fault = Fault::new("/pullrequests", kind).when(asks_for(broken));
    world.bitbucket.server().misbehave(fault.always());
    world.work_off().await;
    assert_only_lacks(&world, &ids, broken, &story);
    world.take_requests();
    // More receives than the queue bears.
    hours(&world, 24).await;
    assert_eq!(world.queue().dead_letters(), 0, "{story}");
    let (requests, _) = world.take_requests();
    let neighbour = asks_for(ids[1]);
    let again = requests.iter().filter(|request| neighbour(request)).count();
    assert_eq!(again, 0, "{story}: a neighbour is looked at again");
    world.bitbucket.server().behave();
    world.drain().await;
    assert_fresh(&world, &story).await;
    world.finish();
}

#[tokio::test]
async fn one_object_that_fails_costs_its_neighbours_nothing() {
    for kind in [
        FaultKind::refused(503),
        FaultKind::html(200),
        FaultKind::Reset,
        FaultKind::half_json(),
        FaultKind::refused(403),
        FaultKind::refused(404),
    ] {
        one_among_five(kind).await;
    }
}

/// How long a worker waits for one answer here. Somebody who never answers takes the machine's time.
const PATIENCE: Duration = Duration::from_secs(3);

/// The call for one of five never ends; when the worker has given it up, and asks again, its time is over and Lambda
/// ends it.
#[tokio::test]
async fn one_object_that_hangs_costs_its_neighbours_nothing() {
    let (world, ids) = five_with_news().await;
    let broken = ids[2];
    for kind in [
        FaultKind::Hang,
        FaultKind::slow(2 * TIMEOUT.as_secs()),
        FaultKind::Refuse,
    ] {
        let fault = Fault::new("/pullrequests", kind).when(asks_for(broken));
        world.bitbucket.server().misbehave(fault);
    }
    let mut worker = world.elsewhere();
    let http = Http::new(world.clock.clone()).unwrap();
    worker.http = http.with_timeout(Some(PATIENCE));
    let ends_at = later(world.clock.now(), TIMEOUT);
    let mut work = Box::pin(world.work_off_at(&worker, TIMEOUT));
    let worked = std::future::poll_fn(|context| match ends_at <= world.clock.now() {
        true => Poll::Ready(None),
        false => work.as_mut().poll(context).map(Some),
    });
    assert_eq!(worked.await, None);
    drop(work);
    assert_only_lacks(&world, &ids, broken, "one hangs");
    world.bitbucket.server().behave();
    world.drain().await;
    assert_fresh(&world, "one hangs").await;
    world.finish();
}

#[tokio::test]
async fn one_entity_that_port_fails_costs_its_neighbours_nothing() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let ids = open_five(&world).await;
    let broken = format!("{REPOSITORY}/{}", ids[2]);
    let fault = Fault::entity_fails(&broken, 500);
    world.port.server().misbehave(fault);
    for _ in 0..3 {
        world.work_off().await;
    }
    for id in &ids {
        let identifier = format!("{REPOSITORY}/{id}");
        let entity = world.port.entity("bitbucketPullRequest", &identifier);
        assert_eq!(entity.is_some(), identifier != broken, "{identifier}");
    }
    world.take_requests();
    hours(&world, 24).await;
    assert_eq!(world.queue().dead_letters(), 0);
    let (requests, _) = world.take_requests();
    let neighbour = asks_for(ids[1]);
    let again = requests.iter().filter(|request| neighbour(request)).count();
    assert_eq!(again, 0, "a neighbour is looked at again");
    world.port.server().behave();
    world.drain().await;
    assert_fresh(&world, "one entity fails").await;
    world.finish();
}

#[tokio::test]
async fn a_large_project_is_read_once() {
    let workspace = Workspace::generate(1, 130, 0, 7).unwrap();
    let world = World::new(workspace, Settings::new())
        .await
        .with_queue()
        .await;
    world.resync().await;
    world.take_requests();
    let told = world.bitbucket.rename_project("P1", "Renamed").unwrap();
    world.accept(&told).await;
    // The same is told thrice, and the worker has little time.
    for delivery in &told {
        world.accept(&[delivery.redelivered()]).await;
    }
    world.drain().await;
    let (requests, _) = world.take_requests();
    let read = requests.len();
    // Each repository, its head, its README and its CODEOWNERS once; the project, and its repositories by the hundred.
    assert!(read <= 4 * 130 + 5, "{read} requests");
    assert_fresh(&world, "a project is renamed").await;
    world.finish();
}

#[tokio::test]
async fn three_hours_without_an_allowance_make_no_dead_letters() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let fault = Fault::new("/2.0", FaultKind::rate_limited(None));
    world.bitbucket.server().misbehave(fault.always());
    world.take_requests();
    for seed in 0..12 {
        let (_, told) = world.bitbucket.change_at_random(seed).unwrap();
        world.accept(&told).await;
        hours(&world, 1).await;
    }
    assert_eq!(world.queue().dead_letters(), 0);
    let (requests, _) = world.take_requests();
    assert!(requests.len() < 500, "{} requests", requests.len());
    world.bitbucket.server().behave();
    world.drain().await;
    assert_fresh(&world, "the allowance is back").await;
    world.finish();
}

/// Wherever in its writes a rename is interrupted, the name in the middle is not left.
#[tokio::test]
async fn a_rename_that_is_made_up_for_leaves_no_name_in_the_middle() {
    let world = every_kind().await.with_queue().await;
    world.resync().await;
    let uuid = world.bitbucket.repository_uuid("monorepo").unwrap();
    for skip in 0..8 {
        // A day has room for a part of the catalogue's deletions only.
        world.clock.advance(Duration::from_secs(25 * 3_600));
        world.port.take_writes();
        let fault = Fault::refused("/entities", 503).after(skip).times(3);
        world.port.server().misbehave(fault);
        let (middle, last) = (format!("Middle {skip}"), format!("Last {skip}"));
        let told = world.bitbucket.rename_repository(&uuid, &middle).unwrap();
        world.accept(&told).await;
        world.work_off().await;
        let told = world.bitbucket.rename_repository(&uuid, &last).unwrap();
        world.accept(&told).await;
        world.drain().await;
        world.port.server().behave();
        assert_fresh(&world, &format!("503 after {skip} calls")).await;
    }
    world.finish();
}

fn draft(world: &World, id: u64, draft: bool) -> Vec<Delivery> {
    let change = PullRequestChange {
        draft: Some(draft),
        ..PullRequestChange::default()
    };
    world
        .bitbucket
        .update_pull_request(REPOSITORY, id, change)
        .unwrap()
}

/// A deletion that waits in Port's 429 is decided anew: another worker may have written the entity since.
#[tokio::test]
async fn a_deletion_that_waited_does_not_remove_what_was_written_since() {
    for times in 1..4 {
        let world = every_kind().await.with_queue().await;
        world.resync().await;
        world.port.take_writes();
        let fault = Fault::new("/entities/delete", FaultKind::rate_limited(Some(120)));
        world.port.server().misbehave(fault.times(times));
        world.accept(&draft(&world, 1, true)).await;
        world.work_off().await;
        world.accept_elsewhere(&draft(&world, 1, false)).await;
        let after = deleted(&world).len();
        world.drain().await;
        let later: Vec<_> = deleted(&world).split_off(after);
        assert!(
            later.iter().all(|(blueprint, _)| blueprint != "ready"),
            "{later:?}"
        );
        let live: Value = world.port.catalogue();
        assert_eq!(live, world.fresh_catalogue().await, "{times} times");
        world.port.server().behave();
        world.finish();
    }
}

#[tokio::test]
async fn a_new_project_comes_with_its_first_repository() {
    let world = every_kind().await.with_queue().await;
    world.resync().await;
    let (_, mut told) = world.bitbucket.create_project("NEW", "Brand new").unwrap();
    let (_, more) = world.bitbucket.create_repository("NEW", "First").unwrap();
    told.extend(more);
    world.accept(&told).await;
    world.drain().await;
    assert_fresh(&world, "a new project").await;
    // The project's own event may come first, last, or never.
    let (_, late) = world.bitbucket.create_project("NEXT", "The next").unwrap();
    let (_, told) = world.bitbucket.create_repository("NEXT", "Second").unwrap();
    world.accept(&told).await;
    world.drain().await;
    assert_fresh(&world, "before the project's own event").await;
    world.accept(&late).await;
    world.drain().await;
    assert_fresh(&world, "after the project's own event").await;
    let moved = world.bitbucket.move_repository("monorepo", "NEXT").unwrap();
    world.accept(&moved).await;
    world.drain().await;
    assert_fresh(&world, "moved to a new project").await;
    world.finish();
}

/// What a replica answers that lags behind the event is not believed.
#[tokio::test]
async fn an_answer_older_than_the_event_is_asked_for_again() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    for times in [1, 2, 5] {
        world.port.take_writes();
        let old = world.bitbucket.moment();
        let mut told = retitle(&world.bitbucket, REPOSITORY, 1, &format!("Title {times}"));
        let new = NewPullRequest::new("Not seen yet", "Luis Ferro");
        let (_, opened) = world.bitbucket.open_pull_request(REPOSITORY, new).unwrap();
        told.extend(opened);
        let fault = Fault::new("/pullrequests", world.bitbucket.as_of(&old));
        world.bitbucket.server().misbehave(fault.times(times));
        world.accept(&told).await;
        world.drain().await;
        assert_fresh(&world, &format!("{times} old answers")).await;
    }
    // The end of a pull request, too.
    let old = world.bitbucket.moment();
    let told = world.bitbucket.merge(REPOSITORY, 1, "Mina Sato").unwrap();
    let fault = Fault::new("/pullrequests", world.bitbucket.as_of(&old));
    world.bitbucket.server().misbehave(fault.times(3));
    world.accept(&told).await;
    world.drain().await;
    assert_fresh(&world, "merged, and open in the answer").await;
    world.clock.advance(Duration::from_secs(1));
    world.finish();
}

/// The replica lags for so long that the look is stored, and still lags when it is taken again.
#[tokio::test]
async fn a_stored_look_believes_no_older_answer_either() {
    for has_queue in [true, false] {
        let mut world = World::demo().await;
        if has_queue {
            world = world.with_queue().await;
        }
        let pass = async |world: &World| match has_queue {
            true => hours(world, 4).await,
            false => {
                for _ in 0..4 * 4 {
                    world.clock.advance(Duration::from_secs(15 * 60));
                    world.tick().await.ok();
                }
            }
        };
        world.resync().await;
        world.port.take_writes();
        let old = world.bitbucket.moment();
        let told = retitle(&world.bitbucket, REPOSITORY, 1, "Told once");
        let fault = Fault::new("/pullrequests", world.bitbucket.as_of(&old));
        world.bitbucket.server().misbehave(fault.always());
        world.accept(&told).await;
        pass(&world).await;
        world.bitbucket.server().behave();
        pass(&world).await;
        assert_fresh(&world, "after the replica has caught up").await;
        world.finish();
    }
}

/// One entity that Port fails at is its own affair. Two side by side look like an outage, each time.
#[tokio::test]
async fn entities_that_port_always_fails_at_do_not_hold_up_a_run() {
    let world = World::demo().await;
    for identifier in ["checkout-service", "empty-repo"] {
        let poisoned = format!("\"identifier\":\"{identifier}\"");
        let fault = Fault::status("/bulk", 500).with_body(poisoned).always();
        world.port.server().misbehave(fault);
    }
    let outcome = world.resync_with_losses().await;
    let repositories = world.identifiers()["bitbucketRepository"].len();
    assert!(3 < repositories, "{repositories} repositories, {outcome}");
    world.port.server().behave();
    world.settle().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}
