//! Regular expressions with jq's meaning (Oniguruma, Perl syntax) on `fancy-regex`, compiled once.
//!
//! `^` and `$` are the ends of the text unless `(?m)` says otherwise, `.` does not match a newline unless the
//! flag `p` or `(?s)` is given, unknown escapes are the letter itself. Backtracking is bounded.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::guard::{self, Bound};
use super::value::Error;

/// Steps that one search may backtrack; `fancy-regex` does about a hundred per microsecond.
const BACKTRACK_LIMIT: usize = 200_000;
/// Patterns kept per thread; a program has a few dozen. When full, the cache starts anew.
const CACHED_PATTERNS: usize = 256;
/// Bytes of a compiled pattern, so that `(a{1000}){1000}` is refused.
const COMPILED_BYTES: usize = 1 << 20;
/// Bytes of a pattern.
const PATTERN_BYTES: usize = 10_000;

/// The flags of `test`, `match`, ..
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Flags {
    /// `g`: all matches.
    pub(super) global: bool,
    /// `n`: empty matches are skipped.
    pub(super) skip_empty: bool,
    ignore_case: bool,
    extended: bool,
    dot_all: bool,
    longest: bool,
}

impl Flags {
    /// Reads `gix`..; `None` names no flag.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut flags = Self::default();
        for flag in text.chars() {
            match flag {
                'g' => flags.global = true,
                'n' => flags.skip_empty = true,
                'i' => flags.ignore_case = true,
                'x' => flags.extended = true,
                'p' | 'm' => flags.dot_all = true,
                'l' => flags.longest = true,
                // Single line mode is what `^` and `$` do anyway.
                's' => {}
                _ => return Err(Error::str(format!("{text} is not a valid modifier string"))),
            }
        }
        Ok(flags)
    }
}

/// One group of a match: byte range, or none when it took no part.
pub(super) struct Group {
    pub(super) name: Option<Rc<str>>,
    pub(super) range: Option<(usize, usize)>,
}

/// The whole match is the first group.
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) groups: Vec<Group>,
}

/// A compiled pattern.
pub(super) struct Regex {
    regex: fancy_regex::Regex,
    names: Vec<Option<Rc<str>>>,
}

thread_local! {
    static CACHE: RefCell<HashMap<(String, Flags), Rc<Regex>>> = RefCell::new(HashMap::new());
}

/// The compiled form of `pattern`, from the cache when it was used before.
pub(super) fn compiled(pattern: &str, flags: Flags) -> Result<Rc<Regex>, Error> {
    // Which matches are wanted does not change the compiled form.
    let flags = Flags {
        global: false,
        skip_empty: false,
        ..flags
    };
    let key = (pattern.to_owned(), flags);
    if let Some(found) = CACHE.with_borrow(|cache| cache.get(&key).cloned()) {
        return Ok(found);
    }
    guard::work(1_000 + pattern.len())?;
    let compiled = Rc::new(Regex::compile(pattern, flags)?);
    CACHE.with_borrow_mut(|cache| {
        if CACHED_PATTERNS <= cache.len() {
            cache.clear();
        }
        cache.insert(key, Rc::clone(&compiled));
    });
    Ok(compiled)
}

impl Regex {
    fn compile(pattern: &str, flags: Flags) -> Result<Self, Error> {
        if PATTERN_BYTES < pattern.len() {
            return Err(Error::str("the regular expression is too long"));
        }
        let regex = fancy_regex::RegexBuilder::new(&translate(pattern, flags))
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(COMPILED_BYTES)
            .build()
            .map_err(|error| {
                let reason: String = error.to_string().chars().take(100).collect();
                let shown: String = pattern.chars().take(60).collect();
                Error::str(format!(
                    "{shown} (at offset 0) is not a valid regex: {reason}"
                ))
            })?;
        let names = regex
            .capture_names()
            .skip(1)
            .map(|name| name.map(Rc::from))
            .collect();
        Ok(Self { regex, names })
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, text: &str, flags: Flags) -> Result<bool, Error> {
        if flags.skip_empty {
            return Ok(!self.matches(text, flags)?.is_empty());
        }
        guard::work(1 + text.len() / 16)?;
        self.regex.is_match(text).map_err(ran_away)
    }

