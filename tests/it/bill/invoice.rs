//! What was counted, multiplied by docs/prices.json: the table in docs/operations.md and the sum in README.md.
//!
//! The price of one month without events but with a resync a day, and of a thousand events.

use std::path::{Path, PathBuf};

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

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn root(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
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
        let Counted {
            idle,
            resync,
            events,
        } = counted;
        Invoice {
            lines: self
                .by_month()
                .into_iter()
                .chain(self.by_use(counted))
                .collect(),
            counted: format!("idle hour: {idle:?}\nresync: {resync:?}\nevents: {events:?}"),
        }
    }

    /// What is paid for because it is there, and what is called by the clock.
    fn by_month(&self) -> Vec<Line> {
        let (ticks, events) = (self.ticks(), EVENTS as f64);
        let template = root("template.yaml");
        let of_type =
            |kind: &str| template.matches(&format!("\n    Type: {kind}\n")).count() as f64;
        let secrets = of_type("AWS::SecretsManager::Secret");
        let alarms = of_type("AWS::CloudWatch::Alarm");
        let calls = ticks + RESYNCS;
        let seconds = |name: &str| self.assumed(name) / 1_000.0 * self.assumed("memory_gb");
        let idle_seconds = ticks * seconds("tick_ms") + RESYNCS * seconds("resync_ms");
        let event_seconds = events * (seconds("webhook_ms") + seconds("event_ms"));
        vec![
            self.line("secrets", "secret", secrets, 0.0),
            self.line("figures (`Health`)", "figure", 1.0, 0.0),
            self.line("alarms, of one metric each", "alarm", alarms, 0.0),
            self.line("calls by the schedules", "schedule_calls", calls, 0.0),
            self.line("invocations", "invocations", calls, 2.0 * events),
            self.line(
                "GB-seconds of the functions",
                "gigabyte_seconds",
                idle_seconds,
                event_seconds,
            ),
        ]
    }

    /// What the functions ask for, as it was counted.
    fn by_use(&self, counted: &Counted) -> Vec<Line> {
        let hours = self.ticks() / 60.0;
        let line = |what: &'static str, name: &str, of: fn(&Use) -> usize| {
            let idle = of(&counted.idle) as f64 * hours + of(&counted.resync) as f64 * RESYNCS;
            self.line(what, name, idle, of(&counted.events) as f64)
        };
        let mut queue = line("requests to the queue", "queue_calls", |it| it.queue_calls);
        queue.idle += self.ticks() * self.assumed("polls_per_minute");
        // Lambda takes a batch from the queue and deletes it.
        queue.events += 2.0 * EVENTS as f64;
        vec![
            queue,
            line("readings of the secret", "secret_calls", |it| {
                it.secret_calls
            }),
            line("units read from the table", "table_reads", |it| {
                it.table_reads
            }),
            line("units written to the table", "table_writes", |it| {
                it.table_writes
            }),
            line("bytes of the log", "log_bytes", |it| it.log_bytes),
        ]
    }

    /// In a month, one a minute.
    fn ticks(&self) -> f64 {
        60.0 * self.0["month_hours"].as_f64().unwrap()
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

    /// docs/operations.md holds the table, and README.md the sum. They are written where `FERRY_BILL` is `write`.
    #[expect(clippy::disallowed_methods, reason = "what a developer asks of a test")]
    pub(super) fn assert_documented(&self) {
        let is_asked = std::env::var("FERRY_BILL").is_ok_and(|asked| asked == "write");
        for (file, text, expected) in [self.operations(), self.readme()] {
            if is_asked {
                std::fs::write(path(file), &expected).unwrap();
            }
            assert!(
                is_asked || text == expected,
                "{file} holds another bill: FERRY_BILL=write cargo test --package ferry --test it bill\n{}\n{}",
                self.table(),
                self.counted
            );
        }
    }

    /// The document as it is, and as it should be.
    fn operations(&self) -> (&'static str, String, String) {
        let file = "docs/operations.md";
        let text = root(file);
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let expected = format!("{before}{BEGIN}{}{END}{after}", self.table());
        (file, text, expected)
    }

    fn readme(&self) -> (&'static str, String, String) {
        let (file, sum) = (
            "README.md",
            r"[0-9.]+ USD a month at list prices, [0-9.]+ within the free tiers",
        );
        let (listed, free) = self.idle_month();
        let now =
            format!("{listed:.2} USD a month at list prices, {free:.2} within the free tiers");
        let (text, sum) = (root(file), regex::Regex::new(sum).unwrap());
        assert_eq!(
            sum.find_iter(&text).count(),
            1,
            "{file} says what it costs, once"
        );
        let expected = sum.replace(&text, now).into_owned();
        (file, text, expected)
    }
}

/// A whole number with commas; what is counted by the thousand is rounded, so that a byte more of log is no other bill.
fn grouped(number: f64) -> String {
    let digits = match number {
        ..1.0 => return String::new(),
        ..1_000.0 => number.round(),
        ..100_000.0 => (number / 1_000.0).round() * 1_000.0,
        ..1_000_000.0 => (number / 10_000.0).round() * 10_000.0,
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
