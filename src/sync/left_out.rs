//! Values that were left out of entities because Port would refuse them: told by kind, each kind once with its count and
//! one sample, in bounded memory.
//!
//! Pure. Which values these are is said in `port::fit`.

use std::collections::BTreeMap;

use crate::counts::Tallied;
use crate::mapping::Resource;
use crate::port::{LeftOut, Misfit};

/// Kinds that are told apart.
const MOST_KINDS: usize = 100;

/// A value that was left out, and where it is mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOutAt {
    /// `resources[1].port.entity.mappings.properties.size`
    pub place: String,
    pub value: LeftOut,
}

impl LeftOutAt {
    /// Of an entity that `resource` has made.
    pub fn of(resource: &Resource, value: LeftOut) -> LeftOutAt {
        LeftOutAt {
            place: resource.place_of(&value.blueprint, &value.field),
            value,
        }
    }
}

/// What stands in a line between the number and the blueprint.
const LEFT_OUT: &str = " left out of ";

#[derive(Debug, Default)]
pub struct LeftOutReport {
    kinds: BTreeMap<LeftOutKind, Tally>,
    /// Values of further kinds.
    more: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LeftOutKind {
    place: String,
    blueprint: String,
    /// An element of a list, not the list.
    is_element: bool,
    misfit: Misfit,
}

#[derive(Debug)]
struct Tally {
    values: usize,
    sample: String,
}

impl LeftOutReport {
    pub fn add(&mut self, LeftOutAt { place, value }: LeftOutAt) {
        let LeftOut {
            blueprint,
            entity,
            field,
            misfit,
            sample,
        } = value;
        let kind = LeftOutKind {
            place,
            blueprint,
            is_element: field.ends_with("[]"),
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

    /// One line for each kind, in the order of their places.
    pub fn lines(&self) -> Vec<Tallied> {
        let line = |(kind, tally): (&LeftOutKind, &Tally)| {
            let LeftOutKind {
                place,
                blueprint,
                is_element,
                misfit,
            } = kind;
            let unit = match is_element {
                true => "element",
                false => "value",
            };
            let remedy = misfit.remedy();
            Tallied {
                before: format!("{place}: "),
                count: tally.values,
                unit: unit.to_owned(),
                after: format!("{LEFT_OUT}{blueprint}: {misfit}; {remedy}"),
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
    /// `resources[1].port.entity.mappings.properties.size`
    pub place: &'a str,
    pub blueprint: &'a str,
    /// In which way it does not fit, and the remedy.
    pub misfit: &'a str,
    /// Values.
    pub count: usize,
    pub sample: &'a str,
}

/// Reads a line back; `None` where it is about something else.
pub fn read(line: &Tallied) -> Option<LeftOutLine<'_>> {
    let (blueprint, misfit) = line.after.strip_prefix(LEFT_OUT)?.split_once(": ")?;
    Some(LeftOutLine {
        place: line.before.strip_suffix(": ")?,
        blueprint,
        misfit,
        count: line.count,
        sample: &line.sample,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(field: &str, entity: &str, misfit: Misfit) -> LeftOutAt {
        LeftOutAt {
            place: format!(
                "resources[0].port.entity.mappings.{}",
                field.trim_end_matches("[]")
            ),
            value: LeftOut {
                blueprint: "pull".into(),
                entity: entity.into(),
                field: field.into(),
                misfit,
                sample: "7".into(),
            },
        }
    }

    #[test]
    fn each_kind_is_told_once_with_its_count_and_a_sample() {
        let mut report = LeftOutReport::default();
        for (entity, field, misfit) in [
            ("a/1", "properties.size", Misfit::NotAllowed),
            ("a/2", "properties.size", Misfit::NotAllowed),
            ("", "relations.owners[]", Misfit::Null),
        ] {
            report.add(left_out(field, entity, misfit));
        }
        let lines = report.lines();
        let read: Vec<_> = lines.iter().filter_map(read).collect();
        assert_eq!(read.len(), lines.len());
        assert_eq!(
            read[0],
            LeftOutLine {
                place: "resources[0].port.entity.mappings.properties.size",
                blueprint: "pull",
                misfit: "none of the values that the blueprint lists; map it to one of them, or add it to the blueprint's enum",
                count: 2,
                sample: "a/1: 7",
            }
        );
        assert_eq!(super::read(&Tallied::more(7, "value")), None);
        let lines: Vec<String> = lines.iter().map(Tallied::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        resources[0].port.entity.mappings.properties.size: 2 values left out of pull: none of the values that the blueprint lists; map it to one of them, or add it to the blueprint's enum (for example a/1: 7)
        resources[0].port.entity.mappings.relations.owners: 1 element left out of pull: null in a list; leave it out, with map(select(. != null)) (for example 7)
        ");
    }

    #[test]
    fn memory_is_bounded() {
        let mut report = LeftOutReport::default();
        for number in 0..1_000 {
            let field = format!("properties.{number}");
            report.add(left_out(&field, "a", Misfit::NoSuchProperty));
        }
        assert_eq!(report.lines().len(), MOST_KINDS + 1);
        assert_eq!(
            report.lines().pop().unwrap().to_string(),
            "and 900 more values of other kinds"
        );
    }
}
