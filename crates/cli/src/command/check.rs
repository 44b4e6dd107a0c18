//! `ferry check`: each finding on a line, with what to do.

use std::process::ExitCode;

use ferry::app::App;
use ferry::config::PublicAddress;
use ferry::deadline::Deadline;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::terminal::{BAD, DOUBTFUL, GOOD, painted, print, print_fitted};
use crate::check::{Finding, Findings, Verdict, check};
use crate::mapping_file::{MappingFile, placed};

/// Succeeds if nothing is wrong; what is only doubtful counts where that is `strict`. People are told each finding as it is made.
pub(crate) async fn run(
    app: &App,
    file: Option<&MappingFile>,
    base: Option<&str>,
    as_json: bool,
    strict: bool,
) -> anyhow::Result<ExitCode> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let base = base.or(app.config.base_url.as_ref().map(PublicAddress::as_str));
    let tell = |finding: &Finding| match as_json {
        true => Ok(()),
        false => print_fitted(line_of(&with_line(file, finding))),
    };
    let findings = Box::pin(check(app, base, Findings::telling(tell), &deadline)).await?;
    if as_json {
        let findings = findings.iter();
        let all: Value = findings
            .map(|finding| json_of(&with_line(file, finding)))
            .collect();
        print(format!("{all:#}"))?;
    }
    let fails = |finding: &Finding| finding.is_wrong() || strict && finding.is_doubtful();
    Ok(match findings.iter().any(fails) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Names the line of what is about a place in the mapping.
fn with_line(file: Option<&MappingFile>, finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    if let Verdict::Doubtful { reason, .. } | Verdict::Wrong { reason, .. } = &mut finding.verdict {
        *reason = placed(file, reason);
    }
    finding
}

pub(super) fn line_of(finding: &Finding) -> String {
    let what = &finding.what;
    match &finding.verdict {
        Verdict::Fine(how) => format!("{} {what}: {how}", painted(GOOD, "ok    ")),
        Verdict::Doubtful { reason, remedy } => {
            let note = painted(DOUBTFUL, "note  ");
            format!("{note} {what}: {reason}\n       {remedy}")
        }
        Verdict::Wrong { reason, remedy } => {
            let wrong = painted(BAD, "wrong ");
            format!("{wrong} {what}: {reason}\n       {remedy}")
        }
    }
}

fn json_of(finding: &Finding) -> Value {
    let what = &finding.what;
    match &finding.verdict {
        Verdict::Fine(how) => json!({"what": what, "verdict": "ok", "how": how}),
        Verdict::Doubtful { reason, remedy } => {
            json!({"what": what, "verdict": "note", "reason": reason, "remedy": remedy})
        }
        Verdict::Wrong { reason, remedy } => {
            json!({"what": what, "verdict": "wrong", "reason": reason, "remedy": remedy})
        }
    }
}
