//! From the bytes of a connection to a [`Request`], and from a [`Response`] back to bytes, whole or broken.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use futures_util::stream::{self, StreamExt as _};
use percent_encoding::percent_decode_str;

use super::{Request, Response};

/// Reads a request to its end. `base` is the address of the server that took it.
pub(super) async fn read(request: axum::extract::Request, base: String) -> Request {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(decode_pair)
            .collect(),
        headers: parts.headers,
        body,
        base,
    }
}

fn decode_pair(pair: &str) -> (String, String) {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(key), decode(value))
}

pub(super) fn whole(response: Response) -> axum::response::Response {
    let Response {
        status,
        headers,
        body,
    } = response;
    with_head(status, headers, Body::from(body))
}

/// Status, headers and half of the body, then the connection closes: the client sees it end too early.
pub(super) fn truncated(mut response: Response) -> axum::response::Response {
    let length = response.body.len();
    response = response.with_header("content-length", length);
    response.body.truncate(length / 2);
    let half = stream::once(async { Ok(Bytes::from(response.body)) });
    let cut = stream::once(async {
        // Without a pause the half would never leave the buffer.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut on demand"))
    });
    let body = Body::from_stream(half.chain(cut));
    with_head(response.status, response.headers, body)
}

fn with_head(
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Body,
) -> axum::response::Response {
    let mut answer = axum::response::Response::new(body);
    *answer.status_mut() = status;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// The connection closes before a single byte of an answer.
pub(super) fn closed() -> axum::response::Response {
    // Unwinding takes the connection's own task down and nothing else. `resume_unwind` prints no panic message.
    std::panic::resume_unwind(Box::new("closed on demand"))
}
