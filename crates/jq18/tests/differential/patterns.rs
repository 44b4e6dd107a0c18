//! Random regular expressions, as naming checks and extractions are written, and with what is rare.

use crate::random::Random;

const ATOMS: [&str; 41] = [
    "a",
    "b",
    "c",
    "-",
    "é",
    ".",
    "\\w",
    "\\d",
    "\\s",
    "\\S",
    "\\W",
    "\\D",
    "[a-c]",
    "[^a]",
    "[\\w.-]",
    "[^\\s,]",
    "[[:alpha:]]",
    "[[:^digit:]_]",
    "\\p{L}",
    "\\p{Lu}",
    "\\P{L}",
    "\\b",
    "\\B",
    "^",
    "$",
    "\\A",
    "\\z",
    "\\Z",
    "\\.",
    "\\/",
    "[A-Z0-9]",
    "\\h",
    "x",
    "[]a]",
    "[a-]",
    "\\x61",
    "\\K",
    "(?i)",
    "(?-i)",
    "(?m)",
    "(?x)",
];
const REPEATS: [&str; 16] = [
    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}", "{2,}", "{1,63}", "{,2}", "*+", "++",
    "{2}?", "{1,2}?",
];
const FLAGS: [&str; 10] = ["g", "gi", "i", "gn", "x", "gx", "s", "p", "", "gl"];

/// A pattern as it stands in a JSON string.
pub(crate) fn pattern(random: &mut Random) -> String {
    let pattern = alternatives(random, 2, &mut 0);
    pattern.replace('\\', "\\\\").replace('"', "\\\"")
}

pub(crate) fn flags(random: &mut Random) -> &'static str {
    random.of(&FLAGS)
}

fn alternatives(random: &mut Random, depth: usize, groups: &mut usize) -> String {
    let mut pattern = sequence(random, depth, groups);
    while random.chance(15) {
        pattern.push('|');
        pattern.push_str(&sequence(random, depth, groups));
    }
    pattern
}

fn sequence(random: &mut Random, depth: usize, groups: &mut usize) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(3) {
        let atom = atom(random, depth, groups);
        pattern.push_str(&atom);
        let repeatable = !matches!(
            atom.as_str(),
            "^" | "$" | "\\A" | "\\z" | "\\Z" | "\\b" | "\\B"
        ) && !atom.starts_with("(?<")
            && !atom.starts_with("(?=")
            && !atom.starts_with("(?!");
        if repeatable && random.chance(35) {
            pattern.push_str(random.of(&REPEATS));
        }
    }
    pattern
}

fn atom(random: &mut Random, depth: usize, groups: &mut usize) -> String {
    if depth == 0 || random.chance(75) {
        if 0 < *groups && random.chance(6) {
            return format!("\\{}", 1 + random.below(*groups));
        }
        return random.of(&ATOMS).to_owned();
    }
    let opening = random.of(&[
        "(", "(", "(?:", "(?<n>", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?s:", "(?m:",
    ]);
    if opening.starts_with("(?<=") || opening.starts_with("(?<!") {
        return format!(
            "{opening}{})",
            random.of(&["a", "b", "ab", "\\w", "-", "[a-c]", "^"])
        );
    }
    let inner = alternatives(random, depth - 1, groups);
    // A reference into a group that is not closed yet is rare enough to leave out.
    if opening == "(" {
        *groups += 1;
    }
    format!("{opening}{inner})")
}
