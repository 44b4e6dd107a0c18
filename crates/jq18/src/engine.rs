//! Compiles a syntax tree with the built-in functions it needs, and runs it on jaq within the bounds of
//! [`super::guard`].

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use jaq_core::data::JustLut;
use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Exn, Vars};
use serde_json::Value;

use super::analysis::children;
use super::value::Val;
use super::{CompileError, EvalError, guard, natives, parser};

/// What the evaluator operates on: values without lifetimes, no global data.
pub(super) type Data = JustLut<Val>;

/// Characters of an error message of an expression.
const MESSAGE_CHARS: usize = 200;

/// The name under which jaq compiles the user's expression; a format, so no expression can call it.
const MAIN: &str = "@main";

/// The built-in functions that are written in jq, parsed once per process.
static PRELUDE: LazyLock<Prelude> = LazyLock::new(Prelude::parse);

struct Prelude {
    definitions: Vec<Def<&'static str>>,
    by_name: HashMap<(&'static str, usize), usize>,
}

impl Prelude {
    fn parse() -> Self {
        // The text is a constant and a test parses it, so the empty default is never taken.
        let definitions = parser::parse_definitions(include_str!("prelude.jq")).unwrap_or_default();
        let by_name = definitions
            .iter()
            .enumerate()
            .map(|(index, definition)| ((definition.name, definition.args.len()), index))
            .collect();
        Self {
            definitions,
            by_name,
        }
    }

    /// The definitions that `term` reaches, in their order. Compiling only these keeps compilation short.
    fn needed_by(&self, term: &Term<&str>) -> Vec<Def<&'static str>> {
        let mut needed = HashSet::new();
        let mut pending = Vec::new();
        called(term, &mut |name, arity| {
            pending.push(self.by_name.get(&(name, arity)).copied())
        });
        while let Some(index) = pending.pop() {
            let Some(index) = index else { continue };
            if needed.insert(index) {
                called(&self.definitions[index].body, &mut |name, arity| {
                    pending.push(self.by_name.get(&(name, arity)).copied());
                });
            }
        }
        let all = self.definitions.iter().enumerate();
        all.filter(|(index, _)| needed.contains(index))
            .map(|(_, definition)| definition.clone())
            .collect()
    }
}

/// A compiled expression.
pub(super) struct Program(jaq_core::Filter<Data>);

impl Program {
    pub(super) fn compile(term: Term<&str>) -> Result<Self, CompileError> {
        let mut definitions: Vec<Def<&str>> = PRELUDE.needed_by(&term);
        definitions.push(Def {
            name: MAIN,
            args: Vec::new(),
            body: term,
        });
        let arena = Arena::default();
        let modules = Loader::new(definitions)
            .load(
                &arena,
                File {
                    code: MAIN,
                    path: (),
                },
            )
            .map_err(|_| CompileError::new("the expression could not be loaded"))?;
        let compiled = Compiler::default()
            .with_funs(natives::all())
            .with_global_vars(["$ENV"])
            .compile(modules);
        compiled.map(Self).map_err(|errors| {
            let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
            CompileError::new(match first {
                Some((name, jaq_core::compile::Undefined::Filter(arity))) => {
                    format!("{name}/{arity} is not defined")
                }
                Some((name, _)) => format!("{name} is not defined"),
                None => "the expression could not be compiled".to_owned(),
            })
        })
    }

    /// At most `limit` outputs, stopping at the first error.
    pub(super) fn run(&self, input: Val, limit: usize) -> Result<Vec<Value>, EvalError> {
        let (result, bound) = guard::run(|| {
            let environment = Val::record([]).map_err(failure)?;
            let ctx = Ctx::<Data>::new(&self.0.lut, Vars::new([environment]));
            let mut outputs = Vec::new();
            for output in self.0.id.run((ctx, input)) {
                match output {
                    Ok(value) => {
                        guard::allocate(value.extent().bytes).map_err(failure)?;
                        outputs.push(value.to_json());
                    }
                    Err(exception) => match exception.get_err() {
                        Ok(error) => return Err(failure(error)),
                        // `halt` ends the expression, and nothing else.
                        Err(_) => break,
                    },
                }
                if limit <= outputs.len() {
                    break;
                }
            }
            Ok(outputs)
        });
        match bound {
            Some(bound) => Err(EvalError::RanAway { bound }),
            None => result,
        }
    }
}

fn failure(error: jaq_core::Error<Val>) -> EvalError {
    let message = match error.into_val() {
        Val::Str(text) => text.as_str().chars().take(MESSAGE_CHARS).collect(),
        other => other.excerpt(MESSAGE_CHARS),
    };
    EvalError::Failed { message }
}

/// Stops the evaluation without an error.
pub(super) fn halt<'a>() -> Exn<'a, Val> {
    Exn::halt(0)
}

/// Converts an input where conversion is not part of an evaluation.
pub(super) fn convert(value: &Value) -> Result<Val, EvalError> {
    Val::from_json(value).map_err(failure)
}

/// Reports every function that `term` calls by name.
fn called<'t>(term: &Term<&'t str>, report: &mut dyn FnMut(&'t str, usize)) {
    if let Term::Call(name, arguments) = term {
        report(name, arguments.len());
    }
    children(term, &mut |part| called(part, report));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prelude_parses() {
        assert_eq!(
            parser::parse_definitions(include_str!("prelude.jq")).err(),
            None
        );
    }

    #[test]
    fn every_public_function_is_defined() {
        let natives: HashSet<(&str, usize)> = natives::all()
            .iter()
            .map(|(name, arguments, _)| (*name, arguments.len()))
            .collect();
        let missing: Vec<&str> = natives::BUILTINS
            .split_whitespace()
            .filter(|signature| {
                let (name, arity) = signature.split_once('/').unwrap();
                let key = (name, arity.parse().unwrap());
                !natives.contains(&key) && !PRELUDE.by_name.contains_key(&key)
            })
            .collect();
        assert!(missing.is_empty(), "not defined: {missing:?}");
    }

    #[test]
    fn every_public_function_compiles() {
        for signature in natives::BUILTINS.split_whitespace() {
            let (name, arity) = signature.split_once('/').unwrap();
            let arguments = vec!["."; arity.parse().unwrap()].join("; ");
            let call = if arguments.is_empty() {
                name.to_owned()
            } else {
                format!("{name}({arguments})")
            };
            let compiled = Program::compile(parser::parse(&call).unwrap());
            assert!(compiled.is_ok(), "{call}: {}", compiled.err().unwrap());
        }
    }
}
