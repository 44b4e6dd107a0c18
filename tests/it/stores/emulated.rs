//! The store in DynamoDB, against an emulator of it. Needs moto; run by `.ci/run emulated`.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::*;
use crate::emulated::{Aws, count_items};

type Item = HashMap<String, AttributeValue>;

fn store(client: &Client) -> Store {
    Store::dynamodb(client.clone(), "ferry".to_owned(), Clock::System)
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn a_store_in_dynamodb_keeps_documents() {
    let aws = Aws::start();
    let client = aws.create_table("ferry").await;
    check(&store(&client)).await;
    // The generation, the mapping, the lease: nothing else is left, no part of anything.
    assert_eq!(count_items(&aws, "ferry").await, 3);
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn what_is_replaced_leaves_no_part_behind() {
    let aws = Aws::start();
    let client = aws.create_table("ferry").await;
    let (writer, reader) = (store(&client), store(&client));
    let key = key("a");
    for (length, items) in [
        (1_000_000, 1 + 3),
        (600_000, 1 + 2),
        (10, 1),
        (600_000, 1 + 2),
    ] {
        let large = record(&noise(length));
        writer.save(&key, &large, Revision::ANYTHING).await.unwrap();
        assert!(reader.load(&key).await.unwrap().value == Some(large));
        assert_eq!(count_items(&aws, "ferry").await, items, "{length}");
    }
    let lost = writer
        .save(&key, &record(&noise(900_000)), Revision::ABSENT)
        .await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    assert_eq!(count_items(&aws, "ferry").await, 3);
    // A batch does not say what it replaces; who has read it knows.
    reader
        .save_all(vec![(key.clone(), record("small"))])
        .await
        .unwrap();
    assert_eq!(count_items(&aws, "ferry").await, 1);
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn what_cannot_be_understood_in_a_table_is_absent_and_can_be_replaced() {
    let aws = Aws::start();
    let client = aws.create_table("ferry").await;
    let store = store(&client);
    let sound = Generation {
        number: 1,
        fingerprint: "f".to_owned(),
    };
    let key = documents::generation();
    store.save(&key, &sound, Revision::ABSENT).await.unwrap();
    let scan = client.scan().table_name("ferry").send().await.unwrap();
    let item: Item = scan.items.unwrap().remove(0);
    let body = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    let whole = item["body"].as_b().unwrap().as_ref().to_vec();
    let changes: Vec<(&str, Option<AttributeValue>)> = vec![
        ("shape", None),
        ("shape", Some(number(0))),
        ("shape", Some(number(2))),
        ("shape", Some(AttributeValue::S("1".to_owned()))),
        ("shape", Some(number("99999999999999999999"))),
        ("body", None),
        ("body", Some(body(b"garbage"))),
        ("body", Some(body(&whole[..whole.len() / 2]))),
        ("body", Some(AttributeValue::S("{}".to_owned()))),
        ("parts", Some(number(2))),
        ("revision", None),
        ("revision", Some(AttributeValue::S("garbage".to_owned()))),
    ];
    for (attribute, value) in changes {
        let mut item = item.clone();
        item.remove(attribute);
        if let Some(value) = value.clone() {
            item.insert(attribute.to_owned(), value);
        }
        if attribute == "revision" {
            item.remove("shape");
        }
        client
            .put_item()
            .table_name("ferry")
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
        let shown = format!("{attribute}: {value:?}");
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value, None, "{shown}");
        assert_eq!(store.take_unreadable(), ["mapping/generation"], "{shown}");
        let listed = store.load_all(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(listed[0], found, "{shown}");
        store
            .save(&key, &sound, found.revision)
            .await
            .expect(&shown);
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value.as_ref(), Some(&sound), "{shown}");
        store.take_unreadable();
    }
}
