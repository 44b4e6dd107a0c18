//! Shapes of syntax trees that make jaq answer as jq does: order of evaluation, `?//`, step counters.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};

use super::Tree;

/// Counts a step. This and the other names ending in `!` are implemented in `natives`.
pub(crate) const TICK: &str = "tick!";
/// Counts a recursive call that passes a closure.
pub(crate) const CLOSURE_TICK: &str = "closure!";
/// `MODIFY(paths; update)` is `paths |= update`.
pub(crate) const MODIFY: &str = "modify!";
/// `ASSIGN(paths; $value)` is `paths = $value`.
pub(crate) const ASSIGN: &str = "assign!";
/// `LAST(f)` is the last output of `f`, or null.
pub(crate) const LAST: &str = "last!";
/// `FORMAT($name)` is `@name`.
pub(crate) const FORMAT: &str = "format!";

pub(super) fn call<'s>(name: &'s str, arguments: Vec<Tree<'s>>) -> Tree<'s> {
    Term::Call(name, arguments)
}

pub(super) fn binary<'s>(left: Tree<'s>, operator: BinaryOp<&'s str>, right: Tree<'s>) -> Tree<'s> {
    Term::BinOp(Box::new(left), operator, Box::new(right))
}

pub(super) fn pipe<'s>(left: Tree<'s>, right: Tree<'s>) -> Tree<'s> {
    binary(left, BinaryOp::Pipe(None), right)
}

pub(super) fn bind<'s>(value: Tree<'s>, name: &'s str, body: Tree<'s>) -> Tree<'s> {
    binary(value, BinaryOp::Pipe(Some(Pattern::Var(name))), body)
}

pub(super) fn literal(text: &str) -> Term<&str> {
    Term::Str(None, vec![StrPart::Str(text)])
}

/// Counts a step before `term`; the guard can stop any loop that passes here.
pub(super) fn ticked<'s>(term: Tree<'s>) -> Tree<'s> {
    pipe(call(TICK, Vec::new()), term)
}

/// Whether a term surely yields at most one output, so that the order of evaluation does not show.
pub(super) fn is_single(term: &Tree<'_>) -> bool {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(_) => true,
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            StrPart::Term(term) => is_single(term),
            _ => true,
        }),
        Term::Obj(entries) => entries
            .iter()
            .all(|(key, value)| is_single(key) && value.as_ref().is_none_or(is_single)),
        Term::Neg(term) => is_single(term),
        Term::TryCatch(body, catch) => is_single(body) && catch.as_deref().is_none_or(is_single),
        Term::BinOp(
            left,
            BinaryOp::Math(_) | BinaryOp::Cmp(_) | BinaryOp::And | BinaryOp::Or,
            right,
        )
        | Term::BinOp(left, BinaryOp::Pipe(_), right) => is_single(left) && is_single(right),
        Term::IfThenElse(branches, otherwise) => {
            branches
                .iter()
                .all(|(test, then)| is_single(test) && is_single(then))
                && otherwise.as_deref().is_none_or(is_single)
        }
        Term::Path(term, path) => {
            is_single(term)
                && path.0.iter().all(|(part, _)| match part {
                    Part::Index(index) => is_single(index),
                    Part::Range(None, None) => false,
                    Part::Range(from, to) => [from, to].into_iter().flatten().all(is_single),
                })
        }
        Term::Call(name, arguments) => {
            arguments.is_empty()
                && matches!(
                    *name,
                    "length"
                        | "tostring"
                        | "tojson"
                        | "not"
                        | "add"
                        | "first"
                        | "last"
                        | "keys"
                        | "type"
                        | "ascii_downcase"
                        | "ascii_upcase"
                        | "tonumber"
                        | "floor"
                        | "null"
                        | "true"
                        | "false"
                        | TICK
                )
        }
        _ => false,
    }
}

/// jq evaluates the right operand first and lets the left one vary fastest; jaq does the opposite.
pub(super) fn ordered<'s>(
    left: Tree<'s>,
    operator: BinaryOp<&'s str>,
    right: Tree<'s>,
) -> Tree<'s> {
    const RIGHT: &str = "$ right";
    if is_single(&left) || is_single(&right) {
        return binary(left, operator, right);
    }
    bind(right, RIGHT, binary(left, operator, Term::Var(RIGHT)))
}

/// As for operators, the first interpolation varies fastest.
pub(super) fn interpolate<'s>(parts: Vec<StrPart<&'s str, Tree<'s>>>) -> Tree<'s> {
    const NAMES: [&str; 8] = ["$ 0", "$ 1", "$ 2", "$ 3", "$ 4", "$ 5", "$ 6", "$ 7"];
    let multiple =
        |part: &StrPart<&str, Tree<'_>>| matches!(part, StrPart::Term(term) if !is_single(term));
    let count = parts.iter().filter(|part| multiple(part)).count();
    if count < 2 || NAMES.len() < count {
        return Term::Str(None, parts);
    }
    let mut names = NAMES.into_iter();
    let mut bound = Vec::new();
    let parts = parts
        .into_iter()
        .map(|part| match part {
            StrPart::Term(term) if !is_single(&term) => match names.next() {
                Some(name) => {
                    bound.push((name, term));
                    StrPart::Term(Term::Var(name))
                }
                None => StrPart::Term(term),
            },
            part => part,
        })
        .collect();
    bound
        .into_iter()
        .fold(Term::Str(None, parts), |body, (name, term)| {
            bind(term, name, body)
        })
}

/// `value as p1 ?// p2 | body`: a pattern or a body that fails hands over to the next pattern. Every variable
/// of any pattern is visible in the body, null where its pattern is not the one in use.
pub(super) fn destructure<'s>(
    value: Tree<'s>,
    patterns: Vec<Pattern<&'s str>>,
    body: &Tree<'s>,
) -> Tree<'s> {
    const SUBJECT: &str = "$ subject";
    const INPUT: &str = "$ input";
    let mut names = Vec::new();
    patterns
        .iter()
        .for_each(|pattern| variables(pattern, &mut names));
    let attempt = |pattern| {
        let matched = binary(
            Term::Var(SUBJECT),
            BinaryOp::Pipe(Some(pattern)),
            body.clone(),
        );
        names.iter().fold(matched, |matched, name| {
            bind(call("null", Vec::new()), name, matched)
        })
    };
    let attempts = patterns.into_iter().rev().map(attempt);
    let chain = attempts.reduce(|next, attempt| {
        let next = pipe(Term::Var(INPUT), next);
        Term::TryCatch(Box::new(attempt), Some(Box::new(next)))
    });
    bind(
        value,
        SUBJECT,
        bind(Term::Id, INPUT, chain.unwrap_or_default()),
    )
}

fn variables<'s>(pattern: &Pattern<&'s str>, names: &mut Vec<&'s str>) {
    match pattern {
        Pattern::Var(name) => names.push(name),
        Pattern::Arr(items) => items.iter().for_each(|item| variables(item, names)),
        Pattern::Obj(entries) => entries.iter().for_each(|(_, item)| variables(item, names)),
    }
}

pub(super) fn wrap_path<'s>(term: Tree<'s>, path: &mut Vec<(Part<Tree<'s>>, Opt)>) -> Tree<'s> {
    if path.is_empty() {
        return term;
    }
    let mut parts = std::mem::take(path);
    match term {
        Term::Path(inner, mut head) => {
            head.0.append(&mut parts);
            Term::Path(inner, head)
        }
        term => Term::Path(Box::new(term), Path(parts)),
    }
}
