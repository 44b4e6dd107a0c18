//! What Ferry costs on AWS: requests are counted, and multiplied by docs/prices.json.
//!
//! Owns the stories that are counted: an idle hour, a resync that finds nothing to do, a thousand events. `meter` counts,
//! `invoice` multiplies and writes. docs/operations.md holds the invoice, and README.md its sum.

mod invoice;
mod meter;

use std::time::Duration;

use ferry::deadline::Deadline;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::credentials::{from_secrets, secrets};
use crate::doubt::retitle;
use crate::support::{Settings, World, event};
use invoice::{Counted, Prices};
use meter::{Meter, Use};

/// How many events are counted.
const EVENTS: usize = 1_000;

/// The functions as template.yaml configures them, with the figures that it prints without a dashboard.
fn settings() -> Settings {
    let mut settings = from_secrets();
    settings.remove("FERRY__WEBHOOK_SECRET_ID");
    settings.insert("FERRY__WEBHOOK_SECRET", "derived".to_owned());
    settings.insert("OCEAN__SCHEDULED_RESYNC_INTERVAL", "1440".to_owned());
    settings
}

/// One tick a minute, as the schedule calls it. The first have taken care of what is new.
async fn idle_hour(world: &World, meter: &Meter) -> Use {
    let tick = || world.invoke(event("tick"));
    for _ in 0..10 {
        tick().await.unwrap();
        world.clock.advance(Duration::from_secs(60));
    }
    meter.take();
    for minute in 0..60 {
        assert_eq!(tick().await.unwrap()["status"], "idle", "minute {minute}");
        world.clock.advance(Duration::from_secs(60));
    }
    meter.take()
}

/// Each event comes and is worked off by itself, as they do where people work: in a burst they share requests.
async fn events(world: &World, meter: &Meter) -> Use {
    let deadline = Deadline::after(&world.clock, Duration::from_secs(9));
    let secret = world.app().webhook_secrets(&deadline).await.unwrap();
    let secret = secret[0].expose_secret().to_owned();
    meter.take();
    for number in 0..EVENTS {
        let told = retitle(
            &world.bitbucket,
            "payments-api",
            2,
            &format!("Title {number}"),
        );
        let [delivery] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(world.post(delivery, &secret).await, 202);
        let answer = world.invoke(meter.batch()).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
        // 2,000 a day.
        world.clock.advance(Duration::from_secs(43));
    }
    meter.take()
}

#[tokio::test]
async fn the_bill_in_the_documents_is_what_is_asked_of_aws_by_its_prices() {
    let secrets = secrets().await;
    let world = World::with_secrets(settings(), &secrets).await;
    let (world, meter) = Meter::on(world, &secrets).await;
    let _lines = meter.listen();
    world.resync().await;
    let idle = idle_hour(&world, &meter).await;
    world.clock.advance(Duration::from_secs(24 * 3_600));
    meter.take();
    world.resync().await;
    let resync = meter.take();
    let events = events(&world, &meter).await;
    let counted = Counted {
        idle,
        resync,
        events,
    };
    let prices = Prices::read();
    let invoice = prices.invoice(&counted);
    invoice.assert_documented();
    let (listed, free) = invoice.idle_month();
    assert!(listed < 1.50, "an idle month costs {listed:.2} USD");
    assert!(free < 1.00, "and {free:.2} USD within the free tiers");
    world.finish();
}
