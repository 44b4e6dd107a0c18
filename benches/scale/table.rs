//! As much of DynamoDB as the store asks for: it counts requests, and answers when it is told to.
//!
//! Only for timing. What the store makes of DynamoDB's answers is tested against an emulator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox::server::{Request, Response, Server};
use serde_json::{Map, Value, json};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// DynamoDB: a page of a query holds at most 1 MB.
const PAGE_BYTES: usize = 1 << 20;

/// By `pk` and `sk`.
type Items = BTreeMap<(String, String), Map<String, Value>>;

/// A running table. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Table {
    server: Server,
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    items: Items,
    largest: usize,
}

impl Table {
    pub(crate) async fn start() -> anyhow::Result<Table> {
        let content = Arc::new(Mutex::new(Content::default()));
        let model = Arc::clone(&content);
        let server = Server::start(move |request| lock(&model).answer(request)).await?;
        Ok(Table { server, content })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// In bytes, of all items so far.
    pub(crate) fn largest(&self) -> usize {
        lock(&self.content).largest
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Content {
    fn answer(&mut self, request: &Request) -> Response {
        let body = request.json();
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let answer = match operation {
            "GetItem" => match self.items.get(&key(&body["Key"])) {
                Some(item) => Ok(json!({"Item": item})),
                None => Ok(json!({})),
            },
            "UpdateItem" => self.update(&body),
            "DeleteItem" => {
                let old = self.items.remove(&key(&body["Key"]));
                Ok(json!({"Attributes": old.unwrap_or_default()}))
            }
            "Query" => Ok(self.query(&body)),
            _ => Err(("UnknownOperationException", operation)),
        };
        let (status, answer) = match answer {
            Ok(answer) => (200, answer),
            Err((kind, message)) => (400, json!({"__type": kind, "message": message})),
        };
        Response::bytes(status, CONTENT_TYPE, answer.to_string().into_bytes())
    }

    /// Sets what `SET` names, one attribute after the other, and counts the version up.
    fn update(&mut self, body: &Value) -> Result<Value, (&'static str, &'static str)> {
        let key = key(&body["Key"]);
        let values = &body["ExpressionAttributeValues"];
        let old = self.items.get(&key);
        let version = |item: &Map<String, Value>| item["version"]["N"].clone();
        let met = match body["ConditionExpression"].as_str() {
            None => true,
            Some("attribute_not_exists(pk)") => old.is_none(),
            Some(_) => old.map(version).as_ref() == Some(&values[":expected"]["N"]),
        };
        if !met {
            return Err(("ConditionalCheckFailedException", "The condition failed"));
        }
        let count = old.and_then(|old| old["version"]["N"].as_str()?.parse().ok());
        let mut item = Map::new();
        for (name, value) in [("pk", &key.0), ("sk", &key.1)] {
            item.insert(name.to_owned(), json!({"S": value}));
        }
        for name in ["body", "parts", "writer", "expires"] {
            item.insert(name.to_owned(), values[format!(":{name}")].clone());
        }
        let count = count.unwrap_or(0_u64) + 1;
        item.insert("version".to_owned(), json!({"N": count.to_string()}));
        self.largest = self.largest.max(size(&item));
        let old = self.items.insert(key, item);
        Ok(json!({"Attributes": old.unwrap_or_default()}))
    }

    fn query(&self, body: &Value) -> Value {
        let folder = body["ExpressionAttributeValues"][":folder"]["S"].as_str();
        let folder = folder.unwrap_or_default().to_owned();
        let from = body.get("ExclusiveStartKey").map(key);
        let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
        let first = (folder.clone(), String::new());
        for (place, item) in self.items.range(from.clone().unwrap_or(first)..) {
            if place.0 != folder {
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
