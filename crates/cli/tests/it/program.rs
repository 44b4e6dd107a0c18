//! The program as a process: its variables, its log, its signals, its end.

use std::path::PathBuf;
use std::process::Output;

use sandbox::bitbucket::Bitbucket;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::support::{PORT_CLIENT_ID, PORT_CLIENT_SECRET, World};

/// `ferry` with the variables of an existing Ocean installation, and nothing of this process's own.
pub(crate) fn ferry(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command
        .env_clear()
        .env("OCEAN__PORT__BASE_URL", world.port.url())
        .env("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID)
        .env("OCEAN__PORT__CLIENT_SECRET", PORT_CLIENT_SECRET)
        .env("OCEAN__INTEGRATION__IDENTIFIER", "ferry-tests")
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            world.bitbucket.url(),
        )
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            world.bitbucket.workspace(),
        )
        .env(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            Bitbucket::TOKEN,
        )
        .kill_on_drop(true);
    command
}

/// Runs it to its end: what it exits with, standard output, standard error.
pub(crate) async fn ended(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The log of a running `ferry`, read as far as a story needs it.
pub(crate) struct Log {
    lines: Lines<BufReader<ChildStderr>>,
    pub(crate) seen: String,
}

impl Log {
    pub(crate) fn of(process: &mut Child) -> Log {
        let stderr = process.stderr.take().unwrap();
        Log {
            lines: BufReader::new(stderr).lines(),
            seen: String::new(),
        }
    }

    pub(crate) async fn read_to(&mut self, part: &str) {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(part) {
                return;
            }
        }
        panic!("`{part}` is not in the log:\n{}", self.seen);
    }

    pub(crate) async fn read_to_the_end(&mut self) {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
    }
}

/// Sends a signal, such as `TERM`.
pub(crate) fn signal(pid: u32, name: &str) {
    let (name, pid) = (format!("-{name}"), pid.to_string());
    let kill = std::process::Command::new("kill")
        .args([name, pid])
        .status();
    assert!(kill.unwrap().success());
}

/// A directory for `FERRY__STATE_DIR`, removed with its story.
pub(crate) struct StateDir(pub(crate) PathBuf);

impl StateDir {
    pub(crate) fn new(name: &str) -> StateDir {
        let path = std::env::temp_dir().join(format!("ferry-{name}-{}", std::process::id()));
        StateDir(path)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for such things.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A port that no server listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The status that a probe gets.
pub(crate) async fn probe(port: u16, path: &str) -> String {
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}
