//! What goes wrong with an installation, told as its operator meets it: how soon the figure `Health` rises, what the log
//! and `ferry status` say, and that nobody has to lift a finger once the cause is mended.

mod documented;
mod operator;

use std::time::Duration;

use ferry::condition::Condition;
use ferry::deadline::Clock;
use ferry::deadline::Deadline;
use ferry::http::Http;
use ferry::queue::Outgoing;
use sandbox::bitbucket::{Bitbucket, NewPullRequest, RateLimit, Workspace};
use sandbox::server::{Fault, FaultKind, Response};
use serde_json::{Value, json};

use crate::credentials::{SECRET_ID, document};
use crate::doubt::retitle;
use crate::runs::{killed_when, sent};
use crate::support::{IDENTIFIER, PORT_CLIENT_SECRET, World, event};
use crate::unread::delete_four_of_nine;
use operator::Operator;

/// The mapping in Port, changed, saved there: Port asks for a resync then.
fn save_mapping(world: &World, change: impl FnOnce(&mut Value)) {
    let mut config = world.port.integration().unwrap()["config"].clone();
    change(&mut config);
    world.port.set_config(config);
    world.port.request_resync();
}

/// What an administrator of the workspace does to the hooks with a token of his own.
async fn delete_hooks(world: &World) {
    let http = Http::new(Clock::System).unwrap();
    let hooks = format!(
        "{}/workspaces/{}/hooks",
        world.bitbucket.url(),
        world.bitbucket.workspace()
    );
    world.bitbucket.accept_token("administrator");
    let get = http.client().get(&hooks).bearer_auth("administrator");
    let found: Value = get.send().await.unwrap().json().await.unwrap();
    for hook in found["values"].as_array().unwrap() {
        let uuid = hook["uuid"].as_str().unwrap();
        let uuid = percent_encoding::utf8_percent_encode(uuid, percent_encoding::NON_ALPHANUMERIC);
        let delete = http.client().delete(format!("{hooks}/{uuid}"));
        let answer = delete.bearer_auth("administrator").send().await.unwrap();
        assert!(answer.status().is_success());
    }
}

#[tokio::test]
async fn an_installation_without_trouble_is_healthy_and_says_nothing_of_it() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    for _ in 0..15 {
        assert_eq!(operator.minute().await, 0);
    }
    let status = operator.status().await;
    assert_eq!(status["is_healthy"], true, "{status:#}");
    assert_eq!(status["last_run"]["has_losses"], false);
    assert_eq!(status["queue"]["dead_letters"], 0);
    assert!(status["next_run"].is_string() && status["run"].is_null());
    assert_eq!(status["allowances"][0]["limit"], 1000);
    assert_eq!(status["last_webhook"], Value::Null);
    let told = retitle(&operator.world.bitbucket, "payments-api", 2, "Other");
    operator.world.accept(&told).await;
    assert_eq!(operator.minute().await, 0);
    assert!(operator.status().await["last_webhook"].is_string());
    operator.finish();
}

#[tokio::test]
async fn a_revoked_token() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    world.bitbucket.revoke(Bitbucket::TOKEN);
    operator
        .assert_alarm(Condition::BitbucketRefused, "credential 1 of 1")
        .await;
    // The schedule tries all the same, and its run is made up for.
    world.invoke(event("eventbridge-rule")).await.unwrap_err();
    world.bitbucket.accept_token("fresh");
    let fresh = document(PORT_CLIENT_SECRET, "fresh");
    operator.secrets.put(SECRET_ID, &fresh);
    let mended = world.clock.now();
    operator.assert_health_within(2).await;
    assert!(
        mended <= operator.completed_at().await,
        "the run is made up for"
    );
    operator.finish();
}

