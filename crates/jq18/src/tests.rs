//! Expressions that run away, and the short cut against the engine.

use serde_json::{Value, json};

use super::*;

fn evaluate(expression: &str, input: Value) -> Result<Option<Value>, EvalError> {
    Filter::compile(expression)
        .unwrap()
        .first(&Input::new(&input))
}

/// None of them ends by itself, or in reasonable time.
const RUNAWAYS: &[&str] = &[
    "def f: f; f",
    "def f: 1 + f; f",
    "def f: f | f; f",
    "def f: f, f; f",
    "[def f: f, f; f]",
    "def f: 1, f; last(f)",
    "def f(g): f(g | . + 1); f(.)",
    "def f(g): f(g); f(.)",
    "def f($x): f($x + 1); f(0)",
    "def f: [f]; f",
    "def f: {a: f}; f",
    "def f: try error(\"x\") catch f; f",
    "def f: (try f catch f); f",
    "[repeat(1)]",
    "last(repeat(1))",
    "until(false; .)",
    "[range(1e15)]",
    "reduce range(1e15) as $i (0; . + 1)",
    "last(range(1e15))",
    "[limit(1e12; repeat(1))]",
    "first(range(1e15) | select(. < 0))",
    "[recurse(1)]",
    "[recurse([.])]",
    "reduce range(100000) as $i (null; [.])",
    "reduce range(100000) as $i (null; {a: .})",
    "setpath([range(100000) | \"a\"]; 1)",
    "reduce range(60) as $i (\"a\"; . + .)",
    "reduce range(60) as $i ([1]; . + .)",
    "reduce range(60) as $i ([1]; [., .])| tojson",
    "\"abc\" * 500000000",
    "[\"x\" * 60000000, \"x\" * 60000000]",
    ".a[1e9] = 1",
    ".a[1e300] = 1",
    "[limit(40; repeat([0, 1]))] | combinations | empty",
    "[range(3000)] | [combinations(3)]",
    "(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|(0,1) as $a|empty",
    "try repeat(error(\"x\")?) catch 1",
    "try (def f: f; f) catch 1",
    "(def f: f; f)? // 1",
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" | test(\"(a*)*\\\\1b\")",
    "(\"x\" * 1000000) as $x | [range(100000) | $x | length] | length",
    "(\"x\" * 1000000) as $x | [range(100000) | $x == ($x + \"\")] | length",
    "[range(100000)] as $x | [range(100000) | $x == $x] | length",
    "label $out | repeat(1) | empty",
    "isempty(repeat(empty))",
    "walk(def f: f; f)",
    ".a | until(false; . + .)",
    "foreach repeat(1) as $x (0; . + $x; empty)",
    "reduce repeat(1) as $x (0; empty)",
    "[paths(def f: f; f)]",
    "(\"a\" * 1000000) as $x | $x | indices(\"a\" * 500000)",
    "null | path(reduce range(1e9) as $i (.; .a))",
    "null | path(last(foreach range(1e9) as $i (.; .a)))",
    "null | path(def f: .a | f; f)",
    "path(repeat(.a)) | empty",
    "null | def f: .a |= f; f",
    "getpath([range(1e9)])",
    "tojson | until(false; tojson)",
    "@html \"\\(.)\" | until(false; @html)",
    "limit(1; repeat(empty))",
    "(\"a\" * 100000) | test(\"(?=a*b)a\")",
    "(\"a\" * 1048576) | test(\"(?=a*b)a\")",
    "(\"a\" * 1048576) | test(\"(?<=a*)b\")",
    "(\"a\" * 1048576) | test(\"(?>a*)b\")",
    "(\"a\" * 1048576) | [match(\"(?=a*)\"; \"g\")]",
];

#[test]
fn runaway_expressions_are_stopped() {
    let mut escaped = Vec::new();
    for expression in RUNAWAYS {
        let result = evaluate(expression, json!({"a": [1, 2, 3]}));
        if !matches!(result, Err(EvalError::RanAway { .. })) {
            let shown = format!("{result:?}");
            escaped.push(format!(
                "{expression}: {}",
                shown.chars().take(160).collect::<String>()
            ));
        }
    }
    assert!(escaped.is_empty(), "not stopped:\n{}", escaped.join("\n"));
    // The process is as well as before.
    assert_eq!(
        evaluate(".a | length", json!({"a": [1]})),
        Ok(Some(json!(1)))
    );
}

