//! The figures behind the dashboard and the alarms: what a story leaves in the log for CloudWatch.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry::metrics::Metrics;
use sandbox::bitbucket::{NewPullRequest, Workspace};
use sandbox::server::Fault;
use serde_json::{Value, json};

use crate::support::{Settings, World, event};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The values of a figure since this was asked last, with the kind where it is one kind's.
    fn take(&self) -> Vec<(String, String, Value)> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let mut found = Vec::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let declared = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(declared["Namespace"], "Ferry/tests");
            for figure in declared["Metrics"].as_array().unwrap() {
                let name = figure["Name"].as_str().unwrap();
                let kind = line["Kind"].as_str().unwrap_or_default();
                found.push((name.to_owned(), kind.to_owned(), line[name].clone()));
            }
        }
        found
    }
}

fn value(figures: &[(String, String, Value)], name: &str, kind: &str) -> f64 {
    let found = figures.iter().find(|(n, k, _)| n == name && k == kind);
    let (_, _, value) = found.unwrap_or_else(|| panic!("no {name} {kind} in {figures:?}"));
    value.as_f64().unwrap()
}

#[tokio::test]
async fn a_story_leaves_figures_for_the_dashboard_and_the_alarms() {
    let hourly = Settings::from([("OCEAN__SCHEDULED_RESYNC_INTERVAL", "60".to_owned())]);
    let mut world = World::new(Workspace::demo().unwrap(), hourly)
        .await
        .with_queue()
        .await;
    let log = Log::default();
    world.app_mut().metrics = Metrics::to("Ferry/tests".to_owned(), true, log.clone());

    world.resync().await;
    let figures = log.take();
    for (name, kind, expected) in [
        ("CompletedRuns", "", 1.0),
        ("FailedPartitions", "", 0.0),
        ("WrittenEntities", "", 18.0),
        ("Entities", "project", 3.0),
        ("Entities", "repository", 9.0),
        ("Entities", "pull-request", 6.0),
    ] {
        assert_eq!(value(&figures, name, kind), expected, "{name} {kind}");
    }
    assert!(value(&figures, "RequestsLeft", "") < 900.0);

    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (_, opened) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    world.accept(&opened).await;
    // Nobody looks for a while, and then Port is away.
    world.clock.advance(Duration::from_secs(90));
    let away = Fault::status("/entities", 503).always();
    world.port.server().misbehave(away);
    world.work_off().await;
    let events = opened.len() as f64;
    assert_eq!(value(&log.take(), "PostponedEvents", ""), events);
    world.port.server().behave();
    world.drain().await;
    let figures = log.take();
    assert_eq!(value(&figures, "Events", ""), events);
    assert!(1.0 <= value(&figures, "WrittenEntities", ""));
    let lags = figures.iter().find(|(name, _, _)| name == "LagSeconds");
    let lags = lags.unwrap().2.as_array().unwrap();
    assert_eq!(lags.len(), opened.len());
    assert!(
        lags.iter().all(|lag| 120.0 <= lag.as_f64().unwrap()),
        "{lags:?}"
    );

    // Two intervals without a run that completes.
    let refused = Fault::status("", 401).always();
    world.bitbucket.server().misbehave(refused);
    world.clock.advance(Duration::from_secs(7_000));
    world.invoke(event("eventbridge-rule")).await.unwrap_err();
    world.invoke(json!({"action": "tick"})).await.unwrap();
    let figures = log.take();
    assert!(!figures.iter().any(|(name, _, _)| name == "CompletedRuns"));
    assert!(2.0 < value(&figures, "ResyncAge", ""), "{figures:?}");
    world.bitbucket.server().behave();
    world.resync().await;
    world.tick().await.unwrap();
    assert!(value(&log.take(), "ResyncAge", "") < 0.1);
    world.finish();
}
