//! One step into a value: by key, by position, by slice.

use jaq_core::val::Range;

use crate::guard;
use crate::value::{Error, Val, ValR};

impl Val {
    /// Bounds of a slice of `length` items: the start rounded down, the end up, negative from the end.
    fn slice_bounds(range: Range<&Val>, length: usize) -> ValR<std::ops::Range<usize>> {
        let resolve = |bound: Option<&Val>, default: usize, round: fn(f64) -> f64| match bound {
            None | Some(Val::Null) => Ok(default),
            Some(bound) => {
                let position = bound
                    .as_f64()
                    .ok_or_else(|| Error::str("Array/string slice indices must be integers"))?;
                if position.is_nan() {
                    return Ok(default);
                }
                let position = if position < 0.0 {
                    position + length as f64
                } else {
                    position
                };
                // A cast saturates: what is below zero becomes 0.
                Ok((round(position) as usize).min(length))
            }
        };
        let start = resolve(range.start, 0, f64::floor)?;
        let end = resolve(range.end, length, f64::ceil)?;
        Ok(start..end.max(start))
    }

    /// Position of an index in an array of `length` items: `Err` when a negative one lies before the start.
    pub(crate) fn position(index: f64, length: usize) -> Result<usize, ()> {
        let index = index.trunc();
        let index = if index < 0.0 {
            index + length as f64
        } else {
            index
        };
        if index < 0.0 || index.is_nan() {
            Err(())
        } else {
            Ok(index as usize)
        }
    }

    /// The slice that a path element `{"start": .., "end": ..}` names in an array.
    pub(crate) fn slice_of(&self, range: &Val) -> ValR<std::ops::Range<usize>> {
        let Val::Obj(range) = range else {
            return Err(cannot_index(self, range));
        };
        let bound = |key: &str| {
            let missing = || Error::str("Array/string slice indices must be integers");
            range.entries().get(key).ok_or_else(missing)
        };
        let length = self.as_items().map_or(0, <[Val]>::len);
        Self::slice_bounds(Some(bound("start")?)..Some(bound("end")?), length)
    }
    /// `.[index]`: by key, by position, by slice, or the positions of an array in an array.
    pub(crate) fn item_at(self, index: &Self) -> ValR {
        match (&self, index) {
            (Val::Obj(object), Val::Str(key)) => Ok(object
                .entries()
                .get(key.as_str())
                .cloned()
                .unwrap_or(Val::Null)),
            (Val::Arr(array), Val::Num(_) | Val::Literal(_)) => {
                let position =
                    Self::position(index.as_f64().unwrap_or(f64::NAN), array.items().len());
                let item = position
                    .ok()
                    .and_then(|position| array.items().get(position));
                Ok(item.cloned().unwrap_or(Val::Null))
            }
            (Val::Null, Val::Str(_) | Val::Num(_) | Val::Literal(_)) => Ok(Val::Null),
            (Val::Null, Val::Obj(_)) => Ok(Val::Null),
            (Val::Arr(array), Val::Obj(_)) => {
                let range = self.slice_of(index)?;
                Val::array(array.items().get(range).unwrap_or_default().to_vec())
            }
            (Val::Str(_), Val::Obj(range)) => {
                let bound = |key| range.entries().get(key);
                match (bound("start"), bound("end")) {
                    (Some(start), Some(end)) => self.slice(Some(start)..Some(end)),
                    _ => Err(cannot_index(&self, index)),
                }
            }
            (Val::Arr(array), Val::Arr(pattern)) => {
                let (items, pattern) = (array.items(), pattern.items());
                if pattern.is_empty() {
                    return Val::array(Vec::new());
                }
                let starts = items.windows(pattern.len()).enumerate();
                let found = starts.filter(|(_, window)| *window == pattern);
                Val::array(found.map(|(start, _)| Val::Num(start as f64)).collect())
            }
            _ => Err(cannot_index(&self, index)),
        }
    }

    /// `.[from:to]`
    pub(crate) fn slice(self, range: Range<&Self>) -> ValR {
        match &self {
            Val::Null => Ok(Val::Null),
            Val::Arr(array) => {
                let bounds = Self::slice_bounds(range, array.items().len())?;
                Val::array(array.items().get(bounds).unwrap_or_default().to_vec())
            }
            Val::Str(text) => {
                let text = text.as_str();
                guard::work(1 + text.len() / 64)?;
                let bounds = Self::slice_bounds(range, text.chars().count())?;
                let cut: String = text.chars().skip(bounds.start).take(bounds.len()).collect();
                Val::text(cut)
            }
            _ => Err(cannot_index(
                &self,
                &Val::from(range.start.cloned()..range.end.cloned()),
            )),
        }
    }
}

pub(crate) fn cannot_index(value: &Val, index: &Val) -> Error {
    Error::str(format!(
        "Cannot index {} with {}",
        value.type_name(),
        index.describe()
    ))
}

pub(super) fn cannot_iterate(value: &Val) -> Error {
    Error::str(format!("Cannot iterate over {}", value.describe()))
}
