//! The differences from libjq that are known, each with its reason; the crate's README lists the same.

use serde_json::Value;

use crate::answer::Answer;

/// Why the two answers may differ, if they may.
pub(crate) fn reason(
    program: &str,
    input: &Value,
    libjq: &Answer,
    jq18: &Answer,
) -> Option<&'static str> {
    let both_answer = matches!((libjq, jq18), (Answer::Outputs(_), Answer::Outputs(_)));
    let ascii = program.is_ascii() && input.to_string().is_ascii();
    let searches_on = ["gsub(", "scan(", "split", "\"g"]
        .iter()
        .any(|call| program.contains(call));
    if both_answer && !ascii && searches_on {
        return Some(
            "behind an empty match libjq goes on by a byte; what it then finds within a character is no text",
        );
    }
    if both_answer && program.contains("nan") {
        return Some("no NaN equals another, so what is sorted by several of them has no order");
    }
    if matches!((libjq, jq18), (Answer::RuntimeError, Answer::RanAway)) {
        return Some(
            "a pattern that backtracks without end is an error in libjq, and hits a bound here",
        );
    }
    let grows = libjq.to_string().len() > jq18.to_string().len();
    if both_answer && program.contains("?//") && grows {
        return Some("in libjq what fails behind a binding with `?//` has the next pattern tried");
    }
    if both_answer && program.contains("catch") {
        let message = libjq.to_string();
        let says = ["Invalid path expression", "(while parsing '"];
        if says.iter().any(|text| message.contains(text)) {
            return Some("what errors of paths and of JSON texts say is this crate's own");
        }
    }
    if both_answer && libjq.to_string().contains("-2147481") {
        return Some("in C a year beyond 32 bits wraps around");
    }
    None
}
