//! The part of jq used most, evaluated on the JSON itself: paths, constants, joining, comparing,
//! `//`, `if`, and lists of the form `[.xs[] | select(..) | ..]`.
//!
//! Converting an input for the engine costs more than reading ten fields of it. Only what is certain is answered here;
//! wherever jq would fail, or the answer hangs on a detail, the whole expression goes to the engine. A property test
//! holds that both agree. Work is at most linear in the input, so no [`super::guard`] is needed.

mod build;

use std::borrow::Cow;

use jaq_core::ops::{Cmp, Math};
use serde_json::{Map, Number, Value};

use super::dates;
use super::number::MAX_SAFE_INTEGER;
use super::value::number_to_json;

pub(super) use build::compile;

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

#[derive(Debug)]
pub(super) enum Function {
    ToString,
    Not,
    Length,
    First,
    Last,
    AsciiDowncase,
    AsciiUpcase,
    FromDate,
    Split(String),
    StartsWith(String),
    EndsWith(String),
    TrimStart(String),
    TrimEnd(String),
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
                let mut object = Map::new();
                for (key, value) in entries {
                    object.insert(key.clone(), value.evaluate(input)?.into_owned());
                }
                Cow::Owned(Value::Object(object))
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
                let items = match &*source {
                    Value::Array(items) => items.as_slice(),
                    Value::Object(_) => return Err(Unsure),
                    _ if *optional => &[],
                    _ => return Err(Unsure),
                };
                let mut collected = Vec::with_capacity(items.len());
                for item in items {
                    collected.extend(through(stages, Cow::Borrowed(item))?);
                }
                Cow::Owned(Value::Array(collected))
            }
            Direct::Apply(function) => function.apply(input)?,
        })
    }
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

impl Function {
    fn apply<'v>(&self, input: &'v Value) -> Answer<'v> {
        let as_text = || input.as_str().ok_or(Unsure);
        Ok(Cow::Owned(match self {
            Function::ToString => match input {
                Value::String(_) => return Ok(Cow::Borrowed(input)),
                other => Value::from(plain_text(other)?.into_owned()),
            },
            Function::Not => Value::Bool(!truthy(input)),
            Function::Length => match input {
                Value::Null => Value::from(0),
                Value::String(text) => Value::from(text.chars().count()),
                Value::Array(items) => Value::from(items.len()),
                Value::Object(entries) => Value::from(entries.len()),
                Value::Bool(_) | Value::Number(_) => return Err(Unsure),
            },
            Function::First | Function::Last => match input {
                Value::Array(items) => {
                    let item = if matches!(self, Function::First) {
                        items.first()
                    } else {
                        items.last()
                    };
                    return Ok(item.map_or(Cow::Owned(Value::Null), Cow::Borrowed));
                }
                _ => return Err(Unsure),
            },
            Function::AsciiDowncase => Value::from(as_text()?.to_ascii_lowercase()),
            Function::AsciiUpcase => Value::from(as_text()?.to_ascii_uppercase()),
            Function::FromDate => match dates::parse(as_text()?, "%Y-%m-%dT%H:%M:%SZ") {
                Some((moment, "")) => Value::from(moment.seconds()),
                _ => return Err(Unsure),
            },
            Function::Split(separator) => match as_text()? {
                "" => Value::Array(Vec::new()),
                text => text.split(separator.as_str()).map(Value::from).collect(),
            },
            Function::StartsWith(part) => Value::Bool(as_text()?.starts_with(part.as_str())),
            Function::EndsWith(part) => Value::Bool(as_text()?.ends_with(part.as_str())),
            Function::TrimStart(part) => {
                let text = as_text()?;
                Value::from(text.strip_prefix(part.as_str()).unwrap_or(text))
            }
            Function::TrimEnd(part) => {
                let text = as_text()?;
                Value::from(text.strip_suffix(part.as_str()).unwrap_or(text))
            }
        }))
    }
}

fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// A number that is the same in all representations.
fn exact(number: &Number) -> Result<f64, Unsure> {
    match number.as_f64() {
        Some(value) if value.is_finite() && value.abs() <= MAX_SAFE_INTEGER => Ok(value),
        _ => Err(Unsure),
    }
}

fn compare(left: &Value, comparison: Cmp, right: &Value) -> Result<bool, Unsure> {
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

fn calculate<'v>(left: Cow<'v, Value>, operation: Math, right: Cow<'v, Value>) -> Answer<'v> {
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
fn plain_text(value: &Value) -> Result<Cow<'_, str>, Unsure> {
    Ok(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Number(number) => Cow::Owned(number.as_i64().ok_or(Unsure)?.to_string()),
        Value::Array(_) | Value::Object(_) => return Err(Unsure),
    })
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