#[tokio::test]
async fn one_of_two_tokens_revoked() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    world.bitbucket.accept_token("second");
    let tokens = |second: &str| {
        let both = format!("{},{second}", Bitbucket::TOKEN);
        operator
            .secrets
            .put(SECRET_ID, &document(PORT_CLIENT_SECRET, &both));
    };
    tokens("second");
    for _ in 0..6 {
        assert_eq!(operator.minute().await, 0);
    }
    world.bitbucket.revoke("second");
    operator
        .assert_alarm(Condition::BitbucketTokenRefused, "credential 2 of 2")
        .await;
    world.resync().await;
    world.bitbucket.accept_token("third");
    tokens("third");
    operator.assert_health_within(2).await;
    operator.finish();
}

#[tokio::test]
async fn credentials_of_port_that_were_rotated() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    world.port.rotate_secret("rotated");
    world.port.expire_tokens();
    operator
        .assert_alarm(Condition::PortRefused, "Port refused the credentials")
        .await;
    let fresh = document("rotated", Bitbucket::TOKEN);
    operator.secrets.put(SECRET_ID, &fresh);
    operator.assert_health_within(2).await;
    operator.finish();
}

#[tokio::test]
async fn port_that_is_down() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let down = Fault::new("", FaultKind::html(503)).always();
    world.port.server().misbehave(down);
    let told = retitle(&world.bitbucket, "payments-api", 2, "Meanwhile");
    world.accept(&told).await;
    operator
        .assert_alarm(Condition::PortUnreachable, "Port is not available")
        .await;
    world.port.server().behave();
    operator.assert_health_within(2).await;
    world.drain().await;
    world.assert_converged().await;
    operator.finish();
}

#[tokio::test]
async fn a_poison_event() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let deadline = Deadline::after(&world.clock, Duration::from_secs(10));
    let poison = Outgoing {
        group: "poison".to_owned(),
        id: "poison".to_owned(),
        body: "{}".to_owned(),
    };
    let queue = world.app().queue.as_ref().unwrap();
    queue.send_all(&[poison], &deadline).await.unwrap();
    operator
        .assert_alarm(Condition::DeadLetters, "cannot be decoded")
        .await;
    operator.minute().await;
    assert_eq!(operator.status().await["queue"]["dead_letters"], 1);
    world.resync().await;
    operator.assert_health_within(1).await;
    operator.finish();
}

#[tokio::test]
async fn more_deletions_than_the_threshold_allows() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    save_mapping(world, |config| {
        config["entityDeletionThreshold"] = json!(0.1)
    });
    world.resync().await;
    delete_four_of_nine(world);
    world.resync_with_losses().await;
    operator
        .assert_alarm(Condition::DeletionsHeldBack, "entityDeletionThreshold")
        .await;
    save_mapping(world, |config| {
        config["entityDeletionThreshold"] = json!(0.9)
    });
    operator.assert_health_within(7).await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    operator.finish();
}

#[tokio::test]
async fn a_mapping_that_is_none() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let good = world.port.integration().unwrap()["config"].clone();
    save_mapping(world, |config| config["resources"] = json!("all of them"));
    operator
        .assert_alarm(Condition::MappingRefused, "resources")
        .await;
    let status = operator.status().await;
    assert!(status["wanted_run"]["cause"].is_string(), "{status:#}");
    save_mapping(world, |config| *config = good);
    operator.assert_health_within(7).await;
    operator.finish();
}

#[tokio::test]
async fn an_expression_that_fails_on_each_item() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let good = world.port.integration().unwrap()["config"].clone();
    save_mapping(world, |config| {
        let identifier = "/resources/0/port/entity/mappings/identifier";
        *config.pointer_mut(identifier).unwrap() = json!(".nmae");
    });
    operator
        .assert_alarm(Condition::RunLosses, "identifier")
        .await;
    save_mapping(world, |config| *config = good);
    operator.assert_health_within(7).await;
    operator.finish();
}

