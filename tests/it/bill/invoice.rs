//! What was counted, multiplied by docs/prices.json: the table in docs/operations.md and the sum in README.md.
//!
//! The price of one month without events but with a resync a day, and of a thousand events.

use std::path::Path;

use serde_json::Value;

use super::EVENTS;
use super::meter::Use;

const BEGIN: &str = "<!-- The bill: tests/it/bill writes it from docs/prices.json. -->\n";
const END: &str = "<!-- End of the bill. -->\n";

/// Resyncs in a month, one a day.
const RESYNCS: f64 = 30.4;

/// Webhooks a day of the workspace that the documents take for an example.
const DAILY_EVENTS: f64 = 2_000.0;

pub(super) struct Counted {
    /// Sixty ticks.
    pub(super) idle: Use,
    pub(super) resync: Use,
    /// A thousand events.
    pub(super) events: Use,
}

pub(super) struct Prices(Value);

pub(super) struct Invoice {
    lines: Vec<Line>,
    counted: String,
}

/// One thing that is paid for, in what a month without events takes of it, and in what a thousand events take.
struct Line {
    what: &'static str,
    price: f64,
    free: f64,
    idle: f64,
    events: f64,
}

impl Line {
    fn listed(&self) -> f64 {
        self.idle * self.price
    }

    fn within_free_tiers(&self) -> f64 {
        (self.idle - self.free).max(0.0) * self.price
    }
}

fn root(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).unwrap()
}

impl Prices {
    pub(super) fn read() -> Prices {
        Prices(serde_json::from_str(&root("docs/prices.json")).unwrap())
    }

    fn assumed(&self, name: &str) -> f64 {
        self.0["assumed"][name].as_f64().unwrap()
    }

    fn line(&self, what: &'static str, name: &str, idle: f64, events: f64) -> Line {
        let price = &self.0["list"][name];
        let price = match price["per"].as_f64() {
            Some(per) => price["usd"].as_f64().unwrap() / per,
            None => price.as_f64().unwrap(),
        };
        let free = self.0["free"][name].as_f64().unwrap_or_default();
        Line {
            what,
            price,
            free,
            idle,
            events,
        }
    }

    pub(super) fn invoice(&self, counted: &Counted) -> Invoice {
        let hours = self.0["month_hours"].as_f64().unwrap();
        let (ticks, events) = (60.0 * hours, EVENTS as f64);
        let Counted {
            idle,
            resync,
            events: by_event,
        } = counted;
        let month = |of: fn(&Use) -> usize| of(idle) as f64 * hours + of(resync) as f64 * RESYNCS;
        let alone = |of: fn(&Use) -> usize| of(by_event) as f64;
        let seconds = |name: &str| self.assumed(name) / 1_000.0 * self.assumed("memory_gb");
        // Lambda takes a batch from the queue and deletes it.
        let handed_out = 2.0 * events;
        let polls = ticks * self.assumed("polls_per_minute");
        let template = root("template.yaml");
        let of_type =
            |kind: &str| template.matches(&format!("\n    Type: {kind}\n")).count() as f64;
        let idle_seconds = ticks * seconds("tick_ms") + RESYNCS * seconds("resync_ms");
        let event_seconds = events * (seconds("webhook_ms") + seconds("event_ms"));
        let lines = vec![
            self.line(
                "secrets",
                "secret",
                of_type("AWS::SecretsManager::Secret"),
                0.0,
            ),
            self.line(
                "readings of the secret",
                "secret_calls",
                month(|it| it.secret_calls),
                alone(|it| it.secret_calls),
            ),
            self.line("figures (`Health`)", "figure", 1.0, 0.0),
            self.line(
                "alarms, of one metric each",
                "alarm",
                of_type("AWS::CloudWatch::Alarm"),
                0.0,
            ),
            self.line(
                "requests to the queue",
                "queue_calls",
                polls + month(|it| it.queue_calls),
                handed_out + alone(|it| it.queue_calls),
            ),
            self.line(
                "calls by the schedules",
                "schedule_calls",
                ticks + RESYNCS,
                0.0,
            ),
            self.line("invocations", "invocations", ticks + RESYNCS, 2.0 * events),
            self.line(
                "GB-seconds of the functions",
                "gigabyte_seconds",
                idle_seconds,
                event_seconds,
            ),
            self.line(
                "units read from the table",
                "table_reads",
                month(|it| it.table_reads),
                alone(|it| it.table_reads),
            ),
            self.line(
                "units written to the table",
                "table_writes",
                month(|it| it.table_writes),
                alone(|it| it.table_writes),
            ),
            self.line(
                "bytes of the log",
                "log_bytes",
                month(|it| it.log_bytes),
                alone(|it| it.log_bytes),
            ),
        ];
        let counted = format!("idle hour: {idle:?}\nresync: {resync:?}\nevents: {by_event:?}");
        Invoice { lines, counted }
    }
}

impl Invoice {
    /// USD of a month without events, at list prices and within the free tiers.
    pub(super) fn idle_month(&self) -> (f64, f64) {
        let listed = self.lines.iter().map(Line::listed).sum();
        let free = self.lines.iter().map(Line::within_free_tiers).sum();
        (listed, free)
    }

    /// USD of a thousand events, at list prices.
    fn events(&self) -> f64 {
        self.lines.iter().map(|line| line.events * line.price).sum()
    }

    fn table(&self) -> String {
        let mut text = String::from(
            "\n| what | in an idle month | USD | within the free tiers | by 1,000 events |\n| --- | --- | --- | --- | --- |\n",
        );
        for line in &self.lines {
            let (listed, free) = (line.listed(), line.within_free_tiers());
            let (idle, events) = (grouped(line.idle), grouped(line.events));
            let row = format!(
                "| {} | {idle} | {listed:.2} | {free:.2} | {events} |\n",
                line.what
            );
            text.push_str(&row);
        }
        let (listed, free) = self.idle_month();
        let events = self.events();
        text.push_str(&format!(
            "| sum | | {listed:.2} | {free:.2} | {events:.3} USD |\n"
        ));
        let busy = listed + events * DAILY_EVENTS * RESYNCS / EVENTS as f64;
        text.push_str(&format!(
            "\nWith 2,000 events a day a month comes to {busy:.2} USD at list prices.\n\n"
        ));
        text
    }

    /// docs/operations.md holds the table, and README.md the sum; says what they should hold otherwise.
    pub(super) fn assert_documented(&self) {
        let (operations, table) = (root("docs/operations.md"), self.table());
        let written = operations
            .split_once(BEGIN)
            .and_then(|(_, rest)| rest.split_once(END))
            .map(|(written, _)| written);
        assert!(
            written == Some(table.as_str()),
            "docs/operations.md should hold, between its two comments:\n{table}\ncounted:\n{}",
            self.counted
        );
        let (listed, free) = self.idle_month();
        let sum =
            format!("{listed:.2} USD a month at list prices, {free:.2} within the free tiers");
        assert!(
            root("README.md").contains(&sum),
            "README.md should say: {sum}"
        );
    }
}

/// A whole number with commas; what is counted by the thousand is rounded, so that a byte more of log is no other bill.
fn grouped(number: f64) -> String {
    let digits = match number {
        ..1.0 => return String::new(),
        ..10_000.0 => number.round(),
        ..10_000_000.0 => (number / 1_000.0).round() * 1_000.0,
        _ => (number / 1_000_000.0).round() * 1_000_000.0,
    };
    let digits = format!("{digits:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
