//! Shapes of syntax trees that make jaq answer as jq does: order of evaluation, `?//`, step counters.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};

use super::yields::Yields;
use super::{Parser, Steps, Tree};

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
/// Drops null and false.
const TRUTHY: &str = "truthy!";
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

/// `left // right`. Where paths are asked for, jaq would take all of the left ones.
pub(super) fn alternative<'s>(left: Tree<'s>, right: Tree<'s>) -> Tree<'s> {
    let left = pipe(left, call(TRUTHY, Vec::new()));
    binary(left, BinaryOp::Alt, right)
}

/// What stands before the `//` that [`alternative`] has made.
pub(crate) fn preferred<'t, 's>(left: &'t Tree<'s>) -> &'t Tree<'s> {
    match left {
        Term::BinOp(left, BinaryOp::Pipe(None), filter)
            if matches!(**filter, Term::Call(TRUTHY, _)) =>
        {
            left
        }
        left => left,
    }
}

/// Names of what is evaluated before it is used; no program can write them.
const BOUND: [&str; 16] = [
    "$ 0", "$ 1", "$ 2", "$ 3", "$ 4", "$ 5", "$ 6", "$ 7", "$ 8", "$ 9", "$ 10", "$ 11", "$ 12",
    "$ 13", "$ 14", "$ 15",
];

/// What parts of a term hold once those that may show their order are evaluated before.
pub(super) struct Ordered<'s> {
    parts: Vec<Tree<'s>>,
    bound: Vec<(&'static str, Tree<'s>)>,
}

impl<'s> Ordered<'s> {
    /// `body` with the bindings around it, the first part outermost.
    pub(super) fn around(self, body: impl FnOnce(Vec<Tree<'s>>) -> Tree<'s>) -> Tree<'s> {
        let bound = self.bound.into_iter().rev();
        bound.fold(body(self.parts), |body, (name, part)| {
            bind(part, name, body)
        })
    }
}

impl<'s> Parser<'s> {
    /// Terms in the order in which jq evaluates them; the last one varies fastest. Where that order can show, they are
    /// evaluated one after the other, whatever jaq does.
    pub(super) fn in_order(&self, parts: Vec<Tree<'s>>) -> Ordered<'s> {
        let yields: Vec<Yields> = parts.iter().map(|part| self.yields(part)).collect();
        let uncertain = yields.iter().filter(|yields| Yields::Certain < **yields);
        if uncertain.count() < 2 || !(self.catches || yields.contains(&Yields::Any)) {
            return Ordered {
                parts,
                bound: Vec::new(),
            };
        }
        Self::evaluated(parts, &yields)
    }

    /// All parts that are not certain, evaluated before; too many stay as they are.
    fn evaluated(parts: Vec<Tree<'s>>, yields: &[Yields]) -> Ordered<'s> {
        let mut bound = Vec::new();
        let parts =
            parts
                .into_iter()
                .zip(yields)
                .map(|(part, yields)| match BOUND.get(bound.len()) {
                    Some(name) if Yields::Certain < *yields => {
                        bound.push((*name, part));
                        Term::Var(*name)
                    }
                    _ => part,
                });
        let parts = parts.collect();
        Ordered { parts, bound }
    }

    /// jq evaluates the right operand first and lets the left one vary fastest; jaq does the opposite.
    pub(super) fn operation(
        &self,
        left: Tree<'s>,
        operator: BinaryOp<&'s str>,
        right: Tree<'s>,
    ) -> Tree<'s> {
        self.in_order(vec![right, left]).around(|mut operands| {
            let left = operands.pop().unwrap_or_default();
            binary(left, operator, operands.pop().unwrap_or_default())
        })
    }

    /// As for operators, the first interpolation varies fastest.
    pub(super) fn interpolate(&self, parts: Vec<StrPart<&'s str, Tree<'s>>>) -> Tree<'s> {
        let mut terms = Vec::new();
        let parts: Vec<_> = parts
            .into_iter()
            .map(|part| match part {
                StrPart::Term(term) => {
                    terms.push(term);
                    StrPart::Term(Term::Id)
                }
                part => part,
            })
            .collect();
        terms.reverse();
        self.in_order(terms).around(|mut terms| {
            let fill = |part| match part {
                StrPart::Term(_) => StrPart::Term(terms.pop().unwrap_or_default()),
                part => part,
            };
            Term::Str(None, parts.into_iter().map(fill).collect())
        })
    }

