//! Two texts, line by line. Pure.

use ferry::resync::FieldChange;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// A line of two texts laid over each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DiffLine {
    pub(super) sign: char,
    pub(super) text: String,
}

/// Lines around a change that are shown with it.
const CONTEXT: usize = 2;

/// The difference of two texts of which one has several lines; `None` for everything else, which is told as
/// `before -> after`.
pub(super) fn lines(change: &FieldChange) -> Option<Vec<DiffLine>> {
    let (before, after) = match (&change.before, &change.after) {
        (Value::String(before), Value::String(after)) => (before.as_str(), after.as_str()),
        _ => return None,
    };
    if !before.contains('\n') && !after.contains('\n') {
        return None;
    }
    let diff = TextDiff::from_lines(before, after);
    let groups = diff.grouped_ops(CONTEXT);
    let mut lines = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        if 0 < index {
            lines.push(DiffLine {
                sign: '…',
                text: String::new(),
            });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            lines.push(DiffLine {
                sign: match change.tag() {
                    ChangeTag::Equal => ' ',
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                },
                text: change.value().trim_end_matches(['\r', '\n']).to_owned(),
            });
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: impl Into<Value>, after: impl Into<Value>) -> FieldChange {
        FieldChange {
            name: "properties.readme".into(),
            before: before.into(),
            after: after.into(),
        }
    }

    #[test]
    fn long_texts_are_told_by_the_lines_that_differ() {
        let before = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
        let after = before.replace("two", "2").replace("nine", "9");
        let lines = lines(&change(before, after)).unwrap();
        let told: Vec<String> = lines
            .iter()
            .map(|line| format!("{}{}", line.sign, line.text))
            .collect();
        assert_eq!(
            told,
            [
                " one", "-two", "+2", " three", " four", "…", " seven", " eight", "-nine", "+9"
            ]
        );
    }

    #[test]
    fn short_texts_and_other_values_are_not() {
        assert_eq!(lines(&change("a", "b")), None);
        assert_eq!(lines(&change(Value::Null, "a\nb")), None);
        assert_eq!(lines(&change(1, 2)), None);
    }
}