#[tokio::test]
async fn a_webhook_that_was_deleted() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    delete_hooks(world).await;
    // Nobody is told of this one.
    retitle(&world.bitbucket, "payments-api", 2, "Untold");
    operator
        .assert_alarm(Condition::WebhookLost, "webhook")
        .await;
    operator.assert_health_within(12).await;
    world.assert_converged().await;
    operator.finish();
}

/// Whoever may not look at hooks finds out by what no event has told.
#[tokio::test]
async fn a_webhook_that_was_deleted_where_nobody_may_look() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    world
        .accept(&retitle(&world.bitbucket, "payments-api", 2, "Told"))
        .await;
    operator.minute().await;
    let scopes = ["project", "repository", "pullrequest", "account"];
    let limited = world.bitbucket.set_scopes(Bitbucket::TOKEN, Some(&scopes));
    limited.unwrap();
    world.clock.advance(Duration::from_secs(6 * 3600));
    world.resync().await;
    assert_eq!(operator.minute().await, 0, "somebody else sees to the hook");
    delete_hooks(world).await;
    world.clock.advance(Duration::from_secs(6 * 3600));
    world.resync().await;
    assert_eq!(operator.minute().await, 0, "nothing has happened");
    let new = NewPullRequest::new("Untold", "Luis Ferro");
    world.bitbucket.open_pull_request("monorepo", new).unwrap();
    world.clock.advance(Duration::from_secs(6 * 3600));
    world.resync().await;
    operator
        .assert_alarm(Condition::NoWebhooks, "1 pull requests had changed")
        .await;
    world
        .accept(&retitle(&world.bitbucket, "payments-api", 2, "Again"))
        .await;
    operator.assert_health_within(1).await;
    operator.finish();
}

#[tokio::test]
async fn a_rate_limit_that_is_used_up() {
    let workspace = Workspace::generate(1, 70, 1, 7).unwrap();
    let operator = Operator::installed(workspace).await;
    let world = &operator.world;
    let limit = RateLimit {
        headers: true,
        ..RateLimit::from(60)
    };
    world.clock.advance(Duration::from_secs(3_700));
    world.bitbucket.start_next_hour();
    let limited = world.bitbucket.set_rate_limit(Bitbucket::TOKEN, limit);
    limited.unwrap();
    let outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(outcome["status"], "paused", "{outcome:#}");
    operator
        .assert_alarm(Condition::RunPaused, "rate limit")
        .await;
    let status = operator.status().await;
    assert!(
        status["run"]["pause"]
            .as_str()
            .unwrap()
            .contains("rate limit")
    );
    world.clock.advance(Duration::from_secs(3_700));
    world.bitbucket.start_next_hour();
    operator.assert_health_within(2).await;
    operator.finish();
}

#[tokio::test]
async fn a_function_that_is_killed() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let begun = sent(world);
    let enough = || begun + 12 <= sent(world);
    let killed = killed_when(world.invoke(event("eventbridge-rule")), enough).await;
    assert!(killed.is_none());
    operator
        .assert_alarm(Condition::WorkerDied, "ended without saying so")
        .await;
    operator.assert_health_within(10).await;
    world.assert_converged().await;
    operator.finish();
}

#[tokio::test]
async fn an_identifier_that_belongs_to_somebody_else() {
    let operator = Operator::installed(Workspace::demo().unwrap()).await;
    let world = &operator.world;
    let other = FaultKind::rewrite("of another type", |_, mut answer: Response| {
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["integration"]["installationAppType"] = json!("github");
        answer.body = body.to_string().into_bytes();
        answer
    });
    let path = format!("/integration/{IDENTIFIER}");
    world
        .port
        .server()
        .misbehave(Fault::new(path, other).at_end().always());
    world.invoke(event("eventbridge-rule")).await.unwrap_err();
    operator
        .assert_alarm(Condition::SettingsInvalid, IDENTIFIER)
        .await;
    world.port.server().behave();
    operator.assert_health_within(6).await;
    operator.finish();
}
