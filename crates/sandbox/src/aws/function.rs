//! A process that plays the Lambda function: started with Lambda's environment, watched, killed, started again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::runtime::RuntimeApi;

/// Lines of a dead process's standard error that a report quotes.
const QUOTED_LINES: usize = 20;

/// What to run, and what it finds in its environment beyond what Lambda sets.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    vars: Vec<(String, String)>,
}

impl Program {
    pub fn new(path: impl AsRef<Path>) -> Program {
        Program {
            path: path.as_ref().to_owned(),
            args: Vec::new(),
            vars: Vec::new(),
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Program {
        self.args.push(arg.into());
        self
    }

    /// A variable; a later one of the same name, or of one that Lambda sets, wins.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Program {
        self.vars.push((name.into(), value.into()));
        self
    }
}

/// A function's process, killed when this is dropped.
pub struct Function {
    runtime: RuntimeApi,
    program: Program,
    process: Process,
    stdout: Lines,
    stderr: Lines,
}

struct Process {
    id: Option<u32>,
    kill: Option<oneshot::Sender<()>>,
    /// How it ended, once it has.
    exited: watch::Receiver<Option<String>>,
    watcher: JoinHandle<()>,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Function {
    /// Starts the process. It is ready for events after [`wait_ready`](Function::wait_ready).
    pub fn start(runtime: &RuntimeApi, program: Program) -> anyhow::Result<Function> {
        let (stdout, stderr) = (Lines::default(), Lines::default());
        let process = spawn(runtime, &program, &stdout, &stderr)?;
        Ok(Function {
            runtime: runtime.clone(),
            program,
            process,
            stdout,
            stderr,
        })
    }

    /// Waits for the first poll. A process that ends instead, or takes too long, is an error that quotes its standard error.
    pub async fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        tokio::select! {
            () = self.runtime.wait_ready() => Ok(()),
            exit = exit(&mut self.process.exited) => bail!("the function ended before its first poll ({exit}):\n{}", self.last_words()),
            () = tokio::time::sleep(limit) => bail!("the function did not poll within {limit:?}:\n{}", self.last_words()),
        }
    }

    /// Ends the process at once, as a crash would; what it worked on fails with `Runtime.ExitError`.
    pub async fn kill(&mut self) {
        if let Some(kill) = self.process.kill.take()
            && kill.send(()).is_err()
        {
            tracing::debug!("the function had ended already");
        }
        exit(&mut self.process.exited).await;
    }

    /// Kills the process and starts a new one: Lambda's cold start after a crash.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await;
        self.process = spawn(&self.runtime, &self.program, &self.stdout, &self.stderr)?;
        Ok(())
    }

    /// Waits until the process ends by itself; says how.
    pub async fn wait_exit(&mut self) -> String {
        exit(&mut self.process.exited).await
    }

    /// The id of the process that runs now, for whoever measures it.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id
    }

    /// Lines of standard output so far, of all processes since the start.
    pub fn stdout(&self) -> Vec<String> {
        read(&self.stdout)
    }

    /// Lines of standard error so far, of all processes since the start.
    pub fn stderr(&self) -> Vec<String> {
        read(&self.stderr)
    }

    fn last_words(&self) -> String {
        let lines = self.stderr();
        let skipped = lines.len().saturating_sub(QUOTED_LINES);
        lines.get(skipped..).unwrap_or_default().join("\n")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The task owns the child, which dies with it.
        self.process.watcher.abort();
    }
}

async fn exit(exited: &mut watch::Receiver<Option<String>>) -> String {
    match exited.wait_for(Option::is_some).await {
        Ok(exit) => exit.clone().unwrap_or_default(),
        Err(_) => "its watcher was stopped".to_owned(),
    }
}

