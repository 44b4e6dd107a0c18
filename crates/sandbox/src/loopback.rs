//! How the simulated world meets: it listens on loopback addresses and posts to them. It knows no server.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

/// Listens on a port of 127.0.0.1; 0 is any free one.
///
/// # Errors
/// When somebody else has the port; the message names it.
pub async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(error).context(format!("port {port} of 127.0.0.1 is taken"))
        }
        Err(error) => Err(error).context(format!("cannot listen on port {port} of 127.0.0.1")),
    }
}

/// Posts `body` to a plain HTTP address and returns the status of the answer, which has to come within `limit`.
///
/// # Errors
/// When nobody answers.
pub async fn post(
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
    limit: Duration,
) -> anyhow::Result<u16> {
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(Bytes::copy_from_slice(body)))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let answer = tokio::time::timeout(limit, client.request(request)).await;
    let answer = answer.with_context(|| format!("no answer within {limit:?}"))??;
    Ok(answer.status().as_u16())
}

#[cfg(test)]
pub(crate) mod fixture {
    /// A client that tests speak with. Plain HTTP is all it is used for; nevertheless none is made without somebody who
    /// does TLS.
    pub(crate) fn client() -> reqwest::ClientBuilder {
        // The first one stays.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        reqwest::Client::builder()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let first = listen(0).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let error = listen(port).await.unwrap_err().to_string();
        assert_eq!(error, format!("port {port} of 127.0.0.1 is taken"));
    }
}
