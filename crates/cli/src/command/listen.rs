//! `ferry listen`: one line for each webhook that a running `ferry serve` works off, until Ctrl-C.
//!
//! Knows where that process tells it, and how a line reads. Asks neither Bitbucket nor Port.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use ferry::deadline::Clock;
use ferry::http::{Http, Proxies};
use serde_json::Value;

use super::terminal::{BAD, DOUBTFUL, FAINT, GOOD, painted, print};

/// Where `ferry serve` tells it, to this machine only.
pub(crate) const EVENTS: &str = "/events";

/// For the connection: what is told may come at any time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Characters of a delivery's id that are shown: enough to find it in a log.
const SHOWN_ID_CHARS: usize = 8;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Where `ferry serve` listens on this machine; `FERRY__PORT`, or 8000, if not given.
    #[arg(long)]
    port: Option<u16>,
    /// Print each as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Ends with 0 on Ctrl-C; fails where no server tells anything, or it stops.
pub(crate) async fn run(options: &Options, port: u16) -> anyhow::Result<ExitCode> {
    let port = options.port.unwrap_or(port);
    tokio::select! {
        ended = follow(port, options.json) => ended.map(|()| ExitCode::SUCCESS),
        stopped = tokio::signal::ctrl_c() => {
            stopped.context("cannot wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn follow(port: u16, json: bool) -> anyhow::Result<()> {
    // No proxy knows this machine.
    let direct = Proxies::new(None, None, &format!("127.0.0.1:{port}"));
    let http = Http::behind(direct, Clock::System)?;
    let url = format!("http://127.0.0.1:{port}{EVENTS}");
    let asked = tokio::time::timeout(PATIENCE, http.client().get(&url).send()).await;
    let mut answer = asked
        .map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs()))
        .and_then(|answer| Ok(answer?))
        .with_context(|| {
            format!(
                "no `ferry serve` answers on port {port} of this machine: start it, or name its port (--port, FERRY__PORT)"
            )
        })?;
    if !answer.status().is_success() {
        bail!(
            "what answers on port {port} is no `ferry serve` that tells of webhooks: {url} answers {}",
            answer.status()
        );
    }
    tracing::info!(port, "listening");
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.context("the server has gone")? {
        text.extend_from_slice(&part);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let told: Value = serde_json::from_slice(&line).context("the server tells no JSON")?;
            print(match json {
                true => told.to_string(),
                false => shown(&told),
            })?;
        }
    }
    bail!("the server on port {port} has stopped")
}

/// `07:00:04 repo:push 2e7f1c05 {uuid}: written 2, 34 ms: service/cart, pull/cart/4`
fn shown(told: &Value) -> String {
    if let Some(missed) = told["missed"].as_u64() {
        let line = format!("{missed} lines were told faster than they could be read");
        return painted(DOUBTFUL, line);
    }
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    let count = |name: &str| told[name].as_u64().unwrap_or_default();
    let at = text("at").get(11..19).unwrap_or_default();
    let id: String = text("request_id").chars().take(SHOWN_ID_CHARS).collect();
    let (style, effect) = match text("effect") {
        "written" if 0 < count("deleted") => (
            GOOD,
            format!("written {}, deleted {}", count("written"), count("deleted")),
        ),
        "written" => (GOOD, format!("written {}", count("written"))),
        "deleted" => (BAD, format!("deleted {}", count("deleted"))),
        "waits" => (DOUBTFUL, format!("waits: {}", text("reason"))),
        "ignored" => (FAINT, format!("ignored: {}", text("reason"))),
        effect => (FAINT, effect.to_owned()),
    };
    let object = match text("object") {
        "" => String::new(),
        object => format!(" {object}:"),
    };
    let took = match told["elapsed_ms"].as_u64() {
        Some(took) => format!(", {took} ms"),
        None => String::new(),
    };
    let entities = told["entities"].as_array().into_iter().flatten();
    let entities: Vec<&str> = entities.filter_map(Value::as_str).collect();
    let entities = match (entities.is_empty(), count("more")) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", entities.join(", ")),
        (false, more) => format!(": {}, and {more} more", entities.join(", ")),
    };
    format!(
        "{} {} {id}{object} {}{took}{entities}",
        painted(FAINT, at),
        text("event"),
        painted(style, effect)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_came_and_what_became_of_it() {
        let mut told = json!({
            "at": "2026-11-27T07:00:04.5Z", "event": "repo:push", "request_id": "2e7f1c05-aaaa",
            "object": "{1}", "effect": "written", "written": 2, "deleted": 1,
            "entities": ["service/cart", "-pull/cart/4"], "more": 1, "reason": null, "elapsed_ms": 34,
        });
        let plain = |told: &Value| anstream::adapter::strip_str(&shown(told)).to_string();
        assert_eq!(
            plain(&told),
            "07:00:04 repo:push 2e7f1c05 {1}: written 2, deleted 1, 34 ms: service/cart, -pull/cart/4, and 1 more"
        );
        told["effect"] = json!("waits");
        told["reason"] = json!("Port is not there");
        told["entities"] = json!([]);
        assert_eq!(
            plain(&told),
            "07:00:04 repo:push 2e7f1c05 {1}: waits: Port is not there, 34 ms"
        );
        told["effect"] = json!("ignored");
        told["object"] = json!("");
        told["reason"] = json!("nothing is looked at for this event");
        assert_eq!(
            plain(&told),
            "07:00:04 repo:push 2e7f1c05 ignored: nothing is looked at for this event, 34 ms"
        );
        assert_eq!(
            plain(&json!({"missed": 3})),
            "3 lines were told faster than they could be read"
        );
    }
}