    /// The first match, or all of them with `g`.
    pub(super) fn matches(&self, text: &str, flags: Flags) -> Result<Vec<Match>, Error> {
        let mut found = Vec::new();
        let mut from = 0;
        while from <= text.len() {
            guard::work(4 + (text.len() - from) / 256)?;
            let Some(captures) = self.regex.captures_from_pos(text, from).map_err(ran_away)? else {
                break;
            };
            let Some(whole) = captures.get(0) else { break };
            guard::count((whole.end() - from) / 16);
            let next = match text.get(whole.end()..).and_then(|rest| rest.chars().next()) {
                // The next search begins behind an empty match, at a non-empty match's end.
                Some(char) if whole.start() == whole.end() => whole.end() + char.len_utf8(),
                None if whole.start() == whole.end() => text.len() + 1,
                _ => whole.end(),
            };
            if !(flags.skip_empty && whole.start() == whole.end()) {
                let groups = self.names.iter().enumerate().map(|(index, name)| Group {
                    name: name.clone(),
                    range: captures
                        .get(index + 1)
                        .map(|group| (group.start(), group.end())),
                });
                let groups = groups.collect();
                guard::allocate(64 * (1 + self.names.len()))?;
                found.push(Match {
                    start: whole.start(),
                    end: whole.end(),
                    groups,
                });
                if !flags.global {
                    break;
                }
            }
            from = next;
        }
        Ok(found)
    }
}

/// Search failed: it backtracked too much.
fn ran_away(_: fancy_regex::Error) -> Error {
    guard::trip(Bound::Steps);
    Error::str("the regular expression takes too long")
}

/// Rewrites Oniguruma's Perl syntax where `fancy-regex` reads it differently.
fn translate(pattern: &str, flags: Flags) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let modes: String = [
        (flags.ignore_case, 'i'),
        (flags.extended, 'x'),
        (flags.dot_all, 's'),
    ]
    .into_iter()
    .filter_map(|(on, mode)| on.then_some(mode))
    .collect();
    if !modes.is_empty() {
        out.push_str("(?");
        out.push_str(&modes);
        out.push(')');
    }
    let chars: Vec<char> = pattern.chars().collect();
    let mut multi_line = vec![false];
    let mut index = 0;
    while let Some(&char) = chars.get(index) {
        index += 1;
        match char {
            '\\' => index = translate_escape(&chars, index, false, &mut out),
            '[' => index = translate_class(&chars, index, &mut out),
            // At the end, or before a newline that ends the text.
            '$' if !multi_line.last().is_some_and(|on| *on) => out.push_str("(?=\\n?\\z)"),
            '(' => {
                out.push('(');
                multi_line.push(multi_line.last().is_some_and(|on| *on));
                if let Some((on, length, closed)) = inline_modes(&chars, index) {
                    if closed {
                        multi_line.pop();
                    }
                    if let (Some(on), Some(slot)) = (on, multi_line.last_mut()) {
                        *slot = on;
                    }
                    out.extend(chars.get(index..index + length).unwrap_or_default());
                    index += length;
                }
            }
            ')' => {
                if 1 < multi_line.len() {
                    multi_line.pop();
                }
                out.push(')');
            }
            // Without a lower bound this is no repetition.
            '{' if chars.get(index) == Some(&',') => out.push_str("\\{"),
            '{' if !is_repetition(&chars, index) => out.push_str("\\{"),
            _ => out.push(char),
        }
    }
    out
}

