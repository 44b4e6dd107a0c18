//! How far values reach, so that every recursion over them is bounded.

use indexmap::IndexMap;

use super::{ITEM_BYTES, Text, Val};

/// What walking a value costs. Parts are shared, so a small value may unfold to an enormous one; that each
/// value knows its extent is what bounds every recursion over values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// Levels of nesting.
    pub(crate) levels: u32,
    /// Bytes, every occurrence of a shared part counted.
    pub(crate) bytes: usize,
}

impl Extent {
    /// Adds a part one level below.
    pub(super) fn holding(self, part: Extent) -> Self {
        Self {
            levels: self.levels.max(1 + part.levels),
            bytes: self.bytes.saturating_add(part.bytes),
        }
    }

    pub(super) fn without(self, part: Extent) -> Self {
        Self {
            levels: self.levels,
            bytes: self.bytes.saturating_sub(part.bytes),
        }
    }

    pub(super) fn of_items(items: &[Val]) -> Self {
        let empty = Self {
            levels: 1,
            bytes: ITEM_BYTES,
        };
        items
            .iter()
            .fold(empty, |extent, item| extent.holding(item.extent()))
    }

    pub(super) fn of_entries(entries: &IndexMap<Text, Val>) -> Self {
        let empty = Self {
            levels: 1,
            bytes: ITEM_BYTES,
        };
        entries.iter().fold(empty, |extent, (key, value)| {
            extent.holding(Self::of_key(key)).holding(value.extent())
        })
    }

    pub(super) fn of_key(key: &Text) -> Self {
        Self {
            levels: 0,
            bytes: key.as_str().len(),
        }
    }
}
