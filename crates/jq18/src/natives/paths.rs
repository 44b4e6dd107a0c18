//! Values addressed by paths: read, write, delete.

use std::rc::Rc;

use jaq_core::ValT;
use jaq_core::native::Fun;

use super::{fail, of_argument, of_arguments, of_input};
use crate::engine::Data;
use crate::guard;
use crate::operators::cannot_index;
use crate::value::{Array, Object, Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_arguments!(
            "setpath",
            |root: Val, path: Val, new: Val| match path.as_items() {
                Some(path) => set(root, path, new),
                None => fail("Path must be specified as an array"),
            }
        ),
        of_argument!("delpaths", |root: Val, paths: Val| {
            let Some(paths) = paths.as_items() else {
                return fail("Paths must be specified as an array");
            };
            let paths = paths.iter().map(|path| match path.as_items() {
                Some(path) => Ok(path.to_vec()),
                None => fail(format!(
                    "Path must be specified as array, not {}",
                    path.type_name()
                )),
            });
            delete_all(root, paths.collect::<Result<_, _>>()?)
        }),
        of_input!("tostream!", |value: Val| {
            let mut events = Vec::new();
            stream(&value, &mut Vec::new(), true, &mut events)?;
            Val::array(events)
        }),
        of_argument!("fromstream!", assemble),
    ]);
}

/// `getpath`.
pub(super) fn get(root: Val, path: &[Val]) -> ValR {
    path.iter().try_fold(root, |value, key| value.index(key))
}

/// `setpath`: creates what is missing.
pub(super) fn set(root: Val, path: &[Val], new: Val) -> ValR {
    guard::work(2)?;
    let Some((key, rest)) = path.split_first() else {
        return Ok(new);
    };
    if guard::MAX_VALUE_DEPTH < path.len() as u32 {
        guard::trip(guard::Bound::Depth);
        guard::check()?;
    }
    match (root, key) {
        (Val::Null, Val::Str(_)) => set_entry(Rc::new(Object::default()), key, rest, new),
        (Val::Obj(object), Val::Str(_)) => set_entry(object, key, rest, new),
        (Val::Null, Val::Num(_) | Val::Literal(_)) => set_item(Rc::default(), key, rest, new),
        (Val::Arr(array), Val::Num(_) | Val::Literal(_)) => set_item(array, key, rest, new),
        (Val::Null, Val::Obj(_)) => set_slice(Rc::new(Array::default()), key, rest, new),
        (Val::Arr(array), Val::Obj(_)) => set_slice(array, key, rest, new),
        (Val::Str(_), Val::Obj(_)) => fail("Cannot update string slices"),
        (root, key) => Err(cannot_index(&root, key)),
    }
}

fn set_entry(mut object: Rc<Object>, key: &Val, rest: &[Val], new: Val) -> ValR {
    let Val::Str(key) = key else {
        return fail("Invalid path component");
    };
    let old = if rest.is_empty() {
        Val::Null
    } else {
        Val::take_entry(&mut object, key.as_str())?
    };
    let new = set(old, rest, new)?;
    Val::put_entry(&mut object, key.clone(), new)?;
    Ok(Val::Obj(object))
}

fn set_item(mut array: Rc<Array>, key: &Val, rest: &[Val], new: Val) -> ValR {
    let index = key.as_f64().unwrap_or(f64::NAN);
    let Ok(position) = Val::position(index, array.items().len()) else {
        return fail("Out of bounds negative array index");
    };
    let old = if rest.is_empty() {
        Val::Null
    } else {
        Val::take_item(&mut array, position)?
    };
    let new = set(old, rest, new)?;
    Val::put_item(&mut array, position, new)?;
    Ok(Val::Arr(array))
}

fn set_slice(array: Rc<Array>, key: &Val, rest: &[Val], new: Val) -> ValR {
    let array = Val::Arr(array);
    let range = array.slice_of(key)?;
    let old = if rest.is_empty() {
        Val::Null
    } else {
        array.clone().index(key)?
    };
    let new = match set(old, rest, new)?.into_items() {
        Ok(items) => items,
        Err(_) => return fail("A slice of an array can only be assigned another array"),
    };
    let mut items = array.into_items().unwrap_or_default();
    items.splice(range, new);
    Val::array(items)
}

/// `delpaths`. Positions count in what was there before, whatever else goes.
pub(super) fn delete_all(root: Val, mut paths: Vec<Vec<Val>>) -> ValR {
    let order = |left: &Vec<Val>, right: &Vec<Val>| {
        let mut pairs = left
            .iter()
            .zip(right)
            .map(|(left, right)| left.total_order(right));
        pairs
            .find(|order| order.is_ne())
            .unwrap_or(left.len().cmp(&right.len()))
    };
    paths.sort_by(order);
    let paths: Vec<&[Val]> = paths.iter().map(Vec::as_slice).collect();
    // The shortest path comes first.
    if paths.first().is_some_and(|path| path.is_empty()) {
        return Ok(Val::Null);
    }
    delete_below(root, &paths)
}

