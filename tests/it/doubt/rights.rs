//! Answers that say no: rights that were taken away, resources that cannot be read, servers that answer nonsense.

use sandbox::bitbucket::{Bitbucket, Hidden, NewPullRequest};
use sandbox::server::{Fault, FaultKind, Request, Server};
use sandbox::webhook::Delivery;
use serde_json::{Value, json};

use super::{
    NUMBERED, assert_fresh, assert_spared, blueprint, deleted, hours, is_write, resource, retitle,
    run, with_resources,
};
use crate::convergence::every_kind;
use crate::support::World;

/// Entities that people made, which the mapping finds by a query and enriches.
async fn enriched() -> World {
    let query = json!({"combinator": "'and'", "rules": [
        {"property": "'name'", "operator": "'='", "value": ".slug"}
    ]});
    let known = json!({"query": ".slug | IN(\"payments-api\", \"monorepo\", \"perl-scripts\")"});
    let resources = vec![resource("repository", known, "service", query)];
    let world = with_resources(&["service"], resources).await;
    for slug in ["payments-api", "monorepo", "perl-scripts"] {
        let body = json!({"identifier": format!("by-hand-{slug}"), "properties": {"name": slug}});
        world.port.put_entity("service", &body, "somebody").unwrap();
    }
    world.resync().await;
    world
}

#[tokio::test]
async fn entities_made_by_hand_outlive_every_refusal() {
    let world = enriched().await;
    let before = world.port.catalogue();
    for status in [403, 404, 400, 500] {
        let fault = Fault::refused("/repositories/acme-platform", status);
        world.bitbucket.server().misbehave(fault.always());
        run(&world).await.ok();
        world.bitbucket.server().behave();
        run(&world).await.unwrap();
        assert_eq!(deleted(&world), [], "{status}");
    }
    // Not even where the repository is gone: the entity is somebody else's.
    let gone = world.bitbucket.delete_repository("perl-scripts").unwrap();
    world.accept(&gone).await;
    run(&world).await.unwrap();
    assert_eq!(deleted(&world), []);
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}

fn is_deletion(request: &Request) -> bool {
    request.method == "DELETE" || request.path.ends_with("/entities/delete")
}

/// What one event meets on its way.
type Trouble = (bool, &'static str, Fault);

fn troubles() -> Vec<Trouble> {
    let port = |name, fault| (true, name, fault);
    let bitbucket = |name, fault| (false, name, fault);
    let pull_requests = "/pullrequests";
    vec![
        port(
            "500 on a write",
            Fault::refused("/entities", 500).when(is_write).times(2),
        ),
        port(
            "422 of a gateway",
            Fault::new("/entities", FaultKind::html(502)).times(3),
        ),
        port(
            "silence",
            Fault::new("/entities", FaultKind::Reset)
                .when(is_write)
                .times(2),
        ),
        port(
            "no word",
            Fault::new("/entities/bulk", FaultKind::no_entity_mentioned()).times(2),
        ),
        port(
            "207",
            Fault::new("/entities/bulk", FaultKind::all_entities_fail(500)).times(2),
        ),
        port(
            "429",
            Fault::new("/entities", FaultKind::rate_limited(Some(20))).times(4),
        ),
        bitbucket(
            "HTML",
            Fault::new(pull_requests, FaultKind::html(200)).times(3),
        ),
        bitbucket("400", Fault::refused(pull_requests, 400).times(3)),
        bitbucket("403", Fault::refused(pull_requests, 403).times(3)),
        bitbucket("404", Fault::refused(pull_requests, 404).times(3)),
        bitbucket(
            "204",
            Fault::new(pull_requests, FaultKind::empty(204)).times(2),
        ),
        bitbucket(
            "half",
            Fault::new(pull_requests, FaultKind::half_json()).times(2),
        ),
        bitbucket("410", Fault::refused(pull_requests, 410).times(2)),
        bitbucket("429", Fault::refused(pull_requests, 429).times(8)),
        bitbucket("5xx", Fault::refused(pull_requests, 503).times(12)),
    ]
}

fn side(world: &World, of_port: bool) -> &Server {
    match of_port {
        true => world.port.server(),
        false => world.bitbucket.server(),
    }
}

/// No run helps: what was told is in the catalogue once the queue is empty.
#[tokio::test]
async fn an_event_outlives_whatever_its_requests_are_answered() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    for (number, (of_port, name, fault)) in troubles().into_iter().enumerate() {
        world.port.take_writes();
        side(&world, of_port).misbehave(fault);
        let title = format!("Title {number}");
        let mut told = retitle(&world.bitbucket, "payments-api", 1, &title);
        let new = NewPullRequest::new(title, "Luis Ferro");
        let (id, opened) = world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
        told.extend(opened);
        let merged = world
            .bitbucket
            .merge("payments-api", id, "Mina Sato")
            .unwrap();
        told.extend(merged);
        world.accept(&told).await;
        world.drain().await;
        side(&world, of_port).behave();
        assert_fresh(&world, &format!("{name}, of Port: {of_port}")).await;
    }
    world.finish();
}

