//! What stands in a mapping where a value is wanted: a jq expression, a `file://` path, or a search query of
//! expressions that Port resolves.

use std::sync::atomic::{AtomicU32, Ordering};

use jq18::{EvalError, Filter, Input};
use serde_json::{Map, Value, json};

use super::quotes::double_quoted;
use super::read::{ConfigNode, Reader};
use crate::file_format;

/// Text in a mapping that begins so means the content of that file.
const FILE_PREFIX: &str = "file://";

/// The key under which an item carries its files.
pub(super) const INCLUDED_FILES: &str = "__includedFiles";

/// Items in a row on which an expression may run away before it is not evaluated any more: each of them costs up to a
/// quarter of a second of a processor (`jq18::guard::MAX_STEPS`).
const RUNAWAYS: u32 = 3;

/// One expression.
pub(super) enum Expression {
    Filter(Box<GuardedFilter>),
    /// The content of the file at this path, which extraction adds to the item; the value of a JSON file.
    File(String),
    /// Does not compile; says why. Reported when the mapping is read.
    Broken {
        reason: String,
    },
}

/// A filter that is given up when it runs away on item after item; until the mapping is compiled again, which every run
/// does at its beginning.
pub(super) struct GuardedFilter {
    filter: Filter,
    /// How many items in a row it ran away on.
    runaways: AtomicU32,
}

/// An expression, or a search query.
pub(super) enum Operand {
    Expression(Expression),
    Search(Search),
}

/// A query by which Port finds the entities meant (Port documentation, "search query": combinator and rules).
pub(super) struct Search {
    combinator: Expression,
    rules: Vec<Rule>,
}

enum Rule {
    Comparison(Box<Comparison>),
    Group(Box<Search>),
}

struct Comparison {
    property: Expression,
    operator: Expression,
    value: Expression,
}

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoValue {
    /// It does not compile.
    Broken,
    Failed(String),
    /// It was stopped: the item is not to blame, nor can it be said what would have come out.
    RanAway(String),
}

impl Expression {
    pub(super) fn compile(source: &str) -> Expression {
        if let Some(path) = source.trim().strip_prefix(FILE_PREFIX) {
            return Expression::File(
                path.trim_start_matches("./")
                    .trim_start_matches('/')
                    .to_owned(),
            );
        }
        match Filter::compile(&double_quoted(source)) {
            Ok(filter) => Expression::Filter(Box::new(GuardedFilter {
                filter,
                runaways: AtomicU32::new(0),
            })),
            Err(error) => Expression::Broken {
                reason: error.to_string(),
            },
        }
    }

    /// The same, where paths of files begin at `base`.
    pub(super) fn with_files_in(self, base: &str) -> Expression {
        match self {
            Expression::File(path) => Expression::File(format!("{base}{path}")),
            Expression::Filter(_) | Expression::Broken { .. } => self,
        }
    }

    pub(super) fn broken(source: &str) -> Expression {
        Expression::Broken {
            reason: format!("{source} is no expression"),
        }
    }

    pub(super) fn compile_error(&self) -> Option<&str> {
        match self {
            Expression::Broken { reason } => Some(reason),
            Expression::Filter(_) | Expression::File(_) => None,
        }
    }

    /// The first output; no output counts as null.
    pub(super) fn evaluate(&self, input: &Input<'_>) -> Result<Value, NoValue> {
        match self {
            Expression::Filter(guarded) => guarded.first(input),
            Expression::File(path) => {
                let files = input.value().get(INCLUDED_FILES);
                let content = files.and_then(|files| files.get(path));
                match content {
                    Some(Value::String(text)) if file_format::is_json(path) => {
                        let value = file_format::json(text).map(|(value, _)| value);
                        value
                            .map_err(|error| NoValue::Failed(format!("{path} is no JSON: {error}")))
                    }
                    content => Ok(content.cloned().unwrap_or_default()),
                }
            }
            Expression::Broken { .. } => Err(NoValue::Broken),
        }
    }

    /// The value, where it is the same for every item.
    pub(super) fn constant(&self) -> Option<&Value> {
        match self {
            Expression::Filter(guarded) => guarded.filter.constant(),
            Expression::File(_) | Expression::Broken { .. } => None,
        }
    }

    /// Its text as jq sees it, where it is a filter.
    pub(super) fn source(&self) -> Option<&str> {
        match self {
            Expression::Filter(guarded) => Some(guarded.filter.source()),
            Expression::File(_) | Expression::Broken { .. } => None,
        }
    }

    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Expression::File(path) => Some(path),
            Expression::Filter(_) | Expression::Broken { .. } => None,
        }
    }

    /// Whether the same item may give another value at another time.
    pub(super) fn reads_clock(&self) -> bool {
        match self {
            Expression::Filter(guarded) => guarded.filter.reads_clock(),
            Expression::File(_) | Expression::Broken { .. } => false,
        }
    }

    pub(super) fn reads(&self, path: &[&str]) -> bool {
        match self {
            Expression::Filter(guarded) => guarded.filter.reads(path),
            Expression::File(_) => path.first() == Some(&INCLUDED_FILES),
            Expression::Broken { .. } => false,
        }
    }
}

