//! A git that is not there, cannot do what is needed, refuses, breaks off or lies: REST takes over, nothing is missing, and
//! it is said once.

use std::sync::Mutex;

use sandbox::bitbucket::{Bitbucket, Quirks, RateLimit};
use sandbox::server::{Fault, FaultKind, Response};
use serde_json::Value;

use super::{probes, resources, sorted, workspace, world};
use crate::log::Lines;
use crate::support::World;

const TOLD: &str = "contents are not read over git: REST is asked";

/// Where requests for packs go.
const PACKS: &str = ".git/git-upload-pack";

/// Runs once, and insists that the catalogue is the one by REST; returns what was told of git, and how many requests for packs
/// there were.
async fn fall_back(name: &str, world: World) -> (Vec<Value>, usize) {
    let (lines, guard) = Lines::of_json();
    let outcome = world.resync().await;
    let told = lines.take(TOLD);
    drop(guard);
    assert_eq!(
        outcome["failed_partitions"],
        serde_json::json!([]),
        "{name}"
    );
    let (over_git, rest) = sorted(&world.take_requests().0);
    assert!(!rest.is_empty(), "{name}: nothing was read over REST");
    let calm = world.fresh_catalogue().await;
    assert_eq!(world.port.catalogue(), calm, "{name}");
    world.finish();
    (told, over_git.values().sum())
}

async fn with_fault(fault: Fault) -> World {
    let world = world(workspace(), "auto", &resources()).await;
    world.bitbucket.server().misbehave(fault);
    world
}

async fn with_quirks(quirks: Quirks) -> World {
    let world = world(workspace(), "auto", &resources()).await;
    world.bitbucket.set_quirks(quirks);
    world
}

fn answers(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> FaultKind {
    FaultKind::rewrite(name, move |_, mut answer| {
        answer.body = change(answer.body);
        answer
    })
}

/// Says what is wrong with the server, and asks it nothing more.
#[tokio::test]
async fn a_server_that_does_not_do_what_is_needed_is_asked_once() {
    let without_filters = Quirks {
        git_without_filters: true,
        ..Quirks::default()
    };
    let (told, packs) = fall_back("no filters", with_quirks(without_filters).await).await;
    assert_eq!((told.len(), packs), (1, 0));
    assert_eq!(told[0]["detail"], "no filters are known");
    let page = FaultKind::html(200);
    let world = with_fault(Fault::new("/info/refs", page).always()).await;
    let (told, packs) = fall_back("a page", world).await;
    assert_eq!((told.len(), packs), (1, 0));
    assert_eq!(told[0]["detail"], "protocol version 2 is not spoken");
}

#[tokio::test]
async fn a_server_without_git_is_said_to_have_none_once() {
    let quirks = Quirks {
        without_git: true,
        ..Quirks::default()
    };
    let (told, packs) = fall_back("no git", with_quirks(quirks).await).await;
    assert_eq!((told.len(), packs), (1, 0));
    assert_eq!(told[0]["detail"], "HTTP 404");
}

#[tokio::test]
async fn whatever_an_answer_is_rest_takes_over() {
    let half = FaultKind::Truncate;
    let flipped = answers("a byte is another one", |mut body| {
        let at = body.len() / 2;
        body[at] ^= 0x20;
        body
    });
    let cut = answers("an end that is missing", |mut body| {
        body.truncate(body.len() - 30);
        body
    });
    let empty = answers("nothing", |_| Vec::new());
    let first = Mutex::new(None);
    let another = answers("another repository's objects", move |body| {
        let mut first = first.lock().unwrap();
        first.get_or_insert(body).clone()
    });
    let refusing = answers("refused", |_| b"0011ERR not today".to_vec());
    for (name, kind) in [
        ("half", half),
        ("flipped", flipped),
        ("cut", cut),
        ("empty", empty),
        ("another", another),
        ("refusing", refusing),
        ("reset", FaultKind::Reset),
        ("not found", FaultKind::refused(404)),
        ("not allowed", FaultKind::refused(403)),
        ("an outage", FaultKind::html(503)),
        ("a page", FaultKind::html(200)),
        (
            "led elsewhere",
            FaultKind::redirect(301, "https://elsewhere.example/"),
        ),
    ] {
        let world = with_fault(Fault::new(PACKS, kind).always()).await;
        let (told, packs) = fall_back(name, world).await;
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert!(0 < packs, "{name}");
    }
}

/// The trees come, the files do not.
#[tokio::test]
async fn files_that_do_not_come_cost_no_more_than_their_repository() {
    let kind = FaultKind::refused(403);
    let world = with_fault(Fault::new("checkout.git/git-upload-pack", kind).nth(2)).await;
    let (told, packs) = fall_back("one repository", world).await;
    assert_eq!((told.len(), packs), (1, 4));
    assert_eq!(told[0]["repository"], "acme/checkout");
}

/// An object that is another one than its name says.
#[tokio::test]
async fn a_wrong_object_is_noticed() {
    let lying = FaultKind::instead("another file", |request, model| {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        if body.contains("filter") {
            return model(request);
        }
        // Fewer files than were asked for: the first is left out.
        let mut other = request.clone();
        let at = body.find("0032want").unwrap();
        let (before, rest) = body.split_at(at);
        let (_, rest) = rest.split_at(0x32);
        if !rest.contains("want") {
            return Response::empty(500);
        }
        other.body = [before, rest].concat().into();
        model(&other)
    });
    let (told, _) = fall_back("lying", with_fault(Fault::new(PACKS, lying).always()).await).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["cause"], "git's answer lacks what was asked for");
}

