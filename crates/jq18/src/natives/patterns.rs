//! Regular expressions in expressions: testing, matching, capturing, splitting, replacing.

use std::sync::Arc;

use jaq_core::box_iter::box_once;
use jaq_core::native::Fun;
use jaq_core::{Bind, Exn, Native};

use super::{fail, of_arguments};
use crate::engine::Data;
use crate::guard;
use crate::regex::{self, Flags, Match, Regex};
use crate::value::{Text, Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_arguments!("test!", |value: Val, pattern: Val, flags: Val| {
            let (regex, flags) = regex_of(&value, &pattern, &flags, true)?;
            Ok(Val::Bool(regex.is_match(subject(&value)?, flags)?))
        }),
        of_arguments!("match!", |value: Val, pattern: Val, flags: Val| {
            each_match(&value, &pattern, &flags, false, |position, names, found| {
                found.to_value(position, names)
            })
        }),
        of_arguments!("capture!", |value: Val, pattern: Val, flags: Val| {
            each_match(&value, &pattern, &flags, false, |position, names, found| {
                found.captures(position.text, names)
            })
        }),
        of_arguments!("scan!", |value: Val, pattern: Val, flags: Val| {
            each_match(&value, &pattern, &flags, true, |position, _, found| {
                let text = position.text;
                if found.groups.is_empty() {
                    return Val::text(slice(text, found.start, found.end));
                }
                let group = |range| match range {
                    Some((start, end)) => Val::text(slice(text, start, end)),
                    None => Ok(Val::Null),
                };
                let groups = found.groups.iter().map(|range| group(*range));
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
            let outputs = |captures| replacement.run((ctx.clone(), captures)).collect();
            match substituted(&cv.1, &pattern, &flags, outputs) {
                Ok(results) => Box::new(results.into_iter().map(Ok)),
                Err(error) => box_once(Err(error)),
            }
        }),
    ));
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

/// Flags that are `false` were not given: then the pattern may be `[pattern, flags]`.
fn regex_of(value: &Val, pattern: &Val, flags: &Val, global: bool) -> ValR<(Arc<Regex>, Flags)> {
    let (pattern, flags) = match (flags, pattern, pattern.as_items()) {
        (Val::Bool(_), Val::Str(_), _) => (pattern, &Val::Null),
        (Val::Bool(_), _, Some([pattern, rest @ ..])) => {
            (pattern, rest.first().unwrap_or(&Val::Null))
        }
        (Val::Bool(_), ..) => {
            return fail(format!("{} not a string or array", pattern.type_name()));
        }
        _ => (pattern, flags),
    };
    subject(value)?;
    let Some(pattern) = pattern.as_str() else {
        return fail(format!("{} is not a string", pattern.describe()));
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
    convert: impl Fn(&mut Position<'_>, &[Option<Arc<str>>], &Match) -> ValR,
) -> ValR {
    let (regex, flags) = regex_of(value, pattern, flags, global)?;
    let text = subject(value)?;
    let found = regex.matches(text, flags)?;
    let mut position = Position::new(text);
    let values = found
        .iter()
        .map(|found| convert(&mut position, regex.names(), found));
    Val::array(values.collect::<Result<_, _>>()?)
}

/// `sub`: the text with its matches replaced. With several outputs per match, the n-th result takes the n-th of each.
fn substituted<'a>(
    value: &Val,
    pattern: &Val,
    flags: &Val,
    outputs: impl Fn(Val) -> Result<Vec<Val>, Exn<'a, Val>>,
) -> Result<Vec<Val>, Exn<'a, Val>> {
    let (regex, flags) = regex_of(value, pattern, flags, false)?;
    let text = subject(value)?;
    let found = regex.matches(text, flags)?;
    let captures = found
        .iter()
        .map(|found| outputs(found.captures(text, regex.names())?));
    let replacements: Vec<Vec<Val>> = captures.collect::<Result<_, Exn<'a, Val>>>()?;
    let results = replacements.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let result = |which| replace(text, &found, &replacements, which);
    Ok((0..results).map(result).collect::<Result<_, _>>()?)
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

/// Counts characters up to positions that mostly grow.
struct Position<'t> {
    text: &'t str,
    ascii: bool,
    bytes: usize,
    chars: usize,
}

impl<'t> Position<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            ascii: text.is_ascii(),
            bytes: 0,
            chars: 0,
        }
    }

    /// Characters before a byte.
    fn chars_before(&mut self, byte: usize) -> ValR<usize> {
        if self.ascii {
            return Ok(byte);
        }
        if byte < self.bytes {
            (self.bytes, self.chars) = (0, 0);
        }
        guard::work((byte - self.bytes) / 64)?;
        self.chars += slice(self.text, self.bytes, byte).chars().count();
        self.bytes = byte;
        Ok(self.chars)
    }

    /// Offset, length and text of a range.
    fn span(&mut self, start: usize, end: usize) -> ValR<[Val; 3]> {
        let offset = self.chars_before(start)?;
        let length = self.chars_before(end)? - offset;
        Ok([
            Val::Num(offset as f64),
            Val::Num(length as f64),
            Val::text(slice(self.text, start, end))?,
        ])
    }
}

impl Match {
    /// Offset and length in characters, as `match` reports them.
    fn to_value(&self, position: &mut Position<'_>, names: &[Option<Arc<str>>]) -> ValR {
        let [offset, length, string] = position.span(self.start, self.end)?;
        let captures = self.groups.iter().zip(names).map(|(range, name)| {
            let name = name
                .as_deref()
                .map_or(Val::Null, |name| Val::Str(name.to_owned().into()));
            let Some((start, end)) = *range else {
                return Val::record([
                    ("offset", Val::Num(-1.0)),
                    ("string", Val::Null),
                    ("length", Val::Num(0.0)),
                    ("name", name),
                ]);
            };
            let [offset, length, string] = position.span(start, end)?;
            // As jq orders it.
            if start == end {
                return Val::record([
                    ("offset", offset),
                    ("string", string),
                    ("length", length),
                    ("name", name),
                ]);
            }
            Val::record([
                ("offset", offset),
                ("length", length),
                ("string", string),
                ("name", name),
            ])
        });
        let captures = Val::array(captures.collect::<Result<_, _>>()?)?;
        Val::record([
            ("offset", offset),
            ("length", length),
            ("string", string),
            ("captures", captures),
        ])
    }

    /// The named groups as an object.
    fn captures(&self, text: &str, names: &[Option<Arc<str>>]) -> ValR {
        let groups = names.iter().zip(&self.groups);
        let named = groups.filter_map(|(name, range)| Some((name.as_deref()?, *range)));
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
