//! Inputs from JSON, and outputs as JSON.

use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value;

use super::extent::Extent;
use super::{Array, Error, Literal, Object, Text, Val, ValR};
use crate::{guard, number};

impl Val {
    /// Converts an input; refuses one nested more deeply than [`guard::MAX_VALUE_DEPTH`].
    pub(crate) fn from_json(value: &Value) -> ValR {
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

    pub(crate) fn from_number(number: &serde_json::Number) -> Val {
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

    pub(crate) fn from_integer(integer: i64) -> Val {
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
    pub(crate) fn to_json(&self) -> Value {
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
}

pub(crate) fn number_to_json(value: f64) -> Value {
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
