//! Inputs as Bitbucket's items look in the small: few keys, mixed types, awkward texts and numbers.

use serde_json::{Map, Value, json};

use crate::random::Random;

pub(crate) const KEYS: [&str; 6] = ["a", "b", "c", "name", "é", "x y"];

/// Texts on which the functions of jq do something, or fail.
const TEXTS: [&str; 26] = [
    "",
    " ",
    "a",
    "ab",
    "abc-def",
    "aaa",
    "ABC",
    "Ünïcödé",
    "é",
    "😀x",
    "a b  c",
    "a,b,,c",
    "line\nbreak\n",
    "tab\tquote\"back\\",
    "x=1;y=2",
    "foo.bar@example.org",
    "feature/ABC-123_fix",
    "<a href='x'>&amp;</a>",
    "10",
    "-3.5e2",
    "nan",
    "[1,{\"a\":2}]",
    "YWJj",
    "2026-01-02T03:04:05Z",
    "1969-12-31",
    "Thu, 05 Mar 2015 23:51:47 +0100",
];

/// A value nested at most `depth` levels.
pub(crate) fn input(random: &mut Random, depth: usize) -> Value {
    let container = depth > 0 && random.chance(65);
    if !container {
        return scalar(random);
    }
    let length = random.below(4);
    if random.chance(45) {
        return (0..length).map(|_| input(random, depth - 1)).collect();
    }
    let mut entries = Map::new();
    for _ in 0..=length {
        entries.insert(random.of(&KEYS).to_owned(), input(random, depth - 1));
    }
    Value::Object(entries)
}

fn scalar(random: &mut Random) -> Value {
    match random.below(9) {
        0 => Value::Null,
        1 => Value::Bool(random.chance(50)),
        2..=4 => number(random),
        _ => Value::from(text(random)),
    }
}

pub(crate) fn text(random: &mut Random) -> &'static str {
    random.of(&TEXTS)
}

fn number(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(0),
        1 => json!(-1),
        2 => json!(0.5),
        3 => json!(-2.75),
        4 => json!(1_767_323_045),
        5 => json!(9_007_199_254_740_993_u64),
        _ => json!(random.below(6)),
    }
}
