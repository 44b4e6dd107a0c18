//! What stands in the way of a resync and of webhooks, looked for one by one: `ferry check`.
//!
//! Reads, and writes nothing. Each finding says what was looked at, and what to do where it is not as it should be.

mod access;
mod items;
mod lint;
mod mapping;
mod names;

use std::sync::Arc;
use std::time::Duration;

use ferry::app::{App, Session};
use ferry::config::PublicAddress;
use ferry::deadline::Deadline;
use ferry::subscription::{self, Standing};
use ferry::telemetry::chain;
use ferry::{bitbucket, port};

use access::{check_tokens, check_workspace};
use items::check_items;
use mapping::{InPort, check_blueprints, check_login, check_port};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine(String),
    /// It works, and not as it could.
    Doubtful {
        reason: String,
        remedy: String,
    },
    Wrong {
        reason: String,
        remedy: String,
    },
}

impl Finding {
    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Wrong { .. })
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self.verdict, Verdict::Doubtful { .. })
    }
}

/// Tells of a finding, if it can.
type Tell<'a> = dyn FnMut(&Finding) -> anyhow::Result<()> + 'a;

/// What was found so far, told as it is found.
pub(crate) struct Findings<'a> {
    found: Vec<Finding>,
    tell: Box<Tell<'a>>,
    /// The first that could not be told.
    untold: Option<anyhow::Error>,
}

/// `ferry check` spends at most this on each line, also where a server does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl<'a> Findings<'a> {
    pub(crate) fn telling(tell: impl FnMut(&Finding) -> anyhow::Result<()> + 'a) -> Findings<'a> {
        Findings {
            found: Vec::new(),
            tell: Box::new(tell),
            untold: None,
        }
    }

    /// All of them, unless they could not be told.
    fn end(self) -> anyhow::Result<Vec<Finding>> {
        match self.untold {
            Some(error) => Err(error),
            None => Ok(self.found),
        }
    }

    fn fine(&mut self, what: impl Into<String>, how: impl Into<String>) {
        self.add(what, Verdict::Fine(how.into()));
    }

    fn doubtful(&mut self, what: impl Into<String>, reason: impl Into<String>, remedy: &str) {
        let (reason, remedy) = (reason.into(), remedy.to_owned());
        self.add(what, Verdict::Doubtful { reason, remedy });
    }

    fn wrong(&mut self, what: impl Into<String>, reason: impl Into<String>, remedy: &str) {
        let (reason, remedy) = (reason.into(), remedy.to_owned());
        self.add(what, Verdict::Wrong { reason, remedy });
    }

    fn add(&mut self, what: impl Into<String>, verdict: Verdict) {
        let finding = Finding {
            what: what.into(),
            verdict,
        };
        if self.untold.is_none() {
            self.untold = (self.tell)(&finding).err();
        }
        self.found.push(finding);
    }
}

/// The time for one line.
fn a_line(deadline: &Deadline) -> Deadline {
    deadline.at_most(PATIENCE)
}

/// Why Bitbucket has not answered.
fn reason_of(error: &bitbucket::Error) -> String {
    match error {
        bitbucket::Error::OutOfTime => no_answer("Bitbucket"),
        error => chain(error),
    }
}

/// The same of Port.
fn reason_of_port(error: &port::Error) -> String {
    match error {
        port::Error::OutOfTime { .. } => no_answer("Port"),
        error => chain(error),
    }
}

fn no_answer(whom: &str) -> String {
    format!("no answer of {whom} within {} s", PATIENCE.as_secs())
}