/// A token that REST takes, and git does not: refused twice, it is not sent to git again.
#[tokio::test]
async fn a_token_that_only_rest_takes_is_not_tried_again_and_again() {
    let refused = Fault::new("/info/refs", FaultKind::refused(401)).always();
    let (told, packs) = fall_back("refused", with_fault(refused).await).await;
    assert_eq!((told.len(), packs), (1, 0));
    assert_eq!(told[0]["cause"], "git takes none of the credentials");
    // Refused in passing, it is let in.
    let world = with_fault(Fault::new("/info/refs", FaultKind::refused(401)).times(1)).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    assert_eq!((probes(&requests), sorted(&requests).1), (2, Vec::new()));
    world.finish();
}

#[tokio::test]
async fn git_at_its_limit_is_not_waited_for() {
    let limited = FaultKind::rate_limited(Some(600));
    let world = with_fault(Fault::new(PACKS, limited)).await;
    let (told, packs) = fall_back("limited", world).await;
    // The other repository's request may be under way by then.
    assert!(packs <= 2, "{packs}");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["detail"], "for 600 s");
}

/// A pack above the bound is not read to its end, nor unpacked.
#[tokio::test]
async fn a_repository_that_is_too_large_is_read_over_rest() {
    let world = world(workspace(), "auto", &resources()).await;
    // Nothing that could be compressed.
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..11 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 | 1
        })
        .collect();
    let push = |repository: &str, path: &str, content: &[u8]| {
        world
            .bitbucket
            .push(repository, "main", &[(path, Some(content))])
            .unwrap();
    };
    push("checkout", "large.txt", &noise);
    push("payments", "large.txt", &noise[..5 << 20]);
    let (lines, guard) = Lines::of_json();
    let outcome = world.resync().await;
    let told = lines.take(TOLD);
    drop(guard);
    assert_eq!(outcome["counts"]["skipped"], 2);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["repository"], "acme/checkout");
    assert_eq!(told[0]["cause"], "git's answer is too large");
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.finish();
}

/// What git spends is not REST's, and the other way round.
#[tokio::test]
async fn git_goes_on_where_rest_is_used_up() {
    let world = world(workspace(), "auto", &resources()).await;
    let limit = RateLimit {
        raw_files: Some(0),
        ..RateLimit::from(1_000)
    };
    world
        .bitbucket
        .set_rate_limit(Bitbucket::TOKEN, limit)
        .unwrap();
    world.resync().await;
    assert_eq!(sorted(&world.take_requests().0).1, Vec::<String>::new());
    world.bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.finish();
}
