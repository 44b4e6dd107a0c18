//! The value type that expressions compute with: jq's values, with the bounds of [`super::guard`] in
//! every operation that can loop or grow.
//!
//! It must not know how values are addressed by paths longer than one step (`natives::paths`).

use std::borrow::Borrow;
use std::fmt;
use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value;

use super::{guard, number};

/// Error that an expression may catch.
pub(super) type Error = jaq_core::Error<Val>;
pub(super) type ValR<T = Val> = Result<T, Error>;

/// A jq value. Cloning shares.
#[derive(Clone, Debug)]
pub(super) enum Val {
    Null,
    Bool(bool),
    /// A number whose text follows from its value.
    Num(f64),
    /// A number that arithmetic has not touched and whose text differs from the computed one (`1.0`).
    Literal(Rc<Literal>),
    Str(Text),
    Arr(Rc<Array>),
    Obj(Rc<Object>),
}

#[derive(Debug)]
pub(super) struct Literal {
    pub(super) value: f64,
    pub(super) text: String,
}

/// A shared string; also the key type of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Text(Rc<String>);

/// Items and how far they reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Array {
    extent: Extent,
    items: Vec<Val>,
}

/// Entries in insertion order and how far they reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    extent: Extent,
    entries: IndexMap<Text, Val>,
}

/// What walking a value costs. Parts are shared, so a small value may unfold to an enormous one; that each
/// value knows its extent is what bounds every recursion over values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Levels of nesting.
    pub(super) levels: u32,
    /// Bytes, every occurrence of a shared part counted.
    pub(super) bytes: usize,
}

impl Extent {
    /// Adds a part one level below.
    fn holding(self, part: Extent) -> Self {
        Self {
            levels: self.levels.max(1 + part.levels),
            bytes: self.bytes.saturating_add(part.bytes),
        }
    }

    fn without(self, part: Extent) -> Self {
        Self {
            levels: self.levels,
            bytes: self.bytes.saturating_sub(part.bytes),
        }
    }

    fn of_items(items: &[Val]) -> Self {
        let empty = Self {
            levels: 1,
            bytes: ITEM_BYTES,
        };
        items
            .iter()
            .fold(empty, |extent, item| extent.holding(item.extent()))
    }

    fn of_entries(entries: &IndexMap<Text, Val>) -> Self {
        let empty = Self {
            levels: 1,
            bytes: ITEM_BYTES,
        };
        entries.iter().fold(empty, |extent, (key, value)| {
            extent.holding(Self::of_key(key)).holding(value.extent())
        })
    }

    fn of_key(key: &Text) -> Self {
        Self {
            levels: 0,
            bytes: key.as_str().len(),
        }
    }
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends in place when this is the only reference.
    pub(super) fn push_str(&mut self, tail: &str) -> Result<(), Error> {
        let copied = if Rc::strong_count(&self.0) == 1 {
            0
        } else {
            self.0.len()
        };
        guard::allocate(copied + tail.len())?;
        Rc::make_mut(&mut self.0).push_str(tail);
        Ok(())
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Rc::new(text))
    }
}

/// Size of one value in a container, for the byte budget.
const ITEM_BYTES: usize = size_of::<Val>();
/// Size of one object entry, for the byte budget.
const ENTRY_BYTES: usize = 3 * size_of::<Val>();

impl Array {
    pub(super) fn items(&self) -> &[Val] {
        &self.items
    }
}

impl Object {
    pub(super) fn entries(&self) -> &IndexMap<Text, Val> {
        &self.entries
    }
}

impl Val {
    /// A string that the evaluation creates.
    pub(super) fn text(text: impl Into<String>) -> ValR {
        let text = text.into();
        guard::allocate(text.len())?;
        Ok(Self::Str(text.into()))
    }

    /// An array that the evaluation creates.
    pub(super) fn array(items: Vec<Val>) -> ValR {
        guard::allocate(items.len() * ITEM_BYTES)?;
        let extent = Extent::of_items(&items);
        guard::extent(extent)?;
        Ok(Self::Arr(Rc::new(Array { extent, items })))
    }

    /// An object that the evaluation creates.
    pub(super) fn object(entries: IndexMap<Text, Val>) -> ValR {
        guard::allocate(entries.len() * ENTRY_BYTES)?;
        let extent = Extent::of_entries(&entries);
        guard::extent(extent)?;
        Ok(Self::Obj(Rc::new(Object { extent, entries })))
    }