#[test]
fn work_on_long_texts_is_no_runaway() {
    let prose = "Prose with a few wörds, as a description has them.\n".repeat(2_200);
    assert!(100_000 < prose.len());
    for expression in [
        "gsub(\"e\"; \"E\") | length",
        "gsub(\"\\\\s+\"; \" \") | length",
        "gsub(\"(?<word>\\\\w+)\"; .word | ascii_upcase) | length",
        "[scan(\"\\\\w+\")] | length",
        "[match(\"[aeiou]\"; \"g\").offset] | length",
        "[splits(\"[,.]\\\\s*\")] | length",
        "[scan(\"(?<!\\\\w)\\\\w+(?=,)\")] | length",
        "test(\"(?=.*wörds)(?=.*nothing)\")",
        "test(\"(?s)^(?=.*nothing).{10,}$\")",
        "[.[range(0; 100000; 1000):][:9]] | length",
        "ascii_downcase | split(\" \") | map(length) | add",
    ] {
        let result = evaluate(expression, json!(prose));
        assert!(matches!(result, Ok(Some(_))), "{expression}: {result:?}");
    }
}

/// Expressions that have a direct form, to be put together.
const DIRECT_PARTS: &[&str] = &[
    ".",
    ".a",
    ".b",
    ".a.b",
    ".a[0]",
    ".a[-1]",
    ".[\"b\"]",
    ".a?",
    ".b[1:3]",
    ".a[:2]",
    "1",
    "7",
    "null",
    "true",
    "false",
    "\"x\"",
    "\"a-b\"",
    "[]",
    "length",
    "first",
    "last",
    "not",
    "tostring",
    "ascii_downcase",
    "fromdate",
    "split(\"-\")",
    "startswith(\"a\")",
    "endswith(\"b\")",
    "ltrimstr(\"a\")",
    "rtrimstr(\"b\")",
    "\"2026-11-23T07:00:00Z\"",
    "[.a[]]",
    "[.a[]?]",
    "[.a[]? | select(.b == 1)]",
    "[.[] | .a]",
    "[.a[].b]",
];

fn inputs() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;

    let scalar = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(2.5)),
        Just(json!(-3)),
        Just(json!(1.0)),
        Just(json!(9_007_199_254_740_993_u64)),
        Just(json!(1e300)),
        Just(json!("a-b")),
        Just(json!("Ünïcode")),
        Just(json!("")),
        Just(json!("2026-11-23T07:00:00Z")),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), inner), 0..3)
                .prop_map(|entries| entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
        ]
    })
}

/// Where an expression has a direct form, it gives what the engine gives, on whatever input.
#[test]
fn short_cuts_agree_with_the_engine() {
    use proptest::prelude::*;

    let leaf = prop::sample::select(DIRECT_PARTS);
    let expression =
        leaf.prop_map(|part: &str| part.to_owned())
            .prop_recursive(4, 24, 3, |inner| {
                let binary = prop::sample::select(vec![
                    "|", "+", "-", "*", "/", "//", "and", "or", "==", "!=", "<", "<=", ">", ">=",
                    ",",
                ]);
                prop_oneof![
                    (inner.clone(), binary, inner.clone())
                        .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
                    inner.clone().prop_map(|a| format!("[{a}]")),
                    inner
                        .clone()
                        .prop_map(|a| format!("{{k: ({a}), \"l\": .b}}")),
                    inner.clone().prop_map(|a| format!("\"<\\({a})>\"")),
                    inner.clone().prop_map(|a| format!("[.a[]? | ({a})]")),
                    (inner.clone(), inner.clone(), inner)
                        .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c} end)")),
                ]
            });
    let direct = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 2_000,
        ..ProptestConfig::default()
    };
    proptest!(config, |(expression in expression, input in inputs())| {
        let filter = Filter::compile(&expression).unwrap();
        let item = Input::new(&input);
        if let Some(Ok(output)) = filter.direct.as_ref().map(|direct| direct.first(&input)) {
            direct.set(direct.get() + 1);
            prop_assert_eq!(Ok(Some(output)), filter.first_by_engine(&item), "{} on {}", expression, input);
        }
    });
    assert!(
        200 < direct.get(),
        "hardly any expression took the short cut: {direct:?}"
    );
}
