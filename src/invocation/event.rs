//! The shapes of events that Lambda hands to the function, and which of them one is.
//!
//! A shape is told by one field that only it has, never by trying to parse; what is left over is an error, so that a wrong
//! trigger is noticed. Knows nothing of what is done about an event.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;
use lambda_http::RequestExt as _;
use lambda_http::request::{LambdaRequest, RequestOrigin};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use super::route::Request;
use crate::webhook::Received;

/// What made Lambda call us.
pub(super) enum Invocation {
    Http(RequestOrigin, Request),
    Queue(Vec<Received>),
    Resync {
        address: Option<String>,
        /// The template's schedule asks for it, and nobody by hand.
        by_schedule: bool,
    },
    Tick {
        address: Option<String>,
    },
    Uninstall {
        address: Option<String>,
    },
}

impl Invocation {
    pub(super) fn of(event: Value) -> Result<Invocation, Error> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        if event.pointer("/requestContext/http").is_some() {
            let shape = "request of payload version 2.0";
            return http(LambdaRequest::ApiGatewayV2(read(event, shape)?));
        }
        if event.get("httpMethod").is_some() && event.get("requestContext").is_some() {
            let shape = "request of payload version 1.0";
            return http(LambdaRequest::ApiGatewayV1(read(event, shape)?));
        }
        if text("/Records/0/eventSource") == Some("aws:sqs") {
            let batch: Batch = read(event, "batch of SQS records")?;
            let messages = batch.records.into_iter().map(received);
            return Ok(Invocation::Queue(messages.collect()));
        }
        if text("/detail-type") == Some("Scheduled Event") {
            return Ok(Invocation::Resync {
                address: None,
                by_schedule: true,
            });
        }
        // Only a schedule's input can say under which address Bitbucket reaches us.
        let address = text("/url").map(str::to_owned);
        match text("/action") {
            Some("resync") => Ok(Invocation::Resync {
                address,
                by_schedule: event.get("schedule") == Some(&Value::Bool(true)),
            }),
            Some("tick") => Ok(Invocation::Tick { address }),
            Some("uninstall") => Ok(Invocation::Uninstall { address }),
            _ => {
                let names = event.as_object().into_iter().flat_map(|event| event.keys());
                let fields: Vec<String> = names
                    .take(10)
                    .map(|name| name.chars().take(40).collect())
                    .collect();
                Err(Error::UnknownEvent {
                    fields: fields.join(", "),
                })
            }
        }
    }
}

fn read<T: DeserializeOwned>(event: Value, shape: &'static str) -> Result<T, Error> {
    serde_json::from_value(event).map_err(|error| Error::Malformed {
        shape,
        source: error.into(),
    })
}

/// The request that was wrapped up in an event.
fn http(event: LambdaRequest) -> Result<Invocation, Error> {
    let origin = event.request_origin();
    // `lambda_http` panics at a body that is not the base64 it is said to be, and at a host that is none.
    let request = catch_unwind(AssertUnwindSafe(|| lambda_http::Request::from(event)));
    let request = request.map_err(|_| Error::Malformed {
        shape: "HTTP request",
        source: anyhow!("its body is not the base64 that it is said to be, or its host is none"),
    })?;
    let path = request.raw_http_path().to_owned();
    let (parts, body) = request.into_parts();
    let request = Request {
        method: parts.method,
        path,
        headers: parts.headers,
        body: body.to_vec(),
    };
    Ok(Invocation::Http(origin, request))
}

// What we read of a batch, and no more: the whole type is many times this code in the binary.

/// AWS Lambda developer guide, Amazon SQS message events.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<SqsRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsRecord {
    message_id: String,
    receipt_handle: Option<String>,
    body: Option<String>,
    #[serde(default)]
    attributes: SqsAttributes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SqsAttributes {
    approximate_receive_count: Option<String>,
}

fn received(record: SqsRecord) -> Received {
    let SqsRecord {
        message_id,
        receipt_handle,
        body,
        attributes,
    } = record;
    let receives = attributes.approximate_receive_count;
    Received {
        id: message_id,
        body: body.unwrap_or_default(),
        receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
        receipt: receipt_handle.unwrap_or_default(),
    }
}
