//! How a document lies in the table.
//!
//! | attribute | of a document | of a part |
//! | --- | --- | --- |
//! | `pk` | its folder | `parts of <folder>/<name>` |
//! | `sk` | its name | its document's revision, in hexadecimal, and its number |
//! | `shape` | the version of its shape | |
//! | `revision` | drawn at random for each writing | |
//! | `body` | JSON, compressed; empty where it has parts | a piece of that |
//! | `parts` | how many it has, if any | |
//! | `expires` | seconds since 1970, if ever; the table's time to live | the same |

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::deadline::later;
use crate::store::raw::{Address, Draft, Revision, Stored};

/// DynamoDB: an item has at most 400 KB, names and the rest of it included.
const MAX_BODY: usize = 350 * 1024;

pub(super) type TableItem = HashMap<String, AttributeValue>;

/// A document as it is written: its parts first.
pub(super) struct Sheaf {
    pub(super) parts: Vec<TableItem>,
    pub(super) header: TableItem,
}

/// What belongs to one writing of a document that was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) revision: u64,
    pub(super) count: u64,
}

impl Sheaf {
    pub(super) fn of(address: &Address, draft: &Draft, now: Timestamp) -> anyhow::Result<Sheaf> {
        let body = compress(&draft.body)?;
        let expires = draft
            .lifetime
            .map(|lifetime| later(now, lifetime).as_second());
        let finished = |mut item: TableItem, body: &[u8]| {
            item.insert("body".to_owned(), AttributeValue::B(Blob::new(body)));
            if let Some(expires) = expires {
                item.insert("expires".to_owned(), number(expires));
            }
            item
        };
        let mut header = key(&address.folder, &address.name);
        header.insert("shape".to_owned(), number(draft.version));
        header.insert("revision".to_owned(), number(draft.revision));
        if body.len() <= MAX_BODY {
            let header = finished(header, &body);
            return Ok(Sheaf {
                parts: Vec::new(),
                header,
            });
        }
        let mut parts = Vec::new();
        for (part, body) in (0..).zip(body.chunks(MAX_BODY)) {
            parts.push(finished(part_key(address, draft.revision, part), body));
        }
        header.insert("parts".to_owned(), number(parts.len()));
        let header = finished(header, &[]);
        Ok(Sheaf { parts, header })
    }
}

impl Parts {
    /// Of the document whose item this is, if it was split.
    pub(super) fn of(item: &TableItem) -> Option<Parts> {
        let revision = whole_number(item, "revision")?;
        let count = whole_number(item, "parts").filter(|count| *count != 0)?;
        Some(Parts { revision, count })
    }

    pub(super) fn keys(self, address: &Address) -> impl Iterator<Item = TableItem> + '_ {
        (0..self.count).map(move |part| part_key(address, self.revision, part))
    }
}

/// The document of this item; `packed` is its whole body, if there is one.
pub(super) fn stored(item: &TableItem, packed: Option<&[u8]>) -> Stored {
    Stored {
        revision: whole_number(item, "revision").map_or(Revision::ABSENT, Revision::number),
        version: version(item),
        body: packed.and_then(|packed| unpack(packed).ok()),
    }
}

/// Of the document's shape.
pub(super) fn version(item: &TableItem) -> Option<u32> {
    whole_number(item, "shape").and_then(|version| u32::try_from(version).ok())
}

pub(super) fn key(folder: &str, name: &str) -> TableItem {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    TableItem::from([
        ("pk".to_owned(), text(folder)),
        ("sk".to_owned(), text(name)),
    ])
}

/// Of an item or a key.
pub(super) fn address(item: &TableItem) -> Option<Address> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some(Address {
        folder: text("pk")?,
        name: text("sk")?,
    })
}

pub(super) fn body(item: &TableItem) -> Option<&[u8]> {
    let body = item.get("body").and_then(|body| body.as_b().ok());
    body.map(AsRef::as_ref)
}

pub(super) fn whole_number(item: &TableItem, name: &str) -> Option<u64> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|value| value.parse().ok())
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn parts_folder(address: &Address) -> String {
    format!("parts of {address}")
}

/// How the names of the parts of one writing begin.
pub(super) fn parts_prefix(revision: u64) -> String {
    format!("{revision:016x}/")
}

/// Parts sort by their number: a document of 10,000 would have gigabytes.
fn part_key(address: &Address, revision: u64, part: u64) -> TableItem {
    let name = format!("{}{part:04}", parts_prefix(revision));
    key(&parts_folder(address), &name)
}

fn compress(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut body)?;
    Ok(body)
}
