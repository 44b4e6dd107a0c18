//! What stands for the function's URL: HTTP in, an event for the receiver, its answer out.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sandbox::aws::function_url_event;
use serde_json::Value;
use tokio::net::TcpListener;

use super::Deployment;

/// Largest request that Lambda takes.
const MAX_REQUEST: usize = 6 * 1024 * 1024;

/// Hands requests to the receiver, as soon as there is one.
pub(crate) async fn serve(
    listener: TcpListener,
    deployment: Arc<OnceLock<Deployment>>,
) -> std::io::Result<()> {
    let app = Router::new().fallback(move |request: Request| {
        let deployment = Arc::clone(&deployment);
        async move { answer(deployment.get(), request).await }
    });
    axum::serve(listener, app).await
}

async fn answer(deployment: Option<&Deployment>, request: Request) -> Response {
    let Some(deployment) = deployment else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = parts.headers.iter();
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let event = function_url_event(parts.method.as_str(), parts.uri.path(), &headers, &body);
    match deployment.receiver.invoke(event).await.outcome {
        Ok(answer) => http(&answer),
        // What a function URL says of a function that fails.
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// The answer of a function, as payload format 2.0 has it.
fn http(answer: &Value) -> Response {
    let status = answer["statusCode"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    let body = answer["body"].as_str().unwrap_or_default().to_owned();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.as_str().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
