//! `ferry status`: how the installation stands, from what is stored, or from the `ferry serve` that has the store.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::{Http, Proxies};
use ferry::own_secrets::OwnSecrets;
use ferry::status::status;
use ferry::store::StoreError;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::installation::{Installer, Subject};
use super::terminal::{BAD, GOOD, STRONG, painted, print, print_fitted};
use crate::connect;

/// Where `ferry serve` says it, to this machine only.
pub(crate) const STATUS: &str = "/status";

/// For everything that is read.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Look at this stack in AWS, whose outputs say where it remembers; without it, the variables do.
    #[arg(long)]
    pub(crate) stack: Option<String>,
    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
}

/// Succeeds with 0 if no condition holds, with 1 otherwise.
pub(crate) async fn run(
    options: &Options,
    config: Config,
    own: OwnSecrets,
) -> anyhow::Result<ExitCode> {
    let port = config.listen_port;
    let connected = match &options.stack {
        Some(stack) => of_stack(stack, config, own).await,
        None => connect(config, own).await,
    };
    let found = match connected {
        Ok(app) => {
            let deadline = Deadline::after(&app.clock, PATIENCE);
            json!(status(&app, &deadline).await?)
        }
        Err(error) if is_in_use(&error) => ask(port).await.with_context(|| {
            format!(
                "{error:#}, and no `ferry serve` tells on port {port} how it stands (FERRY__PORT)"
            )
        })?,
        Err(error) => return Err(error),
    };
    match options.json {
        true => print(format!("{found:#}"))?,
        false => print_fitted(text(&found))?,
    }
    Ok(match found["is_healthy"] == true {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Connected to the table and the queue of a stack, with its secret.
async fn of_stack(name: &str, config: Config, own: OwnSecrets) -> anyhow::Result<App> {
    let installer = Installer::open(config, own).await?;
    let Some(stack) = installer.cloud.find(name).await? else {
        let region = installer.cloud.region();
        bail!(
            "there is no stack `{name}` in {region}: look at --stack, AWS_REGION and AWS_PROFILE"
        );
    };
    let subject = Subject::of_stack(&stack, &installer.config);
    installer.app_of(&stack, &subject)
}

/// Whether another process works with the stored state.
pub(crate) fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::InUse { .. }))
}

/// The process that has the store.
async fn ask(port: u16) -> anyhow::Result<Value> {
    // No proxy knows this machine.
    let direct = Proxies::new(None, None, &format!("127.0.0.1:{port}"));
    let http = Http::behind(direct, Clock::System)?;
    let url = format!("http://127.0.0.1:{port}{STATUS}");
    let request = http.client().get(&url).timeout(PATIENCE);
    let answer = request.send().await?;
    if !answer.status().is_success() {
        bail!("{url} answers {}", answer.status());
    }
    let text = answer.text().await?;
    serde_json::from_str(&text).with_context(|| format!("{url} answers with something else"))
}

fn text(status: &Value) -> String {
    let mut lines = vec![painted(
        STRONG,
        format!(
            "ferry {}, {}",
            shown(&status["version"]),
            shown(&status["identifier"])
        ),
    )];
    let conditions = status["conditions"].as_array();
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    if conditions.is_empty() {
        lines.push(painted(GOOD, "nothing is wrong"));
    }
    for condition in conditions {
        let name = format!("{} {}", condition["number"], shown(&condition["condition"]));
        let (since, cause) = (shown(&condition["since"]), shown(&condition["cause"]));
        lines.push(format!("{} since {since}: {cause}", painted(BAD, name)));
        lines.push(format!("   {}", shown(&condition["remedy"])));
    }
    for (name, told) in [
        ("last run", last_run(&status["last_run"])),
        ("run", run_now(&status["run"], &status["wanted_run"])),
        ("next run", or(&status["next_run"], "as the schedule says")),
        ("queue", queue(status)),
        ("last webhook", last_webhook(status)),
        ("allowance", allowance(&status["allowances"])),
    ] {
        lines.push(format!("{name:<13}{told}"));
    }
    lines.join("\n")
}

fn last_run(run: &Value) -> String {
    if run.is_null() {
        return "none was completed yet".to_owned();
    }
    let losses = match run["has_losses"] == true {
        true => ", with losses",
        false => "",
    };
    let (at, entities) = (shown(&run["completed_at"]), &run["entities"]);
    format!("completed at {at}{losses}; {entities} entities")
}

fn run_now(run: &Value, wanted: &Value) -> String {
    if !run.is_null() {
        let begun = shown(&run["started_at"]);
        return match run["pause"].as_str() {
            Some(pause) => format!(
                "begun at {begun}, paused since {} until {}: {pause}",
                shown(&run["paused_since"]),
                shown(&run["not_before"])
            ),
            None => format!("under way since {begun}"),
        };
    }
    match (wanted.is_null(), wanted["cause"].as_str()) {
        (true, _) => "none is under way".to_owned(),
        (false, None) => format!("about to begin: {}", shown(&wanted["reason"])),
        (false, Some(cause)) => format!(
            "failed {} times, again at {}: {cause}",
            wanted["failed_attempts"],
            shown(&wanted["not_before"])
        ),
    }
}

fn queue(status: &Value) -> String {
    let queue = &status["queue"];
    let own = match (queue.is_null(), status["queue_problem"].as_str()) {
        (true, Some(problem)) => problem.to_owned(),
        (true, None) => "none that can be seen from here".to_owned(),
        (false, _) => format!(
            "{} waiting, {} with a worker or put off, {} dead letters",
            queue["waiting"], queue["out"], queue["dead_letters"]
        ),
    };
    match status["oldest_look"]["since"].as_str() {
        Some(since) => format!("{own}; the oldest look is stored since {since}"),
        None => own,
    }
}

fn last_webhook(status: &Value) -> String {
    let moment = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    match (moment(&status["last_webhook"]), moment(&status["at"])) {
        (Some(last), Some(at)) => {
            let minutes = at.duration_since(last).as_secs() / 60;
            format!("{minutes} minutes ago, at {last}")
        }
        _ => "none has come yet".to_owned(),
    }
}

fn allowance(allowances: &Value) -> String {
    let each = allowances.as_array().into_iter().flatten();
    let each = each.map(|one| {
        let (token, left, limit) = (&one["token"], &one["requests_left"], &one["limit"]);
        format!("token {token}: {left} of {limit} requests left in this hour")
    });
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => "not used yet".to_owned(),
        false => each.join(", "),
    }
}

fn or(value: &Value, otherwise: &str) -> String {
    value.as_str().unwrap_or(otherwise).to_owned()
}

fn shown(value: &Value) -> impl Display {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}
