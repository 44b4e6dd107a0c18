//! Objects over git, as git itself reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// Runs the `git` of this machine in `folder`.
fn git(folder: &std::path::Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let child = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("this test compares with git, which cannot be run: install it ({error})")
    });
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    output.stdout
}

fn request(lines: &[&str]) -> Vec<u8> {
    let line = |text: &&str| match *text {
        "0001" | "0000" => (*text).to_owned(),
        text => format!("{:04x}{text}\n", text.len() + 5),
    };
    lines.iter().map(line).collect::<String>().into_bytes()
}

/// What the first side band holds, which begins after the line `packfile`.
fn pack(answer: &[u8]) -> Vec<u8> {
    let begin = b"000dpackfile\n";
    let at = answer
        .windows(begin.len())
        .position(|window| window == begin);
    let mut rest = answer.get(at.unwrap() + begin.len()..).unwrap();
    let mut pack = Vec::new();
    loop {
        let (length, after) = rest.split_at(4);
        let length = std::str::from_utf8(length).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return pack;
        }
        let (packet, after) = after.split_at(length - 4);
        if let [1, piece @ ..] = packet {
            pack.extend_from_slice(piece);
        }
        rest = after;
    }
}

impl Client {
    async fn fetch(&self, user: &str, token: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let base = self.bitbucket.server().url();
        let request = self
            .http
            .post(format!("{base}/acme-platform/monorepo.git/git-upload-pack"))
            .basic_auth(user, Some(token))
            .header("git-protocol", "version=2")
            .header("content-type", "application/x-git-upload-pack-request")
            .body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn git_itself_reads_what_is_sent() {
    let client = Client::demo().await;
    let files: Vec<(String, String)> = (0..200)
        .map(|at| {
            (
                format!("many/{at}.txt"),
                format!("a file like others {at}\n").repeat(30),
            )
        })
        .collect();
    let files: Vec<(&str, Option<&str>)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), Some(content.as_str())))
        .collect();
    let pushed = client.bitbucket.push("monorepo", "main", &files);
    let (hash, _) = pushed.unwrap();
    let folder = std::env::temp_dir().join(format!("sandbox-git-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    git(&folder, &["init", "--quiet", "--bare", "."], b"");
    let want = format!("want {hash}");
    for arguments in [&["ofs-delta"][..], &[]] {
        let lines = [
            &["command=fetch", "0001"][..],
            arguments,
            &["deepen 1", &want, "done", "0000"],
        ];
        let (status, answer) = client
            .fetch("x-token-auth", Bitbucket::TOKEN, request(&lines.concat()))
            .await;
        assert_eq!(status, 200);
        git(&folder, &["unpack-objects", "-q"], &pack(&answer));
    }
    let listed = git(&folder, &["ls-tree", "-r", "-z", "--name-only", &hash], b"");
    let listed = String::from_utf8(listed).unwrap();
    let mut listed: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    listed.sort_unstable();
    let base = "/repositories/acme-platform/monorepo";
    let query = q("type=\"commit_file\"");
    let entries = format!("{base}/src/{hash}/?max_depth=10&pagelen=100&{query}");
    let entries = client.all(&entries).await;
    let mut paths = column(&entries, "path");
    paths.sort_unstable();
    assert_eq!(listed, paths);
    let shown = git(&folder, &["show", &format!("{hash}:many/7.txt")], b"");
    assert_eq!(shown, "a file like others 7\n".repeat(30).into_bytes());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn mistakes_in_fetches_are_answered_as_such() {
    let client = Client::demo().await;
    client
        .bitbucket
        .accept_basic("ann@acme.example", "ann-token");
    let nobody = "want 0000000000000000000000000000000000000000";
    let lines = ["command=fetch", "0001", nobody, "done", "0000"];
    for (user, token, status) in [
        ("x-token-auth", Bitbucket::TOKEN, 200),
        ("x-token-auth", "another", 401),
        ("x-bitbucket-api-token-auth", "ann-token", 200),
        ("ann@acme.example", "ann-token", 401),
    ] {
        let answer = client.fetch(user, token, request(&lines)).await;
        assert_eq!(answer.0, status, "{user}");
    }
    for (lines, message) in [
        (&lines[..], "not our ref"),
        (&["command=fetch", "0001", nobody, "0000"], "negotiation"),
        (
            &[
                "command=fetch",
                "0001",
                "filter tree:1",
                nobody,
                "done",
                "0000",
            ],
            "unexpected line: 'filter tree:1'",
        ),
        (&["command=ls-refs", "0001", "0000"], "unexpected request"),
    ] {
        let body = request(lines);
        let (_, answer) = client.fetch("x-token-auth", Bitbucket::TOKEN, body).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains("ERR ") && answer.contains(message),
            "{answer}"
        );
    }
}
