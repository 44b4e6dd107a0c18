//! Changes arrays and objects: in place where no other value holds them, else in a copy.

use std::rc::Rc;

use super::extent::Extent;
use super::{Array, ENTRY_BYTES, Error, ITEM_BYTES, Object, Text, Val, ValR};
use crate::guard;

impl Val {
    /// Stores an item into an array, padding with null; in place when this is the only reference.
    pub(crate) fn put_item(array: &mut Rc<Array>, index: usize, item: Val) -> Result<(), Error> {
        // An index may be as large as a double can be.
        let grown = index.saturating_add(1).saturating_sub(array.items.len());
        guard::allocate(grown.saturating_mul(ITEM_BYTES))?;
        let old = array
            .items
            .get(index)
            .map_or(Extent::default(), Val::extent);
        let mut extent = array.extent.without(old).holding(item.extent());
        extent.bytes = extent
            .bytes
            .saturating_add(grown.saturating_mul(ITEM_BYTES));
        guard::extent(extent)?;
        let array = Self::own_array(array)?;
        if array.items.len() <= index {
            array.items.resize(index + 1, Val::Null);
        }
        array.items[index] = item;
        array.extent = extent;
        Ok(())
    }

    /// Stores an entry into an object; in place when this is the only reference.
    pub(crate) fn put_entry(object: &mut Rc<Object>, key: Text, item: Val) -> Result<(), Error> {
        guard::allocate(ENTRY_BYTES)?;
        let kept = match object.entries.get(&key) {
            Some(old) => object.extent.without(old.extent()),
            None => object.extent.holding(Extent::of_key(&key)),
        };
        let extent = kept.holding(item.extent());
        guard::extent(extent)?;
        let object = Self::own_object(object)?;
        object.entries.insert(key, item);
        object.extent = extent;
        Ok(())
    }

    /// Takes an item out and leaves null, so that it can be changed without being copied.
    pub(crate) fn take_item(array: &mut Rc<Array>, index: usize) -> ValR {
        let array = Self::own_array(array)?;
        let Some(slot) = array.items.get_mut(index) else {
            return Ok(Self::Null);
        };
        let taken = std::mem::replace(slot, Self::Null);
        array.extent = array
            .extent
            .without(taken.extent())
            .holding(Self::Null.extent());
        Ok(taken)
    }

    /// Takes the value of a key out and leaves null, so that it can be changed without being copied.
    pub(crate) fn take_entry(object: &mut Rc<Object>, key: &str) -> ValR {
        let object = Self::own_object(object)?;
        let Some(slot) = object.entries.get_mut(key) else {
            return Ok(Self::Null);
        };
        let taken = std::mem::replace(slot, Self::Null);
        object.extent = object
            .extent
            .without(taken.extent())
            .holding(Self::Null.extent());
        Ok(taken)
    }

    /// Removes an entry, if it is there; the others keep their order.
    pub(crate) fn remove_entry(object: &mut Rc<Object>, key: &str) -> Result<(), Error> {
        let object = Self::own_object(object)?;
        if let Some((key, removed)) = object.entries.shift_remove_entry(key) {
            object.extent = object
                .extent
                .without(removed.extent())
                .without(Extent::of_key(&key));
        }
        Ok(())
    }

    /// The array itself when this is the only reference, a copy otherwise.
    fn own_array(array: &mut Rc<Array>) -> ValR<&mut Array> {
        if Rc::strong_count(array) != 1 {
            guard::allocate(array.items.len() * ITEM_BYTES)?;
        }
        Ok(Rc::make_mut(array))
    }

    /// The object itself when this is the only reference, a copy otherwise.
    fn own_object(object: &mut Rc<Object>) -> ValR<&mut Object> {
        if Rc::strong_count(object) != 1 {
            guard::allocate(object.entries.len() * ENTRY_BYTES)?;
        }
        Ok(Rc::make_mut(object))
    }
}
