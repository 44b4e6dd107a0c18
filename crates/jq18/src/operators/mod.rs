//! What jaq asks of a value type: arithmetic, one-step access, construction, with jq's rules for null,
//! mixed types and bounds.

mod access;

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use indexmap::IndexMap;
use jaq_core::box_iter::BoxIter;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{ValT, ValX};

use super::guard;
use super::value::{Error, Text, Val, ValR};

pub(super) use access::cannot_index;
use access::cannot_iterate;

fn refuse(left: &Val, right: &Val, problem: &str) -> Error {
    Error::str(format!(
        "{} and {} {problem}",
        left.describe(),
        right.describe()
    ))
}

impl Add for Val {
    type Output = ValR;

    fn add(self, other: Self) -> ValR {
        guard::work(1)?;
        match (self, other) {
            (Val::Null, value) | (value, Val::Null) => Ok(value),
            (Val::Str(mut left), Val::Str(right)) => {
                left.push_str(right.as_str())?;
                Ok(Val::Str(left))
            }
            (Val::Arr(mut left), right @ Val::Arr(_)) => {
                let right = right.into_items().unwrap_or_default();
                if left.items().is_empty() {
                    return Val::array(right);
                }
                let start = left.items().len();
                for (offset, item) in right.into_iter().enumerate() {
                    Val::put_item(&mut left, start + offset, item)?;
                }
                Ok(Val::Arr(left))
            }
            (Val::Obj(mut left), right @ Val::Obj(_)) => {
                for (key, value) in right.into_entries().unwrap_or_default() {
                    Val::put_entry(&mut left, key, value)?;
                }
                Ok(Val::Obj(left))
            }
            (left, right) => match (left.as_f64(), right.as_f64()) {
                (Some(left), Some(right)) => Ok(Val::Num(left + right)),
                _ => Err(refuse(&left, &right, "cannot be added")),
            },
        }
    }
}

impl Sub for Val {
    type Output = ValR;

    fn sub(self, other: Self) -> ValR {
        guard::work(1)?;
        match (self, other) {
            (left @ Val::Arr(_), Val::Arr(right)) => {
                let kept = left.into_items().unwrap_or_default().into_iter();
                Val::array(kept.filter(|item| !right.items().contains(item)).collect())
            }
            (left, right) => match (left.as_f64(), right.as_f64()) {
                (Some(left), Some(right)) => Ok(Val::Num(left - right)),
                _ => Err(refuse(&left, &right, "cannot be subtracted")),
            },
        }
    }
}

impl Mul for Val {
    type Output = ValR;

    fn mul(self, other: Self) -> ValR {
        guard::work(1)?;
        match (self, other) {
            (Val::Str(text), times) | (times, Val::Str(text)) if times.as_f64().is_some() => {
                let times = times.as_f64().unwrap_or(f64::NAN);
                if times < 0.0 || times.is_nan() {
                    return Ok(Val::Null);
                }
                if i32::MAX as f64 <= text.as_str().len() as f64 * times {
                    return Err(Error::str("Repeat string result too long"));
                }
                let times = times as usize;
                guard::allocate(text.as_str().len().saturating_mul(times))?;
                Ok(Val::Str(text.as_str().repeat(times).into()))
            }
            (left @ Val::Obj(_), right @ Val::Obj(_)) => merge(left, right),
            (left, right) => match (left.as_f64(), right.as_f64()) {
                (Some(left), Some(right)) => Ok(Val::Num(left * right)),
                _ => Err(refuse(&left, &right, "cannot be multiplied")),
            },
        }
    }
}

/// Merges objects at every level; values are no deeper than the guard allows, so recursion is bounded.
fn merge(left: Val, right: Val) -> ValR {
    match (left, right) {
        (Val::Obj(mut left), right @ Val::Obj(_)) => {
            for (key, value) in right.into_entries().unwrap_or_default() {
                let value = match (left.entries().get(key.as_str()), &value) {
                    (Some(old @ Val::Obj(_)), Val::Obj(_)) => merge(old.clone(), value)?,
                    _ => value,
                };
                Val::put_entry(&mut left, key, value)?;
            }
            Ok(Val::Obj(left))
        }
        (_, right) => Ok(right),
    }
}

impl Div for Val {
    type Output = ValR;

    fn div(self, other: Self) -> ValR {
        guard::work(1)?;
        if let (Val::Str(text), Val::Str(separator)) = (&self, &other) {
            return split(text.as_str(), separator.as_str());
        }
        match (self.as_f64(), other.as_f64()) {
            (Some(_), Some(0.0)) => Err(refuse(
                &self,
                &other,
                "cannot be divided because the divisor is zero",
            )),
            (Some(left), Some(right)) => Ok(Val::Num(left / right)),
            _ => Err(refuse(&self, &other, "cannot be divided")),
        }
    }
}

/// Splits at every occurrence; the empty separator splits into characters, the empty text into nothing.
pub(super) fn split(text: &str, separator: &str) -> ValR {
    guard::allocate(text.len())?;
    let part = |part: &str| Val::Str(part.to_owned().into());
    Val::array(if text.is_empty() {
        Vec::new()
    } else if separator.is_empty() {
        text.chars()
            .map(|char| Val::Str(char.to_string().into()))
            .collect()
    } else {
        text.split(separator).map(part).collect()
    })
}

