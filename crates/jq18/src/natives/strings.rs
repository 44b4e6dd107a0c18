//! Strings: case, trimming, searching, joining.

use jaq_core::ValT;
use jaq_core::native::Fun;

use super::{fail, of_argument, of_input};
use crate::engine::Data;
use crate::guard;
use crate::operators::split;
use crate::value::{Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_input!("ascii_downcase", |value: Val| {
            Val::text(string(&value, "explode")?.to_ascii_lowercase())
        }),
        of_input!("ascii_upcase", |value: Val| {
            Val::text(string(&value, "explode")?.to_ascii_uppercase())
        }),
        of_input!("trim", |value: Val| Val::text(
            string(&value, "trim")?.trim_matches(BLANKS)
        )),
        of_input!("ltrim", |value: Val| Val::text(
            string(&value, "trim")?.trim_start_matches(BLANKS)
        )),
        of_input!("rtrim", |value: Val| Val::text(
            string(&value, "trim")?.trim_end_matches(BLANKS)
        )),
        of_argument!("startswith", |value: Val, part: Val| {
            let (text, part) = affix(&value, &part, "startswith")?;
            Ok(Val::Bool(text.starts_with(part)))
        }),
        of_argument!("endswith", |value: Val, part: Val| {
            let (text, part) = affix(&value, &part, "endswith")?;
            Ok(Val::Bool(text.ends_with(part)))
        }),
        of_argument!("ltrimstr", |value: Val, part: Val| {
            let (text, part) = affix(&value, &part, "startswith")?;
            Val::text(text.strip_prefix(part).unwrap_or(text))
        }),
        of_argument!("rtrimstr", |value: Val, part: Val| {
            let (text, part) = affix(&value, &part, "endswith")?;
            Val::text(text.strip_suffix(part).unwrap_or(text))
        }),
        of_argument!("trimstr", |value: Val, part: Val| {
            let (text, part) = affix(&value, &part, "startswith")?;
            let text = text.strip_prefix(part).unwrap_or(text);
            Val::text(text.strip_suffix(part).unwrap_or(text))
        }),
        of_input!("utf8bytelength", |value: Val| match value.as_str() {
            Some(text) => Ok(Val::Num(text.len() as f64)),
            None => fail(format!(
                "{} only strings have UTF-8 byte length",
                value.describe()
            )),
        }),
        of_input!("explode", |value: Val| match value.as_str() {
            Some(text) => {
                guard::allocate(text.len() * 16)?;
                Val::array(
                    text.chars()
                        .map(|char| Val::Num(f64::from(u32::from(char))))
                        .collect(),
                )
            }
            None => fail("explode input must be a string"),
        }),
        of_input!("implode", implode),
        of_argument!("join", join),
        of_argument!("indices", indices),
        of_argument!("split", |value: Val, separator: Val| match (
            value.as_str(),
            separator.as_str()
        ) {
            (Some(text), Some(separator)) => split(text, separator),
            _ => fail("split input and separator must be strings"),
        }),
    ]);
}

/// What `trim` removes.
const BLANKS: fn(char) -> bool = char::is_whitespace;

fn string<'v>(value: &'v Val, function: &str) -> ValR<&'v str> {
    match value.as_str() {
        Some(text) => Ok(text),
        None if function == "trim" => fail("trim input must be a string"),
        None => fail(format!("{function} input must be a string")),
    }
}

fn affix<'v>(value: &'v Val, part: &'v Val, function: &str) -> ValR<(&'v str, &'v str)> {
    match (value.as_str(), part.as_str()) {
        (Some(text), Some(part)) => Ok((text, part)),
        _ => fail(format!("{function}() requires string inputs")),
    }
}

fn implode(value: Val) -> ValR {
    let Some(items) = value.as_items() else {
        return fail("implode input must be an array");
    };
    let mut text = String::new();
    for item in items {
        let Some(code) = item.as_f64() else {
            let shown = item.describe();
            return fail(format!(
                "{shown} can't be imploded, unicode codepoint needs to be numeric"
            ));
        };
        let code = if code < 0.0 {
            None
        } else {
            char::from_u32(code as u32)
        };
        text.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    Val::text(text)
}

/// Null counts as the empty text; numbers and booleans as their JSON text.
fn join(value: Val, separator: Val) -> ValR {
    let mut joined = Val::Null;
    for (index, item) in value.values().enumerate() {
        let item = match item? {
            Val::Null => Val::Str(String::new().into()),
            item @ (Val::Num(_) | Val::Literal(_) | Val::Bool(_)) => Val::text(item.to_text())?,
            item => item,
        };
        if 0 < index {
            joined = (joined + separator.clone())?;
        } else {
            joined = Val::Str(String::new().into());
        }
        joined = (joined + item)?;
    }
    Ok(match joined {
        Val::Null => Val::Str(String::new().into()),
        joined => joined,
    })
}

fn indices(value: Val, part: Val) -> ValR {
    match (&value, &part) {
        (Val::Str(text), Val::Str(part)) => {
            let (text, part) = (text.as_str(), part.as_str());
            if part.is_empty() {
                return Val::array(Vec::new());
            }
            // Occurrences may overlap, so each position is compared afresh.
            guard::work(1 + text.len().saturating_mul(part.len()) / 64)?;
            let begins = |(_, (offset, _)): &(usize, (usize, char))| {
                text.get(*offset..)
                    .is_some_and(|rest| rest.starts_with(part))
            };
            let found = text.char_indices().enumerate().filter(begins);
            Val::array(found.map(|(index, _)| Val::Num(index as f64)).collect())
        }
        (Val::Arr(_), Val::Arr(_)) => value.index(&part),
        (Val::Arr(array), _) => {
            let found = array
                .items()
                .iter()
                .enumerate()
                .filter(|(_, item)| **item == part);
            Val::array(found.map(|(index, _)| Val::Num(index as f64)).collect())
        }
        _ => value.index(&part),
    }
}
