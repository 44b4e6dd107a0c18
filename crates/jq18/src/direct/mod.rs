//! The part of jq used most, evaluated on the JSON itself: paths, constants, joining, comparing,
//! `//`, `if`, and lists of the form `[.xs[] | select(..) | ..]`.
//!
//! Converting an input for the engine costs more than reading ten fields of it. Only what is certain is answered here;
//! wherever jq would fail, or the answer hangs on a detail, the whole expression goes to the engine. A property test
//! holds that both agree. Work is at most linear in the input, so no [`super::guard`] is needed.

mod build;
mod compute;
mod functions;

use std::borrow::Cow;

use jaq_core::ops::{Cmp, Math};
use serde_json::Value;

use super::number::MAX_SAFE_INTEGER;
use super::value::number_to_json;

pub(super) use build::compile;

use compute::{calculate, compare, plain_text};
use functions::Function;

/// An expression with exactly one output.
#[derive(Debug)]
pub(super) enum Direct {
    Input,
    Constant(Value),
    Path(Box<Direct>, Vec<Step>),
    Pipe(Box<Direct>, Box<Direct>),
    Alternative(Box<Direct>, Box<Direct>),
    And(Box<Direct>, Box<Direct>),
    Or(Box<Direct>, Box<Direct>),
    If(Box<Direct>, Box<Direct>, Box<Direct>),
    Compare(Box<Direct>, Cmp, Box<Direct>),
    Calculate(Box<Direct>, Math, Box<Direct>),
    /// String interpolation.
    Text(Vec<Direct>),
    Object(Vec<(String, Direct)>),
    List(Vec<Direct>),
    /// `[source[] | stages]`
    Collect {
        source: Box<Direct>,
        /// Whether what is no list is an empty one.
        optional: bool,
        stages: Vec<Stage>,
    },
    Apply(Function),
}

#[derive(Debug)]
pub(super) enum Step {
    Key(String),
    Index(i64),
    /// Of a string or list, by position.
    Slice(Option<usize>, Option<usize>),
}

#[derive(Debug)]
pub(super) enum Stage {
    Map(Direct),
    Select(Direct),
}

/// The engine has to decide.
#[derive(Debug)]
pub(super) struct Unsure;

type Answer<'v> = Result<Cow<'v, Value>, Unsure>;

impl Direct {
    /// The output for `input`, as it leaves the engine: numbers normalised.
    pub(super) fn first(&self, input: &Value) -> Result<Value, Unsure> {
        Ok(match self.evaluate(input)? {
            Cow::Owned(mut value) => {
                normalize(&mut value);
                value
            }
            Cow::Borrowed(value) => normalized(value),
        })
    }

    /// How often the input may be part of the output, or be copied on the way.
    fn copies(&self) -> usize {
        let two = |left: &Direct, right: &Direct| left.copies().saturating_add(right.copies());
        let sum = |parts: &[Direct]| {
            parts
                .iter()
                .map(Direct::copies)
                .fold(0, usize::saturating_add)
        };
        match self {
            Direct::Constant(_) => 0,
            Direct::Input | Direct::Apply(_) => 1,
            Direct::Path(base, _) => base.copies(),
            Direct::Pipe(left, right) => left.copies().saturating_mul(right.copies().max(1)),
            Direct::Alternative(left, right)
            | Direct::And(left, right)
            | Direct::Or(left, right)
            | Direct::Compare(left, _, right)
            | Direct::Calculate(left, _, right) => two(left, right),
            Direct::If(test, then, otherwise) => test.copies().saturating_add(two(then, otherwise)),
            Direct::Text(parts) | Direct::List(parts) => sum(parts),
            Direct::Object(entries) => entries
                .iter()
                .map(|(_, part)| part.copies())
                .fold(0, usize::saturating_add),
            Direct::Collect { source, stages, .. } => {
                stages
                    .iter()
                    .fold(source.copies(), |copies, stage| match stage {
                        Stage::Map(part) | Stage::Select(part) => {
                            copies.saturating_mul(part.copies().max(1))
                        }
                    })
            }
        }
    }

