//! `ferry preview`: what a resync would do, for people, for programs, or as a file to be shown.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::mapping::Kind;
use ferry::resync::{Preview, Scope, preview};
use ferry::telemetry::chain;
use indicatif::MultiProgress;
use jiff::Timestamp;

use super::progress::show;
use super::reach::reach;
use super::terminal::{Audience, print};
use super::{CHANGES, COMPLETED, FAILED};
use crate::mapping_file::{MappingFile, placed};
use crate::report::Files;
use crate::report::plan::text::Detail;
use crate::report::plan::{Plan, Subject, html, json, markdown, text};

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
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    files: Files,
}

pub(crate) async fn run(
    app: &App,
    file: Option<&MappingFile>,
    options: &Options,
    bars: &MultiProgress,
) -> anyhow::Result<ExitCode> {
    reach(app).await?;
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let scope = Scope {
        kind: options.kind.clone(),
    };
    let found = tokio::select! {
        found = Box::pin(preview(app, &scope, &deadline)) => found,
        () = show(app.progress.subscribe(), Audience::People, bars) => return Ok(ExitCode::FAILURE),
    };
    let mut found = found.map_err(|failure| anyhow!(chain(&failure)))?;
    for finding in found.problems.iter_mut().chain(&mut found.notes) {
        *finding = placed(file, finding);
    }
    let plan = Plan::of(&found, Subject::of(app, &deadline).await?);
    options
        .files
        .write(|| html::render(&plan), || markdown::render(&plan))?;
    let detail = Detail {
        limit: options.limit,
        diff: options.diff,
    };
    print(match options.json {
        true => format!("{:#}", json::render(&plan)),
        false => text::render(&plan, detail),
    })?;
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