impl GuardedFilter {
    fn first(&self, input: &Input<'_>) -> Result<Value, NoValue> {
        if RUNAWAYS <= self.runaways.load(Ordering::Relaxed) {
            return Err(NoValue::RanAway(format!(
                "the expression is not evaluated any more in this run: it took too much on {RUNAWAYS} items in a row"
            )));
        }
        let result = self.filter.first(input);
        if let Err(error @ EvalError::RanAway { .. }) = result {
            self.runaways.fetch_add(1, Ordering::Relaxed);
            return Err(NoValue::RanAway(error.to_string()));
        }
        self.runaways.store(0, Ordering::Relaxed);
        match result {
            Ok(output) => Ok(output.unwrap_or(Value::Null)),
            Err(error) => Err(NoValue::Failed(error.to_string())),
        }
    }
}

impl Operand {
    pub(super) fn read_search(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<Search> {
        let object = reader.object(node)?;
        let combinator = reader.required(&object, "combinator", "give '\"and\"' or '\"or\"'");
        let combinator = combinator.and_then(|node| reader.expression(&node));
        let rules = reader.required_list(&object, "rules");
        let rules: Option<Vec<Rule>> = rules.map(|rules| {
            rules
                .iter()
                .filter_map(|rule| Rule::read(reader, rule))
                .collect()
        });
        Some(Search {
            combinator: combinator?,
            rules: rules?,
        })
    }

    /// Every expression, with its path below this operand.
    pub(super) fn each<'e>(&'e self, path: &str, visit: &mut dyn FnMut(String, &'e Expression)) {
        match self {
            Operand::Expression(expression) => visit(path.to_owned(), expression),
            Operand::Search(search) => search.each(path, visit),
        }
    }

    /// The value, or the search query with its expressions evaluated. `note` hears of each expression that gave
    /// null, with the reason if it failed.
    pub(super) fn evaluate(
        &self,
        path: &str,
        input: &Input<'_>,
        note: &mut dyn FnMut(String, Option<NoValue>),
    ) -> Value {
        match self {
            Operand::Expression(expression) => evaluate_noting(expression, path, input, note),
            Operand::Search(search) => search.evaluate(path, input, note),
        }
    }
}

/// The value of `expression`, null where there is none; `note` hears of null and why.
pub(super) fn evaluate_noting(
    expression: &Expression,
    path: &str,
    input: &Input<'_>,
    note: &mut dyn FnMut(String, Option<NoValue>),
) -> Value {
    match expression.evaluate(input) {
        Ok(Value::Null) => note(path.to_owned(), None),
        Ok(value) => return value,
        Err(reason) => note(path.to_owned(), Some(reason)),
    }
    Value::Null
}

impl Search {
    fn evaluate(
        &self,
        path: &str,
        input: &Input<'_>,
        note: &mut dyn FnMut(String, Option<NoValue>),
    ) -> Value {
        let combinator =
            evaluate_noting(&self.combinator, &format!("{path}.combinator"), input, note);
        let rules = self.rules.iter().enumerate();
        let rules = rules.map(|(position, rule)| {
            let path = format!("{path}.rules[{position}]");
            match rule {
                Rule::Group(group) => group.evaluate(&path, input, note),
                Rule::Comparison(comparison) => {
                    let mut rule = Map::new();
                    for (key, expression) in comparison.parts() {
                        let path = format!("{path}.{key}");
                        rule.insert(
                            key.to_owned(),
                            evaluate_noting(expression, &path, input, note),
                        );
                    }
                    Value::Object(rule)
                }
            }
        });
        let rules: Vec<Value> = rules.collect();
        json!({ "combinator": combinator, "rules": rules })
    }

    fn each<'e>(&'e self, path: &str, visit: &mut dyn FnMut(String, &'e Expression)) {
        visit(format!("{path}.combinator"), &self.combinator);
        for (position, rule) in self.rules.iter().enumerate() {
            let path = format!("{path}.rules[{position}]");
            match rule {
                Rule::Group(group) => group.each(&path, visit),
                Rule::Comparison(comparison) => {
                    for (key, expression) in comparison.parts() {
                        visit(format!("{path}.{key}"), expression);
                    }
                }
            }
        }
    }
}

impl Rule {
    fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<Rule> {
        let object = reader.object(node)?;
        if object.get("rules").is_some() {
            let group = Operand::read_search(reader, node)?;
            return Some(Rule::Group(Box::new(group)));
        }
        let mut part = |key| {
            let node = reader.required(&object, key, "a rule has property, operator and value")?;
            reader.expression(&node)
        };
        let (property, operator, value) = (part("property"), part("operator"), part("value"));
        Some(Rule::Comparison(Box::new(Comparison {
            property: property?,
            operator: operator?,
            value: value?,
        })))
    }
}

impl Comparison {
    fn parts(&self) -> [(&'static str, &Expression); 3] {
        let Comparison {
            property,
            operator,
            value,
        } = self;
        [
            ("property", property),
            ("operator", operator),
            ("value", value),
        ]
    }
}
