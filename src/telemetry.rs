//! Where log lines go: one JSON object per line on Lambda, readable text elsewhere.
//!
//! docs/logging.md says what is logged at which level, and what never is.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Lines for CloudWatch: `timestamp` and `level` on top, where Lambda's level filter looks for them.
///
/// `level` is a level name or a filter directive such as `ferry=debug`; anything unreadable means `INFO`.
pub fn init_json(level: Option<&str>) {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter(level))
        .with_writer(std::io::stdout);
    // A second subscriber in one process can only be a test's; the first one stays.
    let _already_set = subscriber.try_init();
}

/// Lines for people, on standard error, so that output can be piped.
pub fn init_text(level: Option<&str>) {
    let subscriber = tracing_subscriber::fmt()
        .with_target(false)
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr);
    let _already_set = subscriber.try_init();
}

fn filter(level: Option<&str>) -> EnvFilter {
    // The SDK and the HTTP stack speak only when something is wrong, unless they are asked for by name.
    let quiet = "aws=warn,aws_config=warn,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn";
    let level = level.filter(|level| !level.is_empty()).unwrap_or("info").to_ascii_lowercase();
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(format!("{quiet},{level}"))
}
