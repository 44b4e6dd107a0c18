//! Every recorded expression gives what libjq 1.8 gave, in all its outputs or in how it fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use jq18::{Filter, Input};
use serde_json::Value;

/// Recorded from libjq; each file says how.
const CORPUS: [&str; 2] = [
    include_str!("vectors/jq-cases.json"),
    include_str!("vectors/jq-cases-2.json"),
];

/// A case that is knowingly answered differently; the README lists the same.
struct Difference {
    expression: &'static str,
    input: &'static str,
    found: &'static str,
}

/// By reason. An entry that no case needs any more fails the test, so that a fix is noticed.
const KNOWN_DIFFERENCES: &[(&str, &[Difference])] = &[(
    "of a number with a fraction or an exponent only the value is kept, not how it was written",
    &[
        Difference {
            expression: ".a | tostring",
            input: r#"{"a":1000.0}"#,
            found: r#"["1000.0"]"#,
        },
        Difference {
            expression: ".a | tostring",
            input: r#"{"a":{"b":1.5,"a":[null]}}"#,
            found: r#"["{\"b\":1.5,\"a\":[null]}"]"#,
        },
    ],
)];

/// What libjq gives for one expression on one input.
struct Case {
    expression: String,
    input: Value,
    wanted: Answer,
}

enum Answer {
    Outputs(Vec<Value>),
    CompileError,
    RuntimeError,
}

#[test]
fn answers_are_those_of_libjq() {
    let mut unused: Vec<&Difference> = KNOWN_DIFFERENCES
        .iter()
        .flat_map(|(_, differences)| *differences)
        .collect();
    let mut problems = Vec::new();
    for case in CORPUS.iter().flat_map(|file| cases(file)) {
        let found = answer(&case);
        if case.wanted.is(&found) {
            continue;
        }
        let (input, found) = (case.input.to_string(), found.shown());
        let known = |difference: &&Difference| {
            (difference.expression, difference.input, difference.found)
                == (&case.expression, &input, &found)
        };
        match unused.iter().position(known) {
            Some(index) => drop(unused.swap_remove(index)),
            None => problems.push(format!(
                "{}\n    on {input}\n    libjq {}\n    jq18  {found}",
                case.expression,
                case.wanted.shown()
            )),
        }
    }
    for Difference {
        expression,
        input,
        found,
    } in unused
    {
        problems.push(format!(
            "{expression}\n    on {input}\n    is no longer {found}"
        ));
    }
    assert!(
        problems.is_empty(),
        "{} differ:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

fn cases(file: &str) -> Vec<Case> {
    let file: Value = serde_json::from_str(file).unwrap();
    let read = |case: &Value| Case {
        expression: case["expr"].as_str().unwrap().to_owned(),
        input: case["input"].clone(),
        wanted: match case.get("error").map(|error| error.as_str().unwrap()) {
            None => Answer::Outputs(case["outputs"].as_array().unwrap().clone()),
            Some("compile") => Answer::CompileError,
            Some("runtime") => Answer::RuntimeError,
            Some(other) => panic!("no such error: {other}"),
        },
    };
    file["cases"].as_array().unwrap().iter().map(read).collect()
}

fn answer(case: &Case) -> Answer {
    match Filter::compile(&case.expression) {
        Err(_) => Answer::CompileError,
        Ok(filter) => match filter.all(&Input::new(&case.input)) {
            Err(_) => Answer::RuntimeError,
            Ok(outputs) => Answer::Outputs(outputs),
        },
    }
}

impl Answer {
    fn is(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Outputs(left), Answer::Outputs(right)) => same_items(left, right),
            (Answer::CompileError, Answer::CompileError)
            | (Answer::RuntimeError, Answer::RuntimeError) => true,
            _ => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Answer::Outputs(outputs) => Value::from(outputs.clone()).to_string(),
            Answer::CompileError => "does not compile".to_owned(),
            Answer::RuntimeError => "fails".to_owned(),
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
