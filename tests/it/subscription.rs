//! The workspace's webhook: made, kept right, and left alone where we may not touch it.

use std::time::Duration;

use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::subscription::{self, Standing};
use ferry::webhook::subscribed_events;
use sandbox::bitbucket::Bitbucket;
use sandbox::server::Request;
use serde_json::{Value, json};

use crate::support::{World, event};

const ADDRESS: &str = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws/";

/// Requests about subscriptions since the last look, as `METHOD body`.
fn about_hooks(world: &World) -> Vec<(String, Value)> {
    let (bitbucket, _) = world.take_requests();
    let about = |request: &&Request| request.path.contains("/hooks");
    bitbucket
        .iter()
        .filter(about)
        .map(|request| (request.method.to_string(), request.json()))
        .collect()
}

async fn standing(world: &World) -> Standing {
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    subscription::status(world.app(), ADDRESS, &deadline)
        .await
        .unwrap()
}

/// What an administrator might do to the subscription by hand.
async fn meddle(world: &World, change: Value) {
    let http = Http::new(Clock::System).unwrap();
    let hooks = format!(
        "{}/workspaces/{}/hooks",
        world.bitbucket.url(),
        world.bitbucket.workspace()
    );
    let get = http.client().get(&hooks).bearer_auth(Bitbucket::TOKEN);
    let found: Value = get.send().await.unwrap().json().await.unwrap();
    let uuid = found["values"][0]["uuid"].as_str().unwrap();
    let uuid = percent_encoding::utf8_percent_encode(uuid, percent_encoding::NON_ALPHANUMERIC);
    let put = http
        .client()
        .put(format!("{hooks}/{uuid}"))
        .bearer_auth(Bitbucket::TOKEN);
    assert!(
        put.json(&change)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    world.take_requests();
}

#[tokio::test]
async fn the_webhook_is_made_and_kept_right() {
    let world = World::demo().await;
    assert_eq!(standing(&world).await, Standing::Missing);
    world.take_requests();
    world.invoke(event("scheduler-resync")).await.unwrap();
    let requests = about_hooks(&world);
    let methods: Vec<&str> = requests.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["GET", "GET", "POST"]);
    let made = &requests[2].1;
    assert_eq!(made["url"], json!(format!("{ADDRESS}webhook")));
    assert_eq!(
        (&made["events"], &made["active"]),
        (&json!(subscribed_events()), &json!(true))
    );
    assert_eq!(standing(&world).await, Standing::Right);
    world.take_requests();

    // A tick trusts what was right a moment ago, a run looks.
    world.invoke(event("tick")).await.unwrap();
    assert_eq!(about_hooks(&world), []);
    world.invoke(event("scheduler-resync")).await.unwrap();
    assert_eq!(about_hooks(&world).len(), 1);

    for change in [
        json!({"active": false}),
        json!({"events": ["repo:push"]}),
        json!({"secret": null}),
    ] {
        meddle(&world, change).await;
        assert!(matches!(standing(&world).await, Standing::Wrong(_)));
        world.invoke(event("scheduler-resync")).await.unwrap();
        assert_eq!(standing(&world).await, Standing::Right);
    }
    world.finish();
}