#[tokio::test]
async fn a_deletion_that_port_does_not_take_is_made_up_for() {
    let world = every_kind().await.with_queue().await;
    world.resync().await;
    for (name, fault) in [
        ("500", Fault::refused("", 500).when(is_deletion).times(2)),
        ("503", Fault::refused("", 503).when(is_deletion).times(8)),
        (
            "silence",
            Fault::new("", FaultKind::Reset).when(is_deletion).times(2),
        ),
        (
            "429",
            Fault::new("", FaultKind::rate_limited(Some(30)))
                .when(is_deletion)
                .times(2),
        ),
    ] {
        world.port.take_writes();
        let slug = format!("short-lived-{name}");
        let (uuid, mut told) = world.bitbucket.create_repository("PLAT", &slug).unwrap();
        world.accept(&told).await;
        world.drain().await;
        told = world.bitbucket.delete_repository(&uuid).unwrap();
        world.port.server().misbehave(fault);
        world.accept(&told).await;
        world.drain().await;
        assert_fresh(&world, name).await;
    }
    world.finish();
}

async fn push(world: &World, slug: &str, branch: &str) -> Vec<Delivery> {
    let files = [(
        "notes.txt",
        Some(format!("{slug} at {}\n", world.clock.now())),
    )];
    world.bitbucket.push(slug, branch, &files).unwrap().1
}

/// A 404 is not a deletion that somebody told of.
#[tokio::test]
async fn a_repository_that_is_not_found_after_a_push_stays() {
    let world = every_kind().await.with_queue().await;
    world.resync().await;
    for (times, status) in [(1, 404), (2, 404), (6, 404), (2, 403), (3, 400)] {
        world.port.take_writes();
        let uuid = world.bitbucket.repository_uuid("payments-api").unwrap();
        let pushed = push(&world, "payments-api", "main").await;
        let fault = Fault::refused("/repositories/acme-platform", status)
            .when(move |request| request.target().contains(&uuid));
        world.bitbucket.server().misbehave(fault.times(times));
        world.accept(&pushed).await;
        world.drain().await;
        world.bitbucket.server().behave();
        assert_fresh(&world, &format!("{times} times {status}")).await;
    }
    world.finish();
}

/// Rights are taken away, events go on, rights come back: nothing has been deleted in between.
#[tokio::test]
async fn a_token_that_sees_less_empties_nothing() {
    for hidden in [Hidden::NotFound, Hidden::Forbidden] {
        let world = every_kind().await.with_queue().await;
        world.resync().await;
        let before = world.port.catalogue();
        world.port.take_writes();
        let slugs = world.bitbucket.repositories();
        let hide = |hidden| {
            for slug in &slugs {
                world
                    .bitbucket
                    .hide_from_token(Bitbucket::TOKEN, slug, hidden)
                    .unwrap();
            }
        };
        hide(Some(hidden));
        let mut told = push(&world, "payments-api", "main").await;
        told.extend(push(&world, "monorepo", "main").await);
        told.extend(retitle(&world.bitbucket, "payments-api", 1, "Out of sight"));
        told.extend(
            world
                .bitbucket
                .describe_repository("a.b_c", "Out of sight")
                .unwrap(),
        );
        let gone = world
            .bitbucket
            .decline("payments-api", 2, "Mina Sato", "No")
            .unwrap();
        told.extend(gone);
        world.accept(&told).await;
        hours(&world, 30).await;
        assert_spared(&world, &before, &format!("{hidden:?}"));
        hide(None);
        world.drain().await;
        assert_fresh(&world, &format!("{hidden:?}, and seen again")).await;
        world.finish();
    }
}

