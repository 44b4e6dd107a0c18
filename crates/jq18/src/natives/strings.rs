//! Strings: case, trimming, searching, joining, regular expressions.

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome};
use jaq_core::{Bind, Native, ValT};

use super::{fail, of_argument, of_arguments, of_input};
use crate::engine::Data;
use crate::guard;
use crate::operators::split;
use crate::regex::{self, Flags, Match, Regex};
use crate::value::{Text, Val, ValR};

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
        of_arguments!("test!", |value: Val, pattern: Val, flags: Val| {
            let (regex, flags) = regex_of(&value, &pattern, &flags, true)?;
            Ok(Val::Bool(regex.is_match(subject(&value)?, flags)?))
        }),
        of_arguments!("match!", |value: Val, pattern: Val, flags: Val| {
            each_match(&value, &pattern, &flags, false, |text, found| {
                found.to_value(text)
            })
        }),
        of_arguments!("capture!", |value: Val, pattern: Val, flags: Val| {
            each_match(&value, &pattern, &flags, false, |text, found| {
                found.captures(text)
            })
        }),
        of_arguments!("scan!", |value: Val, pattern: Val, flags: Val| {
            if pattern.as_str().is_none() {
                return fail(format!("{} is not a string", pattern.describe()));
            }
            each_match(&value, &pattern, &flags, true, |text, found| {
                if found.groups.is_empty() {
                    return Val::text(slice(text, found.start, found.end));
                }
                let group = |range| match range {
                    Some((start, end)) => Val::text(slice(text, start, end)),
                    None => Ok(Val::Null),
                };
                let groups = found.groups.iter().map(|found| group(found.range));
                Val::array(groups.collect::<Result<_, _>>()?)
            })
        }),
        of_arguments!("split!", |value: Val, pattern: Val, flags: Val| {
            let (regex, mut flags) = regex_of(&value, &pattern, &flags, false)?;
            flags.global = true;
            let text = subject(&value)?;
            let mut parts = Vec::new();
            let mut from = 0;
            for found in regex.matches(text, flags)? {
                parts.push(Val::text(slice(text, from, found.start))?);
                from = found.end;
            }
            parts.push(Val::text(slice(text, from, text.len()))?);
            Val::array(parts)
        }),
    ]);
    all.push((
        "sub!",
        Box::new([Bind::Var(()), Bind::Var(()), Bind::Fun(())]),
        Native::new(|mut cv| {
            let (replacement, ctx) = cv.0.pop_fun();
            let flags = cv.0.pop_var();
            let pattern = cv.0.pop_var();
            let value = cv.1;
            let found = regex_of(&value, &pattern, &flags, false)
                .and_then(|(regex, flags)| regex.matches(subject(&value)?, flags));
            let found = match found {
                Ok(found) => found,
                Err(error) => return bome(Err(error)),
            };
            let text = value.as_str().unwrap_or_default();
            let mut replacements = Vec::with_capacity(found.len());
            for found in &found {
                let captures = match found.captures(text) {
                    Ok(captures) => captures,
                    Err(error) => return bome(Err(error)),
                };
                let outputs: Result<Vec<Val>, _> =
                    replacement.run((ctx.clone(), captures)).collect();
                match outputs {
                    Ok(outputs) => replacements.push(outputs),
                    Err(error) => return box_once(Err(error)),
                }
            }
            // With several outputs per match, the n-th result takes the n-th of each.
            let results = replacements.iter().map(Vec::len).max().unwrap_or(0).max(1);
            let results: Vec<ValR> = (0..results)
                .map(|which| replace(text, &found, &replacements, which))
                .collect();
            Box::new(
                results
                    .into_iter()
                    .map(|result| result.map_err(jaq_core::Exn::from)),
            )
        }),
    ));
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
        (Val::Null, _) => Ok(Val::Null),
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

fn slice(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

fn subject(value: &Val) -> ValR<&str> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => fail(format!(
            "{} cannot be matched, as it is not a string",
            value.describe()
        )),
    }
}