/// Whether `{` opens `n}`, `n,}` or `n,m}`.
fn is_repetition(chars: &[char], index: usize) -> bool {
    let inside: String = chars
        .iter()
        .skip(index)
        .take_while(|char| **char != '}')
        .collect();
    let closed = chars.get(index + inside.chars().count()) == Some(&'}');
    let (low, high) = inside.split_once(',').unwrap_or((&inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    closed && !low.is_empty() && digits(low) && digits(high)
}

/// After `(`: what `?mods)` or `?mods:` say of `m`, their length, and whether the group ends there.
fn inline_modes(chars: &[char], index: usize) -> Option<(Option<bool>, usize, bool)> {
    if chars.get(index) != Some(&'?') {
        return None;
    }
    let mut on = true;
    let mut multi_line = None;
    for (length, char) in chars.get(index + 1..)?.iter().enumerate() {
        match char {
            '-' => on = false,
            'm' => multi_line = Some(on),
            'i' | 's' | 'x' => {}
            ')' => return Some((multi_line, length + 2, true)),
            ':' => return Some((multi_line, length + 2, false)),
            _ => return None,
        }
    }
    None
}

/// Copies the escape whose letter is at `index`; returns the index behind it.
fn translate_escape(chars: &[char], index: usize, in_class: bool, out: &mut String) -> usize {
    let Some(&letter) = chars.get(index) else {
        out.push('\\');
        return index;
    };
    match letter {
        'Z' => out.push_str("(?=\\n?\\z)"),
        // Known in both, with the same meaning.
        'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P' | 'x' | 't' | 'n' | 'r' | 'f' | 'v' | 'a'
        | 'e' => {
            out.push('\\');
            out.push(letter);
            // `\p{Lu}`, `\x{1F600}`: these braces are no repetition.
            let rest = chars.get(index + 1..).unwrap_or_default();
            if matches!(letter, 'p' | 'P' | 'x')
                && rest.first() == Some(&'{')
                && let Some(length) = rest.iter().position(|char| *char == '}')
            {
                out.extend(rest.iter().take(length + 1));
                return index + length + 2;
            }
        }
        'b' if in_class => out.push_str("\\x08"),
        'b' | 'B' | 'A' | 'z' | 'G' | 'k' | 'g' | 'K' | 'R' | 'X' if !in_class => {
            out.push('\\');
            out.push(letter);
        }
        '0' => out.push_str("\\x00"),
        '1'..='9' if !in_class => {
            out.push('\\');
            out.push(letter);
        }
        letter if letter.is_ascii_alphanumeric() || !letter.is_ascii() => out.push(letter),
        letter => {
            out.push('\\');
            out.push(letter);
        }
    }
    index + 1
}

/// Copies the character class that begins before `index`: no nesting, no set operations.
fn translate_class(chars: &[char], mut index: usize, out: &mut String) -> usize {
    out.push('[');
    if chars.get(index) == Some(&'^') {
        out.push('^');
        index += 1;
    }
    let start = index;
    while let Some(&char) = chars.get(index) {
        index += 1;
        match char {
            ']' if index == start + 1 => out.push_str("\\]"),
            ']' => {
                out.push(']');
                return index;
            }
            '\\' => index = translate_escape(chars, index, true, out),
            '[' if chars.get(index) == Some(&':') => {
                let rest = chars.get(index..).unwrap_or_default();
                match rest.windows(2).position(|pair| pair == [':', ']']) {
                    Some(length) if 0 < length => {
                        out.push('[');
                        out.extend(rest.get(..length + 2).unwrap_or_default());
                        index += length + 2;
                    }
                    _ => out.push_str("\\["),
                }
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(char);
            }
            // `a--b`: the second dash would be a set operation.
            '-' if chars.get(index) == Some(&'-') && chars.get(index + 1) != Some(&']') => {
                out.push_str("-\\-");
                index += 1;
            }
            _ => out.push(char),
        }
    }
    index
}
