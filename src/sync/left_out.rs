//! Values that were left out of entities because Port would refuse them: told by kind, each kind once with its count and
//! one sample, in bounded memory.
//!
//! Pure. Which values these are is said in `port::fit`.

use std::collections::BTreeMap;

use crate::counts::Tallied;
use crate::port::{LeftOut, Misfit};

/// Kinds that are told apart.
const MOST_KINDS: usize = 100;

/// What a line begins with.
const BLUEPRINT: &str = "blueprint ";

/// What stands in it between the number and the reason.
const LEFT_OUT: &str = " left out: ";

#[derive(Debug, Default)]
pub struct LeftOutReport {
    kinds: BTreeMap<LeftOutKind, Tally>,
    /// Values of further kinds.
    more: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LeftOutKind {
    blueprint: String,
    field: String,
    misfit: Misfit,
}

#[derive(Debug)]
struct Tally {
    values: usize,
    sample: String,
}

impl LeftOutReport {
    pub fn add(&mut self, left_out: LeftOut) {
        let LeftOut {
            blueprint,
            entity,
            field,
            misfit,
            sample,
        } = left_out;
        let kind = LeftOutKind {
            blueprint,
            field,
            misfit,
        };
        if let Some(tally) = self.kinds.get_mut(&kind) {
            tally.values += 1;
        } else if self.kinds.len() < MOST_KINDS {
            let sample = match entity.is_empty() {
                true => sample,
                false => format!("{entity}: {sample}"),
            };
            self.kinds.insert(kind, Tally { values: 1, sample });
        } else {
            self.more += 1;
        }
    }

    /// One line for each kind, in the order of their blueprints and fields.
    pub fn lines(&self) -> Vec<Tallied> {
        let line = |(kind, tally): (&LeftOutKind, &Tally)| {
            let LeftOutKind {
                blueprint,
                field,
                misfit,
            } = kind;
            Tallied {
                before: format!("{BLUEPRINT}{blueprint}, {field}: "),
                count: tally.values,
                unit: "value".to_owned(),
                after: format!("{LEFT_OUT}{misfit}"),
                sample: tally.sample.clone(),
            }
        };
        let mut lines: Vec<Tallied> = self.kinds.iter().map(line).collect();
        if 0 < self.more {
            lines.push(Tallied::more(self.more, "value"));
        }
        lines
    }
}

/// What a line says, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOutLine<'a> {
    pub blueprint: &'a str,
    pub field: &'a str,
    pub misfit: &'a str,
    /// Values.
    pub count: usize,
    pub sample: &'a str,
}

/// Reads a line back; `None` where it is about something else.
pub fn read(line: &Tallied) -> Option<LeftOutLine<'_>> {
    let place = line.before.strip_prefix(BLUEPRINT)?.strip_suffix(": ")?;
    let (blueprint, field) = place.split_once(", ")?;
    Some(LeftOutLine {
        blueprint,
        field,
        misfit: line.after.strip_prefix(LEFT_OUT)?,
        count: line.count,
        sample: &line.sample,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_with_its_count_and_a_sample() {
        let mut report = LeftOutReport::default();
        for (entity, field, misfit) in [
            ("a/1", "properties.size", Misfit::NotAllowed),
            ("a/2", "properties.size", Misfit::NotAllowed),
            ("", "relations.owners[]", Misfit::Null),
        ] {
            report.add(LeftOut {
                blueprint: "pull".into(),
                entity: entity.into(),
                field: field.into(),
                misfit,
                sample: "7".into(),
            });
        }
        let lines = report.lines();
        let read: Vec<_> = lines.iter().filter_map(read).collect();
        assert_eq!(read.len(), lines.len());
        assert_eq!(
            read[0],
            LeftOutLine {
                blueprint: "pull",
                field: "properties.size",
                misfit: "none of the values that the blueprint lists",
                count: 2,
                sample: "a/1: 7",
            }
        );
        assert_eq!(super::read(&Tallied::more(7, "value")), None);
        let lines: Vec<String> = lines.iter().map(Tallied::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        blueprint pull, properties.size: 2 values left out: none of the values that the blueprint lists (for example a/1: 7)
        blueprint pull, relations.owners[]: 1 value left out: null in a list (for example 7)
        ");
    }

    #[test]
    fn memory_is_bounded() {
        let mut report = LeftOutReport::default();
        for number in 0..1_000 {
            report.add(LeftOut {
                blueprint: "pull".into(),
                entity: "a".into(),
                field: format!("properties.{number}"),
                misfit: Misfit::NoSuchProperty,
                sample: "7".into(),
            });
        }
        assert_eq!(report.lines().len(), MOST_KINDS + 1);
        assert_eq!(
            report.lines().pop().unwrap().to_string(),
            "and 900 more values of other kinds"
        );
    }
}
