//! The webhook secret is replaced: no delivery of these minutes is lost, and the old value ends.

use std::time::Duration;

use sandbox::webhook::Delivery;

use super::assert_fresh;
use crate::credentials::{WEBHOOK_SECRET_ID, from_secrets, secrets};
use crate::support::{WEBHOOK_SECRET, World};

const NEXT: &str = "the next one";

fn told(world: &World, text: &str) -> Delivery {
    let told = world.bitbucket.describe_repository("payments-api", text);
    told.unwrap().remove(0)
}

#[tokio::test]
async fn no_delivery_is_lost_while_the_secret_changes_and_the_old_one_ends() {
    let secrets = secrets().await;
    let world = World::with_secrets(from_secrets(), &secrets).await;
    let world = world.with_queue().await;
    world.resync().await;
    // It has the old one at hand.
    assert_eq!(
        world.post(&told(&world, "Before"), WEBHOOK_SECRET).await,
        202
    );
    secrets.put_at(WEBHOOK_SECRET_ID, NEXT, world.clock.now());
    let rotated = world.clock.now();
    let minutes = || world.clock.now().duration_since(rotated).as_mins();
    // Bitbucket is told the new one when every process knows it, after six minutes; what it had signed by then still
    // comes for a while.
    while minutes() < 9 {
        let secrets = match minutes() {
            ..6 => vec![WEBHOOK_SECRET],
            _ => vec![NEXT, WEBHOOK_SECRET],
        };
        for secret in secrets {
            let minute = minutes();
            let delivery = told(&world, &format!("{minute}: {secret}"));
            let status = world.post(&delivery, secret).await;
            assert_eq!(status, 202, "minute {minute}, signed with {secret}");
        }
        let guess = told(&world, "A guess");
        assert_eq!(world.post(&guess, "a guess").await, 401);
    }
    // It has ended in the caches, too, which were filled while both counted.
    while minutes() < 11 {
        let delivery = told(&world, &format!("{}: the new one", minutes()));
        assert_eq!(world.post(&delivery, NEXT).await, 202);
    }
    let late = told(&world, "Eleven minutes later");
    assert_eq!(world.post(&late, WEBHOOK_SECRET).await, 401);
    assert_eq!(world.post(&late, NEXT).await, 202);
    world.drain().await;
    assert_fresh(&world, "while the secret changes").await;
    world.clock.advance(Duration::from_secs(24 * 3_600));
    let late = told(&world, "A day later");
    assert_eq!(world.post(&late, NEXT).await, 202);
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(
        world.post(&late, WEBHOOK_SECRET).await,
        401,
        "the old value is valid for ever"
    );
    world.finish();
}
