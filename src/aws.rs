//! How the process talks to AWS: the SDK's configuration, and its requests on our own connection pool.
//!
//! Knows no service. The function needs only what Lambda puts into its environment; everything else (profiles,
//! roles of containers and machines, single sign-on) is for the command line and stays out of the function's binary.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::meta::region::ProvideRegion as _;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Headers, StatusCode};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use aws_types::sdk_config::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::http::Http;
use crate::telemetry::chain;

/// The services in use answer within milliseconds; whoever takes longer has lost the request.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// What Lambda gives a function: keys and region; and `endpoints`, the SDK's standard variables for these.
pub async fn of_function(http: &Http, endpoints: BTreeMap<String, String>) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new().region().await)
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .service_config(EndpointVariables(endpoints))
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            aws_smithy_async::rt::sleep::TokioSleep::new(),
        ))
        .time_source(aws_smithy_async::time::SystemTimeSource::new())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts())
        .http_client(http_client(http))
        .build()
}

/// What the SDK finds on a machine or in a container, by its usual order.
pub async fn of_machine(http: &Http) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .http_client(http_client(http))
        .load()
        .await
}

/// Why AWS has not done what it was asked, on one line: its code, its words, and the id that its support asks for; where it
/// has not answered, the chain of causes. The SDK's own text is followed by the same once more, as a dump of structures.
pub fn explain<E: std::error::Error + ProvideErrorMetadata>(error: &E) -> String {
    let Some(code) = error.code() else {
        return chain(error);
    };
    let mut text = code.to_owned();
    if let Some(message) = error.message() {
        text.push_str(": ");
        text.push_str(message);
    }
    if let Some(id) = error.meta().request_id() {
        text.push_str(&format!(" (AWS request id {id})"));
    }
    text
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

/// `AWS_ENDPOINT_URL_<SERVICE>`, else `AWS_ENDPOINT_URL` (AWS SDKs reference, service-specific endpoints), by name.
#[derive(Debug)]
struct EndpointVariables(BTreeMap<String, String>);

impl LoadServiceConfig for EndpointVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        let names = [format!("{}_{service}", key.env()), key.env().to_owned()];
        names.iter().find_map(|name| self.0.get(name).cloned())
    }
}

/// The SDK's requests on the connection pool that everything else uses: one TLS stack, one set of connections.
pub fn http_client(http: &Http) -> SharedHttpClient {
    // It follows no redirect, as a signed request must not: it is signed for the host that it was sent to.
    SharedHttpClient::new(Pool(http.client().clone()))
}

#[derive(Clone, Debug)]
struct Pool(reqwest::Client);

impl HttpClient for Pool {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Pool {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = outgoing(request)?;
            let answer = client.execute(request).await.map_err(failed)?;
            incoming(answer).await
        })
    }
}

fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    // None of the operations in use streams.
    let body = body.bytes().map(<[u8]>::to_vec).unwrap_or_default();
    reqwest::Request::try_from(http::Request::from_parts(parts, body))
        .map_err(|error| ConnectorError::user(error.into()))
}

async fn incoming(answer: reqwest::Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status().as_u16())
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let headers = Headers::try_from(answer.headers().clone())
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let body = answer.bytes().await.map_err(failed)?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    *response.headers_mut() = headers;
    Ok(response)
}

/// In the SDK's terms, which decide about a repetition.
fn failed(error: reqwest::Error) -> ConnectorError {
    // The address may carry a query.
    let error = error.without_url();
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
