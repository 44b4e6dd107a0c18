//! Hostile expressions: whatever they are, the process survives, and the short cut agrees with the engine.
#![no_main]

use jq18::{Filter, Input};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|source: &str| {
    let Ok(filter) = Filter::compile(source) else { return };
    let inputs = [
        Value::Null,
        json!({"a": {"b": [1, 2.5, "x", null]}, "b": "text-1", "c": [{"d": true}], "n": 7}),
    ];
    for input in &inputs {
        let input = Input::new(input);
        let _ = filter.first(&input);
        let _ = filter.all(&input);
    }
});
