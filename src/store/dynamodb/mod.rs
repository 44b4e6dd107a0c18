//! The store in a DynamoDB table: one item per document, compressed; more where one has no room for it.
//!
//! Conditions are DynamoDB's own, so they hold between all invocations. `item` says how a document lies in the table,
//! `call` how long a request may take, `batch` how many documents go in one.

mod batch;
mod call;
mod item;

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Context as _, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::raw::{Address, Draft, Leaf, Revision, Stored};
use crate::deadline::{Clock, Deadline};
use crate::http::Repeats;
use crate::locked::locked;
use call::{Patience, TableRefusal};
use item::{Parts, Sheaf, TableItem};

/// How often a document is read again that changes while its parts are read.
const ATTEMPTS: usize = 5;

pub(super) struct Table {
    client: Client,
    name: String,
    clock: Clock,
    repeats: Repeats,
    /// Documents that this process has seen in parts. A batch does not say what it replaces, so they are written
    /// one by one, and their old parts removed.
    split: Mutex<BTreeSet<Address>>,
}

impl Table {
    pub(super) fn new(client: Client, name: String, clock: Clock) -> Table {
        let config = client.config().to_builder();
        let config = config.retry_config(RetryConfig::disabled()).build();
        Table {
            client: Client::from_conf(config),
            name,
            repeats: Repeats::new(clock.clone()),
            clock,
            split: Mutex::default(),
        }
    }

