//! A thousand webhooks while a resync runs and the queue is busy, with the function's own binary, on an account that
//! enforces concurrency: nobody but the account's own limit turns a webhook away.
//!
//! Bitbucket sends again what is answered with 5xx, and nothing else: an event that is throttled (429) is lost until the
//! next resync.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use sandbox::aws::{
    EventSourceMapping, FifoQueue, FunctionError, Lambda, Program, SecretsManager, Table, Ticket,
    Usage, function_url_event,
};
use sandbox::bitbucket::{Bitbucket, PullRequestState, Workspace};
use sandbox::port::Port;
use sandbox::webhook::Delivery;
use serde_json::{Value, json};

use crate::credentials::{SECRET_ID, WEBHOOK_SECRET_ID, document};
use crate::doubt::retitle;
use crate::support::{IDENTIFIER, PORT_CLIENT_ID, PORT_CLIENT_SECRET, WEBHOOK_SECRET, event};

/// Of the burst.
const WEBHOOKS: usize = 1_000;

/// Between two of its webhooks: all come within ten seconds.
const GAP: Duration = Duration::from_millis(10);

/// Webhooks that wait in the queue when it begins.
const WAITING: usize = 100;

/// What a new environment takes, on a bad day.
const COLD_START: Duration = Duration::from_millis(500);

/// What verifying and queueing takes (design: below 50 ms).
const RECEIVING: Duration = Duration::from_millis(50);

/// What ten events take.
const BATCH: Duration = Duration::from_secs(2);

/// What the resync takes: longer than the burst.
const RESYNC: Duration = Duration::from_secs(60);

/// Executions of an account, by default.
const ACCOUNT: usize = 1_000;

/// Executions of a new account.
const NEW_ACCOUNT: usize = 10;

/// Which function does what, and what each may have.
#[derive(Clone)]
struct Deployment {
    account: usize,
    receiver: &'static str,
    events: &'static str,
    runs: &'static str,
    reserved: BTreeMap<&'static str, usize>,
    most_batches: Option<usize>,
}

/// As `template.yaml` deploys it, with its default of no reserved concurrency.
fn deployed() -> Deployment {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml");
    let template = std::fs::read_to_string(path).unwrap();
    let found = Regex::new(r"MaximumConcurrency: (\d+)").unwrap();
    let most_batches = found.captures(&template).unwrap()[1].parse().unwrap();
    let (_, receiver) = template.split_once("\n  FerryFunction:\n").unwrap();
    let (receiver, _) = receiver.split_once("\n  EventsFunction:\n").unwrap();
    assert!(!receiver.contains("ReservedConcurrentExecutions:"));
    Deployment {
        account: ACCOUNT,
        receiver: "receiver",
        events: "events",
        runs: "runs",
        reserved: BTreeMap::new(),
        most_batches: Some(most_batches),
    }
}

/// One function for everything, with reserved concurrency: the template of before.
fn one_function() -> Deployment {
    Deployment {
        receiver: "ferry",
        events: "ferry",
        runs: "ferry",
        reserved: BTreeMap::from([("ferry", 5)]),
        ..deployed()
    }
}

/// A deployment at work, and the world around it.
struct Stack {
    deployment: Deployment,
    bitbucket: Bitbucket,
    port: Port,
    queue: FifoQueue,
    lambda: Lambda,
    mapping: EventSourceMapping,
    /// Of webhooks: by status, how many.
    statuses: BTreeMap<u64, usize>,
    webhooks: Vec<Ticket>,
    /// Of everything that is neither a webhook nor a batch.
    outcomes: Vec<Result<Value, FunctionError>>,
    // They stop when they are dropped.
    _servers: (SecretsManager, Table),
}

