//! Every recorded expression gives what libjq 1.8 gave, in all its outputs or in how it fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "differential/answer.rs"]
mod answer;

use answer::{Answer, of_crate, of_libjq};
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

#[test]
fn answers_are_those_of_libjq() {
    let mut unused: Vec<&Difference> = KNOWN_DIFFERENCES
        .iter()
        .flat_map(|(_, differences)| *differences)
        .collect();
    let mut problems = Vec::new();
    for case in CORPUS.iter().flat_map(|file| cases(file)) {
        let found = of_crate(&case.expression, &case.input);
        if case.wanted.is(&found) {
            continue;
        }
        let (input, found) = (case.input.to_string(), found.to_string());
        let known = |difference: &&Difference| {
            (difference.expression, difference.input, difference.found)
                == (&case.expression, &input, &found)
        };
        match unused.iter().position(known) {
            Some(index) => drop(unused.swap_remove(index)),
            None => problems.push(format!(
                "{}\n    on {input}\n    libjq {}\n    jq18  {found}",
                case.expression, case.wanted
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
        wanted: of_libjq(case),
    };
    file["cases"].as_array().unwrap().iter().map(read).collect()
}