    /// Entries one after the other, each key before its value.
    pub(super) fn object_of(&self, entries: Vec<(Tree<'s>, Option<Tree<'s>>)>) -> Tree<'s> {
        // A key that turns out to be no string fails before the next entry is evaluated.
        let checked = |(key, _): &(Tree<'s>, _)| !matches!(key, Term::Str(..));
        if 1 < entries.len() && entries.iter().any(checked) {
            let objects = entries.into_iter().map(|entry| self.object_of(vec![entry]));
            return self.in_order(objects.collect()).around(|objects| {
                let sum = |sum, object| binary(sum, BinaryOp::Math(Math::Add), object);
                objects
                    .into_iter()
                    .reduce(sum)
                    .unwrap_or(Term::Obj(Vec::new()))
            });
        }
        let parts = entries
            .into_iter()
            .flat_map(|(key, value)| [key, value.unwrap_or_default()]);
        self.in_order(parts.collect()).around(|parts| {
            let mut parts = parts.into_iter();
            let mut entries = Vec::new();
            while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                entries.push((key, Some(value)));
            }
            Term::Obj(entries)
        })
    }

    /// A call of a native function of several values: jq evaluates the last argument first.
    pub(super) fn call_of_values(&self, name: &'s str, mut arguments: Vec<Tree<'s>>) -> Tree<'s> {
        arguments.reverse();
        self.in_order(arguments).around(|mut arguments| {
            arguments.reverse();
            call(name, arguments)
        })
    }

    /// `term` followed by `path`. jq evaluates the last key first, and all of them before the term; a slice's start
    /// before its end.
    pub(super) fn wrap_path(&self, term: Tree<'s>, path: &mut Steps<'s>) -> Tree<'s> {
        let mut steps = std::mem::take(path);
        if steps.is_empty() {
            return term;
        }
        let base = match term {
            Term::Path(inner, mut head) => {
                head.0.append(&mut steps);
                steps = head.0;
                inner
            }
            term => Box::new(term),
        };
        if !self.order_of_keys_shows(&base, &steps) {
            return Term::Path(base, Path(steps));
        }
        let mut keys = Vec::new();
        for (part, _) in steps.iter_mut().rev() {
            let (first, second) = match part {
                Part::Index(key) => (Some(key), None),
                Part::Range(from, to) => (from.as_mut(), to.as_mut()),
            };
            keys.extend(first.into_iter().chain(second).map(std::mem::take));
        }
        let yields: Vec<Yields> = keys.iter().map(|key| self.yields(key)).collect();
        Self::evaluated(keys, &yields).around(|keys| {
            let mut keys = keys.into_iter();
            for (part, _) in steps.iter_mut().rev() {
                let (first, second) = match part {
                    Part::Index(key) => (Some(key), None),
                    Part::Range(from, to) => (from.as_mut(), to.as_mut()),
                };
                for slot in first.into_iter().chain(second) {
                    *slot = keys.next().unwrap_or_default();
                }
            }
            Term::Path(base, Path(steps))
        })
    }

    fn order_of_keys_shows(&self, base: &Tree<'s>, steps: &Steps<'s>) -> bool {
        let keys = steps.iter().flat_map(|(part, _)| match part {
            Part::Index(key) => [Some(key), None],
            Part::Range(from, to) => [from.as_ref(), to.as_ref()],
        });
        let yields: Vec<Yields> = keys.flatten().map(|key| self.yields(key)).collect();
        let uncertain = yields
            .iter()
            .filter(|yields| Yields::Certain < **yields)
            .count();
        let base = self.yields(base);
        let alone = steps.len() == 1 && base == Yields::Certain;
        let several = self.catches
            || yields.contains(&Yields::Any)
            || base == Yields::Any
            || steps.iter().any(|(part, optional)| {
                matches!(part, Part::Range(None, None)) || matches!(optional, Opt::Optional)
            });
        match uncertain {
            0 => false,
            1 => !alone && several,
            _ => several,
        }
    }
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

/// The variables that a pattern binds, in their order.
pub(super) fn variables<'s>(pattern: &Pattern<&'s str>, names: &mut Vec<&'s str>) {
    match pattern {
        Pattern::Var(name) => names.push(name),
        Pattern::Arr(items) => items.iter().for_each(|item| variables(item, names)),
        Pattern::Obj(entries) => entries.iter().for_each(|(_, item)| variables(item, names)),
    }
}