    fn evaluate<'v>(&'v self, input: &'v Value) -> Answer<'v> {
        let truth = |direct: &'v Direct| direct.evaluate(input).map(|value| truthy(&value));
        Ok(match self {
            Direct::Input => Cow::Borrowed(input),
            Direct::Constant(value) => Cow::Borrowed(value),
            Direct::Path(base, steps) => return follow(base.evaluate(input)?, steps),
            Direct::Pipe(left, right) => match left.evaluate(input)? {
                Cow::Borrowed(value) => return right.evaluate(value),
                Cow::Owned(value) => Cow::Owned(right.evaluate(&value)?.into_owned()),
            },
            Direct::Alternative(left, right) => match left.evaluate(input)? {
                value if truthy(&value) => value,
                _ => return right.evaluate(input),
            },
            Direct::And(left, right) => Cow::Owned(Value::Bool(truth(left)? && truth(right)?)),
            Direct::Or(left, right) => Cow::Owned(Value::Bool(truth(left)? || truth(right)?)),
            Direct::If(test, then, otherwise) => {
                return if truth(test)? {
                    then.evaluate(input)
                } else {
                    otherwise.evaluate(input)
                };
            }
            Direct::Compare(left, comparison, right) => {
                let (left, right) = (left.evaluate(input)?, right.evaluate(input)?);
                Cow::Owned(Value::Bool(compare(&left, *comparison, &right)?))
            }
            Direct::Calculate(left, operation, right) => {
                calculate(left.evaluate(input)?, *operation, right.evaluate(input)?)?
            }
            Direct::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    let piece = piece.evaluate(input)?;
                    text.push_str(&plain_text(&piece)?);
                }
                Cow::Owned(Value::String(text))
            }
            Direct::Object(entries) => {
                let entries = entries.iter();
                let entries = entries
                    .map(|(key, value)| Ok((key.clone(), value.evaluate(input)?.into_owned())));
                Cow::Owned(Value::Object(entries.collect::<Result<_, _>>()?))
            }
            Direct::List(items) => {
                let items = items
                    .iter()
                    .map(|item| item.evaluate(input).map(Cow::into_owned));
                Cow::Owned(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Direct::Collect {
                source,
                optional,
                stages,
            } => {
                let source = source.evaluate(input)?;
                Cow::Owned(collect(&source, *optional, stages)?)
            }
            Direct::Apply(function) => function.apply(input)?,
        })
    }
}

/// The items of a list, each through the stages.
fn collect(source: &Value, optional: bool, stages: &[Stage]) -> Result<Value, Unsure> {
    let items = match source {
        Value::Array(items) => items.as_slice(),
        Value::Object(_) => return Err(Unsure),
        _ if optional => &[],
        _ => return Err(Unsure),
    };
    let mut collected = Vec::with_capacity(items.len());
    for item in items {
        collected.extend(through(stages, Cow::Borrowed(item))?);
    }
    Ok(Value::Array(collected))
}

/// One item through the stages; `None` where one of them drops it.
fn through(stages: &[Stage], item: Cow<'_, Value>) -> Result<Option<Value>, Unsure> {
    let Some((stage, rest)) = stages.split_first() else {
        return Ok(Some(item.into_owned()));
    };
    match stage {
        Stage::Select(condition) => {
            if truthy(&*condition.evaluate(&item)?) {
                through(rest, item)
            } else {
                Ok(None)
            }
        }
        Stage::Map(map) => through(rest, map.evaluate(&item)?),
    }
}

fn follow<'v>(value: Cow<'v, Value>, steps: &[Step]) -> Answer<'v> {
    match value {
        Cow::Borrowed(value) => {
            let mut value = value;
            for (index, step) in steps.iter().enumerate() {
                match (step, value) {
                    (_, Value::Null) => return Ok(Cow::Owned(Value::Null)),
                    (Step::Key(key), Value::Object(entries)) => match entries.get(key) {
                        Some(found) => value = found,
                        None => return Ok(Cow::Owned(Value::Null)),
                    },
                    (Step::Index(at), Value::Array(items)) => match item_at(items, *at) {
                        Some(found) => value = found,
                        None => return Ok(Cow::Owned(Value::Null)),
                    },
                    (Step::Slice(from, to), value) => {
                        let cut = slice(value, *from, *to)?;
                        return follow(Cow::Owned(cut), steps.get(index + 1..).unwrap_or_default());
                    }
                    _ => return Err(Unsure),
                }
            }
            Ok(Cow::Borrowed(value))
        }
        Cow::Owned(value) if steps.is_empty() => Ok(Cow::Owned(value)),
        Cow::Owned(value) => Ok(Cow::Owned(
            follow(Cow::Borrowed(&value), steps)?.into_owned(),
        )),
    }
}

fn item_at(items: &[Value], index: i64) -> Option<&Value> {
    let from_end = items
        .len()
        .checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    match usize::try_from(index) {
        Ok(index) => items.get(index),
        Err(_) => items.get(from_end?),
    }
}

/// Only of ASCII text, where characters are bytes.
fn slice(value: &Value, from: Option<usize>, to: Option<usize>) -> Result<Value, Unsure> {
    let Value::String(text) = value else {
        return Err(Unsure);
    };
    if !text.is_ascii() {
        return Err(Unsure);
    }
    let from = from.unwrap_or(0).min(text.len());
    let to = to.unwrap_or(text.len()).min(text.len()).max(from);
    text.get(from..to).map(Value::from).ok_or(Unsure)
}

fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn normalized(value: &Value) -> Value {
    let mut value = value.clone();
    normalize(&mut value);
    value
}

/// Numbers as they leave the engine: doubles, integral ones as integers.
fn normalize(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let exact = |integer: i64| integer.unsigned_abs() <= MAX_SAFE_INTEGER as u64;
            if !number.as_i64().is_some_and(exact) {
                *value = number_to_json(number.as_f64().unwrap_or(f64::NAN));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(entries) => entries.values_mut().for_each(normalize),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
