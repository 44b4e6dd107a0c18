//! Functions of one account with a process for each execution environment, and a queue that invokes one of them.
//!
//! Work is real and goes on at once; how long it takes is told, and so is every moment at which something begins or ends:
//! who is throttled does not depend on the machine. Who may run is [`Concurrency`]'s to say.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::concurrency::{Admission, Concurrency, Usage};
use super::function::{Function, Program};
use super::queue::FifoQueue;
use super::runtime::{FunctionError, RuntimeApi};

/// For a process to start: machines that compile something else are slow.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Longer than any function may run.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// Names an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// An invocation that is over.
#[derive(Debug)]
pub struct Ended {
    pub ticket: Ticket,
    pub outcome: Result<Value, FunctionError>,
}

/// An account's functions, at a moment counted from the beginning.
pub struct Lambda {
    concurrency: Concurrency,
    functions: BTreeMap<String, Deployed>,
    /// By the moment at which they end.
    running: BTreeMap<(Duration, Ticket), Running>,
    now: Duration,
    invocations: u64,
}

struct Deployed {
    program: Program,
    /// What a new environment takes beyond the work itself.
    cold_start: Duration,
    environments: Vec<Environment>,
}

struct Environment {
    runtime: RuntimeApi,
    // Ends when it is dropped.
    _process: Function,
}

struct Running {
    function: String,
    environment: usize,
    answer: JoinHandle<Result<Value, FunctionError>>,
}

impl Lambda {
    /// `account`: executions at the same time, of all functions together.
    pub fn new(account: usize) -> Lambda {
        Lambda {
            concurrency: Concurrency::new(account),
            functions: BTreeMap::new(),
            running: BTreeMap::new(),
            now: Duration::ZERO,
            invocations: 0,
        }
    }

    /// # Errors
    /// When there is not so much to reserve.
    pub fn deploy(
        &mut self,
        function: &str,
        program: Program,
        reserved: Option<usize>,
        cold_start: Duration,
    ) -> anyhow::Result<()> {
        self.concurrency.deploy(function, reserved)?;
        let deployed = Deployed {
            program,
            cold_start,
            environments: Vec::new(),
        };
        self.functions.insert(function.to_owned(), deployed);
        Ok(())
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn usage(&self, function: &str) -> Usage {
        self.concurrency.usage(function)
    }

    /// Begins an invocation that takes `takes`, and longer in a new environment; `None` if it is throttled.
    ///
    /// # Errors
    /// When the function's process does not start.
    pub async fn invoke(
        &mut self,
        function: &str,
        event: Value,
        takes: Duration,
    ) -> anyhow::Result<Option<Ticket>> {
        let deployed = self.functions.get_mut(function);
        let deployed = deployed.with_context(|| format!("no function {function}"))?;
        let (environment, takes) = match self.concurrency.admit(function) {
            Admission::Throttled => return Ok(None),
            Admission::Warm { environment } => (environment, takes),
            Admission::Cold { environment } => {
                let made = Environment::start(deployed.program.clone()).await?;
                deployed.environments.push(made);
                (environment, takes + deployed.cold_start)
            }
        };
        let made = deployed.environments.get(environment);
        let runtime = made.context("an environment is missing")?.runtime.clone();
        let answer = tokio::spawn(async move { runtime.invoke(event, TIME_LIMIT).await });
        self.invocations += 1;
        let ticket = Ticket(self.invocations);
        let running = Running {
            function: function.to_owned(),
            environment,
            answer,
        };
        self.running.insert((self.now + takes, ticket), running);
        Ok(Some(ticket))
    }

    /// The moment at which the next invocation ends.
    pub fn next_end(&self) -> Option<Duration> {
        let next = self.running.first_key_value();
        next.map(|((moment, _), _)| *moment)
    }

    /// Lets time pass until the next invocation ends, but not beyond `moment`; the one that has ended, if any has.
    ///
    /// # Errors
    /// When the work of an invocation has panicked.
    pub async fn pass(&mut self, moment: Duration) -> anyhow::Result<Option<Ended>> {
        let is_over = self.next_end().is_some_and(|end| end <= moment);
        let Some(((end, ticket), running)) = is_over.then(|| self.running.pop_first()).flatten()
        else {
            self.now = self.now.max(moment);
            return Ok(None);
        };
        self.now = end;
        let outcome = running.answer.await.context("an invocation panicked")?;
        self.concurrency
            .release(&running.function, running.environment);
        Ok(Some(Ended { ticket, outcome }))
    }
}

impl Environment {
    async fn start(program: Program) -> anyhow::Result<Environment> {
        let runtime = RuntimeApi::start().await?;
        let mut process = Function::start(&runtime, program)?;
        process.wait_ready(START_LIMIT).await?;
        Ok(Environment {
            runtime,
            _process: process,
        })
    }
}

/// What takes messages from a queue and invokes a function with them, batch by batch.
pub struct EventSourceMapping {
    queue: FifoQueue,
    function: String,
    /// Batches at the same time (`ScalingConfig.MaximumConcurrency`); `None`: as many as there are.
    most: Option<usize>,
    /// What a batch takes.
    takes: Duration,
    /// Receipts of the batches that are being worked on.
    out: BTreeMap<Ticket, Vec<String>>,
    /// When the queue's time began.
    begun: Timestamp,
}

impl EventSourceMapping {
    /// The queue's time is the account's from now on.
    pub fn new(
        queue: &FifoQueue,
        function: &str,
        most: Option<usize>,
        takes: Duration,
    ) -> EventSourceMapping {
        EventSourceMapping {
            queue: queue.clone(),
            function: function.to_owned(),
            most,
            takes,
            out: BTreeMap::new(),
            begun: Timestamp::UNIX_EPOCH,
        }
    }

    /// Begins as many batches as there may be. A batch that is throttled comes back when its visibility is over.
    ///
    /// # Errors
    /// When the function's process does not start.
    pub async fn poll(&mut self, lambda: &mut Lambda) -> anyhow::Result<()> {
        let passed = SignedDuration::try_from(lambda.now())?;
        self.queue.set_now(self.begun + passed);
        while self.most.is_none_or(|most| self.out.len() < most) {
            let batch = self.queue.hand_out();
            if batch.is_empty() {
                break;
            }
            let records: Vec<&Value> = batch.iter().map(|message| &message.record).collect();
            let event = json!({"Records": records});
            let Some(ticket) = lambda.invoke(&self.function, event, self.takes).await? else {
                break;
            };
            let receipts = batch.into_iter().map(|message| message.receipt).collect();
            self.out.insert(ticket, receipts);
        }
        Ok(())
    }

    /// Deletes what the batch has worked off; false where it is no batch of ours. After an error nothing is deleted.
    pub fn conclude(&mut self, ended: &Ended) -> bool {
        let Some(receipts) = self.out.remove(&ended.ticket) else {
            return false;
        };
        let Ok(answer) = &ended.outcome else {
            return true;
        };
        let failures = answer["batchItemFailures"].as_array();
        let failed: Vec<&str> = failures
            .into_iter()
            .flatten()
            .filter_map(|failure| failure["itemIdentifier"].as_str())
            .collect();
        let is_done = |receipt: &String| {
            let message = receipt.split('-').next().unwrap_or_default();
            !failed.contains(&message)
        };
        let done: Vec<String> = receipts.into_iter().filter(is_done).collect();
        self.queue.delete(&done);
        true
    }
}
