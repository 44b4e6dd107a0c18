//! `ferry listen`.

use std::process::Stdio;

use sandbox::bitbucket::NewPullRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::program::{Log, ended, ferry, free_port, signal};
use crate::support::{WEBHOOK_SECRET, World};

/// Without any credentials: it asks a process of this machine, and nobody else.
fn listen(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command
        .env_clear()
        .args(["listen", "--port", &port.to_string()])
        .kill_on_drop(true);
    command
}

/// A server that has made its first resync, and its log.
async fn serving(world: &World, port: u16) -> (Child, Log) {
    let mut server = ferry(world)
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("OCEAN__BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("FERRY__PORT", port.to_string())
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = Log::of(&mut server);
    log.read_to("resync completed").await;
    (server, log)
}

#[tokio::test]
async fn each_webhook_has_a_line_until_ctrl_c() {
    let world = World::demo().await;
    let port = free_port();
    let (mut server, mut log) = serving(&world, port).await;
    let mut listener = listen(port)
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(listener.stdout.take().unwrap()).lines();
    let mut listening = Log::of(&mut listener);
    listening.read_to("listening").await;

    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (number, deliveries) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    for delivery in &deliveries {
        assert_eq!(world.bitbucket.deliver(delivery).await.unwrap(), [202]);
    }
    let mut told = Vec::new();
    while told.len() < deliveries.len() {
        let line = heard.next_line().await.unwrap().unwrap();
        told.push(serde_json::from_str::<Value>(&line).unwrap());
    }
    for delivery in &deliveries {
        let of = |told: &&Value| told["request_id"] == delivery.request_uuid.as_str();
        let line = told.iter().find(of).unwrap();
        assert_eq!(line["event"], delivery.event_key);
        assert!(line["elapsed_ms"].is_u64(), "{line}");
        assert!(!line["object"].as_str().unwrap().is_empty(), "{line}");
    }
    let opened = told
        .iter()
        .find(|told| told["event"] == "pullrequest:created");
    let opened = opened.unwrap();
    assert_eq!(opened["effect"], "written");
    let entity = format!("bitbucketPullRequest/monorepo/{number}");
    assert!(
        opened["entities"]
            .as_array()
            .unwrap()
            .contains(&json!(entity)),
        "{opened}"
    );
    // Nothing of it is new to Port.
    assert_eq!(
        world.bitbucket.deliver(&deliveries[0]).await.unwrap(),
        [202]
    );
    signal(listener.id().unwrap(), "INT");
    assert!(listener.wait().await.unwrap().success());
    signal(server.id().unwrap(), "TERM");
    log.read_to_the_end().await;
    assert!(server.wait().await.unwrap().success(), "{}", log.seen);
    world.finish();
}

#[tokio::test]
async fn a_reader_does_not_keep_the_server_from_stopping() {
    let world = World::demo().await;
    let port = free_port();
    let (mut server, mut log) = serving(&world, port).await;
    let mut reader = listen(port).stderr(Stdio::piped()).spawn().unwrap();
    let mut reading = Log::of(&mut reader);
    reading.read_to("listening").await;
    signal(server.id().unwrap(), "TERM");
    log.read_to_the_end().await;
    assert!(server.wait().await.unwrap().success(), "{}", log.seen);
    reading.read_to("has stopped").await;
    assert_eq!(reader.wait().await.unwrap().code(), Some(1));
    world.finish();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let port = free_port();
    let (code, out, log) = ended(&mut listen(port)).await;
    assert_eq!((code, out.as_str()), (1, ""));
    for part in ["no `ferry serve` answers", &port.to_string(), "FERRY__PORT"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    // Something else that answers.
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let answer = async {
        let (mut connection, _) = other.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(0 < connection.read(&mut request).await.unwrap());
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer).await.unwrap();
        connection
    };
    let mut command = listen(port);
    let ((code, _, log), _) = tokio::join!(ended(&mut command), answer);
    assert!(
        code == 1 && log.contains("is no `ferry serve`") && log.contains("404"),
        "{log}"
    );
}
