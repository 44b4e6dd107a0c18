//! As much of DynamoDB as a store of documents asks for: one table, which counts what is asked of it.
//!
//! For counting and timing. What a store makes of DynamoDB's own answers is tested against an emulator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::edition::Edition;
use crate::server::{Request, Response, Server};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// DynamoDB: a page of a query holds at most 1 MB.
const PAGE_BYTES: usize = 1 << 20;

/// A kind of error and its message.
type Refusal = (&'static str, &'static str);

const CONDITION: Refusal = ("ConditionalCheckFailedException", "The condition failed");

/// By `pk` and `sk`.
type Items = BTreeMap<(String, String), Map<String, Value>>;

/// A running table. Clones are handles to the same one.
#[derive(Clone)]
pub struct Table {
    server: Server,
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    items: Items,
    largest: usize,
    work: Vec<TableWork>,
}

/// What one request has asked of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWork {
    /// As DynamoDB calls it: `PutItem`.
    pub operation: String,
    /// Partition and sort key of each item that was asked for, written or removed; of a query, folder and prefix.
    pub items: Vec<(String, String)>,
    /// Whether it wrote or removed.
    pub writes: bool,
}

impl Table {
    pub async fn start() -> anyhow::Result<Table> {
        Table::serve(Arc::default(), Edition::Present).await
    }

    /// The same table as an edition uses it whose shapes the present one does not know, nor it the present one's: the
    /// next version of each, with a garbled body.
    pub async fn of_later_edition(&self) -> anyhow::Result<Table> {
        Table::serve(Arc::clone(&self.content), Edition::Later).await
    }

