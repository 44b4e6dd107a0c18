//! Arrays and objects: order, groups, entries, membership.

use std::cmp::Ordering;

use indexmap::IndexMap;
use jaq_core::ValT;
use jaq_core::native::Fun;

use super::control::truthy;
use super::{fail, of_argument, of_input};
use crate::engine::Data;
use crate::guard;
use crate::operators::cannot_index;
use crate::value::{Error, Text, Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_input!("type", |value: Val| Ok(Val::Str(
            value.type_name().to_owned().into()
        ))),
        of_input!("length", length),
        of_input!("keys", |value: Val| {
            let mut keys = keys(value)?;
            keys.sort_by(Val::total_order);
            Val::array(keys)
        }),
        of_input!("keys_unsorted", |value: Val| Val::array(keys(value)?)),
        of_argument!("has", has),
        of_argument!("contains", |value: Val, part: Val| contains(&value, &part)
            .map(Val::Bool)),
        of_input!("add", |value: Val| {
            value.values().try_fold(Val::Null, |sum, item| sum + item?)
        }),
        of_input!("to_entries", |value: Val| {
            if !matches!(value, Val::Arr(_) | Val::Obj(_)) {
                return fail(format!("{} has no keys", value.describe()));
            }
            let entries = value.key_values().map(|entry| {
                let (key, value) = entry?;
                Val::record([("key", key), ("value", value)])
            });
            Val::array(entries.collect::<Result<_, _>>()?)
        }),
        of_input!("from_entries", from_entries),
        of_input!("sort", |value: Val| {
            let mut items = sortable(value)?;
            items.sort_by(Val::total_order);
            Val::array(items)
        }),
        of_argument!("sort_by!", |value: Val, keys: Val| {
            Val::array(
                by_key(value, keys)?
                    .into_iter()
                    .map(|(_, item)| item)
                    .collect(),
            )
        }),
        of_argument!("group_by!", |value: Val, keys: Val| {
            let groups = groups(by_key(value, keys)?);
            Val::array(
                groups
                    .into_iter()
                    .map(Val::array)
                    .collect::<Result<_, _>>()?,
            )
        }),
        of_input!("unique", |value: Val| {
            let mut items = sortable(value)?;
            items.sort_by(Val::total_order);
            items.dedup_by(|next, kept| next.total_order(kept).is_eq());
            Val::array(items)
        }),
        of_input!("min", |value: Val| Ok(extreme(
            sorted_pairs(value, None)?,
            false
        ))),
        of_input!("max", |value: Val| Ok(extreme(
            sorted_pairs(value, None)?,
            true
        ))),
        of_argument!("min_by!", |value: Val, keys| Ok(extreme(
            sorted_pairs(value, Some(keys))?,
            false
        ))),
        of_argument!("max_by!", |value: Val, keys| Ok(extreme(
            sorted_pairs(value, Some(keys))?,
            true
        ))),
        of_input!("reverse", |value: Val| match value {
            Val::Null => Val::array(Vec::new()),
            Val::Arr(_) => {
                let mut items = value.into_items().unwrap_or_default();
                items.reverse();
                Val::array(items)
            }
            other => match length(other.clone())?.as_f64() {
                Some(length) if length.is_nan() || 0.0 < length =>
                    Err(cannot_index(&other, &Val::Num(length - 1.0))),
                _ => Val::array(Vec::new()),
            },
        }),
        of_input!("flatten", |value: Val| flatten_to(value, f64::INFINITY)),
        of_argument!("flatten", |value: Val, depth: Val| match depth.as_f64() {
            Some(depth) if depth < 0.0 => fail("flatten depth must not be negative"),
            Some(depth) if depth.is_nan() => fail("flatten depth must not be negative"),
            Some(depth) => flatten_to(value, depth),
            None if depth.total_order(&Val::Num(0.0)).is_lt() => {
                fail("flatten depth must not be negative")
            }
            None => flatten_to(value, f64::INFINITY),
        }),
        of_input!("transpose", transpose),
        of_argument!("bsearch", bsearch),
        of_input!("toboolean", |value: Val| match (&value, value.as_str()) {
            (Val::Bool(_), _) => Ok(value),
            (_, Some("true")) => Ok(Val::Bool(true)),
            (_, Some("false")) => Ok(Val::Bool(false)),
            _ => fail(format!(
                "{} cannot be parsed as a boolean",
                value.describe()
            )),
        }),
    ]);
}

