//! Sets of characters: what `[..]`, `\w`, `\p{..}` and single characters of a pattern match.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as HirClass, ClassUnicode, ClassUnicodeRange, HirKind};

/// A set of characters, quick to ask.
#[derive(Debug)]
pub(super) struct CharSet {
    ascii: u128,
    /// Sorted, without overlaps; all of the set.
    ranges: Box<[(char, char)]>,
}

impl CharSet {
    pub(super) fn contains(&self, char: char) -> bool {
        if char.is_ascii() {
            return self.ascii >> u32::from(char) & 1 == 1;
        }
        let found = self.ranges.binary_search_by(|(first, last)| {
            if char < *first {
                std::cmp::Ordering::Greater
            } else if *last < char {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Equal
            }
        });
        found.is_ok()
    }
}

impl From<&ClassUnicode> for CharSet {
    fn from(class: &ClassUnicode) -> Self {
        let ranges: Box<[(char, char)]> = class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect();
        let ascii = ranges
            .iter()
            .take_while(|(first, _)| first.is_ascii())
            .flat_map(|(first, last)| *first..=(*last).min('\x7f'))
            .fold(0, |bits, char| bits | 1 << u32::from(char));
        Self { ascii, ranges }
    }
}

pub(super) fn single(char: char) -> ClassUnicode {
    range(char, char)
}

pub(super) fn range(first: char, last: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(first, last)])
}

/// Letters of other case count as well; one character for one, so `ß` is not `ss`.
pub(super) fn fold_case(class: &mut ClassUnicode) {
    // Fails only without the tables, which are compiled in.
    class.try_case_fold_simple().unwrap_or_default();
}

/// `\w`, `\d`, `\s` and their negations; `None` for any other letter.
pub(super) fn shorthand(letter: char) -> Option<ClassUnicode> {
    let known = match letter.to_ascii_lowercase() {
        'w' => &*WORDS,
        'd' => &*DIGITS,
        's' => &*BLANKS,
        _ => return None,
    };
    let mut class = known.clone();
    if letter.is_ascii_uppercase() {
        class.negate();
    }
    Some(class)
}

/// What Oniguruma calls a word character.
const WORD: &str = r"[\p{Alphabetic}\p{M}\p{N}\p{Pc}]";

// The texts are constants, and a test reads them, so the empty default is never taken.
static WORDS: LazyLock<ClassUnicode> =
    LazyLock::new(|| syntax(WORD).unwrap_or_else(ClassUnicode::empty));
static DIGITS: LazyLock<ClassUnicode> =
    LazyLock::new(|| syntax(r"\p{Nd}").unwrap_or_else(ClassUnicode::empty));
static BLANKS: LazyLock<ClassUnicode> =
    LazyLock::new(|| syntax(r"\p{White_Space}").unwrap_or_else(ClassUnicode::empty));
static WORD_SET: LazyLock<CharSet> = LazyLock::new(|| CharSet::from(&*WORDS));

/// Whether `\b` has a boundary beside it.
pub(super) fn is_word(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_alphanumeric() || char == '_';
    }
    WORD_SET.contains(char)
}

/// `[:name:]`; these names also stand in `\p{..}`, where `punct` has no symbols.
pub(super) fn posix(name: &str) -> Option<ClassUnicode> {
    syntax(match name {
        "alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "alpha" => r"\p{Alphabetic}",
        "ascii" => r"[\x00-\x7F]",
        "blank" => r"[\p{Zs}\t]",
        "cntrl" => r"\p{Cc}",
        "digit" => r"\p{Nd}",
        "graph" => r"[^\p{White_Space}\p{Cc}\p{Cn}\p{Cs}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"[[^\p{White_Space}\p{Cc}\p{Cn}\p{Cs}]\p{Zs}]",
        "punct" => r"[\p{P}\p{S}]",
        "space" => r"\p{White_Space}",
        "upper" => r"\p{Uppercase}",
        "word" => WORD,
        "xdigit" => "[0-9A-Fa-f]",
        _ => return None,
    })
}

/// `\p{name}`: a category, script or property of Unicode, whatever its case and blanks.
pub(super) fn property(name: &str) -> Option<ClassUnicode> {
    let plain: String = name
        .chars()
        .filter(|char| !matches!(char, ' ' | '_' | '-'))
        .collect();
    match plain.to_ascii_lowercase().as_str() {
        "punct" => syntax(r"\p{P}"),
        posix_name if posix(posix_name).is_some() => posix(posix_name),
        _ if name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, ' ' | '_' | '-')) =>
        {
            syntax(&format!(r"\p{{{name}}}"))
        }
        _ => None,
    }
}

/// A class as the regex-syntax crate writes it; its Unicode tables are why it is here.
fn syntax(class: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(class).ok()?.into_kind() {
        HirKind::Class(HirClass::Unicode(class)) => Some(class),
        HirKind::Class(HirClass::Bytes(bytes)) => bytes.to_unicode_class(),
        HirKind::Literal(literal) => {
            let char = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(single(char))
        }
        _ => None,
    }
}
