//! Regular expressions as jq has them: Oniguruma's, in the syntax that jq asks it for, matched by backtracking.
//!
//! Patterns are compiled once per process. What a search may take is counted by [`super::guard`], instruction by
//! instruction; what a compiled pattern takes grows with its text, not with the numbers in it.

mod class;
mod machine;
mod program;
mod syntax;
mod tree;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::guard;
use super::value::Error;
use machine::{Machine, Slots, Wanted};
use program::Routine;
use syntax::Modes;

/// Patterns kept per process; a mapping has a few dozen. When full, the cache starts anew.
const CACHED_PATTERNS: usize = 512;
/// Bytes of a pattern.
const PATTERN_BYTES: usize = 10_000;

/// The flags of `test`, `match`, ..
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Flags {
    /// `g`: all matches.
    pub(super) global: bool,
    /// `n`: empty matches do not count.
    not_empty: bool,
    /// `l`: the longest match.
    longest: bool,
    modes: Modes,
}

impl Flags {
    /// Reads `gix`..; an unknown letter is an error.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut flags = Self::default();
        for flag in text.chars() {
            match flag {
                'g' => flags.global = true,
                'n' => flags.not_empty = true,
                'i' => flags.modes.ignore_case = true,
                'x' => flags.modes.extended = true,
                'p' | 'm' => flags.modes.dot_all = true,
                'l' => flags.longest = true,
                // Single line mode is what `^` and `$` do anyway.
                's' => {}
                _ => return Err(Error::str(format!("{text} is not a valid modifier string"))),
            }
        }
        Ok(flags)
    }
}

/// Byte range of a group that took part.
type Range = Option<(usize, usize)>;

/// Byte ranges in the text, at the bounds of characters.
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
    /// In the order of their numbers.
    pub(super) groups: Vec<Range>,
}

/// A compiled pattern.
pub(super) struct Regex {
    program: Routine,
    /// Of the groups, in the order of their numbers.
    names: Vec<Option<Arc<str>>>,
}

type Cache = HashMap<String, Vec<(Modes, Arc<Regex>)>>;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// The compiled form of `pattern`, from the cache when it was used before.
pub(super) fn compiled(pattern: &str, flags: Flags) -> Result<Arc<Regex>, Error> {
    // Only the modes change the compiled form.
    if let Some(known) = known(pattern, flags.modes) {
        return Ok(known);
    }
    guard::work(1_000 + pattern.len())?;
    compile(pattern, flags.modes)
}

/// Compiles a pattern ahead of its use, if it can be compiled.
pub(super) fn prepare(pattern: &str, flags: &str) {
    if let Ok(flags) = Flags::parse(flags)
        && known(pattern, flags.modes).is_none()
    {
        drop(compile(pattern, flags.modes));
    }
}

fn known(pattern: &str, modes: Modes) -> Option<Arc<Regex>> {
    let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let forms = cache.get(pattern)?;
    let found = forms.iter().find(|(known, _)| *known == modes)?;
    Some(Arc::clone(&found.1))
}

fn compile(pattern: &str, modes: Modes) -> Result<Arc<Regex>, Error> {
    let compiled = Arc::new(Regex::compile(pattern, modes)?);
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if CACHED_PATTERNS <= cache.len() {
        cache.clear();
    }
    let forms = cache.entry(pattern.to_owned()).or_default();
    forms.push((modes, Arc::clone(&compiled)));
    Ok(compiled)
}

impl Regex {
    fn compile(pattern: &str, modes: Modes) -> Result<Self, Error> {
        if PATTERN_BYTES < pattern.len() {
            return Err(Error::str("the regular expression is too long"));
        }
        let read = syntax::parse(pattern, modes)
            .map_err(|reason| Error::str(format!("Regex failure: {reason}")))?;
        Ok(Self {
            program: Routine::new(&read.node, read.names.len()),
            names: read.names,
        })
    }

    /// Names of the groups, in the order of their numbers.
    pub(super) fn names(&self) -> &[Option<Arc<str>>] {
        &self.names
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, text: &str, flags: Flags) -> Result<bool, Error> {
        let mut machine = Machine::new(&self.program, text, Wanted::from(flags));
        Ok(machine.search(0)?.is_some())
    }

    /// The first match, or all of them with `g`.
    pub(super) fn matches(&self, text: &str, flags: Flags) -> Result<Vec<Match>, Error> {
        let mut machine = Machine::new(&self.program, text, Wanted::from(flags));
        let mut found = Vec::new();
        let mut from = 0;
        while from <= text.len() {
            let Some(slots) = machine.search(from)? else {
                break;
            };
            guard::allocate(64 + 16 * slots.len())?;
            let Some((start, end)) = range(&slots, 0) else {
                break;
            };
            // jq begins its next search one byte behind an empty match, even within a character.
            from = if start == end { end + 1 } else { end };
            let at = |at: usize| text.ceil_char_boundary(at);
            let groups = (1..=self.names.len())
                .map(|group| range(&slots, group).map(|(start, end)| (at(start), at(end))));
            found.push(Match {
                start: at(start),
                end: at(end),
                groups: groups.collect(),
            });
            if !flags.global {
                break;
            }
        }
        Ok(found)
    }
}

/// The range of a group; `\K` may move the start of the whole behind its end.
fn range(slots: &Slots, group: usize) -> Range {
    let start = slots.get(2 * group).copied().flatten()?;
    let end = slots.get(2 * group + 1).copied().flatten()?;
    Some((start.min(end), end))
}

impl From<Flags> for Wanted {
    fn from(flags: Flags) -> Self {
        Self {
            not_empty: flags.not_empty,
            longest: flags.longest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_patterns_are_compiled_with_the_filter() {
        const PATTERN: &str = "^only-in-this-test-\\w{1,63}$";
        let modes = Flags::parse("gi").unwrap().modes;
        assert!(known(PATTERN, modes).is_none());
        crate::Filter::compile(r#"[.[] | select(test("^only-in-this-test-\\w{1,63}$"; "i"))]"#)
            .unwrap();
        assert!(known(PATTERN, modes).is_some());
    }

    #[test]
    fn nesting_is_bounded() {
        let compiles = |pattern: &str| Regex::compile(pattern, Modes::default()).is_ok();
        assert!(compiles(&format!("{}a{}", "(".repeat(90), ")*".repeat(90))));
        assert!(!compiles(&format!(
            "{}a{}",
            "(".repeat(2_000),
            ")".repeat(2_000)
        )));
        assert!(!compiles(&format!("a{}", "*".repeat(9_000))));
        assert!(compiles(&"(?i)".repeat(2_000)));
    }

    #[test]
    fn a_pattern_is_as_large_as_its_text() {
        for pattern in [
            r"^[\w.-]{1,100}$",
            r"\p{L}{1,50}",
            "^.{1,5000}$",
            r"(?:\w{1,100}\.){1,1000}",
        ] {
            let compiled = Regex::compile(pattern, Modes::default()).unwrap();
            assert!(compiled.program.code.len() < 20, "{pattern}");
        }
    }
}
