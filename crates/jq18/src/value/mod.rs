//! The value type that expressions compute with: jq's values, with the bounds of [`super::guard`] in
//! every operation that can loop or grow.
//!
//! It must not know how values are addressed by paths longer than one step (`natives::paths`).

mod edit;
mod extent;
mod json;
mod print;
mod read;

use std::borrow::Borrow;
use std::rc::Rc;

use indexmap::IndexMap;

use super::{guard, number};

pub(super) use extent::Extent;
pub(super) use json::number_to_json;

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
}