    /// An object with fixed keys.
    pub(super) fn record<const N: usize>(entries: [(&str, Val); N]) -> ValR {
        Self::object(
            entries
                .into_iter()
                .map(|(key, value)| (Text::from(key.to_owned()), value))
                .collect(),
        )
    }

    /// A number as written in a program or a JSON text; `None` when it is not one.
    pub(super) fn literal(text: &str) -> Option<Val> {
        let value = number::parse(text)?;
        let canonical = number::canonical(text);
        Some(match canonical {
            Some(text) if text != number::print(value) => {
                Self::Literal(Rc::new(Literal { value, text }))
            }
            _ => Self::Num(value),
        })
    }

    /// Converts an input; refuses one nested more deeply than [`guard::MAX_VALUE_DEPTH`].
    pub(super) fn from_json(value: &Value) -> ValR {
        Self::from_json_at(value, guard::MAX_VALUE_DEPTH)
    }

    fn from_json_at(value: &Value, levels: u32) -> ValR {
        let inner = || {
            levels
                .checked_sub(1)
                .ok_or_else(|| Error::str("the input is nested too deeply"))
        };
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::from_number(number),
            Value::String(text) => Self::Str(text.clone().into()),
            Value::Array(items) => {
                let levels = inner()?;
                let items: Vec<Val> = items
                    .iter()
                    .map(|item| Self::from_json_at(item, levels))
                    .collect::<Result<_, _>>()?;
                let extent = Extent::of_items(&items);
                Self::Arr(Rc::new(Array { extent, items }))
            }
            Value::Object(entries) => {
                let levels = inner()?;
                let entries: IndexMap<Text, Val> = entries
                    .iter()
                    .map(|(key, item)| {
                        Ok((Text::from(key.clone()), Self::from_json_at(item, levels)?))
                    })
                    .collect::<Result<_, Error>>()?;
                let extent = Extent::of_entries(&entries);
                Self::Obj(Rc::new(Object { extent, entries }))
            }
        })
    }

    pub(super) fn from_number(number: &serde_json::Number) -> Val {
        if let Some(integer) = number.as_i64() {
            return Self::from_integer(integer);
        }
        let value = number.as_f64().unwrap_or(f64::NAN);
        let text = match number.as_u64() {
            Some(integer) => integer.to_string(),
            // An integer beyond 64 bits arrives as a double; printed in full, as it was most likely written.
            None if value.fract() == 0.0 && (i64::MAX as f64) <= value.abs() => {
                format!("{value:.0}")
            }
            None => number.to_string(),
        };
        Self::literal(&text).unwrap_or(Self::Num(value))
    }

    pub(super) fn from_integer(integer: i64) -> Val {
        let value = integer as f64;
        if value.abs() <= number::MAX_SAFE_INTEGER && value as i64 == integer {
            return Self::Num(value);
        }
        Self::Literal(Rc::new(Literal {
            value,
            text: integer.to_string(),
        }))
    }

    /// The output boundary: what jq would print, as JSON. NaN is null, infinity the greatest double,
    /// an integral number an integer.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Num(value) => number_to_json(*value),
            Self::Literal(literal) => number_to_json(literal.value),
            Self::Str(text) => Value::String(text.as_str().to_owned()),
            Self::Arr(array) => array.items.iter().map(Val::to_json).collect(),
            Self::Obj(object) => Value::Object(
                object
                    .entries
                    .iter()
                    .map(|(key, value)| (key.as_str().to_owned(), value.to_json()))
                    .collect(),
            ),
        }
    }

    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::Arr(array) => array.extent,
            Self::Obj(object) => object.extent,
            Self::Str(text) => Extent {
                levels: 0,
                bytes: ITEM_BYTES + text.as_str().len(),
            },
            _ => Extent {
                levels: 0,
                bytes: ITEM_BYTES,
            },
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Num(_) | Self::Literal(_) => "number",
            Self::Str(_) => "string",
            Self::Arr(_) => "array",
            Self::Obj(_) => "object",
        }
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Num(value) => Some(*value),
            Self::Literal(literal) => Some(literal.value),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(super) fn as_items(&self) -> Option<&[Val]> {
        match self {
            Self::Arr(array) => Some(&array.items),
            _ => None,
        }
    }

    /// The items of an array, taken out when this is the only reference.
    pub(super) fn into_items(self) -> Result<Vec<Val>, Val> {
        match self {
            Self::Arr(array) => Ok(match Rc::try_unwrap(array) {
                Ok(array) => array.items,
                Err(shared) => {
                    guard::count(shared.items.len() / 4);
                    shared.items.clone()
                }
            }),
            other => Err(other),
        }
    }

    /// The entries of an object, taken out when this is the only reference.
    pub(super) fn into_entries(self) -> Result<IndexMap<Text, Val>, Val> {
        match self {
            Self::Obj(object) => Ok(match Rc::try_unwrap(object) {
                Ok(object) => object.entries,
                Err(shared) => {
                    guard::count(shared.entries.len());
                    shared.entries.clone()
                }
            }),
            other => Err(other),
        }
    }

    /// Stores an item into an array, padding with null; in place when this is the only reference.
    pub(super) fn put_item(array: &mut Rc<Array>, index: usize, item: Val) -> Result<(), Error> {
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
    pub(super) fn put_entry(object: &mut Rc<Object>, key: Text, item: Val) -> Result<(), Error> {
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
    pub(super) fn take_item(array: &mut Rc<Array>, index: usize) -> ValR {
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
    pub(super) fn take_entry(object: &mut Rc<Object>, key: &str) -> ValR {
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

    /// Removes an item, if it is there.
    pub(super) fn remove_item(array: &mut Rc<Array>, index: usize) -> Result<(), Error> {
        if index < array.items.len() {
            let array = Self::own_array(array)?;
            let removed = array.items.remove(index);
            array.extent = array.extent.without(removed.extent());
        }
        Ok(())
    }

    /// Removes an entry, if it is there; the others keep their order.
    pub(super) fn remove_entry(object: &mut Rc<Object>, key: &str) -> Result<(), Error> {
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

    /// JSON text as `tojson` prints it.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, usize::MAX);
        out
    }

    /// Appends JSON text, and stops soon after `limit` bytes.
    fn write(&self, out: &mut String, limit: usize) {
        if limit < out.len() {
            return;
        }
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Num(value) => out.push_str(&number::print(*value)),
            Self::Literal(literal) => out.push_str(&literal.text),
            Self::Str(text) => write_string(text.as_str(), out),
            Self::Arr(array) => {
                out.push('[');
                for (index, item) in array.items.iter().enumerate() {
                    if 0 < index {
                        out.push(',');
                    }
                    item.write(out, limit);
                }
                out.push(']');
            }
            Self::Obj(object) => {
                out.push('{');
                for (index, (key, item)) in object.entries.iter().enumerate() {
                    if 0 < index {
                        out.push(',');
                    }
                    write_string(key.as_str(), out);
                    out.push(':');
                    item.write(out, limit);
                }
                out.push('}');
            }
        }
    }

    /// `tostring`: a string as it is, anything else as JSON text.
    pub(super) fn to_plain_text(&self) -> Text {
        match self {
            Self::Str(text) => text.clone(),
            other => other.to_text().into(),
        }
    }

    /// Type and a short excerpt, for error messages.
    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.type_name(), self.excerpt(MESSAGE_EXCERPT))
    }

    /// JSON text of at most `limit` characters.
    pub(super) fn excerpt(&self, limit: usize) -> String {
        let mut text = String::new();
        self.write(&mut text, limit);
        if text.chars().count() <= limit {
            return text;
        }
        let mut short: String = text.chars().take(limit).collect();
        short.push_str("...");
        short
    }
}

/// Characters of a value that an error message may show.
const MESSAGE_EXCERPT: usize = 30;

/// JSON text, shortened: jaq shows values in its own error messages.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.excerpt(MESSAGE_EXCERPT))
    }
}

pub(super) fn number_to_json(value: f64) -> Value {
    if value.is_nan() {
        return Value::Null;
    }
    let value = value.clamp(f64::MIN, f64::MAX);
    if value.fract() == 0.0 {
        if value.abs() < i64::MAX as f64 {
            return Value::from(value as i64);
        }
        if 0.0 < value && value < u64::MAX as f64 {
            return Value::from(value as u64);
        }
    }
    Value::from(value)
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => out.push(char),
        }
    }
    out.push('"');
}
