//! `ferry preview`: what a resync would do, for people, for programs, or as a file to be shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::builder::PossibleValuesParser;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::mapping::Kind;
use ferry::resync::{Preview, Scope, preview};
use ferry::telemetry::chain;
use indicatif::MultiProgress;
use jiff::Timestamp;

use super::progress::show;
use super::terminal::{Audience, print};
use super::{CHANGES, COMPLETED, FAILED};
use crate::plan::text::Detail;
use crate::plan::{Plan, Subject, html, json, markdown, text};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Look at this kind only; deletions cannot be told then.
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    kind: Option<String>,
    /// Show at most this many entities of each list of a blueprint.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Show each changed entity with its fields, long texts by the lines that differ.
    #[arg(long)]
    diff: bool,
    /// Print everything as JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print it as Markdown: for a comment on a pull request, or a step's summary.
    #[arg(long)]
    markdown: bool,
    /// Write it as a page of HTML that needs nothing else, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(
    app: &App,
    options: &Options,
    bars: &MultiProgress,
) -> anyhow::Result<ExitCode> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let scope = Scope {
        kind: options.kind.clone(),
    };
    let found = tokio::select! {
        found = Box::pin(preview(app, &scope, &deadline)) => found,
        () = show(app.progress.subscribe(), Audience::People, bars) => return Ok(ExitCode::FAILURE),
    };
    let found = found.map_err(|failure| anyhow!(chain(&failure)))?;
    let session = app.session(&deadline).await?;
    let subject = Subject {
        workspace: session.credentials.workspace.clone(),
        identifier: app.config.identifier.clone(),
    };
    let plan = Plan::of(&found, subject);
    if let Some(path) = &options.html {
        write(path, &html::render(&plan))?;
    }
    let detail = Detail {
        limit: options.limit,
        diff: options.diff,
    };
    print(match (options.json, options.markdown) {
        (true, _) => format!("{:#}", json::render(&plan)),
        (false, true) => markdown::render(&plan),
        (false, false) => text::render(&plan, detail),
    });
    Ok(ExitCode::from(code(&found, plan.is_empty())))
}

/// As `terraform plan -detailed-exitcode` has it.
fn code(found: &Preview, is_empty: bool) -> u8 {
    match (is_empty, found.failed_partitions.is_empty()) {
        (false, _) => CHANGES,
        (true, true) => COMPLETED,
        // Nobody has seen what would change there.
        (true, false) => FAILED,
    }
}

pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page)
        .with_context(|| format!("the report cannot be written to {}", path.display()))
}
