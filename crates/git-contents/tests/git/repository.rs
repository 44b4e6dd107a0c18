//! A repository made, packed and served by the `git` of this machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use git_contents::{Mode, ObjectId, ObjectKind};

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write {
        path: String,
        mode: Mode,
        content: Vec<u8>,
    },
    Remove(String),
}

/// Each commit builds on the one before.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) commits: Vec<Vec<Change>>,
}

/// A bare repository in a folder of its own, which goes with it.
pub(crate) struct Repository {
    folder: PathBuf,
}

impl Repository {
    pub(crate) fn of(history: &History) -> Repository {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("git-contents-{}-{count}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let repository = Repository { folder };
        repository.git(&["init", "--quiet", "--bare", "."], b"");
        repository.configure("uploadpack.allowFilter", "true");
        repository.git(&["fast-import", "--quiet"], &imported(history));
        repository
    }

    /// One pack, with as many deltas as git finds.
    pub(crate) fn repack(&self) {
        self.git(&["repack", "-adfq", "--depth=50", "--window=20"], b"");
    }

    pub(crate) fn configure(&self, name: &str, value: &str) {
        self.git(&["config", name, value], b"");
    }

    /// All commits, the first one first.
    pub(crate) fn commits(&self) -> Vec<ObjectId> {
        let listed = self.git(&["rev-list", "--reverse", "main"], b"");
        let listed = String::from_utf8(listed).unwrap();
        listed.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Everything in the tree of a commit, folders too.
    pub(crate) fn tree(&self, commit: ObjectId) -> BTreeMap<String, (Mode, ObjectId)> {
        let listed = self.git(&["ls-tree", "-r", "-t", "-z", &commit.to_string()], b"");
        let listed = String::from_utf8(listed).unwrap();
        let entries = listed.split('\0').filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let (what, path) = entry.split_once('\t').unwrap();
                let mut words = what.split(' ');
                let mode = match words.next().unwrap() {
                    "040000" => Mode::Folder,
                    "100644" => Mode::File,
                    "100755" => Mode::Executable,
                    "120000" => Mode::Link,
                    "160000" => Mode::Submodule,
                    other => panic!("{other}?"),
                };
                let id = words.nth(1).unwrap().parse().unwrap();
                (path.to_owned(), (mode, id))
            })
            .collect()
    }

    pub(crate) fn blob(&self, id: ObjectId) -> Vec<u8> {
        self.git(&["cat-file", "blob", &id.to_string()], b"")
    }

    /// What the server answers to one request.
    pub(crate) fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.run(&["upload-pack", "--stateless-rpc", "."], request)
    }

    pub(crate) fn advertised(&self) -> Vec<u8> {
        self.run(&["upload-pack", "--http-backend-info-refs", "."], b"")
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let (output, succeeded) = self.output(arguments, input);
        assert!(succeeded, "git {arguments:?} has failed");
        output
    }

    /// Whether it fails or not: what a server says before it gives up is its answer.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        self.output(arguments, input).0
    }

    fn output(&self, arguments: &[&str], input: &[u8]) -> (Vec<u8>, bool) {
        let child = Command::new("git")
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_PROTOCOL", "version=2")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env_remove("GIT_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("these tests compare with git, which cannot be run: install git 2.31 or newer ({error})")
        });
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A server that refuses does not read to the end.
            stdin.write_all(&input).ok();
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        (output.stdout, output.status.success())
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// As `git fast-import` reads it.
fn imported(history: &History) -> Vec<u8> {
    let mut stream = Vec::new();
    for (at, changes) in history.commits.iter().enumerate() {
        let time = 1_700_000_000 + at;
        write!(
            stream,
            "commit refs/heads/main\ncommitter A <a@b.example> {time} +0000\ndata 1\nx\n"
        )
        .unwrap();
        for change in changes {
            match change {
                Change::Remove(path) => writeln!(stream, "D {}", quoted(path)).unwrap(),
                Change::Write {
                    path,
                    mode: Mode::Submodule,
                    content,
                } => {
                    let id = ObjectId::of(ObjectKind::Commit, content);
                    writeln!(stream, "M 160000 {id} {}", quoted(path)).unwrap();
                }
                Change::Write {
                    path,
                    mode,
                    content,
                } => {
                    let mode = match mode {
                        Mode::Executable => "100755",
                        Mode::Link => "120000",
                        _ => "100644",
                    };
                    let (path, length) = (quoted(path), content.len());
                    writeln!(stream, "M {mode} inline {path}\ndata {length}").unwrap();
                    stream.extend_from_slice(content);
                    stream.push(b'\n');
                }
            }
        }
    }
    stream
}

fn quoted(path: &str) -> String {
    let escaped = path.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\t', "\\t"))
}
