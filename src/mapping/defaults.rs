//! The mapping of a new installation.
//!
//! Blueprint and property identifiers are those of the defaults that Port's documentation describes, so that
//! dashboards keep working. Entity identifiers come from keys and slugs: names may hold what Port refuses.

use serde_json::Value;

const DEFAULT: &str = include_str!("defaults.json");

/// The default `config` of an integration.
pub fn mapping() -> Value {
    // The text is a constant that a test parses.
    serde_json::from_str(DEFAULT).unwrap_or_default()
}
