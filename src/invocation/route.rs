//! HTTP requests: to whom each path leads, and what is answered.
//!
//! Knows no flow from the inside, and Lambda only for how an answer is wrapped.

use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::aws_lambda_events::encodings::Body;
use lambda_http::http::header::{ALLOW, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, HeaderValue, Method, StatusCode};
use lambda_http::request::RequestOrigin;
use serde_json::{Value, json};

use super::{Error, to_value};
use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::port::is_signed_by_port;
use crate::queue::Queue;
use crate::resync;
use crate::telemetry::chain;
use crate::webhook::{self, Delivery, Ignored, Receipt};

/// An HTTP request, however it came.
pub struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An HTTP answer; the body is for people, no caller reads it.
pub struct Response {
    pub status: StatusCode,
    message: String,
    allow: Option<&'static str>,
}

impl Response {
    fn new(status: StatusCode, message: impl Into<String>) -> Response {
        Response {
            status,
            message: message.into(),
            allow: None,
        }
    }

    fn not_allowed(methods: &'static str) -> Response {
        Response {
            allow: Some(methods),
            ..Response::new(StatusCode::METHOD_NOT_ALLOWED, "")
        }
    }

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

/// To whom a request is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Webhook,
    Resync,
    Health,
    Ready,
}

impl Route {
    /// What comes before our part of a path is not ours to know: the stage of an API, the base path of a custom domain,
    /// `OCEAN__PATH_PREFIX`, or several of them.
    fn of(path: &str) -> Option<Route> {
        let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
        match (segments.next()?, segments.next()) {
            // Ocean listens at `/integration/webhook`: its users' webhooks point there.
            ("webhook", _) => Some(Route::Webhook),
            ("resync", _) => Some(Route::Resync),
            // The others are what probes of Ocean's charts ask, the older ones for Ocean's documentation.
            ("health" | "docs", _) | ("live", Some("health")) => Some(Route::Health),
            ("ready", Some("health")) => Some(Route::Ready),
            _ => None,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::Webhook | Route::Resync => "POST",
            Route::Health | Route::Ready => "GET, HEAD",
        }
    }
}

/// Answers an HTTP request to any of our paths.
pub async fn route(app: &App, request: &Request, deadline: &Deadline) -> Response {
    match (Route::of(&request.path), &request.method) {
        (Some(Route::Webhook), &Method::POST) => receive(app, request, deadline).await,
        (Some(Route::Resync), &Method::POST) => take_wish(app, request, deadline).await,
        (Some(Route::Health), &(Method::GET | Method::HEAD)) => Response::new(StatusCode::OK, "ok"),
        (Some(Route::Ready), &(Method::GET | Method::HEAD)) => readiness(app).await,
        (Some(route), _) => Response::not_allowed(route.methods()),
        (None, _) => Response::new(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Whoever cannot write down what it is sent, or cannot work it off, is not to be sent anything. The receiver on Lambda
/// works nothing off.
async fn readiness(app: &App) -> Response {
    let works_off = matches!(app.queue, Some(Queue::Local(_)));
    let unusable = app.unusable_credentials().filter(|_| works_off);
    match (app.store.check().await, unusable) {
        (Ok(()), None) => Response::new(StatusCode::OK, "ok"),
        (Ok(()), Some(reason)) => Response::new(StatusCode::SERVICE_UNAVAILABLE, reason),
        (Err(error), _) => {
            tracing::warn!(error = chain(&error), "not ready");
            Response::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be written",
            )
        }
    }
}

async fn receive(app: &App, request: &Request, deadline: &Deadline) -> Response {
    let delivery = Delivery {
        event_key: request.header("x-event-key"),
        request_id: request.header("x-request-uuid"),
        signature: request.header("x-hub-signature"),
        body: &request.body,
    };
    let (status, message) = match Box::pin(webhook::receive(app, delivery, deadline)).await {
        Receipt::Queued => (StatusCode::ACCEPTED, "queued"),
        Receipt::Done => (StatusCode::ACCEPTED, "done"),
        Receipt::Remembered => (StatusCode::ACCEPTED, "stored, and done later"),
        Receipt::Ignored(Ignored::UnknownEvent) => (
            StatusCode::ACCEPTED,
            "ignored: nothing is known of such events",
        ),
        Receipt::Ignored(Ignored::Elsewhere) => (
            StatusCode::ACCEPTED,
            "ignored: it is about another workspace",
        ),
        Receipt::Unsigned => (StatusCode::UNAUTHORIZED, "unauthorized"),
        Receipt::Malformed(reason) => {
            return Response::new(StatusCode::BAD_REQUEST, reason.to_string());
        }
        Receipt::NoEventKey => (
            StatusCode::BAD_REQUEST,
            "the header `X-Event-Key` is missing",
        ),
        Receipt::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 1 MiB",
        ),
        Receipt::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "please send it again"),
    };
    Response::new(status, message)
}

async fn take_wish(app: &App, request: &Request, deadline: &Deadline) -> Response {
    match request_resync(app, request, deadline).await {
        Ok(true) => Response::new(StatusCode::ACCEPTED, "accepted"),
        Ok(false) => Response::new(StatusCode::UNAUTHORIZED, "unauthorized"),
        Err(failure) => {
            tracing::error!(error = chain(&failure), "resync request not taken");
            Response::new(StatusCode::SERVICE_UNAVAILABLE, "please send it again")
        }
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

/// In the form that whoever wrapped the request expects.
pub(super) fn wrap(origin: &RequestOrigin, response: &Response) -> Result<Value, Error> {
    let (headers, body) = (response.headers(), response.body());
    let body = match body.is_empty() {
        true => Body::Empty,
        false => Body::Text(body),
    };
    let status_code = i64::from(response.status.as_u16());
    match origin {
        RequestOrigin::ApiGatewayV1 => {
            let mut answer = ApiGatewayProxyResponse::default();
            (answer.status_code, answer.headers, answer.body) = (status_code, headers, Some(body));
            to_value(&answer)
        }
        _ => {
            let mut answer = ApiGatewayV2httpResponse::default();
            (answer.status_code, answer.headers, answer.body) = (status_code, headers, Some(body));
            to_value(&answer)
        }
    }
}
