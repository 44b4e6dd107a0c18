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
use super::terminal::{Audience, print, print_fitted};
use super::{CHANGES, COMPLETED, COMPLETED_WITH_LOSSES, FAILED};
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
    /// Exit with 3 where Port would refuse something, the mapping has problems, or a part cannot be read.
    #[arg(long)]
    strict: bool,
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
    match options.json {
        true => print(format!("{:#}", json::render(&plan)))?,
        false => print_fitted(text::render(&plan, detail))?,
    }
    Ok(ExitCode::from(code(
        &found,
        plan.is_empty(),
        options.strict,
    )))
}

/// As `terraform plan -detailed-exitcode` has it; `strict`, what would not be as the mapping says goes before.
fn code(found: &Preview, is_empty: bool, strict: bool) -> u8 {
    let is_sound =
        found.problems.is_empty() && found.refused.is_empty() && found.failed_partitions.is_empty();
    if strict && !is_sound {
        return COMPLETED_WITH_LOSSES;
    }
    match (is_empty, found.failed_partitions.is_empty()) {
        (false, _) => CHANGES,
        (true, true) => COMPLETED,
        // Nobody has seen what would change there.
        (true, false) => FAILED,
    }
}