/// The pattern may be `[pattern, flags]` where no flags are given beside it.
fn regex_of(
    value: &Val,
    pattern: &Val,
    flags: &Val,
    global: bool,
) -> ValR<(std::rc::Rc<Regex>, Flags)> {
    subject(value)?;
    let (pattern, flags) = match (pattern.as_items(), flags) {
        (Some([pattern]), Val::Null) => (pattern, &Val::Null),
        (Some([pattern, flags]), Val::Null) => (pattern, flags),
        _ => (pattern, flags),
    };
    let Some(pattern) = pattern.as_str() else {
        return fail(format!(
            "{} cannot be matched, as it is not a string",
            pattern.describe()
        ));
    };
    let mut flags = match flags {
        Val::Null => Flags::default(),
        Val::Str(flags) => Flags::parse(flags.as_str())?,
        other => return fail(format!("{} is not a string", other.describe())),
    };
    flags.global |= global;
    Ok((regex::compiled(pattern, flags)?, flags))
}

fn each_match(
    value: &Val,
    pattern: &Val,
    flags: &Val,
    global: bool,
    convert: impl Fn(&str, &Match) -> ValR,
) -> ValR {
    let (regex, flags) = regex_of(value, pattern, flags, global)?;
    let text = subject(value)?;
    let found = regex.matches(text, flags)?;
    Val::array(
        found
            .iter()
            .map(|found| convert(text, found))
            .collect::<Result<_, _>>()?,
    )
}

fn replace(text: &str, found: &[Match], replacements: &[Vec<Val>], which: usize) -> ValR {
    let mut result = Val::Str(String::new().into());
    let mut from = 0;
    for (found, outputs) in found.iter().zip(replacements) {
        // No output leaves the match as it is.
        let Some(output) = outputs.get(which) else {
            continue;
        };
        result = (result + Val::text(slice(text, from, found.start))?)?;
        result = (result + output.clone())?;
        from = found.end;
    }
    result + Val::text(slice(text, from, text.len()))?
}

impl Match {
    /// Offset and length in characters, as `match` reports them.
    fn to_value(&self, text: &str) -> ValR {
        let span = |start: usize, end: usize| -> ValR<[Val; 3]> {
            guard::work(1 + start / 64)?;
            let offset = slice(text, 0, start).chars().count();
            let length = slice(text, start, end).chars().count();
            Ok([
                Val::Num(offset as f64),
                Val::Num(length as f64),
                Val::text(slice(text, start, end))?,
            ])
        };
        let captures = self.groups.iter().map(|group| {
            let name = group
                .name
                .as_deref()
                .map_or(Val::Null, |name| Val::Str(name.to_owned().into()));
            let Some((start, end)) = group.range else {
                return Val::record([
                    ("offset", Val::Num(-1.0)),
                    ("string", Val::Null),
                    ("length", Val::Num(0.0)),
                    ("name", name),
                ]);
            };
            let [offset, length, string] = span(start, end)?;
            Val::record([
                ("offset", offset),
                ("length", length),
                ("string", string),
                ("name", name),
            ])
        });
        let captures = Val::array(captures.collect::<Result<_, _>>()?)?;
        let [offset, length, string] = span(self.start, self.end)?;
        Val::record([
            ("offset", offset),
            ("length", length),
            ("string", string),
            ("captures", captures),
        ])
    }

    /// The named groups as an object.
    fn captures(&self, text: &str) -> ValR {
        let named = self
            .groups
            .iter()
            .filter_map(|group| Some((group.name.as_deref()?, group.range)));
        let entries = named.map(|(name, range)| {
            let value = match range {
                Some((start, end)) => Val::text(slice(text, start, end))?,
                None => Val::Null,
            };
            Ok((Text::from(name.to_owned()), value))
        });
        Val::object(entries.collect::<Result<_, _>>()?)
    }
}