impl Stack {
    async fn deploy(deployment: Deployment, workspace: Workspace) -> Stack {
        let bitbucket = Bitbucket::start(workspace).await.unwrap();
        let port = Port::start().await.unwrap();
        let port = port.with_credentials(PORT_CLIENT_ID, PORT_CLIENT_SECRET);
        let secrets = SecretsManager::start().await.unwrap();
        let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
        let credentials = document(PORT_CLIENT_SECRET, Bitbucket::TOKEN);
        secrets.put_at(SECRET_ID, &credentials, long_ago);
        secrets.put_at(WEBHOOK_SECRET_ID, WEBHOOK_SECRET, long_ago);
        let table = Table::start().await.unwrap();
        let queue = FifoQueue::start().await.unwrap();
        let program = program(&bitbucket, &port)
            .var("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
            .var("AWS_ENDPOINT_URL_DYNAMODB", table.server().url())
            .var("AWS_ENDPOINT_URL_SQS", queue.server().url())
            .var("FERRY__QUEUE_URL", queue.url());
        let mut lambda = Lambda::new(deployment.account);
        for name in [deployment.receiver, deployment.events, deployment.runs] {
            let reserved = deployment.reserved.get(name).copied();
            let deployed = lambda.deploy(name, program.clone(), reserved, COLD_START);
            deployed.unwrap();
        }
        let most = deployment.most_batches;
        let mapping = EventSourceMapping::new(&queue, deployment.events, most, BATCH);
        Stack {
            deployment,
            bitbucket,
            port,
            queue,
            lambda,
            mapping,
            statuses: BTreeMap::new(),
            webhooks: Vec::new(),
            outcomes: Vec::new(),
            _servers: (secrets, table),
        }
    }

    /// What happens until `moment`. The queue is worked off meanwhile, if it `is_polled`.
    async fn until(&mut self, moment: Duration, is_polled: bool) {
        loop {
            if is_polled {
                self.mapping.poll(&mut self.lambda).await.unwrap();
            }
            let Some(ended) = self.lambda.pass(moment).await.unwrap() else {
                return;
            };
            if self.mapping.conclude(&ended) {
                ended.outcome.unwrap();
            } else if self.webhooks.contains(&ended.ticket) {
                let answer = ended.outcome.unwrap();
                self.answered(answer["statusCode"].as_u64().unwrap());
            } else {
                self.outcomes.push(ended.outcome);
            }
        }
    }

    fn answered(&mut self, status: u64) {
        *self.statuses.entry(status).or_default() += 1;
    }

    async fn post(&mut self, delivery: &Delivery) {
        let headers = delivery.headers(WEBHOOK_SECRET);
        let event = function_url_event("POST", "/webhook", &headers, &delivery.body);
        let begun = self
            .lambda
            .invoke(self.deployment.receiver, event, RECEIVING);
        match begun.await.unwrap() {
            Some(ticket) => self.webhooks.push(ticket),
            // What a function URL says of a throttled invocation.
            None => self.answered(429),
        }
    }

    /// A resync, which has to find a place; it is over within its time.
    async fn begin_resync(&mut self) {
        let runs = self.deployment.runs;
        let begun = self.lambda.invoke(runs, event("eventbridge-rule"), RESYNC);
        assert!(begun.await.unwrap().is_some(), "the resync is throttled");
    }

    async fn resync(&mut self) -> Value {
        self.begin_resync().await;
        self.until(self.lambda.now() + 2 * RESYNC, false).await;
        self.outcomes.pop().unwrap().unwrap()
    }

    /// The burst, with a resync under way and a queue that is not empty. Returns how webhooks were answered.
    async fn burst(&mut self, deliveries: &[Delivery]) -> BTreeMap<u64, usize> {
        let (first, burst) = deliveries.split_at(WAITING);
        for delivery in first {
            self.post(delivery).await;
            self.until(self.lambda.now() + COLD_START + RECEIVING, false)
                .await;
        }
        assert_eq!(self.statuses, BTreeMap::from([(202, WAITING)]));
        assert_eq!(self.queue.len(), WAITING);
        self.statuses.clear();
        self.begin_resync().await;
        let begun = self.lambda.now();
        for (number, delivery) in (0..).zip(burst) {
            self.until(begun + GAP * number, true).await;
            self.post(delivery).await;
        }
        let under_way = self.lambda.now() < begun + RESYNC;
        assert!(
            under_way && !self.queue.is_empty(),
            "there is work meanwhile"
        );
        self.until(self.lambda.now() + COLD_START + RECEIVING, true)
            .await;
        let answered = self.statuses.values().sum::<usize>();
        assert_eq!(answered, burst.len(), "each webhook has an answer");
        self.statuses.clone()
    }

    fn usage(&self, function: &str) -> Usage {
        self.lambda.usage(function)
    }
}

fn program(bitbucket: &Bitbucket, port: &Port) -> Program {
    let setting = |name: &str| format!("OCEAN__INTEGRATION__CONFIG__BITBUCKET_{name}");
    Program::new(env!("CARGO_BIN_EXE_ferry-lambda"))
        .var("OCEAN__PORT__BASE_URL", port.url())
        .var("OCEAN__INTEGRATION__IDENTIFIER", IDENTIFIER)
        .var(setting("HOST_URL"), bitbucket.url())
        .var(setting("WORKSPACE"), bitbucket.workspace())
        .var("FERRY__SECRET_ID", SECRET_ID)
        .var("FERRY__WEBHOOK_SECRET_ID", WEBHOOK_SECRET_ID)
        .var("FERRY__STATE_TABLE", "ferry")
        .var("FERRY__LOG", "ERROR")
}

/// Ten repositories with some ten open pull requests each.
fn workspace() -> Workspace {
    Workspace::generate(2, 10, 30, 7).unwrap()
}

/// So many events about its open pull requests, those about one after each other.
fn news(bitbucket: &Bitbucket, events: usize) -> Vec<Delivery> {
    let mut open = Vec::new();
    for repository in bitbucket.repositories() {
        let found = bitbucket.pull_requests(&repository).unwrap().into_iter();
        let found = found.filter(|(_, state)| *state == PullRequestState::Open);
        open.extend(found.map(|(id, _)| (repository.clone(), id)));
    }
    assert!(50 < open.len(), "{}", open.len());
    let mut deliveries = Vec::new();
    for number in 0..events {
        let (repository, id) = &open[number * open.len() / events];
        let title = format!("Title {number}");
        let told = retitle(bitbucket, repository, *id, &title);
        assert_eq!(told.len(), 1);
        deliveries.extend(told);
    }
    deliveries
}

#[tokio::test]
async fn a_thousand_webhooks_at_once_are_all_accepted() {
    let mut stack = Stack::deploy(deployed(), workspace()).await;
    let first = stack.resync().await;
    assert_eq!(first["status"], "completed", "{first:#}");
    let deliveries = news(&stack.bitbucket, WAITING + WEBHOOKS);
    let statuses = stack.burst(&deliveries).await;
    let refused = statuses.keys().find(|status| ![202, 503].contains(*status));
    assert_eq!(refused, None, "{statuses:?}");
    assert_eq!(statuses[&202], WEBHOOKS, "nothing was in the way");
    let [receiver, events, runs] = ["receiver", "events", "runs"].map(|name| stack.usage(name));
    assert_eq!(
        [receiver.throttled, events.throttled, runs.throttled],
        [0; 3]
    );
    assert_eq!(Some(events.peak), stack.deployment.most_batches);
    assert!(10 < receiver.peak, "{receiver:?}");
    // What was accepted is worked off.
    while !stack.queue.is_empty() {
        stack.until(stack.lambda.now() + BATCH, true).await;
    }
    stack.until(stack.lambda.now() + RESYNC, true).await;
    assert!(stack.queue.dead_letters().is_empty());
    let after = stack.resync().await;
    let counts = &after["counts"];
    let left = json!([after["status"], counts["written"], counts["deleted"]]);
    assert_eq!(left, json!(["completed", 0, 0]), "{after:#}");
    assert!(stack.port.unknown_requests().is_empty());
}

/// That the account does turn webhooks away, where the deployment lets it.
#[tokio::test]
async fn a_function_for_everything_turns_webhooks_away() {
    let reserved_for_webhooks = Deployment {
        reserved: BTreeMap::from([("receiver", 5)]),
        ..deployed()
    };
    let batches_without_bound = Deployment {
        account: NEW_ACCOUNT,
        most_batches: None,
        ..deployed()
    };
    let new_account = Deployment {
        account: NEW_ACCOUNT,
        ..deployed()
    };
    let bites = [
        ("one function", one_function()),
        ("a bound for the receiver", reserved_for_webhooks),
        ("batches without bound", batches_without_bound),
        ("ten executions in all", new_account),
    ];
    for (what, deployment) in bites {
        let mut stack = Stack::deploy(deployment, workspace()).await;
        let deliveries = news(&stack.bitbucket, WAITING + 100);
        let statuses = stack.burst(&deliveries).await;
        let throttled = statuses.get(&429).copied().unwrap_or_default();
        assert!(0 < throttled, "{what}: {statuses:?}");
    }
}
