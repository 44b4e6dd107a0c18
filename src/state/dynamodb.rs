//! The store in a DynamoDB table: one item per document, compressed; more where one has no room for it.
//!
//! The table has the key `pk` (text; a document's folder) and `sk` (text; its name), and `expires` as its time to
//! live. Conditions are DynamoDB's own, so they hold between all invocations.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use uuid::Uuid;

use super::{Expected, Found};
use crate::deadline::Clock;

/// DynamoDB: an item has at most 400 KB, names and the rest of it included.
const MAX_BODY: usize = 350 * 1024;

/// Documents that nobody has written for this long are forgotten. Every run writes those in use.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// The folder of documents that are in none; DynamoDB takes no empty key.
const TOP: &str = ".";

/// How often a document is read again that changes while its parts are read.
const ATTEMPTS: usize = 5;

pub(super) struct Table {
    client: Client,
    name: String,
    clock: Clock,
}

type Item = HashMap<String, AttributeValue>;

impl Table {
    pub(super) fn new(client: Client, name: String, clock: Clock) -> Table {
        Table {
            client,
            name,
            clock,
        }
    }

    pub(super) async fn load(&self, key: &str) -> anyhow::Result<Option<(String, u64)>> {
        let (folder, name) = split(key);
        for _ in 0..ATTEMPTS {
            let request = self
                .client
                .get_item()
                .table_name(&self.name)
                .key("pk", text(folder))
                .key("sk", text(name))
                .consistent_read(true);
            let answer = request.send().await.map_err(|error| self.explain(error))?;
            let Some(item) = answer.item else {
                return Ok(None);
            };
            if let Some(found) = self.document(folder, name, &item).await? {
                return Ok(Some(found));
            }
        }
        Err(anyhow!("it changes faster than it can be read"))
    }

