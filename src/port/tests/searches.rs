//! Snapshots and ownership.

use sandbox::server::{Fault, FaultKind};

use super::*;

fn fields(entities: &[Entity]) -> MappedFields {
    MappedFields::of(entities)
}

#[tokio::test]
async fn what_was_written_is_unchanged_page_after_page() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities = many(2345);
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&entities, &options, &deadline).await;
    port.took();
    let fields = fields(&entities);
    let snapshot = port.client.snapshot("b", &fields, &deadline).await.unwrap();
    assert_eq!(snapshot.len(), 2345);
    assert!(entities.iter().all(|entity| !snapshot.differs(entity)));
    assert!(snapshot.differs(&entity("b", "new", json!({}), json!({}))));
    assert_eq!(port.server.requests().len(), 3);
    insta::assert_snapshot!(port.server.requests()[0].json(), @r#"{"query":{"combinator":"and","rules":[{"property":"$datasource","operator":"contains","value":"port-ocean/bitbucket-cloud/"},{"property":"$datasource","operator":"contains","value":"/my-bb/exporter"}]},"include":["$identifier","$title","$team","at"],"limit":1000}"#);
    assert_eq!(port.server.requests()[1].json()["from"], "1000");
}

#[tokio::test]
async fn an_unknown_blueprint_is_not_found() {
    let port = Port::start(&[]).await;
    let error = port
        .client
        .snapshot("gone", &MappedFields::default(), &port.deadline())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "blueprint `gone` does not exist in Port (Port trace id t-1)"
    );
}

#[tokio::test]
async fn without_the_paged_route_the_whole_catalogue_is_searched() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities = many(3);
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&entities, &options, &deadline).await;
    for status in [404, 405] {
        port.took();
        port.server
            .misbehave(Fault::status("b/entities/search", status));
        let fields = fields(&entities);
        let snapshot = port.client.snapshot("b", &fields, &deadline).await.unwrap();
        assert!(entities.iter().all(|entity| !snapshot.differs(entity)));
    }
}

#[tokio::test]
async fn a_field_that_may_not_be_asked_for_is_no_obstacle() {
    let port = Port::start(&[("b", json!({}))]).await;
    port.server.misbehave(Fault::status("search", 422));
    let fields = fields(&many(1));
    port.client
        .snapshot("b", &fields, &port.deadline())
        .await
        .unwrap();
    let requests = port.server.take_requests();
    assert_eq!(requests.last().unwrap().json().get("include"), None);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let port = Port::start(&[("b", json!({}))]).await;
    let entities = many(4);
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&entities, &options, &deadline).await;
    port.took();
    let huge = Response::bytes(200, "application/json", vec![b' '; (16 << 20) + 1]);
    port.server
        .misbehave(Fault::new("search", FaultKind::Answer(huge)));
    let fields = fields(&entities);
    let snapshot = port.client.snapshot("b", &fields, &deadline).await.unwrap();
    assert_eq!(snapshot.len(), 4);
    let limits: Vec<Value> = port
        .server
        .take_requests()
        .iter()
        .map(|request| request.json()["limit"].clone())
        .collect();
    assert_eq!(limits, [1000, 500]);
}

#[tokio::test]
async fn owned_entities_are_asked_for_by_data_source_and_time() {
    let port = Port::start(&[("b", json!({}))]).await;
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&many(2), &options, &deadline).await;
    port.took();
    let before = Some(at("2026-11-23T12:00:00Z"));
    let owned = port.client.owned(before, &deadline).await.unwrap();
    assert_eq!(owned, keys(&[("b", "0"), ("b", "1")]));
    insta::assert_snapshot!(port.server.requests()[0].json(), @r#"{"datasource_prefix":"port-ocean/bitbucket-cloud/","datasource_suffix":"/my-bb/exporter","before":"2026-11-23T12:00:00.000000+00:00","limit":5000}"#);
}

#[tokio::test]
async fn without_the_route_for_owned_entities_they_are_searched_for() {
    let port = Port::start(&[("b", json!({}))]).await;
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&many(2), &options, &deadline).await;
    let search = |updated: [Option<&str>; 2]| {
        let entity = |(number, at): (usize, Option<&str>)| {
            let mut entity = json!({"blueprint": "b", "identifier": number.to_string()});
            if let Some(at) = at {
                entity["updatedAt"] = at.into();
            }
            entity
        };
        let found: Vec<Value> = updated.into_iter().enumerate().map(entity).collect();
        let answer = Response::json(200, &json!({"ok": true, "entities": found}));
        Fault::new("v1/entities/search", FaultKind::Answer(answer))
    };
    let before = Some(at("2026-11-23T12:00:00Z"));
    let (early, late) = ("2026-11-23T11:59:59.999Z", "2026-11-23T12:00:00.000Z");
    for (updated, before, wanted) in [
        ([Some(early), Some(late)], before, keys(&[("b", "0")])),
        ([None, Some(early)], before, keys(&[("b", "1")])),
        ([None, Some(late)], None, keys(&[("b", "0"), ("b", "1")])),
    ] {
        port.server
            .misbehave(Fault::status("datasource-entities", 404));
        port.server.misbehave(search(updated));
        let owned = port.client.owned(before, &deadline).await.unwrap();
        assert_eq!(owned, wanted);
    }
}

#[tokio::test]
async fn some_keys_are_checked_in_one_search() {
    let port = Port::start(&[("b", json!({})), ("c", json!({}))]).await;
    let (options, deadline) = (live(true), port.deadline());
    port.client.upsert(&many(2), &options, &deadline).await;
    port.took();
    let asked = keys(&[("c", "x"), ("b", "1"), ("b", "9")]);
    let owned = port.client.owned_among(&asked, &deadline).await.unwrap();
    assert_eq!(owned, keys(&[("b", "1")]));
    assert_eq!(port.server.requests().len(), 1);
    insta::assert_snapshot!(port.server.requests()[0].json()["rules"][2], @r#"{"combinator":"or","rules":[{"combinator":"and","rules":[{"property":"$blueprint","operator":"=","value":"b"},{"property":"$identifier","operator":"in","value":["1","9"]}]},{"combinator":"and","rules":[{"property":"$blueprint","operator":"=","value":"c"},{"property":"$identifier","operator":"in","value":["x"]}]}]}"#);
}
