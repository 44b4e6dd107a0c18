//! What the command line reports, in the forms in which people and programs take it.

mod mapping_text;
mod markdown;
pub(crate) mod outcome;
mod page;
pub(crate) mod plan;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Files to which a report goes beside what is printed.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Files {
    /// Write a page of HTML that needs nothing else: to be attached to a change request.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write Markdown: for a comment on a pull request, or `$GITHUB_STEP_SUMMARY`.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl Files {
    pub(crate) fn write(
        &self,
        html: impl FnOnce() -> String,
        markdown: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if let Some(path) = &self.html {
            write(path, &html())?;
        }
        if let Some(path) = &self.markdown {
            write(path, &markdown())?;
        }
        Ok(())
    }
}

fn write(path: &Path, report: &str) -> anyhow::Result<()> {
    std::fs::write(path, report)
        .with_context(|| format!("the report cannot be written to {}", path.display()))
}
