//! From a syntax tree to its direct form, where it has one.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part};
use serde_json::Value;

use super::{Direct, Function, Stage, Step};
use crate::parser::{TICK, preferred};

/// Copies of its input that an output may hold. Beside constants nothing else makes an output larger than the item.
const MAX_COPIES: usize = 64;

/// The direct form of `term`, where all of it has one.
pub(crate) fn compile(term: &Term<&str>) -> Option<Direct> {
    build(term).filter(|direct| direct.copies() <= MAX_COPIES)
}

fn build(term: &Term<&str>) -> Option<Direct> {
    let boxed = |term: &Term<&str>| build(term).map(Box::new);
    Some(match term {
        Term::Id => Direct::Input,
        Term::Num(text) => Direct::Constant(Value::from(text.parse::<u32>().ok()?)),
        Term::Str(None, parts) => text(parts)?,
        Term::TryCatch(body, None) => build(body)?,
        Term::Arr(None) => Direct::Constant(Value::Array(Vec::new())),
        Term::Arr(Some(inner)) => collect(inner)?,
        Term::Obj(entries) => {
            let entries = entries.iter().map(|(key, value)| match build(key)? {
                Direct::Constant(Value::String(key)) => Some((key, build(value.as_ref()?)?)),
                _ => None,
            });
            Direct::Object(entries.collect::<Option<_>>()?)
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) if is_tick(left) => build(right)?,
        Term::BinOp(left, operator, right) => {
            let (left, right) = (boxed(preferred(left))?, boxed(right)?);
            match operator {
                BinaryOp::Pipe(None) => Direct::Pipe(left, right),
                BinaryOp::Alt => Direct::Alternative(left, right),
                BinaryOp::And => Direct::And(left, right),
                BinaryOp::Or => Direct::Or(left, right),
                BinaryOp::Cmp(comparison) => Direct::Compare(left, *comparison, right),
                BinaryOp::Math(Math::Rem) => return None,
                BinaryOp::Math(operation) => Direct::Calculate(left, *operation, right),
                _ => return None,
            }
        }
        Term::IfThenElse(branches, otherwise) => {
            let otherwise = match otherwise {
                Some(otherwise) => build(otherwise)?,
                None => Direct::Input,
            };
            branches
                .iter()
                .rev()
                .try_fold(otherwise, |otherwise, (test, then)| {
                    Some(Direct::If(boxed(test)?, boxed(then)?, Box::new(otherwise)))
                })?
        }
        Term::Path(base, path) => {
            let steps = path.0.iter().map(|(part, _)| step(part));
            Direct::Path(boxed(base)?, steps.collect::<Option<_>>()?)
        }
        Term::Call(name, arguments) => match (*name, arguments.as_slice()) {
            ("null", []) => Direct::Constant(Value::Null),
            ("true", []) => Direct::Constant(Value::Bool(true)),
            ("false", []) => Direct::Constant(Value::Bool(false)),
            (name, arguments) => Direct::Apply(function(name, arguments)?),
        },
        _ => return None,
    })
}

fn is_tick(term: &Term<&str>) -> bool {
    matches!(term, Term::Call(TICK, _))
}

/// A constant text, or one with interpolations.
fn text(parts: &[StrPart<&str, Term<&str>>]) -> Option<Direct> {
    let mut pieces = Vec::new();
    let mut constant = String::new();
    for part in parts {
        match part {
            StrPart::Str(text) => constant.push_str(text),
            StrPart::Char(char) => constant.push(*char),
            StrPart::Term(term) => {
                pieces.push(Direct::Constant(Value::from(std::mem::take(&mut constant))));
                pieces.push(build(term)?);
            }
        }
    }
    if pieces.is_empty() {
        return Some(Direct::Constant(Value::from(constant)));
    }
    pieces.push(Direct::Constant(Value::from(constant)));
    Some(Direct::Text(pieces))
}

