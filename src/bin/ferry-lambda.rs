//! The function: cold start and runtime loop, nothing else.

use std::pin::Pin;
use std::time::Duration;

use anyhow::anyhow;
use ferry::app::App;
use ferry::config::{Config, InvalidConfig};
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::own_secrets::OwnSecrets;
use ferry::{aws, invocation, telemetry};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

/// What an answer needs to get out before Lambda ends the invocation.
const WAY_OUT: Duration = Duration::from_millis(500);

// One invocation at a time runs here: a second thread would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (config, own) = (Config::from_env(), OwnSecrets::default());
    telemetry::init_json(
        config
            .as_ref()
            .ok()
            .and_then(|config| config.log_level.as_deref()),
        own.clone(),
        invocation::ECHO,
    );
    invocation::log_panics();
    let app = &connect(config, own)
        .await
        .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "cannot start"))?;
    let serve = service_fn(move |event: LambdaEvent<Value>| async move {
        let ends_at = i64::try_from(event.context.deadline)
            .map_or(Ok(Timestamp::MAX), Timestamp::from_millisecond);
        let deadline =
            Deadline::at(&app.clock, ends_at.unwrap_or(Timestamp::MAX)).earlier_by(WAY_OUT);
        // Boxed, or the runtime's layers around the whole flow are too deep a type to lay out.
        let answer: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(invocation::handle(app, event.payload, &deadline));
        answer.await.map_err(Diagnostic::from)
    });
    lambda_runtime::run(serve)
        .await
        .map_err(|error| anyhow!(error))
}

async fn connect(config: Result<Config, InvalidConfig>, own: OwnSecrets) -> anyhow::Result<App> {
    let config = config?;
    config.tell_what_has_no_effect();
    let http = Http::behind(config.proxies.clone(), Clock::System)?;
    let http = http.with_timeout(config.client_timeout).hiding(own);
    let aws = aws::of_function(&http, config.aws_endpoints.clone()).await;
    Ok(App::connect(config, http, Some(&aws))?)
}