/// Two processes that begin at once may each find none, and make one.
#[tokio::test]
async fn of_two_webhooks_one_goes() {
    let world = World::demo().await;
    world.invoke(event("scheduler-resync")).await.unwrap();
    let url = format!("{ADDRESS}webhook");
    let second =
        json!({"description": "a second one", "url": url, "events": ["repo:push"], "active": true});
    let hooks_url = format!(
        "{}/workspaces/{}/hooks",
        world.bitbucket.url(),
        world.bitbucket.workspace()
    );
    let http = Http::new(Clock::System).unwrap();
    let post = http
        .client()
        .post(&hooks_url)
        .bearer_auth(Bitbucket::TOKEN)
        .json(&second);
    assert!(post.send().await.unwrap().status().is_success());
    let count = async || {
        let get = http.client().get(&hooks_url).bearer_auth(Bitbucket::TOKEN);
        let found: Value = get.send().await.unwrap().json().await.unwrap();
        found["values"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 2);
    let Standing::Wrong(wrong) = standing(&world).await else {
        panic!("two are one too many");
    };
    assert!(wrong.contains(&"there are several of them"), "{wrong:?}");
    world.invoke(event("scheduler-resync")).await.unwrap();
    assert_eq!(count().await, 1);
    assert_eq!(standing(&world).await, Standing::Right);
    world.finish();
}

#[tokio::test]
async fn without_the_right_to_it_the_resync_goes_on() {
    let world = World::demo().await;
    let scopes = ["project", "repository", "pullrequest", "account"];
    world
        .bitbucket
        .set_scopes(Bitbucket::TOKEN, Some(&scopes))
        .unwrap();
    let outcome = world.invoke(event("scheduler-resync")).await.unwrap();
    assert_eq!(outcome["status"], "completed");
    let requests = about_hooks(&world);
    assert!(
        requests.iter().all(|(method, _)| method == "GET"),
        "{requests:?}"
    );
    assert!(matches!(standing(&world).await, Standing::Refused(_)));
    world.take_requests();
    // What may not be looked at is not asked for every minute.
    world.invoke(event("tick")).await.unwrap();
    assert_eq!(about_hooks(&world), []);
    world.finish();
}

#[tokio::test]
async fn it_can_be_removed() {
    let world = World::demo().await;
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    let app = world.app();
    assert_eq!(
        subscription::install(app, ADDRESS, &deadline)
            .await
            .unwrap(),
        Standing::Right
    );
    assert_eq!(
        subscription::remove(app, ADDRESS, &deadline).await.unwrap(),
        1
    );
    assert_eq!(
        subscription::remove(app, ADDRESS, &deadline).await.unwrap(),
        0
    );
    assert_eq!(standing(&world).await, Standing::Missing);
    world.finish();
}

/// Behind a domain of one's own, the webhook leads there.
#[tokio::test]
async fn the_webhook_leads_to_where_the_settings_say() {
    for (settings, expected) in [
        (
            vec![("OCEAN__PATH_PREFIX", "tools/ferry")],
            format!("{ADDRESS}tools/ferry/webhook"),
        ),
        (
            vec![
                ("OCEAN__BASE_URL", "https://ferry.example.com"),
                ("OCEAN__PATH_PREFIX", "/tools/"),
            ],
            "https://ferry.example.com/tools/webhook".to_owned(),
        ),
    ] {
        let settings = settings.into_iter();
        let settings = settings.map(|(name, value)| (name, value.to_owned()));
        let workspace = sandbox::bitbucket::Workspace::demo().unwrap();
        let world = World::new(workspace, settings.collect()).await;
        world.invoke(event("scheduler-resync")).await.unwrap();
        let requests = about_hooks(&world);
        let (_, made) = requests
            .iter()
            .find(|(method, _)| method == "POST")
            .unwrap();
        assert_eq!(made["url"], json!(expected));
        world.finish();
    }
}

/// Who makes the webhook by hand copies the list out of the documentation.
#[test]
fn the_documentation_names_the_events_that_are_subscribed_to() {
    let text = include_str!("../../docs/operations.md");
    let (_, body) = text.split_once("-d @-").unwrap();
    let (_, body) = body.split_once("<<JSON").unwrap();
    let (body, _) = body.split_once("\nJSON\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["events"], json!(subscribed_events()));
}

/// Hooks of the workspace that lead to us.
async fn hooks(world: &World) -> usize {
    match standing(world).await {
        Standing::Right | Standing::Wrong(_) => 1,
        Standing::Missing | Standing::Refused(_) | Standing::NoSecret => 0,
    }
}

/// By hand through the function, for whoever removes the stack with CloudFormation alone.
#[tokio::test]
async fn what_was_uninstalled_stays_away_until_a_resync_is_asked_for() {
    let world = World::demo().await;
    world.invoke(event("tick")).await.unwrap();
    assert_eq!(hooks(&world).await, 1);
    let port_asks = || world.port.integration().unwrap()["changelogDestination"].clone();
    world.invoke(event("scheduler-resync")).await.unwrap();
    assert_eq!(port_asks()["type"], "WEBHOOK", "{}", port_asks());
    // An address is not needed: it is known where the webhook led.
    for removed in [1, 0] {
        let answer = world.invoke(event("uninstall")).await.unwrap();
        assert_eq!(answer["webhooks_removed"], removed);
        assert_eq!(answer["url"], format!("{ADDRESS}webhook"));
        assert_eq!(hooks(&world).await, 0);
        assert_eq!(port_asks(), json!({}));
    }
    world.invoke(event("tick")).await.unwrap();
    assert_eq!(hooks(&world).await, 0, "after a tick");
    let mut by_schedule = event("scheduler-resync");
    by_schedule["schedule"] = json!(true);
    world.invoke(by_schedule).await.unwrap();
    assert_eq!(hooks(&world).await, 0, "after the schedule's resync");
    world.invoke(event("scheduler-resync")).await.unwrap();
    assert_eq!(hooks(&world).await, 1);

    let named = json!({"action": "uninstall", "url": ADDRESS});
    assert_eq!(world.invoke(named).await.unwrap()["webhooks_removed"], 1);
    subscription::allow(world.app()).await.unwrap();
    // Ticks ask for news every five minutes.
    world.clock.advance(Duration::from_secs(300));
    world.invoke(event("tick")).await.unwrap();
    assert_eq!(hooks(&world).await, 1, "after another installation");
    world.finish();
}

#[tokio::test]
async fn a_webhook_that_was_never_made_needs_no_removal() {
    let world = World::demo().await;
    let answer = world.invoke(event("uninstall")).await.unwrap();
    assert_eq!(answer, json!({"url": null, "webhooks_removed": 0}));
    world.finish();
}

/// Other people's webhooks are theirs.
#[tokio::test]
async fn only_what_leads_to_us_is_removed() {
    let world = World::demo().await;
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    let theirs = "https://ci.example.com/";
    for address in [theirs, ADDRESS] {
        subscription::install(world.app(), address, &deadline)
            .await
            .unwrap();
    }
    let named = json!({"action": "uninstall", "url": ADDRESS});
    assert_eq!(world.invoke(named).await.unwrap()["webhooks_removed"], 1);
    let left = subscription::remove(world.app(), theirs, &deadline).await;
    assert_eq!(left.unwrap(), 1);
    world.finish();
}
