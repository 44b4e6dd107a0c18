//! What a syntax tree says without being run: whether the expression is constant, which of the input's fields it may
//! read, which regular expressions it holds. The first two answers are safe, not exact: "not constant" and "may read"
//! are always allowed.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

use super::parser::TICK;

type Tree<'s> = Term<&'s str>;

/// Whether the value does not depend on the input.
pub(super) fn is_constant(term: &Tree<'_>) -> bool {
    match term {
        Term::Num(_) | Term::Arr(None) => true,
        Term::Str(None, parts) => parts.iter().all(|part| match part {
            StrPart::Term(term) => is_constant(term),
            StrPart::Str(_) | StrPart::Char(_) => true,
        }),
        Term::Arr(Some(inner)) | Term::Neg(inner) => is_constant(inner),
        Term::Obj(entries) => entries
            .iter()
            .all(|(key, value)| is_constant(key) && value.as_ref().is_some_and(is_constant)),
        Term::BinOp(left, BinaryOp::Pipe(None), right) if is_tick(left) => is_constant(right),
        Term::BinOp(left, BinaryOp::Math(_) | BinaryOp::Cmp(_) | BinaryOp::Comma, right) => {
            is_constant(left) && is_constant(right)
        }
        Term::Call(name, arguments) => {
            arguments.is_empty() && matches!(*name, "null" | "true" | "false")
        }
        _ => false,
    }
}

/// Whether the expression may read what is at `path` in an input object.
pub(super) fn may_read(term: &Tree<'_>, path: &[&str]) -> bool {
    let wanted = path;
    let may = |term: &Tree<'_>| may_read(term, wanted);
    match term {
        Term::Num(_) | Term::Var(_) | Term::Arr(None) | Term::Break(_) => false,
        Term::Str(_, parts) => parts.iter().any(|part| match part {
            StrPart::Term(term) => may(term),
            StrPart::Str(_) | StrPart::Char(_) => false,
        }),
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => may(inner),
        // `{a}` is short for `{a: .a}`.
        Term::Obj(entries) => entries
            .iter()
            .any(|(key, value)| may(key) || value.as_ref().is_none_or(may)),
        Term::BinOp(left, BinaryOp::Pipe(None), right) if is_tick(left) => may(right),
        // What is behind the pipe sees what is before it, and no more.
        Term::BinOp(left, BinaryOp::Pipe(None), _) => may(left),
        Term::BinOp(left, _, right) => may(left) || may(right),
        Term::IfThenElse(branches, otherwise) => {
            // Without `else` the input is passed on.
            branches.iter().any(|(test, then)| may(test) || may(then))
                || otherwise.as_deref().is_none_or(may)
        }
        Term::TryCatch(body, catch) => may(body) || catch.as_deref().is_some_and(may),
        Term::Path(base, path) => {
            let in_parts = path.0.iter().any(|(part, _)| match part {
                Part::Index(index) => may(index),
                Part::Range(from, to) => from.iter().chain(to).any(may),
            });
            let in_base = match &**base {
                Term::Id => {
                    // Up to the first step that is not known, a different key leads elsewhere.
                    let steps = path.0.iter().map_while(|(part, _)| static_key(part));
                    steps.zip(wanted).all(|(step, wanted)| step == *wanted)
                }
                base => may(base),
            };
            in_base || in_parts
        }
        Term::Call(name, arguments) => {
            !(arguments.is_empty() && matches!(*name, "null" | "true" | "false" | "empty" | "now"))
        }
        // A fold's update sees the state, which begins as the first argument.
        Term::Fold(_, source, _, arguments) => may(source) || arguments.first().is_some_and(may),
        Term::Id | Term::Recurse | Term::Def(..) => true,
    }
}

/// Whether the expression may read the clock, and so give another value for the same input.
pub(super) fn reads_clock(term: &Tree<'_>) -> bool {
    let mut reads = matches!(term, Term::Call("now", _));
    children(term, &mut |part| reads |= reads_clock(part));
    reads
}

/// The regular expressions that stand in the expression as they are, each with its flags.
pub(super) fn regular_expressions<'s>(term: &Tree<'s>, report: &mut dyn FnMut(&str, &str)) {
    if let Term::Call(name, arguments) = term {
        let flags = match (*name, arguments.as_slice()) {
            ("test" | "match" | "capture" | "scan" | "splits", [_]) | ("sub" | "gsub", [_, _]) => {
                Some(String::new())
            }
            ("test" | "match" | "capture" | "scan" | "split" | "splits", [_, flags])
            | ("sub" | "gsub", [_, _, flags]) => constant_text(flags),
            _ => None,
        };
        if let (Some(flags), Some(pattern)) = (flags, arguments.first().and_then(constant_text)) {
            report(&pattern, &flags);
        }
    }
    children(term, &mut |part| regular_expressions(part, report));
}

fn constant_text(term: &Tree<'_>) -> Option<String> {
    let Term::Str(None, parts) = term else {
        return None;
    };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(char) => text.push(*char),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}