/// Looks at everything that can be looked at; `base` is where Bitbucket reaches us, if that is known.
pub(crate) async fn check(
    app: &App,
    base: Option<&str>,
    mut findings: Findings<'_>,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Finding>> {
    let Some(session) = open_session(app, &mut findings, &a_line(deadline)).await else {
        return findings.end();
    };
    findings.fine("configuration", "every value can be read");
    for setting in &app.config.without_effect {
        let remedy = "take it out, or leave it: nothing depends on it";
        findings.doubtful("configuration", setting.to_string(), remedy);
    }
    for unknown in &app.config.unknown {
        let reason = format!("{} {}", unknown.place, unknown.reason);
        findings.doubtful("configuration", reason, &unknown.remedy);
    }
    check_tokens(&session.credentials.bitbucket, &mut findings);
    let in_port = check_port(app, &session.port, &mut findings, deadline).await;
    let workspace = check_workspace(&session.bitbucket, &mut findings, &a_line(deadline)).await;
    let is_new = in_port.as_ref().is_some_and(|found| found.is_new);
    let creates = in_port.as_ref().map(|found| found.creates.clone());
    if let Some(InPort {
        mapping: Some(mapping),
        blueprints,
        ..
    }) = in_port
    {
        // As Port is once the first resync has set it up.
        let (port, _) = session.port.rehearsing(blueprints);
        let session = Session {
            credentials: Arc::clone(&session.credentials),
            bitbucket: session.bitbucket.clone(),
            port,
        };
        check_blueprints(&session.port, &mapping, &mut findings, deadline).await;
        if workspace {
            check_items(&session, mapping, &mut findings, deadline).await;
        }
    }
    check_webhook(app, (base, is_new), &mut findings, &a_line(deadline)).await;
    if let Some(creates) = creates.filter(|creates| !creates.is_empty()) {
        let how = format!("will create: {}", creates.join(", "));
        findings.fine("the first resync", how);
    }
    findings.end()
}

/// Whether both sides take the credentials; what they will be used for is not looked at.
pub(crate) async fn check_credentials(
    app: &App,
    mut findings: Findings<'_>,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Finding>> {
    let Some(session) = open_session(app, &mut findings, &a_line(deadline)).await else {
        return findings.end();
    };
    check_tokens(&session.credentials.bitbucket, &mut findings);
    let port = check_login(&session.port, &mut findings, deadline).await;
    if port.is_some() {
        findings.fine("Port", "takes the credentials");
    }
    check_workspace(&session.bitbucket, &mut findings, &a_line(deadline)).await;
    findings.end()
}

async fn open_session(
    app: &App,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) -> Option<Arc<Session>> {
    let opened = app.session(deadline).await;
    opened
        .map_err(|error| {
            let remedy = "see docs/configuration.md for what goes where";
            findings.wrong("credentials", chain(&error), remedy);
        })
        .ok()
}

async fn check_webhook(
    app: &App,
    (base, is_new): (Option<&str>, bool),
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) {
    let what = "webhook";
    let Some(base) = base else {
        let remedy = "give --url, or set OCEAN__BASE_URL to where Bitbucket reaches Ferry";
        findings.doubtful(
            what,
            "not looked at: it is not known where it should lead",
            remedy,
        );
        return;
    };
    let shown = PublicAddress::new(base);
    let install = "run `ferry webhook install`, or let the next resync repair it";
    match subscription::status(app, base, deadline).await {
        Ok(Standing::Right) => findings.fine(what, format!("leads to {shown}, with all events")),
        Ok(Standing::Missing) if is_new => {
            let how = format!("none leads to {shown} yet: Ferry makes it once it runs there");
            findings.fine(what, how);
        }
        Ok(Standing::Missing) => findings.wrong(what, format!("none leads to {shown}"), install),
        Ok(Standing::Wrong(wrong)) => findings.wrong(what, wrong.join(", "), install),
        Ok(Standing::NoSecret) => findings.wrong(
            what,
            "no webhook secret is configured: every webhook is refused",
            "set webhookSecret in the secret, or OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
        ),
        Ok(Standing::Refused(reason)) => {
            let remedy = "give the token the scope webhook of a workspace administrator, or add the webhook by hand";
            findings.doubtful(what, reason, remedy);
        }
        Err(failure) => findings.wrong(what, chain(&failure), "try again"),
    }
}
