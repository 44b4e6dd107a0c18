//! Patterns as Python's `fnmatch` reads them, which Ocean matches folders of files with: `*` and `?` cross `/`.

use std::fmt;

use regex::Regex;

use super::literal::{Syntax, longest_literal};

/// A pattern such as `apps/*`, which matches `apps/a` and `apps/a/b`. Only `*`, `?` and `[..]` mean anything.
#[derive(Clone)]
pub(super) struct Fnmatch {
    pattern: String,
    regex: Regex,
}

impl fmt::Debug for Fnmatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.pattern, f)
    }
}

impl PartialEq for Fnmatch {
    fn eq(&self, other: &Fnmatch) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for Fnmatch {}

impl Fnmatch {
    /// An error only where the pattern is too long to be matched.
    pub(super) fn new(pattern: &str) -> Result<Fnmatch, String> {
        let regex = Regex::new(&translated(pattern)).map_err(|error| error.to_string())?;
        Ok(Fnmatch {
            pattern: pattern.to_owned(),
            regex,
        })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What a matching text contains; `None` where that is not known.
    pub(super) fn literal(&self) -> Option<String> {
        longest_literal(&self.pattern, Syntax::Fnmatch)
    }

    /// Slashes that a matching text has at most; `None` when there is no bound.
    pub(super) fn most_slashes(&self) -> Option<usize> {
        let bounded = !self.pattern.contains('*');
        // A `?` or a set may match one.
        let slashes = || self.pattern.matches(['/', '?', '[']).count();
        bounded.then(slashes)
    }
}

/// The regular expression that matches what `pattern` does.
fn translated(pattern: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        let (_, mut after) = rest.split_at_checked(next.len_utf8()).unwrap_or((rest, ""));
        match next {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => match set(after) {
                Some((set, behind)) => {
                    out.push_str(&set);
                    after = behind;
                }
                None => out.push_str("\\["),
            },
            other => out.push_str(&regex::escape(&other.to_string())),
        }
        rest = after;
    }
    out.push('$');
    out
}

/// The set whose inside `text` begins with, and what comes after it; `None` where it has no end.
fn set(text: &str) -> Option<(String, &str)> {
    let (is_negated, inside) = match text.strip_prefix('!') {
        Some(inside) => (true, inside),
        None => (false, text),
    };
    // A bracket right at the beginning is one of the set.
    let first = inside.chars().next()?.len_utf8();
    let end = first + inside.get(first..)?.find(']')?;
    let (members, behind) = inside.split_at_checked(end)?;
    let members: Vec<char> = members.chars().collect();
    let mut ranges = String::new();
    let mut at = 0;
    while let Some(from) = members.get(at) {
        let to = match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(to)) => {
                at += 2;
                to
            }
            _ => from,
        };
        at += 1;
        // A range that goes backwards is empty.
        if from <= to {
            let (from, to) = (u32::from(*from), u32::from(*to));
            ranges.push_str(&format!("\\x{{{from:x}}}-\\x{{{to:x}}}"));
        }
    }
    let set = match (ranges.is_empty(), is_negated) {
        (true, true) => ".".to_owned(),
        // Nothing.
        (true, false) => "[^\\x{0}-\\x{10ffff}]".to_owned(),
        (false, true) => format!("[^{ranges}]"),
        (false, false) => format!("[{ranges}]"),
    };
    Some((set, behind.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text, matches) in [
            ("apps/*", "apps/a/b", true),
            ("apps/*", "apps", false),
            ("*.yml", "a/b.yml", true),
            ("*", "", true),
            ("a?c", "a/c", true),
            ("a?c", "a\nc", true),
            ("[ab]", "a", true),
            ("[!ab]", "a", false),
            ("[!ab]", "/", true),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", false),
            ("[!c-a]x", "bx", true),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[]", "[]", true),
            ("[a", "[a", true),
            ("[a-]", "-", true),
            ("[--0]", ".", true),
            ("[^a]", "^", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("a\\*", "a\\b", true),
            ("a.c", "abc", false),
            ("Ünï", "Ünï", true),
            ("APPS", "apps", false),
        ] {
            let found = Fnmatch::new(pattern).unwrap().is_match(text);
            assert_eq!(found, matches, "{pattern} {text:?}");
        }
    }

    #[test]
    fn how_deep_a_match_may_lie_is_known_without_a_star() {
        let slashes = |pattern| Fnmatch::new(pattern).unwrap().most_slashes();
        assert_eq!(slashes("apps"), Some(0));
        assert_eq!(slashes("apps/?/[ab]"), Some(4));
        assert_eq!(slashes("apps/*"), None);
    }
}