impl Rem for Val {
    type Output = ValR;

    fn rem(self, other: Self) -> ValR {
        guard::work(1)?;
        match (self.as_f64(), other.as_f64()) {
            (Some(left), Some(right)) if left.is_nan() || right.is_nan() => Ok(Val::Num(f64::NAN)),
            // Both are cut to integers first; `as` saturates.
            (Some(left), Some(right)) => {
                match (left as i64).checked_rem((right as i64).saturating_abs()) {
                    Some(rest) => Ok(Val::Num(rest as f64)),
                    None => Err(refuse(
                        &self,
                        &other,
                        "cannot be divided (remainder) because the divisor is zero",
                    )),
                }
            }
            _ => Err(refuse(&self, &other, "cannot be divided (remainder)")),
        }
    }
}

impl Neg for Val {
    type Output = ValR;

    fn neg(self) -> ValR {
        match &self {
            // jq prints the negation of zero without its sign.
            Val::Num(0.0) => Ok(Val::Num(0.0)),
            Val::Num(value) => Ok(Val::Num(-value)),
            Val::Literal(literal) => {
                let text = match literal.text.strip_prefix('-') {
                    Some(positive) => positive.to_owned(),
                    None if literal.value == 0.0 => literal.text.clone(),
                    None => format!("-{}", literal.text),
                };
                Ok(Val::literal(&text).unwrap_or(Val::Num(-literal.value)))
            }
            _ => Err(Error::str(format!("{} cannot be negated", self.describe()))),
        }
    }
}

impl From<bool> for Val {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<isize> for Val {
    fn from(integer: isize) -> Self {
        Self::from_integer(integer as i64)
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

/// The path element of a slice.
impl From<Range<Val>> for Val {
    fn from(range: Range<Val>) -> Self {
        Self::record([
            ("start", range.start.unwrap_or(Val::Null)),
            ("end", range.end.unwrap_or(Val::Null)),
        ])
        .unwrap_or(Val::Null)
    }
}

/// `[f]`. The trait leaves no way to fail; when a bound is hit the result is null and the guard makes
/// the evaluation fail.
impl FromIterator<Val> for Val {
    fn from_iter<I: IntoIterator<Item = Val>>(items: I) -> Self {
        Self::array(items.into_iter().collect()).unwrap_or(Val::Null)
    }
}

/// One step per item, so that nested loops are bounded by what they produce.
fn stepped<T: 'static>(
    items: impl Iterator<Item = T> + 'static,
) -> Box<dyn Iterator<Item = ValR<T>>> {
    let mut ended = false;
    Box::new(items.map_while(move |item| {
        if ended {
            return None;
        }
        Some(guard::work(2).map(|()| item).inspect_err(|_| ended = true))
    }))
}

impl ValT for Val {
    fn from_num(text: &str) -> ValR {
        Self::literal(text).ok_or_else(|| Error::str(format!("Invalid numeric literal {text}")))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR {
        let keyed = entries.into_iter().map(|(key, value)| match key {
            Val::Str(key) => Ok((key, value)),
            key => Err(Error::str(format!(
                "Cannot use {} as object key",
                key.describe()
            ))),
        });
        let entries: IndexMap<Text, Val> = keyed.collect::<Result<_, _>>()?;
        Self::object(entries)
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Self, Self)>> {
        match self {
            array @ Val::Arr(_) => {
                let items = array.into_items().unwrap_or_default().into_iter();
                let pairs = items.enumerate();
                stepped(pairs.map(|(index, item)| (Val::Num(index as f64), item)))
            }
            object @ Val::Obj(_) => {
                let entries = object.into_entries().unwrap_or_default().into_iter();
                stepped(entries.map(|(key, item)| (Val::Str(key), item)))
            }
            other => Box::new(std::iter::once(Err(cannot_iterate(&other)))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        match self {
            array @ Val::Arr(_) => stepped(array.into_items().unwrap_or_default().into_iter()),
            object @ Val::Obj(_) => stepped(
                object
                    .into_entries()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(_, item)| item),
            ),
            other => Box::new(std::iter::once(Err(cannot_iterate(&other)))),
        }
    }

    fn index(self, index: &Self) -> ValR {
        self.item_at(index)
    }

    fn range(self, range: Range<&Self>) -> ValR {
        self.slice(range)
    }

    // Updates never reach the value: the parser turns them into calls of natives that work on paths,
    // as jq itself defines them.
    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::path_expr(self).into())
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: &Self,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::path_expr(self).into())
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: Range<&Self>,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::path_expr(self).into())
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Val::Str(_) => self,
            other => {
                let text = other.to_text();
                // The trait leaves no way to fail here; the guard remembers.
                match guard::allocate(text.len()) {
                    Ok(()) => Val::Str(text.into()),
                    Err(_) => Val::Null,
                }
            }
        }
    }
}
