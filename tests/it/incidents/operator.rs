//! Somebody who has installed Ferry and looks at nothing but what it tells: figures, log lines, `ferry status`.

use std::time::Duration;

use ferry::condition::Condition;
use ferry::deadline::Deadline;
use ferry::metrics::Metrics;
use ferry::status::status;
use jiff::Timestamp;
use sandbox::aws::SecretsManager;
use sandbox::bitbucket::Workspace;
use serde_json::{Value, json};

use crate::credentials::{from_secrets, secrets};
use crate::log::Lines;
use crate::support::{World, event, secrets_client};

/// Nobody has to wait longer to be told.
const TIME_TO_ALARM: Duration = Duration::from_secs(600);

/// The timeout of the function that works off events.
const WORKER: Duration = Duration::from_secs(120);

pub(super) struct Operator {
    pub(super) world: World,
    pub(super) secrets: SecretsManager,
    figures: Lines,
    log: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Operator {
    /// A function with its schedule of six hours, its credentials in Secrets Manager and its queue, after its first run.
    pub(super) async fn installed(workspace: Workspace) -> Operator {
        let secrets = secrets().await;
        let mut settings = from_secrets();
        settings.insert("OCEAN__SCHEDULED_RESYNC_INTERVAL", "360".to_owned());
        let client = Some(secrets_client(&secrets));
        let world = World::start(workspace, settings, client).await;
        let mut world = world.with_queue().await;
        let figures = Lines::default();
        world.app_mut().metrics = Metrics::to("Ferry/tests".to_owned(), false, figures.clone());
        let (log, guard) = Lines::of_json();
        let operator = Operator {
            world,
            secrets,
            figures,
            log,
            _guard: guard,
        };
        let outcome = operator.world.invoke(event("tick")).await.unwrap();
        assert_eq!(outcome["status"], "completed", "{outcome:#}");
        operator.figures.take_all();
        assert_eq!(operator.minute().await, 0, "after the first run");
        operator
    }

    /// A minute passes, with its tick and whatever the queue hands out; returns what `Health` has said.
    pub(super) async fn minute(&self) -> u8 {
        let clock = &self.world.clock;
        while self
            .world
            .queue()
            .next_at()
            .is_some_and(|at| at <= clock.now())
        {
            let worked = self.world.work_off_at(self.world.app(), WORKER).await;
            if worked == (0, 0) {
                break;
            }
        }
        // A tick that fails is for the log.
        self.world.invoke(event("tick")).await.ok();
        let healths = self.figures.take_all();
        let [line] = healths.as_slice() else {
            panic!("one figure in a tick: {healths:?}");
        };
        let number = line["Health"].as_f64().unwrap();
        Condition::ALL
            .into_iter()
            .map(Condition::number)
            .find(|known| f64::from(*known) == number)
            .unwrap_or(0)
    }

    /// The alarm comes in time, and log and status say the same: what, why, and what to do.
    pub(super) async fn assert_alarm(&self, expected: Condition, cause: &str) {
        let begun = self.world.clock.now();
        self.log.take_all();
        let number = loop {
            let number = self.minute().await;
            let waited = Duration::try_from(self.world.clock.now().duration_since(begun)).unwrap();
            if 0 < number {
                assert!(waited <= TIME_TO_ALARM, "{waited:?} until the alarm");
                break number;
            }
            let lines = self.log.take_all();
            assert!(waited < TIME_TO_ALARM, "no alarm: {lines:#?}");
        };
        let lines = self.log.take_all();
        assert_eq!(number, expected.number(), "{lines:#?}");
        let mut told = lines.iter().filter(|line| line["message"] == "health");
        let line = told.next().unwrap_or_else(|| panic!("no line: {lines:#?}"));
        assert_eq!(told.next(), None, "one line");
        assert_eq!(line["number"], json!(expected.number()));
        assert_eq!(line["condition"], expected.name());
        assert_eq!(line["remedy"], expected.remedy());
        let said = line["cause"].as_str().unwrap();
        assert!(said.contains(cause), "{said}");
        let since: Timestamp = line["since"].as_str().unwrap().parse().unwrap();
        assert!(since <= self.world.clock.now());
        let status = self.status().await;
        let conditions = status["conditions"].as_array().unwrap();
        let mut known = conditions.iter();
        let known = known.find(|it| it["number"] == json!(expected.number()));
        let known = known.unwrap_or_else(|| panic!("not in the status: {status:#}"));
        assert!(known["cause"].as_str().unwrap().contains(cause));
        assert_eq!(status["is_healthy"], false);
    }

    /// All is well after so many ticks at most, though nobody does anything.
    pub(super) async fn assert_health_within(&self, minutes: usize) {
        self.log.take_all();
        for _ in 0..minutes {
            if self.minute().await == 0 {
                return;
            }
        }
        panic!("still unwell: {:#?}", self.log.take_all());
    }

    pub(super) async fn status(&self) -> Value {
        let app = self.world.app();
        let deadline = Deadline::after(&self.world.clock, Duration::from_secs(30));
        json!(status(app, &deadline).await.unwrap())
    }

    /// When the last run was completed.
    pub(super) async fn completed_at(&self) -> Timestamp {
        let status = self.status().await;
        let at = status["last_run"]["completed_at"].as_str().unwrap();
        at.parse().unwrap()
    }

    pub(super) fn finish(self) {
        self.world.finish();
    }
}
