//! How many outputs a term has, as far as its form says: where the order of evaluation can show, and where not.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};

use super::lower::{TICK, preferred};
use super::{Parser, Tree};

/// What a term surely keeps to. Later is weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Yields {
    /// Exactly one output, and never an error.
    Certain,
    /// Exactly one output, or an error.
    One,
    /// Anything.
    Any,
}

/// Functions without arguments that give one output or fail.
const PLAIN: [&str; 34] = [
    "length",
    "add",
    "first",
    "last",
    "keys",
    "keys_unsorted",
    "ascii_downcase",
    "ascii_upcase",
    "tonumber",
    "floor",
    "ceil",
    "round",
    "abs",
    "sort",
    "unique",
    "min",
    "max",
    "reverse",
    "flatten",
    "to_entries",
    "from_entries",
    "fromjson",
    "trim",
    "ltrim",
    "rtrim",
    "any",
    "all",
    "fromdate",
    "todate",
    "now",
    "gmtime",
    "mktime",
    "toboolean",
    "utf8bytelength",
];
/// Functions without arguments that give one output of anything.
const CERTAIN: [&str; 8] = [
    "null", "true", "false", "not", "type", "tostring", "tojson", TICK,
];
/// Functions of values that give one output or fail, where their arguments do.
const OF_VALUES: [&str; 15] = [
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trimstr",
    "test",
    "split",
    "join",
    "has",
    "contains",
    "index",
    "rindex",
    "indices",
    "strptime",
    "strftime",
];
/// Functions of a program that collect its outputs, and give one output or fail.
const COLLECTING: [&str; 7] = [
    "map",
    "sort_by",
    "group_by",
    "unique_by",
    "min_by",
    "max_by",
    "del",
];

impl<'s> Parser<'s> {
    pub(super) fn yields(&self, term: &Tree<'s>) -> Yields {
        use Yields::{Any, Certain, One};
        let all = |terms: &mut dyn Iterator<Item = &Tree<'s>>| {
            terms.map(|term| self.yields(term)).max().unwrap_or(Certain)
        };
        match term {
            Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(None) => Certain,
            Term::Arr(Some(inner)) => self.collected(inner),
            Term::Str(_, parts) => all(&mut parts.iter().filter_map(|part| match part {
                StrPart::Term(term) => Some(term),
                _ => None,
            })),
            Term::Obj(entries) => {
                let values = all(&mut entries.iter().flat_map(|(_, value)| value));
                let keys = entries.iter().map(|(key, _)| match key {
                    Term::Str(None, _) => self.yields(key),
                    key => self.yields(key).max(One),
                });
                keys.max().unwrap_or(Certain).max(values)
            }
            Term::Neg(inner) => match **inner {
                Term::Num(_) => Certain,
                ref inner => self.yields(inner).max(One),
            },
            Term::TryCatch(body, None) if self.yields(body) == Certain => Certain,
            Term::TryCatch(_, None) => Any,
            Term::TryCatch(body, Some(catch)) => match self.yields(body) {
                Certain => Certain,
                One => self.yields(catch),
                Any => Any,
            },
            Term::BinOp(left, operator, right) => self.combined(left, operator, right),
            Term::IfThenElse(branches, otherwise) => {
                let tests = all(&mut branches.iter().flat_map(|(test, then)| [test, then]));
                tests.max(all(&mut otherwise.iter().map(|otherwise| &**otherwise)))
            }
            Term::Path(base, path) => self.yields(base).max(One).max(self.steps(path)),
            Term::Fold("reduce", _, _, arguments) => arguments
                .first()
                .map_or(Any, |init| self.yields(init))
                .max(One),
            Term::Call(name, arguments) => self.called(name, arguments),
            _ => Any,
        }
    }

    /// Of `[f]`.
    fn collected(&self, inner: &Tree<'s>) -> Yields {
        match inner {
            Term::BinOp(left, BinaryOp::Comma, right) => {
                self.collected(left).max(self.collected(right))
            }
            Term::BinOp(left, BinaryOp::Pipe(None), right)
                if matches!(**left, Term::Call(TICK, _)) =>
            {
                self.collected(right)
            }
            inner => self.yields(inner).min(Yields::One),
        }
    }

    fn combined(&self, left: &Tree<'s>, operator: &BinaryOp<&'s str>, right: &Tree<'s>) -> Yields {
        let both = self.yields(left).max(self.yields(right));
        match operator {
            BinaryOp::Pipe(None | Some(Pattern::Var(_)))
            | BinaryOp::Cmp(_)
            | BinaryOp::And
            | BinaryOp::Or => both,
            BinaryOp::Math(_) => both.max(Yields::One),
            BinaryOp::Alt => match self.yields(preferred(left)) {
                Yields::Any => Yields::Any,
                left => self.yields(right).max(left),
            },
            _ => Yields::Any,
        }
    }

    fn steps(&self, path: &Path<Tree<'s>>) -> Yields {
        let step = |(part, optional): &(Part<Tree<'s>>, Opt)| match (part, optional) {
            (_, Opt::Optional) | (Part::Range(None, None), _) => Yields::Any,
            (Part::Index(key), _) => self.yields(key),
            (Part::Range(from, to), _) => from
                .iter()
                .chain(to)
                .map(|bound| self.yields(bound))
                .max()
                .unwrap_or(Yields::One),
        };
        path.0.iter().map(step).max().unwrap_or(Yields::Certain)
    }

    fn called(&self, name: &str, arguments: &[Tree<'s>]) -> Yields {
        // What the program defines itself may do anything.
        if self.defined.contains(&(name, arguments.len())) {
            return Yields::Any;
        }
        match arguments {
            [] if CERTAIN.contains(&name) => Yields::Certain,
            [] if PLAIN.contains(&name) => Yields::One,
            [argument] if OF_VALUES.contains(&name) => self.yields(argument).max(Yields::One),
            [_] if COLLECTING.contains(&name) => Yields::One,
            _ => Yields::Any,
        }
    }
}