/// Visits the terms that `term` consists of, not those within them.
pub(super) fn children<'s>(term: &Tree<'s>, visit: &mut dyn FnMut(&Tree<'s>)) {
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Break(_)
        | Term::Var(_)
        | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    visit(term);
                }
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => visit(inner),
        Term::Obj(entries) => {
            for (key, value) in entries {
                visit(key);
                value.iter().for_each(&mut *visit);
            }
        }
        Term::BinOp(left, operator, right) => {
            visit(left);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                keys_of_pattern(pattern, visit);
            }
            visit(right);
        }
        Term::Fold(_, source, pattern, arguments) => {
            visit(source);
            keys_of_pattern(pattern, visit);
            arguments.iter().for_each(visit);
        }
        Term::TryCatch(body, catch) => {
            visit(body);
            catch.iter().for_each(|catch| visit(catch));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (test, then) in branches {
                visit(test);
                visit(then);
            }
            otherwise.iter().for_each(|otherwise| visit(otherwise));
        }
        Term::Def(definitions, body) => {
            definitions
                .iter()
                .for_each(|definition| visit(&definition.body));
            visit(body);
        }
        Term::Call(_, arguments) => arguments.iter().for_each(visit),
        Term::Path(base, path) => {
            visit(base);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(index) => visit(index),
                    Part::Range(from, to) => from.iter().chain(to).for_each(&mut *visit),
                }
            }
        }
    }
}

fn keys_of_pattern<'s>(pattern: &Pattern<&'s str>, visit: &mut dyn FnMut(&Tree<'s>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(items) => items.iter().for_each(|item| keys_of_pattern(item, visit)),
        Pattern::Obj(entries) => {
            for (key, item) in entries {
                visit(key);
                keys_of_pattern(item, visit);
            }
        }
    }
}

/// The key of `.key` or `.["key"]`.
fn static_key<'s>(part: &Part<Tree<'s>>) -> Option<&'s str> {
    match part {
        Part::Index(Term::Str(None, name)) => match name.as_slice() {
            [StrPart::Str(name)] => Some(name),
            [] => Some(""),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the term only counts a step, and passes its input on.
fn is_tick(term: &Tree<'_>) -> bool {
    matches!(term, Term::Call(TICK, _))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    #[test]
    fn constants_are_told_from_expressions() {
        let constant = |source| is_constant(&parser::parse(source).unwrap());
        for source in [
            "\"a\"",
            "1",
            "-1",
            "null",
            "true",
            "[]",
            "[1, \"a\"]",
            "{\"a\": {b: 1}}",
            "\"a\" + \"b\"",
        ] {
            assert!(constant(source), "{source}");
        }
        for source in [
            ".",
            ".a",
            "\"\\(.a)\"",
            "now",
            "[.a]",
            "{a}",
            "input_filename",
            "$__loc__",
            "{a: .}",
        ] {
            assert!(!constant(source), "{source}");
        }
    }

    #[test]
    fn the_clock_is_found_wherever_it_is_read() {
        let reads = |source| reads_clock(&parser::parse(source).unwrap());
        for source in [
            "now",
            "now - 1",
            ".a | now",
            "[.[] | select(.at < now)]",
            "{a: now}",
            "\"\\(now)\"",
            "def f: now; f",
            "if .a then now else 1 end",
            "reduce .[] as $x (now; .)",
            "try error catch now",
            ".[now]",
        ] {
            assert!(reads(source), "{source}");
        }
        for source in [
            ".now",
            "\"now\"",
            ".a | todate",
            "localtime",
            "env",
            "$ENV.now",
        ] {
            assert!(!reads(source), "{source}");
        }
    }

    #[test]
    fn fields_that_cannot_matter_are_known() {
        let reads = |source| may_read(&parser::parse(source).unwrap(), &["project"]);
        for source in [
            ".project",
            ".project.key",
            ".[\"project\"]?",
            ".",
            "{project}",
            ".[.a]",
            "keys",
            "to_entries",
            "..",
            ".a // .project.key",
            "\"\\(.project.key)\"",
            ".a as $x | .project",
            "if .a then .project else 1 end",
            "[.a, .project]",
            "with_entries(.)",
            "def f: .project; f",
            "reduce .a[] as $x (.; .)",
            ".[0]",
            ".[]",
            "if .a then 1 end",
            "tostring",
            "select(.a)",
        ] {
            assert!(reads(source), "{source}");
        }
        for source in [
            ".name",
            ".a.project",
            ".a | .project",
            "\"project\"",
            "\"\\(.a)/x\"",
            ".a + .b",
            "[.a[] | select(.project)]",
            "if .a then .b else .c end",
            "reduce .a[] as $x (0; . + $x)",
            ".a | tostring",
            ".is_private == true",
            "null",
            "[.a, .b]",
        ] {
            assert!(!reads(source), "{source}");
        }
    }

    #[test]
    fn deeper_paths_are_told_apart() {
        let reads = |source| may_read(&parser::parse(source).unwrap(), &["repo", "project"]);
        for source in [
            ".repo.project.key",
            ".repo",
            ".repo | .slug",
            ".repo[.x]",
            ".",
            ".repo.project",
        ] {
            assert!(reads(source), "{source}");
        }
        for source in [
            ".repo.slug",
            ".folder.path",
            ".repo.links.html.href + \"/\"",
            ".repo[\"slug\"]",
        ] {
            assert!(!reads(source), "{source}");
        }
    }
}
