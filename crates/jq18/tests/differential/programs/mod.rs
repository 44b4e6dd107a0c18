//! Random programs over all of jq's grammar and most of its functions. None loops, and none reads the clock.

mod targets;

use crate::inputs::{KEYS, text};
use crate::patterns::{flags, pattern};
use crate::random::Random;
use crate::vocabulary::{ANY_CALLS, DATES, LIST_CALLS, PLAIN, TEXT_CALLS, TIME_CALLS};

const FORMATS: [&str; 9] = [
    "@text", "@json", "@csv", "@tsv", "@html", "@uri", "@sh", "@base64", "@base64d",
];
const BINARY: [&str; 18] = [
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//", ",", "|", "|",
    "+",
];
const ASSIGN: [&str; 8] = ["=", "|=", "+=", "-=", "*=", "/=", "%=", "//="];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "0.5",
    "1.5",
    "10",
    "100",
    "1e3",
    "1767323045",
    "-86400.5",
    "12345678901234567890",
];

/// So many of them are small enough to count with.
const SMALL: usize = 9;

/// Writes one program.
pub(crate) struct Author<'r> {
    random: &'r mut Random,
    variables: Vec<&'static str>,
}

impl<'r> Author<'r> {
    pub(crate) fn new(random: &'r mut Random) -> Self {
        Self {
            random,
            variables: Vec::new(),
        }
    }