    async fn serve(content: Arc<Mutex<Content>>, edition: Edition) -> anyhow::Result<Table> {
        let model = Arc::clone(&content);
        let answer = move |request: &Request| lock(&model).answer(request, edition);
        let server = Server::start(answer).await?;
        Ok(Table { server, content })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// In bytes, of all items so far.
    pub fn largest(&self) -> usize {
        lock(&self.content).largest
    }

    /// What was asked since this was taken last, oldest first.
    pub fn take_work(&self) -> Vec<TableWork> {
        std::mem::take(&mut lock(&self.content).work)
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Content {
    fn answer(&mut self, request: &Request, edition: Edition) -> Response {
        let body = edition.asks(request.json());
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        self.work.push(TableWork::of(operation, &body));
        let answer = match operation {
            "GetItem" => match self.items.get(&key(&body["Key"])) {
                Some(item) => Ok(json!({"Item": item})),
                None => Ok(json!({})),
            },
            "PutItem" => self.put(&body),
            "DeleteItem" => self.delete(&body),
            "BatchGetItem" => Ok(self.get_all(&body)),
            "BatchWriteItem" => Ok(self.write_all(&body)),
            "Query" => Ok(self.query(&body)),
            _ => Err(("UnknownOperationException", operation)),
        };
        let (status, answer) = match answer {
            Ok(answer) => (200, edition.is_answered(answer)),
            Err((kind, message)) => (400, json!({"__type": kind, "message": message})),
        };
        Response::bytes(status, CONTENT_TYPE, answer.to_string().into_bytes())
    }

    fn put(&mut self, body: &Value) -> Result<Value, Refusal> {
        let item = fields(&body["Item"]);
        let old = self.items.get(&key(&body["Item"]));
        if !is_met(body, old) {
            return Err(CONDITION);
        }
        let old = self.insert(item);
        Ok(json!({"Attributes": old.unwrap_or_default()}))
    }

    fn delete(&mut self, body: &Value) -> Result<Value, Refusal> {
        let key = key(&body["Key"]);
        if !is_met(body, self.items.get(&key)) {
            return Err(CONDITION);
        }
        let old = self.items.remove(&key);
        Ok(json!({"Attributes": old.unwrap_or_default()}))
    }

    fn get_all(&self, body: &Value) -> Value {
        let mut responses = Map::new();
        for (table, wanted) in fields(&body["RequestItems"]) {
            let keys = wanted["Keys"].as_array().into_iter().flatten().map(key);
            let found: Vec<&Map<String, Value>> =
                keys.filter_map(|key| self.items.get(&key)).collect();
            responses.insert(table, json!(found));
        }
        json!({"Responses": responses, "UnprocessedKeys": {}})
    }

    fn write_all(&mut self, body: &Value) -> Value {
        for (_, requests) in fields(&body["RequestItems"]) {
            for request in requests.as_array().into_iter().flatten() {
                match request.get("DeleteRequest") {
                    Some(delete) => self.items.remove(&key(&delete["Key"])),
                    None => self.insert(fields(&request["PutRequest"]["Item"])),
                };
            }
        }
        json!({"UnprocessedItems": {}})
    }

    /// Returns what was there before.
    fn insert(&mut self, item: Map<String, Value>) -> Option<Map<String, Value>> {
        self.largest = self.largest.max(size(&item));
        let key = key(&Value::Object(item.clone()));
        self.items.insert(key, item)
    }

    fn query(&self, body: &Value) -> Value {
        let value = |name: &str| {
            let value = body["ExpressionAttributeValues"][name]["S"].as_str();
            value.unwrap_or_default().to_owned()
        };
        let (folder, prefix) = (value(":folder"), value(":prefix"));
        let from = body.get("ExclusiveStartKey").map(key);
        let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
        let first = (folder.clone(), prefix.clone());
        for (place, item) in self.items.range(from.clone().unwrap_or(first)..) {
            if place.0 != folder || !place.1.starts_with(&prefix) {
                break;
            }
            if from.as_ref() == Some(place) {
                continue;
            }
            if PAGE_BYTES < bytes + size(item) {
                last = found
                    .last()
                    .map(|item: &&Map<String, Value>| json!({"pk": item["pk"], "sk": item["sk"]}));
                break;
            }
            bytes += size(item);
            found.push(item);
        }
        match last {
            Some(last) => json!({"Items": found, "LastEvaluatedKey": last}),
            None => json!({"Items": found}),
        }
    }
}

/// The conditions that the store makes: nothing is there, or what was read.
fn is_met(body: &Value, old: Option<&Map<String, Value>>) -> bool {
    let expected = &body["ExpressionAttributeValues"][":expected"]["N"];
    match (body["ConditionExpression"].as_str(), old) {
        (None, _) => true,
        (Some(condition), None) => condition.starts_with("attribute_not_exists"),
        (Some(_), Some(old)) => old["revision"]["N"] == *expected,
    }
}

impl TableWork {
    fn of(operation: &str, body: &Value) -> TableWork {
        let tables = fields(&body["RequestItems"]);
        let items = match operation {
            "GetItem" | "DeleteItem" => vec![key(&body["Key"])],
            "PutItem" => vec![key(&body["Item"])],
            "BatchGetItem" => {
                let keys = tables.values().flat_map(|wanted| wanted["Keys"].as_array());
                keys.flatten().map(key).collect()
            }
            "BatchWriteItem" => {
                let requests = tables.values().flat_map(|requests| requests.as_array());
                let keys = requests.flatten().map(|request| {
                    let put = &request["PutRequest"]["Item"];
                    key(if put.is_null() {
                        &request["DeleteRequest"]["Key"]
                    } else {
                        put
                    })
                });
                keys.collect()
            }
            _ => {
                let value = |name: &str| {
                    let value = body["ExpressionAttributeValues"][name]["S"].as_str();
                    value.unwrap_or_default().to_owned()
                };
                vec![(value(":folder"), value(":prefix"))]
            }
        };
        TableWork {
            operation: operation.to_owned(),
            items,
            writes: matches!(operation, "DeleteItem" | "PutItem" | "BatchWriteItem"),
        }
    }
}

fn fields(object: &Value) -> Map<String, Value> {
    object.as_object().cloned().unwrap_or_default()
}

fn key(key: &Value) -> (String, String) {
    let part = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
    (part("pk"), part("sk"))
}

/// About what DynamoDB counts: names and values, binary ones without their encoding.
fn size(item: &Map<String, Value>) -> usize {
    let sizes = item.iter().map(|(name, value)| {
        let text = value
            .as_object()
            .and_then(|value| value.values().next()?.as_str());
        let encoded = text.map_or(0, str::len);
        let bytes = match value.get("B") {
            Some(_) => encoded / 4 * 3,
            None => encoded,
        };
        name.len() + bytes
    });
    sizes.sum()
}