fn constant_text(term: &Term<&str>) -> Option<String> {
    match build(term)? {
        Direct::Constant(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// An optional step differs from an essential one only where that fails, and there the engine decides.
fn step(part: &Part<Term<&str>>) -> Option<Step> {
    let position = |bound: &Option<Term<&str>>| match bound {
        None => Some(None),
        Some(Term::Num(text)) => text.parse().ok().map(Some),
        Some(_) => None,
    };
    match part {
        Part::Index(Term::Num(text)) => text.parse().ok().map(Step::Index),
        Part::Index(Term::Neg(inner)) => match &**inner {
            Term::Num(text) => text.parse::<i64>().ok().map(|index| Step::Index(-index)),
            _ => None,
        },
        Part::Index(key) => constant_text(key).map(Step::Key),
        Part::Range(None, None) => None,
        Part::Range(from, to) => Some(Step::Slice(position(from)?, position(to)?)),
    }
}

fn function(name: &str, arguments: &[Term<&str>]) -> Option<Function> {
    Some(match (name, arguments) {
        ("tostring", []) => Function::ToString,
        ("not", []) => Function::Not,
        ("length", []) => Function::Length,
        ("first", []) => Function::First,
        ("last", []) => Function::Last,
        ("ascii_downcase", []) => Function::AsciiDowncase,
        ("ascii_upcase", []) => Function::AsciiUpcase,
        ("fromdate" | "fromdateiso8601", []) => Function::FromDate,
        ("split", [separator]) => {
            Function::Split(constant_text(separator).filter(|text| !text.is_empty())?)
        }
        ("startswith", [part]) => Function::StartsWith(constant_text(part)?),
        ("endswith", [part]) => Function::EndsWith(constant_text(part)?),
        ("ltrimstr", [part]) => Function::TrimStart(constant_text(part)?),
        ("rtrimstr", [part]) => Function::TrimEnd(constant_text(part)?),
        _ => return None,
    })
}

/// What stands between `[` and `]`.
fn collect(inner: &Term<&str>) -> Option<Direct> {
    if let Some((source, optional, mut stages)) = stream(inner) {
        stages.retain(|stage| !matches!(stage, Stage::Map(Direct::Input)));
        return Some(Direct::Collect {
            source: Box::new(source),
            optional,
            stages,
        });
    }
    let mut items = Vec::new();
    list(inner, &mut items)?;
    Some(Direct::List(items))
}

fn list(term: &Term<&str>, items: &mut Vec<Direct>) -> Option<()> {
    match term {
        Term::BinOp(left, BinaryOp::Pipe(None), right) if is_tick(left) => list(right, items),
        Term::BinOp(left, BinaryOp::Comma, right) => {
            list(left, items)?;
            list(right, items)
        }
        single => {
            items.push(build(single)?);
            Some(())
        }
    }
}

/// `source[]`, followed by any number of stages with at most one output each.
fn stream(term: &Term<&str>) -> Option<(Direct, bool, Vec<Stage>)> {
    match term {
        Term::Path(base, path) => {
            let at = path
                .0
                .iter()
                .position(|(part, _)| matches!(part, Part::Range(None, None)))?;
            let (before, rest) = path.0.split_at_checked(at)?;
            let ((_, optional), after) = rest.split_first()?;
            let steps = |parts: &[(Part<Term<&str>>, Opt)]| {
                parts
                    .iter()
                    .map(|(part, _)| step(part))
                    .collect::<Option<Vec<_>>>()
            };
            let source = Direct::Path(Box::new(build(base)?), steps(before)?);
            let optional = matches!(optional, Opt::Optional);
            let each = match steps(after)? {
                steps if steps.is_empty() => Direct::Input,
                steps => Direct::Path(Box::new(Direct::Input), steps),
            };
            Some((source, optional, vec![Stage::Map(each)]))
        }
        // What fails within `try` is for the engine, unless it is that there is no list.
        Term::TryCatch(body, None) => {
            stream(body).map(|(source, _, stages)| (source, true, stages))
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            let (source, optional, mut stages) = stream(left)?;
            add_stages(right, &mut stages)?;
            Some((source, optional, stages))
        }
        _ => None,
    }
}

fn add_stages(term: &Term<&str>, stages: &mut Vec<Stage>) -> Option<()> {
    match term {
        Term::BinOp(left, BinaryOp::Pipe(None), right) if !is_tick(left) => {
            add_stages(left, stages)?;
            add_stages(right, stages)
        }
        Term::Call("select", arguments) => match arguments.as_slice() {
            [condition] => {
                stages.push(Stage::Select(build(condition)?));
                Some(())
            }
            _ => None,
        },
        single => {
            stages.push(Stage::Map(build(single)?));
            Some(())
        }
    }
}