/// A run under a token that sees nothing, or but a part, deletes no more than the threshold.
#[tokio::test]
async fn a_run_under_a_token_that_sees_less_says_so_and_deletes_nothing() {
    for hidden in [Hidden::NotFound, Hidden::Forbidden] {
        let world = every_kind().await;
        world.resync().await;
        let before = world.port.catalogue();
        for slug in world.bitbucket.repositories() {
            world
                .bitbucket
                .hide_from_token(Bitbucket::TOKEN, &slug, Some(hidden))
                .unwrap();
        }
        let outcome = run(&world).await;
        let is_clean =
            |outcome: &Value| outcome["status"] == "completed" && outcome["kept"].is_null();
        assert!(
            !outcome.as_ref().is_ok_and(is_clean),
            "{hidden:?}: {outcome:#?}"
        );
        assert_spared(&world, &before, &format!("{hidden:?}"));
        world.finish();
    }
}

/// Two resources of pull requests; the second one's query is none.
async fn one_failing() -> World {
    let bad = json!({"pullRequestQuery": "state ~~ what"});
    let resources = vec![
        resource("repository", json!({}), "repository", json!(".slug")),
        resource("pull-request", json!({}), "pull", json!(NUMBERED)),
        resource("pull-request", bad, "other", json!(NUMBERED)),
        resource("pipeline", json!({}), "pipeline", json!(".pipeline.uuid")),
    ];
    let world = with_resources(&["repository", "pull", "other", "pipeline"], resources).await;
    world
        .bitbucket
        .set_scopes(
            Bitbucket::TOKEN,
            Some(&["project", "repository", "pullrequest", "account"]),
        )
        .unwrap();
    world
}

fn of(world: &World, blueprint: &str) -> Vec<String> {
    world.identifiers().remove(blueprint).unwrap_or_default()
}

/// One resource that cannot be read costs the others neither deletions nor renames, live or by run.
#[tokio::test]
async fn a_resource_that_fails_costs_the_others_nothing() {
    let world = one_failing().await.with_queue().await;
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
    assert!(of(&world, "pull").contains(&"Payments-API/1".to_owned()));
    let bitbucket = &world.bitbucket;
    let mut told = bitbucket.merge("payments-api", 1, "Mina Sato").unwrap();
    told.extend(bitbucket.delete_repository("perl-scripts").unwrap());
    told.extend(
        bitbucket
            .rename_repository("monorepo", "Mono Repo")
            .unwrap(),
    );
    world.accept(&told).await;
    hours(&world, 1).await;
    let (pulls, repositories) = (of(&world, "pull"), of(&world, "repository"));
    assert!(!pulls.contains(&"Payments-API/1".to_owned()), "{pulls:?}");
    assert!(
        repositories.contains(&"mono-repo".to_owned()),
        "{repositories:?}"
    );
    for gone in ["perl-scripts", "monorepo"] {
        assert!(!repositories.contains(&gone.to_owned()), "{repositories:?}");
    }
    // The same without anybody telling of it.
    bitbucket
        .decline("payments-api", 2, "Mina Sato", "No")
        .unwrap();
    bitbucket.delete_repository("a.b_c").unwrap();
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
    assert!(!of(&world, "pull").contains(&"Payments-API/2".to_owned()));
    assert!(!of(&world, "repository").contains(&"a.b_c".to_owned()));
    world.finish();
}

/// Lists that cannot be read are losses, however they fail.
#[tokio::test]
async fn lists_that_answer_nonsense_are_told_and_delete_nothing() {
    let world = every_kind().await;
    blueprint(&world, "spare", &[]);
    world.resync().await;
    let before = world.port.catalogue();
    world.port.take_writes();
    for (list, kind) in [
        ("/repositories/acme-platform", FaultKind::refused(403)),
        ("/repositories/acme-platform", FaultKind::html(200)),
        ("/repositories/acme-platform", FaultKind::empty(204)),
        ("/pullrequests", FaultKind::refused(500)),
        ("/pullrequests", FaultKind::html(200)),
        ("/pullrequests", FaultKind::refused(404)),
        ("/members", FaultKind::refused(403)),
    ] {
        let story = format!("{list}: {kind}");
        let fault = Fault::new(list, kind).at_end().always();
        world.bitbucket.server().misbehave(fault);
        let outcome = run(&world).await;
        let status = outcome
            .as_ref()
            .map(|outcome: &Value| outcome["status"].clone());
        assert_ne!(status, Ok(json!("completed")), "{story}");
        let states = world.port.resync_states();
        let told = states.last().unwrap()["status"].clone();
        assert_ne!(told, "completed", "{story}: Port is told {told}");
        world.bitbucket.server().behave();
        assert_spared(&world, &before, &story);
    }
    run(&world).await.unwrap();
    assert_fresh(&world, "everything can be read again").await;
    world.finish();
}
