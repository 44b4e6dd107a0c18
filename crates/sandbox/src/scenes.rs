//! The scenes: a short story in which each kind of event comes once, told at the terminal while the page shows it.
//!
//! After each, Port holds what a fresh resync would produce, or the story ends with an error.

use anyhow::{Context as _, ensure};
use sandbox::bitbucket::NewPullRequest;
use sandbox::present::{TableOptions, render_table};
use sandbox::webhook::Delivery;
use serde_json::Value;

use crate::play::{Kind, Playground};

pub(crate) async fn play(playground: &Playground) -> anyhow::Result<()> {
    first_resync(playground).await?;
    second_resync(playground).await?;
    events(playground).await?;
    forged_webhook(playground).await?;
    let unknown = playground.outside.port.unknown_requests();
    ensure!(
        unknown.is_empty(),
        "requests that Port does not know: {unknown:?}"
    );
    let text = "\nThat is all: one binary as three functions, two kinds of event, one catalogue.";
    playground.terminal.show(text);
    Ok(())
}

fn title(playground: &Playground, text: &str) {
    playground.tell(Kind::Scene, text, &[], &[]);
}

async fn first_resync(playground: &Playground) -> anyhow::Result<()> {
    title(
        playground,
        "1. EventBridge: the scheduled resync, on an empty catalogue",
    );
    playground.deliver(&[]).await;
    let written = written(&playground.resync().await)?;
    ensure!(0 < written, "the first resync wrote nothing");
    playground.check_in_step()?;
    let options = TableOptions {
        max_width: 36,
        max_rows: 12,
        line_width: playground.terminal.width(),
        style: playground.terminal.style(),
        ..TableOptions::default()
    };
    let table = render_table(&playground.outside.port.entities(), &options);
    playground.terminal.show(&format!("\n{}", table.trim_end()));
    Ok(())
}

async fn second_resync(playground: &Playground) -> anyhow::Result<()> {
    title(playground, "2. The same again, on an unchanged workspace");
    let written = written(&playground.resync().await)?;
    ensure!(
        written == 0,
        "a resync of an unchanged workspace wrote {written} entities"
    );
    playground.check_in_step()
}

async fn events(playground: &Playground) -> anyhow::Result<()> {
    let bitbucket = &playground.outside.bitbucket;
    let scene = async |text: &str, deliveries: Vec<Delivery>| {
        title(playground, text);
        playground.deliver(&deliveries).await;
        playground.settled().await?;
        playground.check_in_step()
    };
    scene(
        "3. Bitbucket: the repository Checkout Service is renamed to Checkout",
        bitbucket.rename_repository("checkout-service", "Checkout")?,
    )
    .await?;
    let pull_request = NewPullRequest::new("Round cart totals to cents", "Luis Ferro")
        .reviewed_by("Dana Okafor")
        .reviewed_by("Mina Sato");
    let (id, deliveries) = bitbucket.open_pull_request("checkout", pull_request)?;
    scene(
        "4. Bitbucket: a pull request is opened, with two reviewers",
        deliveries,
    )
    .await?;
    scene(
        "5. Bitbucket: it is merged, and no longer matches the mapping's query (state OPEN)",
        bitbucket.merge("checkout", id, "Dana Okafor")?,
    )
    .await?;
    scene(
        "6. Bitbucket: the repository perl-scripts is deleted",
        bitbucket.delete_repository("perl-scripts")?,
    )
    .await
}

async fn forged_webhook(playground: &Playground) -> anyhow::Result<()> {
    title(
        playground,
        "7. Somebody else: a webhook with a wrong signature",
    );
    let bitbucket = &playground.outside.bitbucket;
    let webhooks = bitbucket.overview().webhooks;
    let url = webhooks.first().context("Ferry has made no webhook")?;
    let forged = bitbucket.describe_repository("monorepo", "Forged")?;
    // What it tells has not happened.
    bitbucket.describe_repository("monorepo", "")?;
    for delivery in &forged {
        let before = playground.outside.requests();
        let status = delivery.post(url, Some("a guess")).await?;
        ensure!(status == 401, "a forged webhook was answered with {status}");
        ensure!(
            before == playground.outside.requests(),
            "a forged webhook caused requests"
        );
        let text = format!("{} → {status}, no request to anybody", delivery.event_key);
        playground.tell(Kind::Webhook, &text, &[], &[]);
    }
    playground.check_in_step()
}

/// How many entities a resync has written, which must have completed.
fn written(outcome: &Value) -> anyhow::Result<u64> {
    ensure!(
        outcome["status"] == "completed",
        "the resync did not complete: {outcome}"
    );
    Ok(outcome["counts"]["written"].as_u64().unwrap_or_default())
}
