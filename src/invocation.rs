//! AWS event → flow → AWS answer. The only file that knows the shapes in which Lambda is invoked.
//!
//! A shape is told by one field that only it has, never by trying to parse; what is left over is an error, so that
//! a wrong trigger is noticed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::aws_lambda_events::encodings::Body;
use lambda_http::http::header::{ALLOW, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};

use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::port::is_signed_by_port;
use crate::telemetry::chain;
use crate::webhook::{self, Answer, Delivery, Ignored, Received};
use crate::{resync, subscription};

/// What made Lambda call us.
enum Invocation {
    Http(Payload, Request),
    Queue(Vec<Received>),
    Resync { address: Option<String> },
    Tick { address: Option<String> },
}

/// An HTTP request, however it came.
pub struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Who wrapped the request decides how the answer is wrapped.
#[derive(Clone, Copy)]
enum Payload {
    /// API Gateway REST API.
    V1,
    /// Function URL, API Gateway HTTP API.
    V2,
}

/// The invocation failed as a whole. Lambda counts it, and alarms go by [`error_type`](Error::error_type).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "unknown event with the fields [{fields}]: expected an HTTP request (function URL, API Gateway), SQS records, \
         an EventBridge schedule, or {{\"action\":\"resync\"}} or {{\"action\":\"tick\"}}"
    )]
    UnknownEvent { fields: String },
    #[error("the event is a {shape}, but not a complete one")]
    Malformed {
        shape: &'static str,
        source: anyhow::Error,
    },
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("cannot write the answer")]
    Answer(#[source] serde_json::Error),
}

/// Serves one invocation, whatever its kind.
pub async fn handle(app: &App, event: Value, deadline: &Deadline) -> Result<Value, Error> {
    let answer = serve(app, event, deadline).await;
    if let Err(error) = &answer {
        tracing::error!(
            error = chain(error),
            error_type = error.error_type(),
            "invocation failed"
        );
    }
    answer
}

async fn serve(app: &App, event: Value, deadline: &Deadline) -> Result<Value, Error> {
    match Invocation::of(event)? {
        Invocation::Http(payload, request) => wrap(payload, &route(app, &request, deadline).await),
        Invocation::Queue(messages) => {
            let again = Box::pin(webhook::work_off(app, &messages, deadline)).await;
            if let Err(failure) = resync::request_for_unreadable(app).await {
                tracing::error!(error = chain(&failure), "resync not asked for");
            }
            let mut answer = SqsBatchResponse::default();
            answer.batch_item_failures = again.into_iter().map(failed_item).collect();
            to_value(&answer)
        }
        // Boxed: one flow at a time should not cost the memory of all.
        Invocation::Resync { address } => {
            if let Some(address) = address {
                Box::pin(subscription::keep(app, &address, true, deadline)).await;
            }
            let outcome = Box::pin(resync::resync(app, "scheduled", deadline)).await?;
            Box::pin(webhook::again::settle(app, deadline)).await;
            to_value(&outcome)
        }
        Invocation::Tick { address } => {
            if let Some(address) = address {
                Box::pin(subscription::keep(app, &address, false, deadline)).await;
            }
            Box::pin(webhook::again::settle(app, deadline)).await;
            let outcome = Box::pin(resync::tick(app, deadline)).await?;
            to_value(&outcome)
        }
    }
}