    /// Returns the new version, or `None` if the document is not what was expected.
    pub(super) async fn save(
        &self,
        key: &str,
        document: &str,
        expected: Expected,
    ) -> anyhow::Result<Option<u64>> {
        let (folder, name) = split(key);
        let body = compress(document)?;
        let writer = Uuid::new_v4().to_string();
        let parts: Vec<&[u8]> = match body.len() <= MAX_BODY {
            true => Vec::new(),
            false => body.chunks(MAX_BODY).collect(),
        };
        for (number, part) in parts.iter().enumerate() {
            self.put_part(folder, name, &writer, number, part).await?;
        }
        let inline = if parts.is_empty() {
            body.as_slice()
        } else {
            &[]
        };
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(folder))
            .key("sk", text(name))
            .update_expression("SET #body = :body, #parts = :parts, #writer = :writer, #expires = :expires ADD #version :one")
            .expression_attribute_names("#body", "body")
            .expression_attribute_names("#parts", "parts")
            .expression_attribute_names("#writer", "writer")
            .expression_attribute_names("#expires", "expires")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":body", AttributeValue::B(Blob::new(inline)))
            .expression_attribute_values(":parts", number(parts.len()))
            .expression_attribute_values(":writer", text(&writer))
            .expression_attribute_values(":expires", number(self.expires()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let request = match expected {
            Expected::Anything => request,
            Expected::Absent => request.condition_expression("attribute_not_exists(pk)"),
            Expected::Version(version) => request
                .condition_expression("#version = :expected")
                .expression_attribute_values(":expected", number(version)),
        };
        let old = match request.send().await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) => {
                let Some(found) = condition_failed(&error) else {
                    return Err(self.explain(error));
                };
                // A write whose answer was lost fails on its own success when the SDK repeats it.
                if found.get("writer").and_then(|writer| writer.as_s().ok()) == Some(&writer) {
                    return Ok(Some(whole_number(&found, "version")));
                }
                self.remove_parts(folder, name, &writer, parts.len())
                    .await?;
                return Ok(None);
            }
        };
        self.remove_parts_of(folder, name, &old).await?;
        Ok(Some(whole_number(&old, "version") + 1))
    }

    pub(super) async fn remove(&self, key: &str) -> anyhow::Result<()> {
        let (folder, name) = split(key);
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("pk", text(folder))
            .key("sk", text(name))
            .return_values(ReturnValue::AllOld);
        let answer = request.send().await.map_err(|error| self.explain(error))?;
        let old = answer.attributes.unwrap_or_default();
        self.remove_parts_of(folder, name, &old).await
    }

    /// One page of the documents in `folder`, and where the next one begins.
    pub(super) async fn list(
        &self,
        folder: &str,
        from: Option<Item>,
    ) -> anyhow::Result<(Vec<Found>, Option<Item>)> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :folder")
            .expression_attribute_values(":folder", text(folder))
            .consistent_read(true)
            .set_exclusive_start_key(from);
        let answer = request.send().await.map_err(|error| self.explain(error))?;
        let mut found = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let Some(name) = item.get("sk").and_then(|name| name.as_s().ok()) else {
                continue;
            };
            let document = match self.document(folder, name, &item).await? {
                Some(document) => Some(document),
                None => self.load(&format!("{folder}/{name}")).await?,
            };
            found.extend(document.map(|(text, version)| (name.clone(), text, version)));
        }
        Ok((found, answer.last_evaluated_key))
    }

    /// Text and version of what `item` holds; `None` when its parts have been replaced meanwhile.
    async fn document(
        &self,
        folder: &str,
        name: &str,
        item: &Item,
    ) -> anyhow::Result<Option<(String, u64)>> {
        let mut body = bytes(item).to_vec();
        let writer = item.get("writer").and_then(|writer| writer.as_s().ok());
        let writer = writer.map(String::as_str).unwrap_or_default();
        for part in 0..whole_number(item, "parts") {
            let request = self
                .client
                .get_item()
                .table_name(&self.name)
                .key("pk", text(&parts_folder(folder, name)))
                .key("sk", text(&part_name(writer, part)))
                .consistent_read(true);
            let answer = request.send().await.map_err(|error| self.explain(error))?;
            let Some(part) = answer.item else {
                return Ok(None);
            };
            body.extend_from_slice(bytes(&part));
        }
        let mut document = String::new();
        GzDecoder::new(body.as_slice())
            .read_to_string(&mut document)
            .context("the stored document is not what was stored")?;
        Ok(Some((document, whole_number(item, "version"))))
    }

    async fn put_part(
        &self,
        folder: &str,
        name: &str,
        writer: &str,
        part: usize,
        body: &[u8],
    ) -> anyhow::Result<()> {
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("pk", text(&parts_folder(folder, name)))
            .item("sk", text(&part_name(writer, part)))
            .item("body", AttributeValue::B(Blob::new(body)))
            .item("expires", number(self.expires()));
        request.send().await.map_err(|error| self.explain(error))?;
        Ok(())
    }

    async fn remove_parts_of(&self, folder: &str, name: &str, old: &Item) -> anyhow::Result<()> {
        let writer = old.get("writer").and_then(|writer| writer.as_s().ok());
        let writer = writer.map(String::as_str).unwrap_or_default();
        let parts = usize::try_from(whole_number(old, "parts")).unwrap_or_default();
        self.remove_parts(folder, name, writer, parts).await
    }

    async fn remove_parts(
        &self,
        folder: &str,
        name: &str,
        writer: &str,
        parts: usize,
    ) -> anyhow::Result<()> {
        for part in 0..parts {
            let request = self
                .client
                .delete_item()
                .table_name(&self.name)
                .key("pk", text(&parts_folder(folder, name)))
                .key("sk", text(&part_name(writer, part)));
            request.send().await.map_err(|error| self.explain(error))?;
        }
        Ok(())
    }

    /// Seconds since 1970, as DynamoDB's time to live wants them.
    fn expires(&self) -> i64 {
        crate::deadline::later(self.clock.now(), LIFETIME).as_second()
    }

    fn explain<E>(&self, error: SdkError<E>) -> anyhow::Error
    where
        E: std::error::Error + 'static,
    {
        anyhow!(
            "DynamoDB table `{}`: {}",
            self.name,
            DisplayErrorContext(error)
        )
    }
}

fn condition_failed<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(failed) => {
            Some(failed.item.clone().unwrap_or_default())
        }
        _ => None,
    }
}

/// Folder and name.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or((TOP, key))
}

fn parts_folder(folder: &str, name: &str) -> String {
    format!("parts of {folder}/{name}")
}

fn part_name(writer: &str, part: impl std::fmt::Display) -> String {
    format!("{writer}/{part}")
}

fn compress(document: &str) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(document.as_bytes())?;
    Ok(encoder.finish()?)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn whole_number(item: &Item, name: &str) -> u64 {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn bytes(item: &Item) -> &[u8] {
    let body = item.get("body").and_then(|body| body.as_b().ok());
    body.map(AsRef::as_ref).unwrap_or_default()
}
