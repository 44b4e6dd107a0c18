//! Packs: many objects in one piece, some of them as what differs from another one.

mod delta;
mod entry;

use std::collections::HashMap;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use crate::object::{ObjectId, ObjectKind, Objects};
use crate::{Limits, Unusable};
use entry::{Base, Body, Entry, Reader};

/// The objects of a pack that is complete in itself: a delta whose base is not in it is an error.
pub(crate) fn unpack(pack: &[u8], limits: &Limits) -> Result<Objects, Unusable> {
    let length = pack.len().checked_sub(ObjectId::LENGTH);
    let (content, checksum) = length
        .and_then(|length| pack.split_at_checked(length))
        .ok_or(Unusable::Malformed("a pack without a checksum"))?;
    if Sha1::digest(content).as_slice() != checksum {
        return Err(Unusable::Malformed("a pack with a wrong checksum"));
    }
    let mut budget = Budget {
        left: limits.unpacked,
        limit: limits.unpacked,
    };
    let entries = Reader::of(content)?.entries(&mut budget)?;
    resolve(entries, limits, budget)
}

/// Bytes that may still be unpacked.
struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// Takes `bytes` before they are there.
    fn take(&mut self, bytes: usize) -> Result<(), Unusable> {
        let over = Unusable::TooLarge {
            what: "bytes unpacked",
            limit: self.limit,
        };
        self.left = self.left.checked_sub(bytes).ok_or(over)?;
        Ok(())
    }
}

/// An object in full, and how many deltas it took.
struct Whole {
    offset: usize,
    kind: ObjectKind,
    content: Arc<[u8]>,
    chain: usize,
}

/// Applies deltas from the whole objects on, so that chains of any length take no more than a list, and deltas that lead
/// in a circle are never reached.
fn resolve(entries: Vec<Entry>, limits: &Limits, mut budget: Budget) -> Result<Objects, Unusable> {
    let mut waiting: HashMap<Base, Vec<(usize, Vec<u8>)>> = HashMap::new();
    let mut whole = Vec::new();
    let mut left = entries.len();
    for Entry { offset, body } in entries {
        match body {
            Body::Whole(kind, content) => whole.push(Whole {
                offset,
                kind,
                content: content.into(),
                chain: 0,
            }),
            Body::Delta(base, delta) => waiting.entry(base).or_default().push((offset, delta)),
        }
    }
    let mut objects = Objects::default();
    while let Some(base) = whole.pop() {
        left -= 1;
        let id = ObjectId::of(base.kind, &base.content);
        let by_offset = waiting.remove(&Base::Offset(base.offset));
        let by_id = waiting.remove(&Base::Id(id));
        for (offset, delta) in by_offset.into_iter().chain(by_id).flatten() {
            if limits.chain <= base.chain {
                let (what, limit) = ("deltas in a chain", limits.chain);
                return Err(Unusable::TooLarge { what, limit });
            }
            budget.take(delta::target_size(&delta)?)?;
            whole.push(Whole {
                offset,
                kind: base.kind,
                content: delta::apply(&base.content, &delta)?.into(),
                chain: base.chain + 1,
            });
        }
        objects.insert(id, base.kind, base.content);
    }
    match left {
        0 => Ok(objects),
        _ => Err(Unusable::Malformed("a delta without its base")),
    }
}

#[cfg(test)]
mod tests;