fn length(value: Val) -> ValR {
    let length = match &value {
        Val::Null => 0,
        Val::Str(text) => {
            guard::work(1 + text.as_str().len() / 64)?;
            text.as_str().chars().count()
        }
        Val::Arr(array) => array.items().len(),
        Val::Obj(object) => object.entries().len(),
        Val::Bool(_) => return fail(format!("{} has no length", value.describe())),
        Val::Literal(literal) if 0.0 <= literal.value => return Ok(value),
        Val::Literal(_) => return -value,
        Val::Num(number) => return Ok(Val::Num(number.abs())),
    };
    Ok(Val::Num(length as f64))
}

fn keys(value: Val) -> ValR<Vec<Val>> {
    match &value {
        Val::Arr(array) => Ok((0..array.items().len())
            .map(|index| Val::Num(index as f64))
            .collect()),
        Val::Obj(object) => {
            guard::work(object.entries().len())?;
            Ok(object.entries().keys().cloned().map(Val::Str).collect())
        }
        other => fail(format!("{} has no keys", other.describe())),
    }
}

fn has(value: Val, key: Val) -> ValR {
    match (&value, &key) {
        (Val::Obj(object), Val::Str(key)) => {
            Ok(Val::Bool(object.entries().contains_key(key.as_str())))
        }
        (Val::Arr(array), Val::Num(_) | Val::Literal(_)) => {
            let index = key.as_f64().unwrap_or(f64::NAN);
            Ok(Val::Bool(
                0.0 <= index && index < array.items().len() as f64,
            ))
        }
        (Val::Null, _) => Ok(Val::Bool(false)),
        _ => fail(format!(
            "Cannot check whether {} has a {} key",
            value.type_name(),
            key.type_name()
        )),
    }
}

/// Whether every part is found somewhere in `value`; values are no deeper than the guard allows.
/// In jq true and false are of different kinds.
fn same_kind(value: &Val, part: &Val) -> bool {
    match (value, part) {
        (Val::Bool(value), Val::Bool(part)) => value == part,
        _ => value.type_name() == part.type_name(),
    }
}

