//! Many documents in few requests, several of which are under way at once.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, anyhow};
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Table;
use super::call::Patience;
use super::item::{self, Sheaf, TableItem};
use crate::deadline::Deadline;
use crate::store::raw::{Address, Mutation, Revision, Stored};
use crate::store::reading::Freshness;

/// DynamoDB: keys of one `BatchGetItem`.
const READS: usize = 100;

/// DynamoDB: writes of one `BatchWriteItem`, which has room for as many items of the largest size.
const WRITES: usize = 25;

/// Requests under way at once. More are not answered sooner by a function with one connection pool.
const AT_ONCE: usize = 8;

impl Table {
    /// What lies at each address, in their order. Of a document of another version than is given, only that it is there.
    pub(in crate::store) async fn load_all(
        &self,
        wanted: &[(Address, u32)],
        freshness: Freshness,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<Vec<Option<Stored>>> {
        // DynamoDB refuses to be asked for an item twice.
        let mut keys: Vec<&(Address, u32)> = wanted.iter().collect();
        keys.sort();
        keys.dedup();
        let owned = |page: &[&(Address, u32)]| page.iter().copied().cloned().collect();
        let pages: Vec<BTreeMap<Address, u32>> = keys.chunks(READS).map(owned).collect();
        let pages = pages.into_iter();
        let pages = pages.map(|page| self.load_page(page, freshness, deadline));
        let pages: Vec<Vec<(Address, Stored)>> = stream::iter(pages)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let found: HashMap<Address, Stored> = pages.into_iter().flatten().collect();
        let addresses = wanted.iter().map(|(address, _)| address);
        Ok(addresses.map(|at| found.get(at).cloned()).collect())
    }

    /// Writes and removes, in any order.
    pub(in crate::store) async fn change(
        &self,
        changes: Vec<(Address, Mutation)>,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<()> {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for (address, change) in changes {
            match change {
                change if self.is_split(&address) => alone.push((address, change)),
                Mutation::Remove => {
                    together.push(delete(item::key(&address.folder, &address.name)))
                }
                Mutation::Put(draft) => {
                    let Sheaf { parts, header } = Sheaf::of(&address, &draft, self.clock.now())?;
                    match parts.is_empty() {
                        true => together.push(put(header)),
                        false => alone.push((address, Mutation::Put(draft))),
                    }
                }
            }
        }
        let pages: Vec<Vec<WriteRequest>> = together.chunks(WRITES).map(<[_]>::to_vec).collect();
        let pages = pages.into_iter().map(|page| async move {
            let mut patience = self.patience(deadline);
            self.write_page(page, &mut patience).await
        });
        let alone = alone
            .into_iter()
            .map(|(address, change)| self.change_one(address, change, deadline));
        at_once(pages).await?;
        at_once(alone).await
    }

    async fn load_page(
        &self,
        wanted: BTreeMap<Address, u32>,
        freshness: Freshness,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<Vec<(Address, Stored)>> {
        let mut patience = self.patience(deadline);
        let mut found = Vec::new();
        let addresses: Vec<Address> = wanted.keys().cloned().collect();
        let items = self.read_page(&addresses, freshness, &mut patience).await?;
        for (address, item) in items {
            let version = wanted.get(&address).copied().unwrap_or_default();
            let stored = self.whole(&address, Some(item), version, &mut patience);
            found.extend(stored.await?.map(|stored| (address, stored)));
        }
        Ok(found)
    }

    async fn change_one(
        &self,
        address: Address,
        change: Mutation,
        deadline: Option<&Deadline>,
    ) -> anyhow::Result<()> {
        match change {
            Mutation::Put(draft) => {
                let saved = self.save(&address, &draft, Revision::ANYTHING, deadline);
                saved.await.map(|_| ())
            }
            Mutation::Remove => self.remove(&address, &mut self.patience(deadline)).await,
        }
    }

    /// All of `requests`, one page after the other.
    pub(super) async fn write_requests(
        &self,
        requests: Vec<WriteRequest>,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<()> {
        for page in requests.chunks(WRITES) {
            self.write_page(page.to_vec(), patience).await?;
        }
        Ok(())
    }

    /// Until DynamoDB has left nothing undone.
    async fn write_page(
        &self,
        mut requests: Vec<WriteRequest>,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<()> {
        loop {
            let request = self
                .client
                .batch_write_item()
                .request_items(&self.name, requests);
            let answer = patience.call(|| request.clone().send()).await;
            let answer = answer.map_err(|refusal| self.explain(refusal))?;
            let mut left = answer.unprocessed_items.unwrap_or_default();
            requests = left.remove(&self.name).unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
            if !patience.pause("it takes a part at a time").await {
                return Err(self.throttled("writes", requests.len()));
            }
        }
    }

    /// The items that exist, at most a page of them.
    async fn read_page(
        &self,
        addresses: &[Address],
        freshness: Freshness,
        patience: &mut Patience<'_>,
    ) -> anyhow::Result<Vec<(Address, TableItem)>> {
        let mut keys: Vec<TableItem> = addresses
            .iter()
            .map(|address| item::key(&address.folder, &address.name))
            .collect();
        let mut found = Vec::new();
        loop {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(freshness == Freshness::Latest)
                .build()
                .context("a batch without keys")?;
            let request = self
                .client
                .batch_get_item()
                .request_items(&self.name, wanted);
            let answer = patience.call(|| request.clone().send()).await;
            let answer = answer.map_err(|refusal| self.explain(refusal))?;
            let mut items = answer.responses.unwrap_or_default();
            let items = items.remove(&self.name).unwrap_or_default();
            let got = items.len();
            found.extend(
                items
                    .into_iter()
                    .filter_map(|item| Some((item::address(&item)?, item))),
            );
            let mut left = answer.unprocessed_keys.unwrap_or_default();
            keys = left
                .remove(&self.name)
                .map_or_else(Vec::new, |left| left.keys);
            if keys.is_empty() {
                return Ok(found);
            }
            // An answer has room for 16 MB: the rest of a full one need not wait.
            if got == 0 && !patience.pause("it takes a part at a time").await {
                return Err(self.throttled("reads", keys.len()));
            }
        }
    }

    fn throttled(&self, what: &str, left: usize) -> anyhow::Error {
        anyhow!(
            "DynamoDB table `{}` throttles: {left} {what} are left undone",
            self.name
        )
    }
}

async fn at_once(
    requests: impl Iterator<Item = impl Future<Output = anyhow::Result<()>>>,
) -> anyhow::Result<()> {
    let requests = stream::iter(requests).buffer_unordered(AT_ONCE);
    requests.try_collect().await
}

pub(super) fn put(item: TableItem) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build().ok();
    WriteRequest::builder().set_put_request(put).build()
}

pub(super) fn delete(key: TableItem) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().ok();
    WriteRequest::builder().set_delete_request(delete).build()
}
