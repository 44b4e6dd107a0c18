//! Recorded answers of `PyYAML`, and what must not bring the reader down.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn texts_are_read_as_pyyaml_reads_them() {
    let vectors = include_str!("../../tests/fixtures/vectors/yaml-11.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(50 < cases.len());
    for case in cases {
        let text = case["yaml"].as_str().unwrap();
        let found = values(text);
        if case["text"] == true {
            assert!(found.is_err(), "{text:?} is read as {found:?}");
            continue;
        }
        let wanted = match case.get("documents") {
            Some(documents) => documents.as_array().unwrap().clone(),
            None => vec![case["value"].clone()],
        };
        assert_eq!(found.as_ref(), Ok(&wanted), "{text:?}");
    }
}

#[test]
fn what_the_vectors_leave_out_is_read_as_pyyaml_reads_it() {
    for (text, wanted) in [
        (
            "a: [1_0, -0b11, 0_7, +.5, -.5, 1:30:05, 1:30.5, 0o17, 09, 1e5]",
            json!({"a": [10, -3, 7, "+.5", "-.5", 5405, 90.5, "0o17", "09", "1e5"]}),
        ),
        (
            "a: [2026-1-2, 2026-1-2 3:04:05, 2026-01-02t03:04:05.25 -5, 2026-01-02 03:04:05.0000019+05:30]",
            json!({"a": ["2026-1-2", "2026-01-02T03:04:05", "2026-01-02T03:04:05.250000-05:00", "2026-01-02T03:04:05.000001+05:30"]}),
        ),
        (
            "a: -9223372036854775808\nb: 18446744073709551615\nc: -9223372036854775809",
            json!({"a": i64::MIN, "b": u64::MAX, "c": -9223372036854775809.0}),
        ),
        (
            "1.0: a\n1: b\n\"1\": c\n~: d\n=: e",
            json!({"1.0": "b", "1": "c", "null": "d", "=": "e"}),
        ),
        (
            "b: {<<: {x: 1, y: 1}, y: 2}\n\"<<\": {z: 1}",
            json!({"b": {"x": 1, "y": 2}, "<<": {"z": 1}}),
        ),
        (
            "a: !!float 3\nb: !!bool YES\nc: !!str 08\nd: !!null x\ne: !!timestamp 2026-01-02\nf: !!map {g: 1}",
            json!({"a": 3.0, "b": true, "c": "08", "d": null, "e": "2026-01-02", "f": {"g": 1}}),
        ),
        ("a: |\n  x\n  y", json!({"a": "x\ny"})),
        ("a: >\n  x\n  y\n", json!({"a": "x y\n"})),
        ("a: |\n  x\n# nothing more", json!({"a": "x\n"})),
        (
            "a: {\n  b: [\n    c\n  ]\n}\nd: '\t' #\tx",
            json!({"a": {"b": ["c"]}, "d": "\t"}),
        ),
        ("- {a: 1}\n# nothing more", json!([{"a": 1}])),
    ] {
        assert_eq!(values(text), Ok(vec![wanted]), "{text}");
    }
    assert_eq!(values(""), Ok(vec![]));
    assert_eq!(values("# nothing"), Ok(vec![]));
    for text in [
        "a: !Ref Thing",
        "a: !!python/name:os.system x",
        "a: =",
        "a: <<",
        "a: 2026-02-30",
        "a: 0b_",
        "? [a]\n: b",
        "{a: 1}: b",
        "<<: 1",
        "<<: [{a: 1}, 2]",
        "&a [*a]",
        "a: *b",
        "a: \u{7}",
        "a: b: c",
        "a:\tb",
        "a: b\tc",
        "a: [b,\tc]",
    ] {
        assert!(
            values(text).is_err(),
            "{text:?} is read as {:?}",
            values(text)
        );
    }
}

/// Twenty lines that stand for ten to the power of twenty values, and a text of nothing but brackets.
#[test]
fn nothing_explodes() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let items = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(
        values(&text).unwrap_err().message,
        "its aliases stand for too much"
    );
    let merged = text
        .replace('[', "{<<: [")
        .replace(']', "]}")
        .replace('x', "{}");
    assert!(values(&merged).is_ok(), "maps that are merged do not grow");
    let deep = "[".repeat(100_000);
    assert!(values(&deep).is_err());
    let levels = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(values(&levels).is_ok());
    let deep = "{a: ".repeat(100_000);
    assert!(values(&deep).is_err());
}

#[test]
fn values_are_found_by_their_paths() {
    let text = "a: 1\nresources:\n  - kind: x\n    port: {entity: {mappings: 7}}\n  -\n    kind: y\n    list: [p,\n      q]\n";
    let lines = document(text).unwrap().lines;
    for (path, line) in [
        ("a", 1),
        ("resources", 2),
        ("resources[0]", 3),
        ("resources[0].kind", 3),
        ("resources[0].port.entity.mappings", 4),
        ("resources[1].kind", 6),
        ("resources[1].list[1]", 8),
        // Not there: what is around it.
        ("resources[0].selector.query", 3),
        ("resources[9].kind", 2),
    ] {
        assert_eq!(lines.of(path), Some(line), "{path}");
    }
    assert_eq!(lines.of("nothing"), None);
}

#[test]
fn mistakes_have_lines() {
    let error = document("a: 1\nb: !Ref x\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: the tag `!Ref` is not known");
    let error = document("a: 1\n---\nb: 2\n").unwrap_err();
    assert_eq!(error.message, "it holds 2 documents: keep one");
}

/// Texts of what means something in YAML, in any order.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ \n\t\"'#&*!|>%@`?:,{}\\[\\]<=~.0-9a-f-]{1,4}",
        "(<<: |&a |\\*a |!!int |- |: |\n  |---\n|\\.\\.\\.\n|yes|0x1f|1:30|2026-01-02)",
        ".",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_brings_the_reader_down(text in any_text()) {
        let found = values(&text);
        if let Err(error) = &found {
            prop_assert!(0 < error.line && error.line <= text.lines().count() + 2, "{}", error);
        }
        // With lines it reads the same.
        if let (Ok(documents), Ok(one)) = (&found, document(&text)) {
            prop_assert_eq!(documents.first().cloned().unwrap_or_default(), one.value);
        }
    }

    #[test]
    fn plain_json_is_yaml(text in "[ -~äß]{0,12}", number in any::<i32>(), flag in any::<bool>()) {
        let value = json!({"text": text, "list": [number, flag, null, {"deep": [text]}]});
        prop_assert_eq!(values(&value.to_string()), Ok(vec![value]));
    }
}
