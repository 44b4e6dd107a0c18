//! Expressions of a mapping: what Ocean makes of their text, and which of them are quick.

use jq18::Filter;
use serde_json::{Value, json};

use super::super::expression::{Expression, NoValue};
use super::super::*;
use super::json_fixture;

#[test]
fn quotes_are_rewritten_as_in_ocean() {
    let golden = json_fixture("port-golden.json");
    for case in golden["format_filter"].as_array().unwrap() {
        assert_eq!(
            quotes::double_quoted(case["in"].as_str().unwrap()),
            case["out"].as_str().unwrap()
        );
    }
}

#[test]
fn fields_evaluate_as_in_ocean() {
    let golden = json_fixture("port-golden.json");
    let mut problems = Vec::new();
    for case in golden["jq_field_eval"].as_array().unwrap() {
        let expression = Expression::compile(case["expr"].as_str().unwrap());
        let compiles = expression.compile_error().is_none();
        let result = expression
            .evaluate(&jq18::Input::new(&case["input"]))
            .unwrap_or_default();
        if compiles != case["compiles"] || by_value(&result) != by_value(&case["result"]) {
            problems.push(format!("{case}\n    ferry {result}, compiles: {compiles}"));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn an_expression_that_runs_away_on_item_after_item_is_given_up() {
    let expression = Expression::compile("if .endless then until(false; .) else .name end");
    let endless = json!({"endless": true});
    let harmless = json!({"name": "a"});
    let on = |item: &Value| expression.evaluate(&jq18::Input::new(item));
    let given_up = |result| matches!(result, Err(NoValue::RanAway(reason)) if reason.contains("not evaluated any more"));
    // An item on which it ends begins the count anew.
    for item in [&endless, &endless, &harmless, &endless, &endless, &endless] {
        assert!(!given_up(on(item)));
    }
    assert!(given_up(on(&endless)));
    assert!(given_up(on(&harmless)));
}

/// Every number as a double: `1` and `1.0` are one number.
fn by_value(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(by_value).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), by_value(value)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn the_expressions_of_the_default_mapping_need_no_engine() {
    let mapping = defaults::mapping();
    let mut expressions = Vec::new();
    for resource in mapping["resources"].as_array().unwrap() {
        let mut pending = vec![
            &resource["port"]["entity"]["mappings"],
            &resource["selector"]["query"],
        ];
        while let Some(value) = pending.pop() {
            match value {
                Value::Object(entries) => pending.extend(entries.values()),
                Value::String(text) => expressions.push(quotes::double_quoted(text)),
                _ => {}
            }
        }
    }
    assert!(20 < expressions.len());
    for expression in expressions {
        assert!(
            Filter::compile(&expression).unwrap().is_direct(),
            "{expression}"
        );
    }
}