impl Invocation {
    fn of(event: Value) -> Result<Invocation, Error> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        if event.pointer("/requestContext/http").is_some() {
            let request = read(event, "request of payload version 2.0")?;
            return Ok(Invocation::Http(Payload::V2, Request::v2(request)?));
        }
        if event.get("httpMethod").is_some() && event.get("requestContext").is_some() {
            let request = read(event, "request of payload version 1.0")?;
            return Ok(Invocation::Http(Payload::V1, Request::v1(request)?));
        }
        if text("/Records/0/eventSource") == Some("aws:sqs") {
            let batch: Batch = read(event, "batch of SQS records")?;
            let messages = batch.records.into_iter().map(received);
            return Ok(Invocation::Queue(messages.collect()));
        }
        if text("/detail-type") == Some("Scheduled Event") {
            return Ok(Invocation::Resync { address: None });
        }
        // Only a schedule's input can say under which address Bitbucket reaches us.
        let address = text("/url").map(str::to_owned);
        match text("/action") {
            Some("resync") => Ok(Invocation::Resync { address }),
            Some("tick") => Ok(Invocation::Tick { address }),
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

// What we read of Lambda's events, and no more: their whole types are fifty times this code in the binary.

/// AWS Lambda developer guide, request payload format 2.0 of function URLs and HTTP APIs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestV2 {
    #[serde(default)]
    raw_path: String,
    headers: Option<BTreeMap<String, Option<String>>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: ContextV2,
}

#[derive(Deserialize)]
struct ContextV2 {
    stage: Option<String>,
    http: MethodV2,
}

#[derive(Deserialize)]
struct MethodV2 {
    method: String,
}

/// Amazon API Gateway developer guide, input format of a Lambda function for proxy integration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestV1 {
    http_method: String,
    path: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    multi_value_headers: Option<BTreeMap<String, Option<Vec<String>>>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

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

fn failed_item(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

impl Request {
    fn v2(request: RequestV2) -> Result<Request, Error> {
        let path = request.raw_path;
        // The path of an HTTP API begins with its stage, unless it is the default one.
        let stage = request.request_context.stage.unwrap_or_default();
        let path = match path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(stage.as_str()))
        {
            Some(rest) if !stage.is_empty() && rest.starts_with('/') => rest.to_owned(),
            _ => path,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers.into_iter().flatten() {
            append(&mut headers, &name, value.as_deref());
        }
        Ok(Request {
            method: method(&request.request_context.http.method)?,
            path,
            headers,
            body: decode(request.body, request.is_base64_encoded)?,
        })
    }

    fn v1(request: RequestV1) -> Result<Request, Error> {
        let mut headers = HeaderMap::new();
        for (name, values) in request.multi_value_headers.into_iter().flatten() {
            for value in values.into_iter().flatten() {
                append(&mut headers, &name, Some(&value));
            }
        }
        for (name, value) in request.headers.into_iter().flatten() {
            if !headers.contains_key(&name) {
                append(&mut headers, &name, value.as_deref());
            }
        }
        Ok(Request {
            method: method(&request.http_method)?,
            path: request.path.unwrap_or_default(),
            headers,
            body: decode(request.body, request.is_base64_encoded)?,
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What is no header to HTTP is none to us.
fn append(headers: &mut HeaderMap, name: &str, value: Option<&str>) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Some(Ok(value))) = (name, value.map(HeaderValue::from_str)) {
        headers.append(name, value);
    }
}

fn method(name: &str) -> Result<Method, Error> {
    Method::from_bytes(name.as_bytes()).map_err(|error| Error::Malformed {
        shape: "request with an HTTP method",
        source: error.into(),
    })
}

fn decode(body: Option<String>, base64: bool) -> Result<Vec<u8>, Error> {
    let body = body.unwrap_or_default();
    if !base64 {
        return Ok(body.into_bytes());
    }
    STANDARD.decode(body).map_err(|error| Error::Malformed {
        shape: "request with a body in base64",
        source: error.into(),
    })
}

/// An HTTP answer; the body is for people, no caller reads it.
pub struct Response {
    pub status: StatusCode,
    message: String,
    allow: Option<&'static str>,
}

impl Response {
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        headers
    }

    pub fn body(&self) -> String {
        match self.message.is_empty() {
            true => String::new(),
            false => json!({ "message": self.message }).to_string(),
        }
    }
}

/// Answers an HTTP request to any of our paths.
pub async fn route(app: &App, request: &Request, deadline: &Deadline) -> Response {
    let respond = |status, message: &str| Response {
        status,
        message: message.to_owned(),
        allow: None,
    };
    let not_allowed = |method| Response {
        allow: Some(method),
        ..respond(StatusCode::METHOD_NOT_ALLOWED, "")
    };
    match (request.path.trim_end_matches('/'), &request.method) {
        // The second is where Ocean listens: its users' webhooks point there.
        ("/webhook" | "/integration/webhook", &Method::POST) => {
            let delivery = Delivery {
                event_key: request.header("x-event-key"),
                request_id: request.header("x-request-uuid"),
                signature: request.header("x-hub-signature"),
                body: &request.body,
            };
            match Box::pin(webhook::receive(app, delivery, deadline)).await {
                Answer::Queued => respond(StatusCode::ACCEPTED, "queued"),
                Answer::Done => respond(StatusCode::ACCEPTED, "done"),
                Answer::Remembered => respond(StatusCode::ACCEPTED, "stored, and done later"),
                Answer::Ignored(Ignored::UnknownEvent) => respond(
                    StatusCode::ACCEPTED,
                    "ignored: nothing is known of such events",
                ),
                Answer::Ignored(Ignored::Elsewhere) => respond(
                    StatusCode::ACCEPTED,
                    "ignored: it is about another workspace",
                ),
                Answer::Unsigned => respond(StatusCode::UNAUTHORIZED, "unauthorized"),
                Answer::Malformed(reason) => respond(StatusCode::BAD_REQUEST, &reason.to_string()),
                Answer::NoEventKey => respond(
                    StatusCode::BAD_REQUEST,
                    "the header `X-Event-Key` is missing",
                ),
                Answer::TooLarge => respond(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is larger than 1 MiB",
                ),
                Answer::Unavailable => {
                    respond(StatusCode::SERVICE_UNAVAILABLE, "please send it again")
                }
            }
        }
        ("/resync", &Method::POST) => match request_resync(app, request, deadline).await {
            Ok(true) => respond(StatusCode::ACCEPTED, "accepted"),
            Ok(false) => respond(StatusCode::UNAUTHORIZED, "unauthorized"),
            Err(failure) => {
                tracing::error!(error = chain(&failure), "resync request not taken");
                respond(StatusCode::SERVICE_UNAVAILABLE, "please send it again")
            }
        },
        // The longer ones are what probes of Ocean's charts ask.
        ("/health" | "/health/live" | "/health/ready", &(Method::GET | Method::HEAD)) => {
            respond(StatusCode::OK, "ok")
        }
        ("/webhook" | "/integration/webhook" | "/resync", _) => not_allowed("POST"),
        ("/health" | "/health/live" | "/health/ready", _) => not_allowed("GET, HEAD"),
        _ => respond(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Port's changelog destination: notes the wish, a tick follows it. Returns whether the call was Port's.
async fn request_resync(
    app: &App,
    request: &Request,
    deadline: &Deadline,
) -> Result<bool, Failure> {
    let credentials = app.secrets.credentials(deadline).await?;
    let (timestamp, signature) = (
        request.header("x-port-timestamp"),
        request.header("x-port-signature"),
    );
    let secret = &credentials.port_client_secret;
    if !is_signed_by_port(secret, timestamp, signature, &request.body, app.clock.now()) {
        tracing::warn!(
            signed = signature.is_some(),
            "resync request refused: its signature is missing, wrong or old"
        );
        return Ok(false);
    }
    resync::request(app, "asked for by Port").await?;
    Ok(true)
}

fn wrap(payload: Payload, response: &Response) -> Result<Value, Error> {
    let (headers, body) = (response.headers(), response.body());
    let body = match body.is_empty() {
        true => Body::Empty,
        false => Body::Text(body),
    };
    let status_code = i64::from(response.status.as_u16());
    match payload {
        Payload::V1 => {
            let mut answer = ApiGatewayProxyResponse::default();
            (answer.status_code, answer.headers, answer.body) = (status_code, headers, Some(body));
            to_value(&answer)
        }
        Payload::V2 => {
            let mut answer = ApiGatewayV2httpResponse::default();
            (answer.status_code, answer.headers, answer.body) = (status_code, headers, Some(body));
            to_value(&answer)
        }
    }
}

fn to_value<T: Serialize>(answer: &T) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(Error::Answer)
}

impl Error {
    /// A stable name for alarms and metric filters.
    pub fn error_type(&self) -> &'static str {
        match self {
            Error::UnknownEvent { .. } => "UnknownEvent",
            Error::Malformed { .. } => "MalformedEvent",
            Error::Failed(failure) => failure.error_type(),
            Error::Answer(_) => "Answer",
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Diagnostic {
        Diagnostic {
            error_type: error.error_type().to_owned(),
            error_message: chain(&error),
        }
    }
}
