//! What a path has to contain to match a pattern: the longest piece of it that stands for itself. Pure.
//!
//! Safe, not exact: nothing that matches lacks the piece. It holds ASCII only, for other letters can be written in several
//! ways, and no quotes and backslashes, which languages of queries escape in several.

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `{a,b}` are alternatives, and a backslash takes the meaning of what follows it.
    Glob,
    /// Neither.
    Fnmatch,
}

/// The longest piece; `None` where nothing stands for itself.
pub(super) fn longest_literal(pattern: &str, syntax: Syntax) -> Option<String> {
    let mut pieces = vec![String::new()];
    let mut rest = pattern.chars().peekable();
    let mut alternatives = 0_usize;
    while let Some(next) = rest.next() {
        let is_glob = syntax == Syntax::Glob;
        match next {
            '[' => {
                // A set holds one character at least, so `]` right after its beginning is one of it.
                let mut set = rest.clone();
                set.next_if(|char| matches!(char, '!' | '^'));
                set.next();
                if set.any(|char| char == ']') {
                    rest.next_if(|char| matches!(char, '!' | '^'));
                    rest.next();
                    rest.find(|char| *char == ']');
                }
                pieces.push(String::new());
            }
            '{' if is_glob => alternatives += 1,
            '}' if is_glob => {
                alternatives = alternatives.saturating_sub(1);
                pieces.push(String::new());
            }
            '\\' if is_glob => {
                rest.next();
                pieces.push(String::new());
            }
            '*' | '?' | '"' | '\'' | '\\' => pieces.push(String::new()),
            other if other.is_ascii() && !other.is_ascii_control() && alternatives == 0 => {
                if let Some(piece) = pieces.last_mut() {
                    piece.push(other);
                }
            }
            _ => pieces.push(String::new()),
        }
    }
    // `**/` may stand for nothing, its slash included.
    let pieces = pieces.iter().map(|piece| piece.trim_matches('/'));
    let longest = pieces.max_by_key(|piece| piece.len())?;
    (!longest.trim().is_empty()).then(|| longest.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fnmatch::Fnmatch;
    use super::super::path_glob::PathGlob;
    use super::*;

    #[test]
    fn the_longest_piece_that_stands_for_itself_is_found() {
        for (pattern, piece) in [
            ("**/package.json", Some("package.json")),
            ("apps/*/deploy/**", Some("deploy")),
            ("apps/**/a", Some("apps")),
            ("*.yml", Some(".yml")),
            ("{apps,services}/port.yml", Some("port.yml")),
            ("[abc]*", None),
            ("**", None),
            ("docs/Übersicht.md", Some("bersicht.md")),
            (r"a\*bc", Some("bc")),
            ("two words/x", Some("two words/x")),
        ] {
            let found = longest_literal(pattern, Syntax::Glob);
            assert_eq!(found.as_deref(), piece, "{pattern}");
        }
        let found = longest_literal("{a,b}*", Syntax::Fnmatch);
        assert_eq!(found.as_deref(), Some("{a,b}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

        #[test]
        fn nothing_that_matches_lacks_the_piece(
            pattern in r"(a|b|/|\*|\*\*/|\?|\[ab\]|\[!a\]|\[]a\]|\{a,b/\}|\{|\}|\[|\]|,|\\\\|ü){1,8}",
            path in "[ab/,{}ü\\\\\\[\\]]{1,8}",
        ) {
            if let Ok(glob) = PathGlob::new(&pattern)
                && glob.is_match(&path)
                && let Some(piece) = glob.literal()
            {
                prop_assert!(path.contains(&piece), "{} {}", pattern, piece);
            }
            if let Ok(names) = Fnmatch::new(&pattern)
                && names.is_match(&path)
                && let Some(piece) = names.literal()
            {
                prop_assert!(path.contains(&piece), "{} {}", pattern, piece);
            }
        }
    }
}