/// Deletes at sorted paths, none of them empty.
fn delete_below(mut root: Val, paths: &[&[Val]]) -> ValR {
    guard::work(2 * paths.len())?;
    let mut keys = Vec::new();
    for group in paths.chunk_by(|one, other| one.first() == other.first()) {
        let Some((key, rest)) = group.first().and_then(|path| path.split_first()) else {
            continue;
        };
        if rest.is_empty() {
            keys.push(key);
            continue;
        }
        let child = root.clone().index(key)?;
        if !matches!(child, Val::Null) {
            let rests: Vec<&[Val]> = group.iter().filter_map(|path| path.get(1..)).collect();
            let child = delete_below(child, &rests)?;
            root = set(root, std::slice::from_ref(key), child)?;
        }
    }
    delete_keys(root, &keys)
}

fn delete_keys(root: Val, keys: &[&Val]) -> ValR {
    match root {
        _ if keys.is_empty() => Ok(root),
        Val::Null => Ok(Val::Null),
        Val::Obj(mut object) => {
            for key in keys {
                let Val::Str(key) = key else {
                    return fail(format!("Cannot delete {} field of object", key.type_name()));
                };
                Val::remove_entry(&mut object, key.as_str())?;
            }
            Ok(Val::Obj(object))
        }
        Val::Arr(_) => delete_items(root, keys),
        other => fail(format!("Cannot delete fields from {}", other.type_name())),
    }
}

/// Deletes at indices, counted from the end where they are negative, and in slices.
fn delete_items(array: Val, keys: &[&Val]) -> ValR {
    let length = array.as_items().map_or(0, <[Val]>::len);
    let mut gone = vec![false; length];
    for key in keys {
        let range = match key {
            Val::Num(_) | Val::Literal(_) => {
                let index = key.as_f64().unwrap_or(f64::NAN).trunc();
                let index = if index < 0.0 {
                    index + length as f64
                } else {
                    index
                };
                if !(0.0..length as f64).contains(&index) {
                    continue;
                }
                index as usize..index as usize + 1
            }
            Val::Obj(_) => array.slice_of(key)?,
            key => {
                return fail(format!(
                    "Cannot delete {} element of array",
                    key.type_name()
                ));
            }
        };
        gone.get_mut(range)
            .into_iter()
            .flatten()
            .for_each(|gone| *gone = true);
    }
    let items = array.into_items().unwrap_or_default().into_iter().zip(gone);
    Val::array(
        items
            .filter_map(|(item, gone)| (!gone).then_some(item))
            .collect(),
    )
}

/// The events of `tostream`: `[path, leaf]`, and `[path]` after the last child of a container.
fn stream(value: &Val, path: &mut Vec<Val>, top: bool, events: &mut Vec<Val>) -> ValR<()> {
    guard::work(2 + path.len())?;
    let children: Vec<(Val, &Val)> = match value {
        Val::Arr(array) => {
            let items = array.items().iter().enumerate();
            items
                .map(|(index, item)| (Val::Num(index as f64), item))
                .collect()
        }
        Val::Obj(object) => object
            .entries()
            .iter()
            .map(|(key, item)| (Val::Str(key.clone()), item))
            .collect(),
        _ => Vec::new(),
    };
    if children.is_empty() {
        events.push(Val::array(vec![Val::array(path.clone())?, value.clone()])?);
        return Ok(());
    }
    let mut last = Val::Null;
    for (key, child) in children {
        path.push(key.clone());
        stream(child, path, false, events)?;
        path.pop();
        last = key;
    }
    path.push(last);
    events.push(Val::array(vec![Val::array(path.clone())?])?);
    path.pop();
    let _ = top;
    Ok(())
}

/// One step of `fromstream`. The state is `[complete, value]`; null at the start.
fn assemble(state: Val, event: Val) -> ValR {
    let value = match state.as_items() {
        Some([Val::Bool(false), value]) => value.clone(),
        _ => Val::Null,
    };
    drop(state);
    let (path, leaf) = match event.as_items() {
        Some([path]) => (path, None),
        Some([path, leaf]) => (path, Some(leaf)),
        _ => return fail("Invalid streaming format"),
    };
    let Some(path) = path.as_items() else {
        return fail("Invalid streaming format");
    };
    let (complete, value) = match leaf {
        Some(leaf) => (path.is_empty(), set(value, path, leaf.clone())?),
        None => (path.len() == 1, value),
    };
    Val::array(vec![Val::Bool(complete), value])
}
