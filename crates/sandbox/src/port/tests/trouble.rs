//! Bulk calls of which a part fails, and writes whose answer is lost.

use super::*;
use crate::fault::{Fault, FaultKind};

fn identifiers(client: &Client) -> Vec<String> {
    let entities = client.port.entities();
    entities.into_iter().map(|it| it.identifier).collect()
}

async fn write(client: &Client, names: &[&str]) -> (u16, Value) {
    let entities: Vec<Value> = names
        .iter()
        .map(|name| json!({"identifier": name}))
        .collect();
    client.bulk("project", "merge=true", json!(entities)).await
}

fn places(list: &Value) -> Vec<(u64, String)> {
    let entries = list.as_array().unwrap().iter();
    let place = |it: &Value| {
        (
            it["index"].as_u64().unwrap(),
            it["identifier"].as_str().unwrap().to_owned(),
        )
    };
    entries.map(place).collect()
}

#[tokio::test]
async fn one_entity_fails_and_its_neighbours_are_written() {
    let client = Client::start().await;
    client
        .port
        .server()
        .misbehave(Fault::entity_fails("b", 503));
    let (status, answer) = write(&client, &["a", "b", "c"]).await;
    assert_eq!(status, 207);
    assert_eq!(
        places(&answer["entities"]),
        [(0, "a".into()), (2, "c".into())]
    );
    assert_eq!(places(&answer["errors"]), [(1, "b".into())]);
    assert_eq!(answer["errors"][0]["statusCode"], 503);
    assert_eq!(identifiers(&client), ["a", "c"]);
    // Alone it fails as well; others do not.
    assert_eq!(write(&client, &["b"]).await.0, 207);
    let single = "/v1/blueprints/project/entities?upsert=true&merge=true";
    assert_eq!(client.post(single, json!({"identifier": "b"})).await.0, 503);
    assert_eq!(
        client.post(single, json!({"identifier": "bb"})).await.0,
        201
    );
    assert_eq!(identifiers(&client), ["a", "bb", "c"]);
    client.port.server().behave();
    assert_eq!(write(&client, &["b"]).await.0, 200);
}

#[tokio::test]
async fn every_entity_fails_with_its_own_status() {
    let client = Client::start().await;
    for status in [422, 429, 500] {
        let kind = FaultKind::all_entities_fail(status);
        client.port.server().misbehave(Fault::new("bulk", kind));
        let (whole, answer) = write(&client, &["a", "b"]).await;
        assert_eq!(
            (whole, answer["entities"].as_array().unwrap().len()),
            (207, 0)
        );
        let statuses = answer["errors"].as_array().unwrap().iter();
        let statuses: Vec<&Value> = statuses.map(|it| &it["statusCode"]).collect();
        assert_eq!(statuses, [status, status]);
    }
    assert!(identifiers(&client).is_empty());
}

#[tokio::test]
async fn an_answer_passes_over_entities_that_were_written() {
    let client = Client::start().await;
    let server = client.port.server();
    server.misbehave(Fault::new("bulk", FaultKind::entity_not_mentioned("a")));
    let (status, answer) = write(&client, &["a", "b"]).await;
    assert_eq!(
        (status, places(&answer["entities"])),
        (200, vec![(1, "b".into())])
    );
    server.misbehave(Fault::new("bulk", FaultKind::no_entity_mentioned()));
    let (status, answer) = write(&client, &["c"]).await;
    assert_eq!((status, &answer["entities"]), (200, &json!([])));
    assert_eq!(identifiers(&client), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_write_and_a_deletion_happen_though_their_answers_are_lost() {
    let client = Client::start().await;
    let send = |path: &'static str, body: Value| {
        let url = format!("{}{path}", client.port.url());
        let request = client.http.post(url).bearer_auth(&client.token);
        request.header("user-agent", OURS).json(&body).send()
    };
    client
        .port
        .server()
        .misbehave(Fault::new("/entities", FaultKind::Reset).times(2));
    let write = "/v1/blueprints/project/entities/bulk?upsert=true";
    assert!(
        send(write, json!({"entities": [{"identifier": "a"}]}))
            .await
            .is_err()
    );
    assert_eq!(identifiers(&client), ["a"]);
    let delete = "/v1/blueprints/project/bulk/entities/delete";
    assert!(send(delete, json!({"entities": ["a"]})).await.is_err());
    assert!(identifiers(&client).is_empty());
}

#[tokio::test]
async fn a_token_is_refused_once() {
    let client = Client::start().await;
    client.port.server().misbehave(Fault::refused("bulk", 401));
    let (status, answer) = write(&client, &["a"]).await;
    assert_eq!((status, &answer["error"]), (401, &json!("unauthorized")));
    assert_eq!(write(&client, &["a"]).await.0, 200);
}

#[tokio::test]
async fn searches_lag_behind_or_forget_the_identifiers() {
    let client = Client::start().await;
    write(&client, &["a", "b"]).await;
    let then = client.port.moment();
    write(&client, &["c"]).await;
    let path = "/v1/blueprints/project/entities/search";
    let found = |answer: Value| -> Vec<Value> {
        let entities = answer["entities"].as_array().unwrap().iter();
        entities.map(|it| it["identifier"].clone()).collect()
    };
    let query = || json!({"include": ["$identifier"]});
    let server = client.port.server();
    server.misbehave(Fault::new("/search", client.port.as_of(&then)));
    assert_eq!(found(client.post(path, query()).await.1), ["a", "b"]);
    assert_eq!(found(client.post(path, query()).await.1), ["a", "b", "c"]);
    server.misbehave(Fault::new("/search", FaultKind::without_identifiers()));
    assert_eq!(
        found(client.post(path, query()).await.1),
        [(); 3].map(|()| Value::Null)
    );
}