    pub(super) async fn load(
        &self,
        address: &Address,
        version: u32,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<Option<Stored>> {
        let mut patience = self.patience(deadline);
        let item = self.header(address, &mut patience).await?;
        self.whole(address, item, version, &mut patience).await
    }

    /// False if the document is not what was expected.
    pub(super) async fn save(
        &self,
        address: &Address,
        draft: &Draft,
        expected: Revision,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<bool> {
        let mut patience = self.patience(deadline);
        let sheaf = Sheaf::of(address, draft, self.clock.now())?;
        if !sheaf.parts.is_empty() {
            self.remember_split(address);
            let parts = sheaf.parts.into_iter().map(batch::put).collect();
            self.write_requests(parts, &mut patience).await?;
        }
        let ours = Parts::of(&sheaf.header);
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(sheaf.header))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // A document without a revision is another edition's and counts as absent.
        let request = match expected.expected_number() {
            Some(revision) => request
                .condition_expression("#revision = :expected")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":expected", item::number(revision)),
            None if expected == Revision::ABSENT => request
                .condition_expression(
                    "attribute_not_exists(#revision) OR NOT attribute_type(#revision, :number)",
                )
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":number", AttributeValue::S("N".to_owned())),
            None => request,
        };
        // A write whose answer was lost finds itself when it is repeated.
        let is_ours = |old: &TableItem| item::whole_number(old, "revision") == Some(draft.revision);
        let old = match patience.call(|| request.clone().send()).await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(TableRefusal::Service(PutItemError::ConditionalCheckFailedException(failed))) => {
                let saved = failed.item.as_ref().is_some_and(is_ours);
                if !saved {
                    self.remove_parts(address, ours, &mut patience).await?;
                }
                return Ok(saved);
            }
            Err(refusal) => return Err(self.explain(refusal)),
        };
        if !is_ours(&old) {
            self.remove_parts(address, Parts::of(&old), &mut patience)
                .await?;
        }
        Ok(true)
    }

    /// Removes a document with its parts.
    async fn remove(&self, address: &Address, patience: &mut Patience<'_>) -> anyhow::Result<()> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(item::key(&address.folder, &address.name)))
            .return_values(ReturnValue::AllOld);
        let answer = patience.call(|| request.clone().send()).await;
        let old = answer.map_err(|refusal| self.explain(refusal))?.attributes;
        let parts = old.as_ref().and_then(Parts::of);
        self.remove_parts(address, parts, patience).await
    }

    /// Removes a document with its parts. False if it is another than was expected.
    pub(super) async fn remove_if(
        &self,
        address: &Address,
        expected: Revision,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<bool> {
        let mut patience = self.patience(deadline);
        let Some(revision) = expected.expected_number() else {
            let removes = expected == Revision::ANYTHING;
            if removes {
                self.remove(address, &mut patience).await?;
            }
            return Ok(removes);
        };
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(item::key(&address.folder, &address.name)))
            // A removal whose answer was lost finds nothing when it is repeated.
            .condition_expression("attribute_not_exists(pk) OR #revision = :expected")
            .expression_attribute_names("#revision", "revision")
            .expression_attribute_values(":expected", item::number(revision))
            .return_values(ReturnValue::AllOld);
        let old = match patience.call(|| request.clone().send()).await {
            Ok(answer) => answer.attributes,
            Err(TableRefusal::Service(DeleteItemError::ConditionalCheckFailedException(_))) => {
                return Ok(false);
            }
            Err(refusal) => return Err(self.explain(refusal)),
        };
        let parts = old.as_ref().and_then(Parts::of);
        self.remove_parts(address, parts, &mut patience).await?;
        Ok(true)
    }

    /// One page of the documents of `folder` whose names begin with `prefix` and come after `after`.
    pub(super) async fn list(
        &self,
        folder: &str,
        prefix: &str,
        after: Option<&str>,
        version: u32,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<Leaf<Stored>> {
        let mut patience = self.patience(deadline);
        let from = after.map(|after| item::key(folder, after));
        let request = self.query(folder, prefix).set_exclusive_start_key(from);
        let answer = patience.call(|| request.clone().send()).await;
        let answer = answer.map_err(|refusal| self.explain(refusal))?;
        let more = answer.last_evaluated_key.is_some();
        let mut found = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let Some(address) = item::address(&item) else {
                continue;
            };
            let stored = self.whole(&address, Some(item), version, &mut patience);
            found.extend(stored.await?.map(|stored| (address.name, stored)));
        }
        Ok(Leaf { found, more })
    }

    /// Names of all documents of `folder` that begin with `prefix`.
    pub(super) async fn names(
        &self,
        folder: &str,
        prefix: &str,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut from = None;
        loop {
            let request = self
                .query(folder, prefix)
                .projection_expression("pk, sk")
                .set_exclusive_start_key(from);
            let answer = self
                .patience(deadline)
                .call(|| request.clone().send())
                .await
                .map_err(|refusal| self.explain(refusal))?;
            let items = answer.items.unwrap_or_default();
            let addresses = items.iter().filter_map(item::address);
            names.extend(addresses.map(|address| address.name));
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(names);
            }
        }
    }

    /// The document whose item was read, with its parts; read again where it is replaced meanwhile.
    async fn whole(
        &self,
        address: &Address,
        mut header: Option<TableItem>,
        version: u32,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<Option<Stored>> {
        for _ in 0..ATTEMPTS {
            let Some(item) = header else {
                return Ok(None);
            };
            let Some(parts) = Parts::of(&item) else {
                return Ok(Some(item::stored(&item, item::body(&item))));
            };
            self.remember_split(address);
            if item::version(&item) != Some(version) {
                return Ok(Some(item::stored(&item, None)));
            }
            let packed = self.packed(address, parts, patience).await?;
            if packed.is_some() {
                return Ok(Some(item::stored(&item, packed.as_deref())));
            }
            header = self.header(address, patience).await?;
            if header.as_ref().and_then(Parts::of) == Some(parts) {
                // Nobody has replaced it: its parts are lost.
                return Ok(Some(item::stored(&item, None)));
            }
        }
        Err(anyhow!("it changes faster than it can be read"))
    }

    async fn header(
        &self,
        address: &Address,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<Option<TableItem>> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(item::key(&address.folder, &address.name)))
            .consistent_read(true);
        let answer = patience.call(|| request.clone().send()).await;
        Ok(answer.map_err(|refusal| self.explain(refusal))?.item)
    }

    /// The body of a document that was split; `None` unless all its parts are there.
    async fn packed(
        &self,
        address: &Address,
        parts: Parts,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let (folder, prefix) = (
            item::parts_folder(address),
            item::parts_prefix(parts.revision),
        );
        let (mut packed, mut count, mut from) = (Vec::new(), 0, None);
        loop {
            let request = self.query(&folder, &prefix).set_exclusive_start_key(from);
            let answer = patience.call(|| request.clone().send()).await;
            let answer = answer.map_err(|refusal| self.explain(refusal))?;
            for part in answer.items.unwrap_or_default() {
                packed.extend_from_slice(item::body(&part).unwrap_or_default());
                count += 1;
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok((count == parts.count).then_some(packed));
            }
        }
    }

    fn query(&self, folder: &str, prefix: &str) -> QueryFluentBuilder {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .expression_attribute_values(":folder", text(folder))
            .consistent_read(true);
        match prefix {
            "" => query.key_condition_expression("pk = :folder"),
            // DynamoDB takes no empty prefix.
            prefix => query
                .key_condition_expression("pk = :folder AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix)),
        }
    }

    async fn remove_parts(
        &self,
        address: &Address,
        parts: Option<Parts>,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<()> {
        let Some(parts) = parts else {
            return Ok(());
        };
        let requests = parts.keys(address).map(batch::delete).collect();
        let removed = self.write_requests(requests, patience).await;
        removed.context("parts of what was replaced cannot be removed")
    }

    fn remember_split(&self, address: &Address) {
        let mut split = locked(&self.split);
        split.insert(address.clone());
    }

    fn is_split(&self, address: &Address) -> bool {
        let split = locked(&self.split);
        split.contains(address)
    }

    fn patience(&self, deadline: Option<&Deadline>) -> Patience<'_> {
        Patience::new((&self.clock, &self.repeats), deadline)
    }

    fn explain<E: std::error::Error + ProvideErrorMetadata>(
        &self,
        refusal: TableRefusal<E>,
    ) -> anyhow::Error {
        let error = refusal.into_error();
        anyhow!("DynamoDB table `{}`: {error:#}", self.name)
    }
}
