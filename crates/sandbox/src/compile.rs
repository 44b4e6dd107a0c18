//! Building the function: cargo at work, while everything else is up already.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Builds `ferry-lambda` as the template does, without the embedded database of the command line, and returns where it
/// is. `tell` hears how far it is. Cargo shows its own progress on standard error.
///
/// # Errors
/// When cargo cannot be run, or the function does not build.
pub(crate) async fn function(tell: impl Fn(String)) -> anyhow::Result<PathBuf> {
    // `cargo run` says which cargo it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo says this way which cargo runs the sandbox"
    )]
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_the_package) {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(["build", "--package", "ferry", "--bin", "ferry-lambda"])
        .args(["--no-default-features", "--manifest-path", manifest])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run cargo")?;
    let started = Instant::now();
    let (mut crates, mut binary) = (0_usize, None);
    let output = child.stdout.take().context("cargo has no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        crates += 1;
        if message["target"]["name"] == "ferry-lambda" {
            binary = message["executable"].as_str().map(PathBuf::from);
        }
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let seconds = started.elapsed().as_secs();
        tell(format!(
            "{seconds} s, {crates} crates ready, the last one {name}"
        ));
    }
    let status = child.wait().await.context("cannot wait for cargo")?;
    ensure!(
        status.success(),
        "ferry-lambda does not build: cargo's words are above"
    );
    binary.context("cargo does not say where it put ferry-lambda")
}

/// Whether `cargo run` has set this variable for the sandbox's own package. Build scripts look at some of them, and would
/// have their crates, and all that need these, compiled again.
fn is_of_the_package(name: &str) -> bool {
    let prefixes = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
