//! One function with one execution environment: a process under a Lambda Runtime API, started again when it dies.

use std::time::{Duration, Instant};

use sandbox::aws::{Function, FunctionError, Program, RuntimeApi};
use serde_json::Value;
use tokio::sync::Mutex;

/// For a process to start: machines that compile something else are slow.
const START_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Role {
    runtime: RuntimeApi,
    /// Locked for an invocation.
    process: Mutex<Process>,
    time_limit: Duration,
}

struct Process {
    function: Function,
    /// Lines of its log that were read.
    read: usize,
}

/// How an invocation went.
pub(crate) struct Invoked {
    pub(crate) outcome: Result<Value, FunctionError>,
    pub(crate) took: Duration,
    /// What the function has warned of, message and cause.
    pub(crate) warnings: Vec<String>,
}

impl Role {
    /// # Errors
    /// When the program cannot be started, or does not ask for an event.
    pub(crate) async fn start(program: Program, time_limit: Duration) -> anyhow::Result<Role> {
        let runtime = RuntimeApi::start().await?;
        let mut function = Function::start(&runtime, program)?;
        function.wait_ready(START_LIMIT).await?;
        Ok(Role {
            runtime,
            process: Mutex::new(Process { function, read: 0 }),
            time_limit,
        })
    }

    /// Invokes it, after whoever has done so before.
    pub(crate) async fn invoke(&self, event: Value) -> Invoked {
        let mut process = self.process.lock().await;
        let started = Instant::now();
        let outcome = self.runtime.invoke(event, self.time_limit).await;
        let took = started.elapsed();
        let log = process.function.stdout();
        let new = log.iter().skip(process.read);
        let mut warnings = counted(new.filter_map(|line| warning(line)));
        process.read = log.len();
        let is_dead = |error: &FunctionError| {
            matches!(
                error.error_type.as_str(),
                "Runtime.ExitError" | "Sandbox.Timedout"
            )
        };
        if outcome.as_ref().is_err_and(is_dead)
            && let Err(error) = process.function.restart().await
        {
            warnings.push(format!("the function cannot be started again: {error:#}"));
        }
        Invoked {
            outcome,
            took,
            warnings,
        }
    }
}

/// Lines that come again at once are counted.
fn counted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match counts.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => counts.push((line, 1)),
        }
    }
    let lines = counts.into_iter().map(|(line, count)| match count {
        1 => line,
        count => format!("{line} ({count} times)"),
    });
    lines.collect()
}

/// A line of the function's log, if it warns (docs/logging.md).
fn warning(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line[name].as_str().filter(|text| !text.is_empty());
    if !matches!(text("level"), Some("WARN" | "ERROR")) {
        return None;
    }
    let message = text("message")?;
    let causes = ["error", "cause", "reason"].into_iter().find_map(text);
    Some(match causes {
        Some(cause) => format!("{message}: {cause}"),
        None => message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_with_its_cause() {
        let line = r#"{"level":"WARN","message":"look failed","error":"Port is down"}"#;
        assert_eq!(warning(line).unwrap(), "look failed: Port is down");
        let lines = ["a", "a", "b", "a"].map(str::to_owned);
        assert_eq!(counted(lines.into_iter()), ["a (2 times)", "b", "a"]);
        for quiet in [r#"{"level":"INFO","message":"x"}"#, "no JSON", "{}"] {
            assert_eq!(warning(quiet), None);
        }
    }
}
