//! Globs over paths in a repository, as selectors write them.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use super::literal::{Syntax, longest_literal};

/// A pattern such as `apps/*` or `**/package.json`: `*` stays within a segment, `**` spans any number of them.
#[derive(Clone)]
pub struct PathGlob {
    pattern: String,
    matcher: GlobMatcher,
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.pattern, f)
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &PathGlob) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for PathGlob {}

impl PathGlob {
    /// Blank segments, a leading `/` or `./` and a trailing `/` mean nothing.
    pub(super) fn new(pattern: &str) -> Result<PathGlob, String> {
        let segments = pattern
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "."));
        let pattern = segments.collect::<Vec<_>>().join("/");
        let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
        let matcher = glob
            .map_err(|error| error.kind().to_string())?
            .compile_matcher();
        Ok(PathGlob { pattern, matcher })
    }

    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    pub fn is_match(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// What a matching path contains; `None` where that is not known.
    pub fn literal(&self) -> Option<String> {
        longest_literal(&self.pattern, Syntax::Glob)
    }

    /// How many segments a matching path has at most; `None` when there is no bound.
    pub fn depth(&self) -> Option<usize> {
        // A `**` inside a segment is a plain `*` twice, and an alternative may hold slashes.
        let unbounded = self.pattern.contains("**") || self.pattern.contains('{');
        (!unbounded).then(|| self.pattern.split('/').count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_mean_what_selectors_mean() {
        for (pattern, path, matches) in [
            ("apps/*", "apps/web", true),
            ("apps/*", "apps/web/src", false),
            ("apps/*", "apps", false),
            ("/apps/*/", "apps/web", true),
            ("./apps/web", "apps/web", true),
            ("**/package.json", "package.json", true),
            ("**/package.json", "a/b/package.json", true),
            ("integrations/**/*", "integrations/a", true),
            ("integrations/**/*", "integrations/a/b/c", true),
            ("*.yml", "port.yml", true),
            ("*.yml", "deploy/port.yml", false),
            ("**", "any/where", true),
            (
                "docs/Übersicht & Pläne #1.md",
                "docs/Übersicht & Pläne #1.md",
                true,
            ),
            ("{a,b/c}", "b/c", true),
        ] {
            assert_eq!(
                PathGlob::new(pattern).unwrap().is_match(path),
                matches,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn depth_is_known_without_double_stars() {
        let depth = |pattern| PathGlob::new(pattern).unwrap().depth();
        assert_eq!(depth("/apps/*/"), Some(2));
        assert_eq!(depth("*.yml"), Some(1));
        assert_eq!(depth("**/port.yml"), None);
        assert_eq!(depth("{a,b/c}"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(PathGlob::new("[a").is_err());
    }
}
