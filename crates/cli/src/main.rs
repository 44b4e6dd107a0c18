//! The command line: the same flows as the function, run to their end, and waited for.

mod check;
mod command;
mod explain;
mod mapping_file;
mod report;
mod stack;
mod targets;
mod trial;

use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use command::terminal::{AboveBars, Audience};
use command::webhook::Action;
use command::{ASKED_WRONGLY, AskedWrongly};
use ferry::app::App;
use ferry::config::{Config, EventListener, InvalidConfig};
use ferry::deadline::Clock;
use ferry::http::Http;
use ferry::own_secrets::OwnSecrets;
use ferry::{aws, telemetry};
use indicatif::MultiProgress;
use mapping_file::{MappingFile, UnusableMapping};
use report::Files;

/// Keep a Port catalogue in step with a Bitbucket Cloud workspace.
///
/// Settings come from the environment, under the names that Port's Ocean integration uses; docs/configuration.md
/// lists them. Without a subcommand, ferry serves; with
/// `OCEAN__EVENT_LISTENER` as `{"type":"ONCE"}` it does one resync.
///
/// Exits with 0 if it did what it was asked for, with 1 if it could not, with 2 if a preview found changes, with 3 if a
/// resync completed with losses or a mapping does not do for an item what it says, with 64 if it was asked wrongly.
#[derive(Parser)]
#[command(name = "ferry", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run one full resync to its end, waiting out rate limits.
    ///
    /// Shows progress on a terminal, and prints it as JSON lines elsewhere; the last one is the outcome. Exits with 0
    /// only if it completed, with 3 if it did so with losses: parts not read, entities refused, items not mapped.
    Resync {
        /// Print JSON lines on a terminal too.
        #[arg(long)]
        json: bool,
        /// Exit with 3 where the mapping has problems, too, whatever they cost.
        #[arg(long)]
        strict: bool,
        /// Map with this file, YAML or JSON, instead of the mapping stored in Port.
        #[arg(long, value_name = "FILE")]
        mapping: Option<PathBuf>,
        #[command(flatten)]
        files: Files,
    },
    /// Look at everything that could stand in the way, and say what to do about it.
    ///
    /// Exits with 0 if nothing is wrong.
    Check {
        /// Where Bitbucket reaches Ferry; `OCEAN__BASE_URL` if not given.
        #[arg(long)]
        url: Option<String>,
        /// Map with this file, YAML or JSON, instead of the mapping stored in Port.
        #[arg(long, value_name = "FILE")]
        mapping: Option<PathBuf>,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
        /// Exit with 1 where there is a note, too.
        #[arg(long)]
        strict: bool,
    },
    /// Say what a resync would create, change and delete, and write nothing.
    ///
    /// Exits with 0 if nothing would change, with 2 if something would, with 1 if it cannot tell. With `--strict`, with 3
    /// where not all would be as the mapping says.
    Preview {
        /// Map with this file, YAML or JSON, instead of the mapping stored in Port.
        #[arg(long, value_name = "FILE")]
        mapping: Option<PathBuf>,
        #[command(flatten)]
        options: command::preview::Options,
    },
    /// Try a mapping out.
    Mapping {
        #[command(subcommand)]
        action: command::mapping::Action,
    },
    /// Say where an entity comes from, when and why it was written last, and what would delete it.
    ///
    /// Reads the records that the function keeps in its table (`FERRY__STATE_TABLE`), or `ferry` in
    /// `FERRY__STATE_DIR`, and writes nothing.
    Explain {
        /// Blueprint and identifier, such as `service/cart`.
        entity: command::explain::Named,
        /// Print what is known as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take webhooks, and resync at intervals, until stopped.
    Serve {
        /// Listen here; `FERRY__PORT`, or 8000, if not given.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Say how the installation stands: resyncs, queue, webhooks, allowance, and what is wrong with it.
    ///
    /// Reads what is stored (of a stack; `FERRY__STATE_TABLE` and `FERRY__QUEUE_URL`, or `FERRY__STATE_DIR`; while `ferry serve`
    /// has that directory, it is asked), and asks neither Bitbucket nor Port. Exits with 0 if nothing is wrong, with 1
    /// otherwise.
    Status(command::status::Options),
    /// Print one line for each webhook that a running `ferry serve` works off, until Ctrl-C.
    ///
    /// A line has the event, its delivery, the object looked at, what became of it, and how long that took since the
    /// webhook was accepted.
    Listen(command::listen::Options),
    /// Look at the workspace's webhook, make it, or remove it.
    Webhook {
        #[command(subcommand)]
        action: Action,
        /// Where Bitbucket reaches Ferry, without the path; `OCEAN__BASE_URL` if not given.
        #[arg(long, global = true)]
        url: Option<String>,
        /// Print the outcome as JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Install Ferry into an AWS account: the stack, its credentials, and the first run.
    ///
    /// Asks at a terminal for what is not given, and checks the credentials first. Run again, it brings the stack up to
    /// date: what is not named stays as it is.
    Install(command::install::Options),
    /// Remove an installation from AWS and Bitbucket, and say what remains in Port.
    ///
    /// Run again, it goes on where it was interrupted.
    Uninstall(command::uninstall::Options),
    /// Fill the secret in AWS Secrets Manager that holds the credentials (`FERRY__SECRET_ID`).
    Secret {
        #[command(subcommand)]
        action: command::secret::Action,
    },
    /// Print completions for a shell, to be read by it at its start.
    Completions { shell: Shell },
    /// Print the manual page (`ferry man | man -l -`).
    Man,
}

/// The client sits out a wait of at most this length where a server asks for it: nobody pays for the time here. Port
/// counts over five minutes.
const PATIENCE: Duration = Duration::from_secs(300);

// One thing at a time is computed; what is waited for is waited for together.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and the version are answers, too.
            let is_mistake = answer.use_stderr();
            return match (answer.print(), is_mistake) {
                (Ok(()), false) => ExitCode::SUCCESS,
                (Ok(()), true) => ExitCode::from(ASKED_WRONGLY),
                (Err(_), _) => ExitCode::FAILURE,
            };
        }
    };
    let bars = MultiProgress::new();
    match run(arguments, &bars).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            let is_wrong = error.is::<InvalidConfig>() || error.is::<UnusableMapping>();
            match is_wrong || error.is::<AskedWrongly>() {
                true => ExitCode::from(ASKED_WRONGLY),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// What is known without a configuration: whether `command` was that.
fn is_about_itself(command: Option<&Command>) -> anyhow::Result<bool> {
    match command {
        Some(Command::Completions { shell }) => {
            // The generator panics where it cannot write.
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "ferry", &mut text);
            stdout().write_all(&text)?;
        }
        Some(Command::Man) => clap_mangen::Man::new(Arguments::command()).render(&mut stdout())?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn run(arguments: Arguments, bars: &MultiProgress) -> anyhow::Result<ExitCode> {
    if is_about_itself(arguments.command.as_ref())? {
        return Ok(ExitCode::SUCCESS);
    }
    let (config, own) = set_up(arguments.command.as_ref(), bars)?;
    let command = arguments.command.unwrap_or_else(|| default(&config));
    match command {
        Command::Install(options) => {
            Box::pin(command::install::run(&options, config, own, bars)).await
        }
        Command::Uninstall(options) => {
            Box::pin(command::uninstall::run(&options, config, own, bars)).await
        }
        Command::Secret { action } => command::secret::run(action, config).await,
        Command::Status(options) => Box::pin(command::status::run(&options, config, own)).await,
        Command::Listen(options) => command::listen::run(&options, config.listen_port).await,
        Command::Explain { entity, json } => {
            let connected = connect(config, own).await;
            let app = connected.map_err(command::explain::while_in_use)?;
            command::explain::run(&app, &entity, json).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Preview { mapping, options } => {
            let mut app = connect_beside(config, own).await?;
            let file = follow(&mut app, mapping.as_deref())?;
            command::preview::run(&app, file.as_ref(), &options, bars).await
        }
        Command::Resync {
            json,
            strict,
            mapping,
            files,
        } => {
            let mut app = connect(config, own).await?;
            follow(&mut app, mapping.as_deref())?;
            let options = command::resync::Options {
                audience: Audience::of(json),
                files,
                strict,
            };
            command::resync::run(&app, &options, bars).await
        }
        Command::Check {
            url,
            mapping,
            json,
            strict,
        } => {
            let mut app = connect(config, own).await?;
            let file = follow(&mut app, mapping.as_deref())?;
            command::check::run(&app, file.as_ref(), url.as_deref(), json, strict).await
        }
        Command::Mapping { action } => test_mapping(config, own, action).await,
        Command::Serve { port } => {
            let port = port.unwrap_or(config.listen_port);
            command::serve::run(connect(config, own).await?, port).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Webhook { action, url, json } => {
            let app = connect(config, own).await?;
            command::webhook::run(&app, action, url.as_deref(), json).await?;
            Ok(ExitCode::SUCCESS)
        }
        // These have been answered.
        Command::Completions { .. } | Command::Man => Ok(ExitCode::SUCCESS),
    }
}

/// The configuration, with the log written above the bars. Whoever begins an installation has no credentials yet.
fn set_up(command: Option<&Command>, bars: &MultiProgress) -> anyhow::Result<(Config, OwnSecrets)> {
    let config = match command {
        Some(Command::Install(_) | Command::Uninstall(_) | Command::Listen(_)) => {
            Config::from_env_without_credentials()
        }
        Some(Command::Status(options)) if options.stack.is_some() => {
            Config::from_env_without_credentials()
        }
        _ => Config::from_env(),
    };
    let level = config
        .as_ref()
        .ok()
        .and_then(|config| config.log_level.as_deref());
    let above = AboveBars(bars.clone());
    let own = OwnSecrets::default();
    telemetry::init_text(level, own.clone(), move || above.clone());
    let config = config?;
    config.tell_what_has_no_effect();
    Ok((config, own))
}

/// What `ferry` alone means.
fn default(config: &Config) -> Command {
    match config.event_listener {
        EventListener::Once => Command::Resync {
            json: false,
            strict: false,
            mapping: None,
            files: Files::default(),
        },
        EventListener::Serve | EventListener::Events => Command::Serve { port: None },
    }
}

async fn connect(config: Config, own: OwnSecrets) -> anyhow::Result<App> {
    let http = Http::behind(config.proxies.clone(), Clock::System)?;
    let http = http.with_timeout(config.client_timeout).patient(PATIENCE);
    let http = http.hiding(own).failing_fast();
    let aws = match config.uses_aws() {
        true => Some(aws::of_machine(&http).await),
        false => None,
    };
    Ok(App::connect(config, http, aws.as_ref())?)
}

/// For who only reads: where another process works with the stored state, as if nothing were stored.
async fn connect_beside(config: Config, own: OwnSecrets) -> anyhow::Result<App> {
    match connect(config.clone(), own.clone()).await {
        Err(error) if command::status::is_in_use(&error) => {
            tracing::warn!(error = format!("{error:#}"), "the stored state is not read");
            let beside = Config {
                state_dir: None,
                ..config
            };
            connect(beside, own).await
        }
        connected => connected,
    }
}

/// Has `app` follow the mapping in the file, if one is given.
fn follow(app: &mut App, path: Option<&Path>) -> Result<Option<MappingFile>, UnusableMapping> {
    let file = path.map(MappingFile::read).transpose()?;
    app.mapping_override = file.as_ref().map(|file| file.value().clone());
    Ok(file)
}

async fn test_mapping(
    config: Config,
    own: OwnSecrets,
    command::mapping::Action::Test(options): command::mapping::Action,
) -> anyhow::Result<ExitCode> {
    let file = MappingFile::read(&options.file)?;
    let app = connect_beside(config, own).await?;
    command::mapping::test(&app, &file, &options).await
}
