//! Figures for CloudWatch, printed in its embedded metric format: no call, no permission, nothing to pay while idle.
//!
//! Owns the format and the names; what the figures mean for the dashboard is in template.yaml. Each line is one JSON
//! object of its own, apart from the log lines around it (Amazon CloudWatch, embedded metric format specification).

use crate::locked::locked;
use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Values that one figure may have in a line (Amazon CloudWatch, embedded metric format: at most 100).
const MOST_VALUES: usize = 100;

/// Where figures go, if anywhere.
#[derive(Default)]
pub struct Metrics {
    to: Option<Destination>,
}

struct Destination {
    namespace: String,
    out: Mutex<Box<dyn Write + Send>>,
    /// Every figure, not only the one that the alarm goes by.
    all: bool,
}

/// A name, and one value or several.
pub struct Figure {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Figure {
    pub fn count(name: &'static str, count: usize) -> Figure {
        Figure {
            name,
            unit: "Count",
            values: vec![count as f64],
        }
    }

    pub fn seconds(name: &'static str, values: Vec<f64>) -> Figure {
        Figure {
            name,
            unit: "Seconds",
            values,
        }
    }

    /// A figure without a unit.
    pub fn ratio(name: &'static str, value: f64) -> Figure {
        Figure {
            name,
            unit: "None",
            values: vec![value],
        }
    }
}

impl Metrics {
    /// Prints `Health` to `out`, which CloudWatch Logs must get line by line; `namespace` is where CloudWatch keeps it.
    /// With `all`, the figures of the dashboard as well: each costs money.
    pub fn to(namespace: String, all: bool, out: impl Write + Send + 'static) -> Metrics {
        let out = Mutex::new(Box::new(out) as Box<dyn Write + Send>);
        Metrics {
            to: Some(Destination {
                namespace,
                out,
                all,
            }),
        }
    }

    /// The number of the most serious [`Condition`](crate::condition::Condition); 0: all is well.
    pub fn put_health(&self, now: Timestamp, number: u8) {
        self.print(now, None, vec![Figure::ratio("Health", f64::from(number))]);
    }

    /// Figures of the installation as a whole.
    pub fn put(&self, now: Timestamp, figures: Vec<Figure>) {
        self.print_of_all(now, None, figures);
    }

    /// Figures of one kind.
    pub fn put_of_kind(&self, now: Timestamp, kind: &str, figures: Vec<Figure>) {
        self.print_of_all(now, Some(kind), figures);
    }

    fn print_of_all(&self, now: Timestamp, kind: Option<&str>, figures: Vec<Figure>) {
        if self.to.as_ref().is_some_and(|to| to.all) {
            self.print(now, kind, figures);
        }
    }

    fn print(&self, now: Timestamp, kind: Option<&str>, figures: Vec<Figure>) {
        let Some(Destination { namespace, out, .. }) = &self.to else {
            return;
        };
        let figures: Vec<Figure> = figures
            .into_iter()
            .filter(|figure| !figure.values.is_empty())
            .collect();
        if figures.is_empty() {
            return;
        }
        let declared: Vec<Value> = figures
            .iter()
            .map(|figure| json!({"Name": figure.name, "Unit": figure.unit}))
            .collect();
        let dimensions: &[&str] = if kind.is_some() { &["Kind"] } else { &[] };
        let mut line = Map::new();
        // Lambda keeps lines by level, where they have one.
        line.insert("timestamp".to_owned(), now.to_string().into());
        line.insert("level".to_owned(), "INFO".into());
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [
                    {"Namespace": namespace, "Dimensions": [dimensions], "Metrics": declared}
                ],
            }),
        );
        if let Some(kind) = kind {
            line.insert("Kind".to_owned(), kind.into());
        }
        for Figure { name, values, .. } in figures {
            let value = match values[..] {
                [value] => json!(value),
                _ => json!(values.get(..MOST_VALUES).unwrap_or(&values)),
            };
            line.insert(name.to_owned(), value);
        }
        let mut out = locked(out);
        let written = writeln!(out, "{}", Value::Object(line)).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "figures not printed");
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.to.as_ref().map(|to| &to.namespace);
        f.debug_struct("Metrics")
            .field("namespace", &namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What was printed, for whoever looks.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_dashboard_only_the_health_is_told() {
        let kept = Kept::default();
        let metrics = Metrics::to("Ferry/demo".to_owned(), false, kept.clone());
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        metrics.put_of_kind(now, "pull-request", vec![Figure::count("Entities", 12)]);
        metrics.put(now, vec![Figure::count("Events", 12)]);
        metrics.put_health(now, 54);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r#"{"timestamp":"2026-11-23T12:00:00Z","level":"INFO","_aws":{"Timestamp":1795435200000,"CloudWatchMetrics":[{"Namespace":"Ferry/demo","Dimensions":[[]],"Metrics":[{"Name":"Health","Unit":"None"}]}]},"Health":54.0}"#);
    }

    #[test]
    fn a_line_declares_what_it_holds() {
        let kept = Kept::default();
        let metrics = Metrics::to("Ferry/demo".to_owned(), true, kept.clone());
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        metrics.put_of_kind(now, "pull-request", vec![Figure::count("Entities", 12)]);
        metrics.put(now, vec![Figure::seconds("Lag", vec![0.5, 2.0])]);
        // Nothing to tell is not a line.
        metrics.put(now, vec![Figure::seconds("Lag", Vec::new())]);
        Metrics::default().put(now, vec![Figure::count("Entities", 12)]);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"timestamp":"2026-11-23T12:00:00Z","level":"INFO","_aws":{"Timestamp":1795435200000,"CloudWatchMetrics":[{"Namespace":"Ferry/demo","Dimensions":[["Kind"]],"Metrics":[{"Name":"Entities","Unit":"Count"}]}]},"Kind":"pull-request","Entities":12.0}
        {"timestamp":"2026-11-23T12:00:00Z","level":"INFO","_aws":{"Timestamp":1795435200000,"CloudWatchMetrics":[{"Namespace":"Ferry/demo","Dimensions":[[]],"Metrics":[{"Name":"Lag","Unit":"Seconds"}]}]},"Lag":[0.5,2.0]}
        "#);
    }
}