fn spawn(
    runtime: &RuntimeApi,
    program: &Program,
    stdout: &Lines,
    stderr: &Lines,
) -> anyhow::Result<Process> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(lambda_environment(runtime))
        .envs(program.vars.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program.path.display()))?;
    let id = child.id();
    let outputs = [
        child.stdout.take().map(|pipe| capture(pipe, stdout)),
        child.stderr.take().map(|pipe| capture(pipe, stderr)),
    ];
    let (kill, killed) = oneshot::channel();
    let (report, exited) = watch::channel(None);
    let runtime = runtime.clone();
    let watcher = tokio::spawn(async move {
        let exit = end(child, killed).await;
        // What it had written is read before anybody learns of the end. A grandchild may hold the pipes open after a kill.
        for output in outputs.into_iter().flatten() {
            if tokio::time::timeout(Duration::from_secs(1), output)
                .await
                .is_err()
            {
                tracing::warn!("the function's output stayed open after its end");
            }
        }
        runtime.process_ended(&exit);
        report.send_replace(Some(exit));
    });
    Ok(Process {
        id,
        kill: Some(kill),
        exited,
        watcher,
    })
}

async fn end(mut child: Child, killed: oneshot::Receiver<()>) -> String {
    let status = tokio::select! {
        status = child.wait() => status,
        Ok(()) = killed => {
            if let Err(error) = child.start_kill() {
                tracing::warn!(%error, "cannot kill the function");
            }
            child.wait().await
        }
    };
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("its exit status is unknown: {error}"),
    }
}

/// What a function finds on Lambda. The credentials are Amazon's own documentation examples.
fn lambda_environment(runtime: &RuntimeApi) -> [(&'static str, &str); 12] {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime.address()),
        ("AWS_LAMBDA_FUNCTION_NAME", "sandbox"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/sandbox"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "sandbox"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}

fn capture(pipe: impl AsyncRead + Send + Unpin + 'static, lines: &Lines) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|read| 0 < read)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(text);
            line.clear();
        }
    })
}

fn read(lines: &Lines) -> Vec<String> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh").arg("-c").arg(script)
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_its_last_words() {
        let runtime = RuntimeApi::start().await.unwrap();
        let program = shell("echo $AWS_LAMBDA_RUNTIME_API $MINE $HOME; echo no token >&2; exit 3")
            .var("MINE", "x");
        let mut function = Function::start(&runtime, program).unwrap();
        let error = function.wait_ready(LIMIT).await.unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("no token"),
            "{error}"
        );
        assert_eq!(function.stdout(), [format!("{} x", runtime.address())]);
    }

    #[tokio::test]
    async fn a_killed_function_can_be_started_again() {
        let runtime = RuntimeApi::start().await.unwrap();
        let mut function = Function::start(&runtime, shell("echo up; exec sleep 600")).unwrap();
        while function.stdout().is_empty() {
            tokio::task::yield_now().await;
        }
        function.restart().await.unwrap();
        while function.stdout().len() < 2 {
            tokio::task::yield_now().await;
        }
        function.kill().await;
        assert!(function.wait_exit().await.contains("signal"));
    }

    #[tokio::test]
    async fn a_missing_program_is_an_error_at_once() {
        let runtime = RuntimeApi::start().await.unwrap();
        assert!(Function::start(&runtime, Program::new("/no/such/program")).is_err());
    }

    #[tokio::test]
    async fn a_function_that_ends_fails_its_invocation() {
        let runtime = RuntimeApi::start().await.unwrap();
        let poll = format!(
            "http://{}/2018-06-01/runtime/invocation/next",
            runtime.address()
        );
        let mut function = Function::start(&runtime, shell("exec sleep 600")).unwrap();
        let http = crate::loopback::fixture::client().build().unwrap();
        let dies = async {
            http.get(poll).send().await.unwrap();
            function.kill().await;
        };
        let (outcome, ()) = tokio::join!(runtime.invoke(json!({}), LIMIT), dies);
        assert_eq!(outcome.unwrap_err().error_type, "Runtime.ExitError");
    }
}
