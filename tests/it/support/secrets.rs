//! A client of the simulated Secrets Manager.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use ferry::deadline::Clock;
use ferry::http::Http;
use sandbox::aws::SecretsManager;

pub(crate) fn secrets_client(secrets: &SecretsManager) -> Client {
    let http = Http::new(Clock::System).unwrap();
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "not-a-secret", None, None, "test");
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(secrets.url())
        .credentials_provider(credentials)
        .http_client(ferry::aws::http_client(&http))
        .build();
    Client::from_conf(config)
}