    /// A program that may stand anywhere between parentheses.
    pub(crate) fn program(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.short();
        }
        let inner = depth - 1;
        match self.random.below(22) {
            0..=3 => self.path(inner),
            4..=6 => self.binary(inner),
            7..=10 => self.call(inner),
            11 => self.binding(inner),
            12 => self.fold(inner),
            13 => self.conditional(inner),
            14 => self.object(inner),
            15 => format!("[{}]", self.program(inner)),
            16 => self.text(inner),
            17 => self.attempt(inner),
            18 => self.update(inner),
            19 => self.function(inner),
            20 => {
                // libjq takes a `break` behind `?//` for a pattern that does not fit: README.md.
                let body = match self.program(inner) {
                    body if body.contains("?//") => self.short(),
                    body => body,
                };
                format!(
                    "label $out | {body} | if {} then ., break $out else . end",
                    self.short()
                )
            }
            _ => format!("({}) | {}", self.program(inner), self.program(inner)),
        }
    }

    /// A term: it may be an operand or a source.
    fn term(&mut self, depth: usize) -> String {
        match self.random.below(4) {
            0 => self.short(),
            1 => self.path(depth),
            _ => format!("({})", self.program(depth)),
        }
    }

    fn short(&mut self) -> String {
        match self.random.below(9) {
            0..=2 => format!(
                ".{}",
                self.random.of(&["a", "b", "c", "name", "a?", "[\"x y\"]"])
            ),
            3 => ".".to_owned(),
            4 => self.random.of(&NUMBERS).to_owned(),
            5 => self.literal(),
            6 if !self.variables.is_empty() => {
                let index = self.random.below(self.variables.len());
                self.variables[index].to_owned()
            }
            _ => self.random.line(PLAIN).to_owned(),
        }
    }

    fn literal(&mut self) -> String {
        let text = if self.random.chance(30) {
            self.random.of(&KEYS)
        } else {
            text(self.random)
        };
        serde_json::Value::from(text).to_string()
    }

    fn path(&mut self, depth: usize) -> String {
        let mut path = match self.random.below(5) {
            0 if depth > 0 => format!("({})", self.program(depth - 1)),
            1 => "..".to_owned(),
            _ => ".".to_owned(),
        };
        for index in 0..=self.random.below(4) {
            let bare = path == "." && index == 0;
            let step = match self.random.below(9) {
                0..=2 => format!(".{}", self.random.of(&["a", "b", "c", "name"])),
                3 | 4 => "[]".to_owned(),
                5 => format!("[{}]", self.random.of(&["0", "1", "-1", "-2", "1.5"])),
                6 => format!("[{}]", self.program(depth.saturating_sub(1))),
                7 => format!(".{}", self.literal()),
                _ => {
                    let (from, to) = (self.bound(), self.bound());
                    if from.is_empty() && to.is_empty() {
                        "[1:]".to_owned()
                    } else {
                        format!("[{from}:{to}]")
                    }
                }
            };
            let step = if bare {
                step.strip_prefix('.').map_or(step.clone(), str::to_owned)
            } else {
                step
            };
            path.push_str(&step);
            if self.random.chance(40) {
                path.push('?');
            }
        }
        // `...a` is no program.
        path.replace("...", "..|.")
            .replace("..[", "..|.[")
            .replace("..\"", "..|.\"")
    }

    fn bound(&mut self) -> String {
        let choices = [
            "", "", "0", "1", "2", "-1", "-2", "1.7", "(0,1)", "empty", "null", "length",
        ];
        self.random.of(&choices).to_owned()
    }

    fn binary(&mut self, depth: usize) -> String {
        let operator = self.random.of(&BINARY);
        let (left, right) = (self.term(depth), self.term(depth));
        match self.random.below(6) {
            // Precedence shows only without parentheses.
            0 => format!(
                "{left} {operator} {right} {} {}",
                self.random.of(&BINARY),
                self.term(0)
            ),
            1 => format!("-{left} {operator} {right}"),
            _ => format!("{left} {operator} {right}"),
        }
    }

    fn call(&mut self, depth: usize) -> String {
        let (source, calls) = match self.random.below(20) {
            0..=4 => ("", ANY_CALLS),
            5..=6 => ("", LIST_CALLS),
            7..=9 => (
                self.random.of(&["[.[]?]", "(.. | arrays)", "[.., 1]"]),
                LIST_CALLS,
            ),
            10 => ("", TEXT_CALLS),
            11..=16 => (
                self.random.of(&["(.. | strings)", "~", "~", "tostring"]),
                TEXT_CALLS,
            ),
            17 => ("(.. | numbers)", TIME_CALLS),
            _ => ("(&, &)", TIME_CALLS),
        };
        let form = match source {
            "" => self.random.line(calls).to_owned(),
            source => format!("{source} | {}", self.random.line(calls)),
        };
        self.filled(&form, depth)
    }

    fn filled(&mut self, form: &str, depth: usize) -> String {
        let mut call = String::new();
        for char in form.chars() {
            match char {
                '^' => call.push_str(&self.target(depth)),
                '@' => call.push_str(&self.program(depth)),
                '%' => call.push_str(self.random.of(&NUMBERS[..SMALL])),
                '&' => call.push_str(self.random.of(&NUMBERS)),
                '~' => call.push_str(&self.literal()),
                '/' => call.push_str(&format!("\"{}\"", pattern(self.random))),
                '!' => call.push_str(&format!("\"{}\"", flags(self.random))),
                '#' => call.push_str(&format!("\"{}\"", self.random.line(DATES))),
                other => call.push(other),
            }
        }
        call
    }

    fn pattern(&mut self) -> (String, Vec<&'static str>) {
        match self.random.below(6) {
            0 => ("[$x, $y]".to_owned(), vec!["$x", "$y"]),
            1 => ("{a: $x}".to_owned(), vec!["$x"]),
            2 => ("{$a, b: [$y]}".to_owned(), vec!["$a", "$y"]),
            3 if self.random.chance(40) => {
                ("[$x] ?// {a: $y} ?// $z".to_owned(), vec!["$x", "$y", "$z"])
            }
            _ => ("$x".to_owned(), vec!["$x"]),
        }
    }

    fn with_variables(&mut self, names: &[&'static str], depth: usize) -> String {
        let before = self.variables.len();
        self.variables.extend(names);
        let body = self.program(depth);
        self.variables.truncate(before);
        body
    }

    fn binding(&mut self, depth: usize) -> String {
        let source = self.term(depth);
        let (pattern, names) = self.pattern();
        let body = self.with_variables(&names, depth);
        let before = if self.random.chance(20) {
            format!("{}, ", self.short())
        } else {
            String::new()
        };
        format!("{before}{source} as {pattern} | {body}")
    }

    fn fold(&mut self, depth: usize) -> String {
        let source = match self.random.below(4) {
            0 => format!("-{}", self.term(0)),
            1 => format!("{} / {}", self.term(0), self.term(0)),
            _ => self.term(depth),
        };
        let names = ["$x"];
        let init = self.program(depth.min(1));
        let update = if self.random.chance(50) {
            ". + $x".to_owned()
        } else {
            self.with_variables(&names, depth)
        };
        if self.random.chance(50) {
            return format!("reduce {source} as $x ({init}; {update})");
        }
        if self.random.chance(50) {
            let extract = self.with_variables(&names, depth.min(1));
            return format!("foreach {source} as $x ({init}; {update}; {extract})");
        }
        format!("[foreach {source} as $x ({init}; {update})]")
    }

    fn conditional(&mut self, depth: usize) -> String {
        let (test, then) = (self.program(depth), self.program(depth));
        match self.random.below(3) {
            0 => format!("if {test} then {then} end"),
            1 => format!(
                "if {test} then {then} elif {} then {} else {} end",
                self.short(),
                self.short(),
                self.short()
            ),
            _ => format!("if {test} then {then} else {} end", self.program(depth)),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let mut entries = Vec::new();
        for _ in 0..=self.random.below(2) {
            let value = format!("({})", self.program(depth));
            entries.push(match self.random.below(7) {
                0 => "a".to_owned(),
                1 => format!("\"b\\({})\": {value}", self.short()),
                2 => format!("({}): {value}", self.short()),
                3 => format!("{}: {value}", self.literal()),
                4 if self.variables.contains(&"$x") => "$x".to_owned(),
                5 => "\"name\"".to_owned(),
                _ => format!("{}: {value}", self.random.of(&["a", "b", "if", "c"])),
            });
        }
        format!("{{{}}}", entries.join(", "))
    }

    fn text(&mut self, depth: usize) -> String {
        let format = if self.random.chance(50) {
            self.random.of(&FORMATS)
        } else {
            ""
        };
        match self.random.below(3) {
            0 if !format.is_empty() => format.to_owned(),
            1 => format!(
                "{format}\"<\\({})> \\({})\"",
                self.program(depth),
                self.short()
            ),
            _ => format!("{format}\"é \\({})\"", self.program(depth)),
        }
    }

    fn attempt(&mut self, depth: usize) -> String {
        match self.random.below(4) {
            0 => format!(
                "try {} catch {}",
                self.term(depth),
                self.random.of(&[".", "\"caught\""])
            ),
            1 => format!("try {}", self.term(depth)),
            2 => format!("({})? // {}", self.program(depth), self.short()),
            _ => format!("[.[]? | {}?]", self.term(depth)),
        }
    }

    fn update(&mut self, depth: usize) -> String {
        let target = self.target(depth);
        match self.random.below(4) {
            0 => format!("del({target}, {})", self.steps()),
            1 => format!("[path({target})]"),
            _ => format!(
                "({target}) {} {}",
                self.random.of(&ASSIGN),
                self.term(depth)
            ),
        }
    }

    fn function(&mut self, depth: usize) -> String {
        let body = self.program(depth);
        match self.random.below(4) {
            0 => format!("def f: {body}; {} | f", self.short()),
            1 => format!("def f(g): {body} | g; f({})", self.program(depth)),
            2 => format!("def f($v): {body} | [., $v]; f({})", self.program(depth)),
            _ => format!("{}, def f: {body}; f, {}", self.short(), self.short()),
        }
    }
}
