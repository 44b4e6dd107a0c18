//! Where log lines go: one JSON object per line on Lambda, readable text elsewhere.
//!
//! What a line quotes of our own credentials is hidden here, whoever wrote it. docs/logging.md says what is logged at which level, and what never is.

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::own_secrets::OwnSecrets;

/// Lines for CloudWatch: `timestamp` and `level` on top, where Lambda's level filter looks for them.
///
/// `level` is a level name or a list of them by target, such as `info,ferry=debug`; anything unreadable means `INFO`.
/// What comes from the target `echo` has been said before.
pub fn init_json(level: Option<&str>, own: OwnSecrets, echo: &'static str) {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(Hiding::in_front_of(std::io::stdout, own));
    let subscriber = tracing_subscriber::registry()
        .with(lines)
        .with(filter(level).with_target(echo, LevelFilter::OFF));
    // A second subscriber in one process can only be a test's; the first one stays.
    let _already_set = subscriber.try_init();
}

/// Lines for people, where `writer` writes them: not on standard output, so that this can be piped.
pub fn init_text<W>(level: Option<&str>, own: OwnSecrets, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(Hiding::in_front_of(writer, own));
    let subscriber = tracing_subscriber::registry()
        .with(lines)
        .with(filter(level));
    let _already_set = subscriber.try_init();
}

/// Whatever is written, without our own secrets. A line comes in one piece.
struct Hiding<W> {
    to: W,
    own: OwnSecrets,
}

impl<W> Hiding<W> {
    fn in_front_of(to: W, own: OwnSecrets) -> Hiding<W> {
        Hiding { to, own }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Hiding<W> {
    type Writer = Hiding<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Hiding::in_front_of(self.to.make_writer(), self.own.clone())
    }
}

impl<W: Write> Write for Hiding<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let hidden = self.own.hide_in(line);
        self.to.write_all(hidden.as_deref().unwrap_or(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn filter(level: Option<&str>) -> Targets {
    let level = level.unwrap_or_default().to_ascii_lowercase();
    let parts = || {
        level
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    let default = parts().find_map(|part| part.parse().ok());
    let by_target = parts().filter_map(|part| {
        let (target, level) = part.split_once('=')?;
        Some((target.to_owned(), level.parse::<LevelFilter>().ok()?))
    });
    // The SDK and the HTTP stack speak only when something is wrong, unless they are asked for by name.
    let quiet = [
        "aws",
        "aws_config",
        "hyper",
        "hyper_util",
        "reqwest",
        "rustls",
    ];
    Targets::new()
        .with_default(default.unwrap_or(LevelFilter::INFO))
        .with_targets(quiet.map(|target| (target, LevelFilter::WARN)))
        .with_targets(by_target)
}

/// The whole chain of causes on one line, for the one place that logs it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent wrapper repeats its source.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tracing::Level;

    use super::*;
    use crate::own_secrets::SecretOwner;

    #[test]
    fn no_line_shows_a_secret_of_ours() {
        let own = OwnSecrets::default();
        own.learn(SecretOwner::Bitbucket, vec!["a\"secret".into()]);
        let (mut lines, writer) = io::pipe().unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(Hiding::in_front_of(
                move || writer.try_clone().unwrap(),
                own,
            ));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = "said a\"secret", "not a\"secret");
        });
        let mut line = String::new();
        lines.read_to_string(&mut line).unwrap();
        assert!(!line.contains("secret"), "{line}");
        assert!(line.contains("said [REDACTED]") && line.contains("not [REDACTED]"));
    }

    #[test]
    fn libraries_are_quiet_unless_asked_for() {
        for (level, ferry, hyper) in [
            (None, Level::INFO, Level::WARN),
            (Some(""), Level::INFO, Level::WARN),
            (Some("DEBUG"), Level::DEBUG, Level::WARN),
            (Some("nonsense=="), Level::INFO, Level::WARN),
            (Some("warn,ferry=trace"), Level::TRACE, Level::WARN),
            (Some("info,hyper=debug"), Level::INFO, Level::DEBUG),
        ] {
            let filter = filter(level);
            for (target, most) in [("ferry::resync", ferry), ("hyper::client", hyper)] {
                let enabled: Vec<Level> = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN]
                    .into_iter()
                    .filter(|level| filter.would_enable(target, level))
                    .collect();
                assert_eq!(enabled.first(), Some(&most), "{level:?} {target}");
            }
        }
    }
}
