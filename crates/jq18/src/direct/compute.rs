//! Comparing, arithmetic and `tostring`, where the answer is the same however numbers are held.

use std::borrow::Cow;

use jaq_core::ops::{Cmp, Math};
use serde_json::{Number, Value};

use super::{Answer, Unsure};
use crate::number::MAX_SAFE_INTEGER;
use crate::value::number_to_json;

/// A number that is the same in all representations.
fn exact(number: &Number) -> Result<f64, Unsure> {
    match number.as_f64() {
        Some(value) if value.is_finite() && value.abs() <= MAX_SAFE_INTEGER => Ok(value),
        _ => Err(Unsure),
    }
}

pub(super) fn compare(left: &Value, comparison: Cmp, right: &Value) -> Result<bool, Unsure> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Null, Value::Null) => std::cmp::Ordering::Equal,
        (Value::Number(left), Value::Number(right)) => {
            exact(left)?.partial_cmp(&exact(right)?).ok_or(Unsure)?
        }
        (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => {
            return Err(Unsure);
        }
        // Of different types: not equal, and which is less follows jq's order of types.
        _ => match comparison {
            Cmp::Eq => return Ok(false),
            Cmp::Ne => return Ok(true),
            _ => return Err(Unsure),
        },
    };
    Ok(match comparison {
        Cmp::Eq => order.is_eq(),
        Cmp::Ne => order.is_ne(),
        Cmp::Lt => order.is_lt(),
        Cmp::Le => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::Ge => order.is_ge(),
    })
}

pub(super) fn calculate<'v>(
    left: Cow<'v, Value>,
    operation: Math,
    right: Cow<'v, Value>,
) -> Answer<'v> {
    Ok(match (&*left, operation, &*right) {
        (Value::Null, Math::Add, _) => right,
        (_, Math::Add, Value::Null) => left,
        (Value::String(_), Math::Add, Value::String(tail)) => {
            let mut text = match left.into_owned() {
                Value::String(text) => text,
                _ => return Err(Unsure),
            };
            text.push_str(tail);
            Cow::Owned(Value::String(text))
        }
        (Value::Number(left), operation, Value::Number(right)) => {
            let (left, right) = (exact(left)?, exact(right)?);
            let result = match operation {
                Math::Add => left + right,
                Math::Sub => left - right,
                Math::Mul => left * right,
                Math::Div if right != 0.0 => left / right,
                Math::Div | Math::Rem => return Err(Unsure),
            };
            Cow::Owned(number_to_json(result))
        }
        _ => return Err(Unsure),
    })
}

/// `tostring`, of what is printed the same by everyone.
pub(super) fn plain_text(value: &Value) -> Result<Cow<'_, str>, Unsure> {
    Ok(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Number(number) => Cow::Owned(number.as_i64().ok_or(Unsure)?.to_string()),
        Value::Array(_) | Value::Object(_) => return Err(Unsure),
    })
}
