//! What a program gives: all its outputs, or how it fails.

use std::fmt;

use jq18::{EvalError, Filter, Input};
use serde_json::Value;

pub(crate) enum Answer {
    Outputs(Vec<Value>),
    CompileError,
    RuntimeError,
    /// Stopped by a bound; only this crate does that.
    RanAway,
}

/// Reads what `.ci/libjq.py` writes.
pub(crate) fn of_libjq(answer: &Value) -> Answer {
    match answer.get("error").and_then(Value::as_str) {
        None => Answer::Outputs(answer["outputs"].as_array().unwrap().clone()),
        Some("compile") => Answer::CompileError,
        Some("runtime") => Answer::RuntimeError,
        Some(other) => panic!("no such error: {other}"),
    }
}

/// This crate's answer, held against the one of [`Filter::first`].
pub(crate) fn of_crate(program: &str, input: &Value) -> Answer {
    let Ok(filter) = Filter::compile(program) else {
        return Answer::CompileError;
    };
    let input = Input::new(input);
    let answer = match filter.all(&input) {
        Ok(outputs) => Answer::Outputs(outputs),
        Err(EvalError::Failed { .. }) => Answer::RuntimeError,
        Err(EvalError::RanAway { .. }) => Answer::RanAway,
    };
    // The short cuts of `first` must not give anything else.
    if let (Answer::Outputs(outputs), Ok(first)) = (&answer, filter.first(&input)) {
        assert_eq!(
            outputs.first(),
            first.as_ref(),
            "{program} on {}",
            input.value()
        );
    }
    answer
}

impl Answer {
    pub(crate) fn is(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Outputs(left), Answer::Outputs(right)) => same_items(left, right),
            (Answer::CompileError, Answer::CompileError)
            | (Answer::RuntimeError, Answer::RuntimeError) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Outputs(outputs) => write!(f, "{}", Value::from(outputs.clone())),
            Answer::CompileError => f.write_str("does not compile"),
            Answer::RuntimeError => f.write_str("fails"),
            Answer::RanAway => f.write_str("is stopped"),
        }
    }
}

fn same_items(left: &[Value], right: &[Value]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| same(left, right))
}

/// Equality in which numbers count by value, and the order of keys is part of the answer.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => same_items(left, right),
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|((a, left), (b, right))| a == b && same(left, right))
        }
        _ => left == right,
    }
}
