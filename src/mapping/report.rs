//! What went wrong while mapping many items, each problem once, with the number of items and one sample.

use std::collections::BTreeMap;

use serde_json::Value;

use super::evaluate::Mapped;
use super::read::excerpt;
use super::resource::Resource;
use crate::counts::Tallied;

/// Collects the problems of any number of items in bounded memory.
#[derive(Debug, Default)]
pub struct MappingReport {
    problems: BTreeMap<Problem, Tally>,
    /// Problems beyond [`MAX_PROBLEMS`], which are only counted.
    more: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    resource: usize,
    path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Failed,
    Dropped(&'static str),
    NullByError,
}

#[derive(Debug)]
struct Tally {
    items: usize,
    sample: String,
}

/// Different problems that one report tells apart.
const MAX_PROBLEMS: usize = 100;

impl MappingReport {
    /// Notes what is wrong with what `resource` made of `raw`.
    pub fn add(&mut self, resource: &Resource, raw: &Value, mapped: &Mapped) {
        let index = resource.index;
        for failure in &mapped.failures {
            self.note(index, &failure.path, Kind::Failed, || {
                format!("{}: {}", label(raw), failure.reason)
            });
        }
        for dropped in &mapped.dropped {
            self.note(index, &dropped.path, Kind::Dropped(dropped.reason), || {
                if dropped.value.is_empty() {
                    label(raw)
                } else {
                    format!("{}: {}", label(raw), dropped.value)
                }
            });
        }
        for null in &mapped.nulls {
            if let Some(error) = null.error.as_ref().filter(|error| !error.is_empty()) {
                self.note(index, &null.path, Kind::NullByError, || {
                    format!("{}: {error}", label(raw))
                });
            }
        }
    }

    /// Whether [`add`](MappingReport::add) has anything to note of `mapped`.
    pub fn says_anything_of(mapped: &Mapped) -> bool {
        let mut nulls = mapped.nulls.iter();
        !mapped.failures.is_empty()
            || !mapped.dropped.is_empty()
            || nulls.any(|null| null.error.is_some())
    }

    fn note(&mut self, resource: usize, path: &str, kind: Kind, sample: impl FnOnce() -> String) {
        let problem = Problem {
            resource,
            path: path.to_owned(),
            kind,
        };
        if let Some(tally) = self.problems.get_mut(&problem) {
            tally.items += 1;
        } else if self.problems.len() < MAX_PROBLEMS {
            self.problems.insert(
                problem,
                Tally {
                    items: 1,
                    sample: sample(),
                },
            );
        } else {
            self.more += 1;
        }
    }

    /// One line per problem, in the order of the mapping.
    pub fn lines(&self) -> Vec<Tallied> {
        let line = |(problem, tally): (&Problem, &Tally)| {
            let Problem {
                resource,
                path,
                kind,
            } = problem;
            let (effect, after) = match kind {
                Kind::Failed => (
                    "fails for ".to_owned(),
                    ", so that it is not known what stands for them: correct it, `ferry mapping test` shows each step",
                ),
                Kind::Dropped(reason) => (format!("{reason}: "), " left out"),
                Kind::NullByError => (
                    "fails for ".to_owned(),
                    " and is null there: correct it, or say what stands for those with // or ?",
                ),
            };
            Tallied {
                before: format!("resources[{resource}].{path}: {effect}"),
                count: tally.items,
                unit: "item".to_owned(),
                after: after.to_owned(),
                sample: tally.sample.clone(),
            }
        };
        let mut lines: Vec<Tallied> = self.problems.iter().map(line).collect();
        if 0 < self.more {
            lines.push(Tallied::more(self.more, "problem"));
        }
        lines
    }
}

/// How a person would name the item.
pub(super) fn label(raw: &Value) -> String {
    let candidates = [
        "/full_name",
        "/links/html/href",
        "/metadata/path",
        "/folder/path",
        "/slug",
        "/name",
        "/id",
    ];
    let found = candidates
        .iter()
        .find_map(|pointer| raw.pointer(pointer).filter(|value| !value.is_null()));
    match found {
        Some(Value::String(text)) => excerpt(text),
        Some(other) => excerpt(&other.to_string()),
        None => "an item without a name".to_owned(),
    }
}
