//! Answers that quote our credentials: nobody who reads logs, errors, outcomes or Port learns them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::bitbucket::Bitbucket;
use sandbox::server::{Fault, FaultKind, Request, Response};
use serde_json::json;

use crate::log::Lines;
use crate::support::{IDENTIFIER, PORT_CLIENT_SECRET, Settings, WEBHOOK_SECRET, World, event};

const EMAIL: &str = "someone@example.com";
const USER_TOKEN: &str = "scoped-token-of-someone";

/// What is secret about whoever sent `request`.
fn quoted(request: &Request, padding: usize) -> String {
    let sent = request.header("authorization").unwrap_or_default();
    let body = String::from_utf8_lossy(&request.body);
    let mut secrets = vec![sent, PORT_CLIENT_SECRET, WEBHOOK_SECRET];
    let basic = basic();
    match sent.starts_with("Basic ") {
        true => secrets.extend([basic.as_str(), USER_TOKEN]),
        false => secrets.push(Bitbucket::TOKEN),
    }
    // The padding lets whoever cuts the text cut a secret in two.
    format!("{}{} {body}", ".".repeat(padding), secrets.join(" "))
}

fn basic() -> String {
    STANDARD.encode(format!("{EMAIL}:{USER_TOKEN}"))
}

/// In the shape of either service, or in none.
fn quoting(status: u16, padding: usize) -> FaultKind {
    FaultKind::instead(format!("{status} quoting"), move |request, _| {
        let text = quoted(request, padding);
        let answer = match (status, request.path.starts_with("/2.0/")) {
            (200, _) => Response::text(200, &text),
            (_, true) => Response::json(status, &json!({"error": {"message": text}})),
            (_, false) => Response::json(status, &json!({"error": text, "message": text})),
        };
        answer.with_header("x-trace-id", text.replace(char::is_control, " "))
    })
}

/// A 207 that refuses every entity.
fn refusing_each() -> FaultKind {
    FaultKind::instead("each refused", |request, _| {
        let count = request.json()["entities"].as_array().map_or(0, Vec::len);
        let errors: Vec<_> = (0..count)
            .map(|index| {
                let text = quoted(request, 0);
                json!({"index": index, "statusCode": 422, "error": "invalid_request", "message": text})
            })
            .collect();
        Response::json(207, &json!({"ok": true, "entities": [], "errors": errors}))
    })
}

/// In the name of a user, or of the workspace.
async fn world(is_user: bool) -> World {
    let mut world = World::demo().await;
    if !is_user {
        return world;
    }
    world.bitbucket.accept_basic(EMAIL, USER_TOKEN);
    world.replace_function(Settings::from([
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            String::new(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
            EMAIL.to_owned(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN",
            USER_TOKEN.to_owned(),
        ),
    ]));
    world
}

/// All that anybody gets to see of a resync in `world`.
async fn shown(world: &World) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // It is known from where webhooks are verified.
    let unsigned = ("x-hub-signature".to_owned(), "sha256=00".to_owned());
    world.send("POST", "/webhook", &[unsigned], b"{}").await;
    let mut ended = Vec::new();
    ended.push(match world.invoke(event("eventbridge-rule")).await {
        Ok(outcome) => outcome.to_string(),
        Err(error) => ferry::telemetry::chain(&error),
    });
    for _ in 0..4 {
        ended.push(match world.tick().await {
            Ok(outcome) => outcome.to_string(),
            Err(error) => ferry::telemetry::chain(&error),
        });
    }
    world.port.server().behave();
    world.bitbucket.server().behave();
    let (logs, examples) = (world.port.logs(), world.port.examples());
    format!("{ended:#?}\n{logs:#?}\n{examples:#?}\n{}", lines.text())
}

#[tokio::test]
async fn no_answer_that_quotes_credentials_shows_them_to_anybody() {
    let secrets = [
        Bitbucket::TOKEN,
        USER_TOKEN,
        &basic(),
        PORT_CLIENT_SECRET,
        WEBHOOK_SECRET,
        // Port's access token.
        "sandbox-token-1",
    ];
    for (is_user, side, part, kind) in [
        (false, "Bitbucket", "/projects", quoting(403, 0)),
        (true, "Bitbucket", "/projects", quoting(400, 280)),
        (true, "Bitbucket", "/repositories", quoting(404, 280)),
        (true, "Bitbucket", "", quoting(401, 0)),
        (false, "Bitbucket", "/pullrequests", quoting(200, 280)),
        (false, "Port", "/entities/bulk", quoting(422, 0)),
        (false, "Port", "/entities/bulk", quoting(403, 280)),
        (false, "Port", "/entities/bulk", quoting(200, 280)),
        (false, "Port", "/entities/bulk", refusing_each()),
        (false, "Port", IDENTIFIER, quoting(400, 280)),
        (false, "Port", "access_token", quoting(403, 0)),
        (false, "Port", "access_token", quoting(400, 0)),
    ] {
        let world = world(is_user).await;
        let server = match side {
            "Port" => world.port.server(),
            _ => world.bitbucket.server(),
        };
        let story = format!("{side} {part} {kind}");
        server.misbehave(Fault::new(part, kind).always());
        let shown = shown(&world).await;
        for secret in secrets {
            // Not even the beginning, where the text was cut.
            let beginning: String = secret.chars().take(12).collect();
            let found = shown.lines().find(|line| line.contains(&beginning));
            assert_eq!(found, None, "{story}: {secret}");
        }
        assert!(shown.contains("[REDACTED]"), "{story}: nothing was quoted");
        world.finish();
    }
}
