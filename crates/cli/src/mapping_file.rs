//! A mapping in a file, with the lines in which its values stand: whoever finds something wrong with it can name them.

use std::path::{Path, PathBuf};

use ferry::mapping::Mapping;
use ferry::telemetry::chain;
use ferry::yaml::{self, YamlDocument};

/// A mapping file that can be used.
#[derive(Debug)]
pub(crate) struct MappingFile(YamlDocument);

/// A mapping file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the mapping {}: {reason}", path.display())]
pub(crate) struct UnusableMapping {
    path: PathBuf,
    reason: String,
}

impl MappingFile {
    /// YAML or JSON; a mistake in it is told with its line.
    pub(crate) fn read(path: &Path) -> Result<MappingFile, UnusableMapping> {
        let unusable = |reason: String| UnusableMapping {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        Mapping::from_yaml(&text).map_err(|invalid| unusable(chain(&invalid)))?;
        let document = yaml::document(&text);
        let document = document.map_err(|error| unusable(chain(&error)))?;
        Ok(MappingFile(document))
    }

    /// As Port would hold it.
    pub(crate) fn value(&self) -> &serde_json::Value {
        &self.0.value
    }

    /// The line, counted from 1, of what is at `path`, or of the nearest thing around it.
    pub(crate) fn line_of(&self, path: &str) -> Option<usize> {
        self.0.lines.of(path)
    }

    /// What is written at `path`, as text.
    pub(crate) fn text_at(&self, path: &str) -> Option<String> {
        let mut at = self.value();
        for step in path.split(['.', '[']) {
            at = match step.strip_suffix(']') {
                Some(position) => at.get(position.parse::<usize>().ok()?)?,
                None => at.get(step)?,
            };
        }
        Some(at.as_str().map_or_else(|| at.to_string(), str::to_owned))
    }

    /// `finding`, with the line of the place with which it begins: `resources[2].selector.query (line 7): ..`.
    pub(crate) fn placed(&self, finding: &str) -> String {
        let Some((place, rest)) = finding.split_once(": ") else {
            return finding.to_owned();
        };
        match self.line_of(place) {
            Some(line) if !place.contains(" (line ") => format!("{place} (line {line}): {rest}"),
            _ => finding.to_owned(),
        }
    }
}

/// `finding` with its line, where the mapping is from a `file`.
pub(crate) fn placed(file: Option<&MappingFile>, finding: &str) -> String {
    match file {
        Some(file) => file.placed(finding),
        None => finding.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_get_the_lines_of_their_places() {
        let text =
            "resources:\n- kind: repository\n  selector:\n    query: 'true'\n    states: [open]\n";
        let file = MappingFile(yaml::document(text).unwrap());
        for (finding, placed) in [
            (
                "resources[0].selector.states: does nothing: so",
                "resources[0].selector.states (line 5): does nothing: so",
            ),
            (
                "resources[0].selector.query.none: x",
                "resources[0].selector.query.none (line 4): x",
            ),
            (
                "resources[0].kind (line 2): x",
                "resources[0].kind (line 2): x",
            ),
            ("and 3 more: x", "and 3 more: x"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(file.placed(finding), placed);
        }
        let text = file.text_at("resources[0].selector.states[0]");
        assert_eq!(text.as_deref(), Some("open"));
        assert_eq!(file.text_at("resources[1].kind"), None);
    }
}
