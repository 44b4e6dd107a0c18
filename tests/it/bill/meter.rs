//! Counts what is asked of AWS: units of the table, calls of the queue and of Secrets Manager, bytes of the log.
//!
//! Stands in for the queue: what is sent is handed to the function in the next batch.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use ferry::metrics::Metrics;
use ferry::queue::Queue;
use ferry::store::Store;
use sandbox::aws::{SecretsManager, Table};
use sandbox::server::{Request, Response, Server};
use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::emulated::sdk_config;
use crate::support::World;

/// What is paid for by use. Units as AWS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) table_reads: usize,
    pub(super) table_writes: usize,
    /// Sent by a function; what Lambda asks of the queue is not among them.
    pub(super) queue_calls: usize,
    pub(super) secret_calls: usize,
    pub(super) log_bytes: usize,
    pub(super) to_bitbucket: usize,
    pub(super) to_port: usize,
}

pub(super) struct Meter {
    table: Table,
    queue: Server,
    secrets: SecretsManager,
    bitbucket: Server,
    port: Server,
    log: Log,
    counted: Mutex<Counted>,
}

/// What is known between two readings.
#[derive(Default)]
struct Counted {
    /// Bytes of the items in the table, as they were written.
    sizes: BTreeMap<(String, String), usize>,
    secret_calls: usize,
    /// Queued, and not handed out.
    messages: Vec<String>,
    sent: usize,
}

impl Meter {
    /// The world on a table and a queue that are counted.
    pub(super) async fn on(world: World, secrets: &SecretsManager) -> (World, Meter) {
        let table = Table::start().await.unwrap();
        let queue = Server::start(|request: &Request| {
            let entries = request.json()["Entries"].as_array().cloned();
            let sent = entries.unwrap_or_default().into_iter().map(|entry| {
                json!({"Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "", "SequenceNumber": "1"})
            });
            let answer = json!({"Successful": sent.collect::<Vec<Value>>(), "Failed": []});
            Response::bytes(200, "application/x-amz-json-1.0", answer.to_string().into_bytes())
        })
        .await
        .unwrap();
        let log = Log::default();
        let client = Client::new(&sdk_config(table.server().url()));
        let store = Store::dynamodb(client, "ferry".to_owned(), world.clock.clone());
        let client = aws_sdk_sqs::Client::new(&sdk_config(queue.url()));
        let mut world = world.on(store, Queue::sqs(client, format!("{}/ferry", queue.url())));
        world.app_mut().metrics = Metrics::to("Ferry/tests".to_owned(), false, log.clone());
        let meter = Meter {
            table,
            queue,
            secrets: secrets.clone(),
            bitbucket: world.bitbucket.server().clone(),
            port: world.port.server().clone(),
            log,
            counted: Mutex::default(),
        };
        (world, meter)
    }

    /// Counts log lines, as CloudWatch gets them, until the guard goes.
    pub(super) fn listen(&self) -> DefaultGuard {
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(self.log.clone())
            .finish();
        tracing::subscriber::set_default(lines)
    }

    /// What was queued since the last batch, as Lambda hands it to the function.
    pub(super) fn batch(&self) -> Value {
        self.follow_queue();
        let messages = std::mem::take(&mut self.counted.lock().unwrap().messages);
        let records: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(|(at, body)| {
                json!({
                    "messageId": at.to_string(), "receiptHandle": at.to_string(), "body": body, "md5OfBody": "",
                    "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
                    "eventSource": "aws:sqs", "awsRegion": "eu-central-1",
                    "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:ferry.fifo",
                })
            })
            .collect();
        json!({"Records": records})
    }

    fn follow_queue(&self) {
        let mut counted = self.counted.lock().unwrap();
        for request in self.queue.take_requests() {
            counted.sent += 1;
            let entries = request.json()["Entries"].as_array().cloned();
            let bodies = entries.unwrap_or_default().into_iter();
            let bodies = bodies.filter_map(|entry| Some(entry["MessageBody"].as_str()?.to_owned()));
            counted.messages.extend(bodies);
        }
    }

    /// What was used since this was taken last.
    pub(super) fn take(&self) -> Use {
        self.follow_queue();
        let mut counted = self.counted.lock().unwrap();
        let mut used = Use {
            queue_calls: std::mem::take(&mut counted.sent),
            secret_calls: self.secrets.count() - counted.secret_calls,
            log_bytes: std::mem::take(&mut self.log.0.lock().unwrap()),
            to_bitbucket: self.bitbucket.take_requests().len(),
            to_port: self.port.take_requests().len(),
            ..Use::default()
        };
        counted.secret_calls = self.secrets.count();
        let work = self.table.take_work();
        let requests = self.table.server().take_requests();
        assert_eq!(work.len(), requests.len());
        for (work, request) in work.iter().zip(&requests) {
            counted.note_sizes(&request.json());
            match work.writes {
                true => used.table_writes += counted.units(&work.items, 1 << 10),
                // A reading that may be a moment old costs half.
                false => {
                    let units = counted.units(&work.items, 4 << 10);
                    let is_glance =
                        String::from_utf8_lossy(&request.body).contains("\"ConsistentRead\":false");
                    used.table_reads += if is_glance { units.div_ceil(2) } else { units };
                }
            }
        }
        used
    }
}

impl Counted {
    /// Notes how large the items are that a request writes, in bytes; generously, as JSON.
    fn note_sizes(&mut self, request: &Value) {
        let mut items = vec![request["Item"].clone()];
        let tables = request["RequestItems"].as_object();
        for requests in tables.into_iter().flat_map(|tables| tables.values()) {
            let requests = requests.as_array().into_iter().flatten();
            items.extend(requests.map(|each| each["PutRequest"]["Item"].clone()));
        }
        for item in items.iter().filter(|item| item.is_object()) {
            let part = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
            let size = item.to_string().len();
            self.sizes.insert((part("pk"), part("sk")), size);
        }
    }

    /// An item costs a unit for each `unit` bytes that have begun, one at least; a query counts as one item.
    fn units(&self, items: &[(String, String)], unit: usize) -> usize {
        let sizes = items
            .iter()
            .map(|key| self.sizes.get(key).copied().unwrap_or_default());
        sizes.map(|size| size.div_ceil(unit).max(1)).sum()
    }
}

/// How many bytes were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<usize>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += line.len();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}