fn contains(value: &Val, part: &Val) -> ValR<bool> {
    guard::work(1)?;
    match (value, part) {
        (Val::Obj(object), Val::Obj(part)) => {
            for (key, part) in part.entries() {
                match object.entries().get(key.as_str()) {
                    Some(value) if same_kind(value, part) && contains(value, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Val::Arr(array), Val::Arr(parts)) => {
            for part in parts.items() {
                let mut found = false;
                for item in array.items() {
                    if same_kind(item, part) && contains(item, part)? {
                        found = true;
                        break;
                    }
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Val::Str(text), Val::Str(part)) => {
            guard::work(1 + text.as_str().len() / 64)?;
            Ok(text.as_str().contains(part.as_str()))
        }
        _ if same_kind(value, part) => Ok(value == part),
        _ => fail(format!(
            "{} and {} cannot have their containment checked",
            value.describe(),
            part.describe()
        )),
    }
}

fn from_entries(value: Val) -> ValR {
    let mut entries: IndexMap<Text, Val> = IndexMap::new();
    for entry in value.values() {
        let entry = entry?;
        let mut key = Val::Null;
        for name in ["key", "Key", "name", "Name"] {
            let found = entry.clone().index(&Val::Str(name.to_owned().into()))?;
            if truthy(&found) {
                key = found;
                break;
            }
        }
        let Val::Str(key) = key else {
            return fail(format!("Cannot use {} as object key", key.describe()));
        };
        let item = match &entry {
            Val::Obj(object) => {
                let found = object
                    .entries()
                    .get("value")
                    .or_else(|| object.entries().get("Value"));
                found.cloned().unwrap_or(Val::Null)
            }
            _ => Val::Null,
        };
        entries.insert(key, item);
    }
    Val::object(entries)
}

fn sortable(value: Val) -> ValR<Vec<Val>> {
    guard::allocate(value.as_items().map_or(0, <[Val]>::len) * 16)?;
    value.into_items().or_else(|value| {
        fail(format!(
            "{} cannot be sorted, as it is not an array",
            value.describe()
        ))
    })
}

/// Items with their keys, in the order of the keys; equal keys keep the order of the items.
fn by_key(value: Val, keys: Val) -> ValR<Vec<(Val, Val)>> {
    let items = value.into_items().or_else(|value| {
        fail(format!(
            "{} and {} cannot be sorted, as they are not both arrays",
            value.describe(),
            keys.describe()
        ))
    })?;
    let mut pairs: Vec<(Val, Val)> = keys
        .into_items()
        .unwrap_or_default()
        .into_iter()
        .zip(items)
        .collect();
    pairs.sort_by(|left, right| left.0.total_order(&right.0));
    Ok(pairs)
}

fn groups(pairs: Vec<(Val, Val)>) -> Vec<Vec<Val>> {
    let mut groups: Vec<(Val, Vec<Val>)> = Vec::new();
    for (key, item) in pairs {
        match groups.last_mut() {
            Some((last, group)) if last.total_order(&key).is_eq() => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn sorted_pairs(value: Val, keys: Option<Val>) -> ValR<Vec<(Val, Val)>> {
    let keys = keys.unwrap_or_else(|| value.clone());
    if value.as_items().is_none() {
        return fail(format!(
            "{} and {} cannot be iterated over",
            value.describe(),
            keys.describe()
        ));
    }
    by_key(value, keys)
}

/// The least item, the first of equals, or the greatest, the last of equals.
fn extreme(pairs: Vec<(Val, Val)>, greatest: bool) -> Val {
    let mut pairs = pairs.into_iter();
    let found = if greatest {
        pairs.next_back()
    } else {
        pairs.next()
    };
    found.map_or(Val::Null, |(_, item)| item)
}

/// The steps are jq's, so that an array without order gives the same.
fn bsearch(value: Val, wanted: Val) -> ValR {
    let Some(items) = value.as_items() else {
        return fail(format!("{} cannot be searched from", value.describe()));
    };
    let (mut start, mut end) = (0, items.len());
    while start < end {
        let middle = start + (end - start) / 2;
        match items.get(middle).map(|item| wanted.total_order(item)) {
            Some(Ordering::Less) => end = middle,
            Some(Ordering::Greater) => start = middle + 1,
            Some(Ordering::Equal) | None => return Ok(Val::Num(middle as f64)),
        }
    }
    Ok(Val::Num(-1.0 - start as f64))
}

fn flatten_to(value: Val, depth: f64) -> ValR {
    let mut flat = Vec::new();
    for item in value.values() {
        flatten_into(item?, depth, &mut flat)?;
    }
    Val::array(flat)
}

fn flatten_into(item: Val, depth: f64, flat: &mut Vec<Val>) -> ValR<()> {
    guard::work(1)?;
    // Only zero ends it, as in jq: half a level never comes to it.
    if !matches!(item, Val::Arr(_)) || depth == 0.0 {
        flat.push(item);
        return Ok(());
    }
    for inner in item.into_items().unwrap_or_default() {
        flatten_into(inner, depth - 1.0, flat)?;
    }
    Ok(())
}

/// Rows as long as the longest; jq asks each for its length, so an empty text is a row as well, until it is asked for
/// more.
fn transpose(value: Val) -> ValR {
    let rows: Vec<Val> = value.values().collect::<Result<_, _>>()?;
    let lengths = rows
        .iter()
        .map(|row| Ok(length(row.clone())?.as_f64().unwrap_or(0.0)));
    let lengths: Vec<f64> = lengths.collect::<Result<_, Error>>()?;
    let width = lengths.into_iter().fold(0.0, f64::max);
    let mut columns = Vec::new();
    let mut at = 0.0;
    while at < width {
        let column = rows.iter().map(|row| row.clone().index(&Val::Num(at)));
        columns.push(Val::array(column.collect::<Result<_, _>>()?)?);
        at += 1.0;
    }
    Val::array(columns)
}
