//! What gives names to values and programs: `as` with its patterns, `reduce`, `foreach`, `def`.

use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part, Path};

use super::lexer::Token;
use super::lower::{LAST, binary, bind, call, destructure, literal, pipe, ticked, variables};
use super::terms::may_be_key;
use super::yields::Yields;
use super::{KEYWORDS, Parsed, Parser, Tree};

/// Depth to which bindings with `?//` may nest.
const MAX_ALTERNATIVES: usize = 3;

/// An init of `reduce` with its number; no program can write the name.
const INIT: &str = "$ init";
/// A variable that the body does not see.
const UNSEEN: &str = "$ unseen";
/// Positions in a list pattern, as terms.
const POSITIONS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

impl<'s> Parser<'s> {
    /// After `value as`: patterns and the body.
    pub(super) fn binding(&mut self, value: Tree<'s>) -> Parsed<Tree<'s>> {
        let mut patterns = self.patterns()?;
        self.expect("|")?;
        if patterns.len() == 1 {
            let pattern = patterns.pop();
            return Ok(binary(value, BinaryOp::Pipe(pattern), self.pipe()?));
        }
        if MAX_ALTERNATIVES <= self.alternatives {
            return Err(self.error("`?//` is nested too deeply"));
        }
        self.alternatives += 1;
        let body = self.pipe();
        self.alternatives -= 1;
        Ok(destructure(value, patterns, &body?))
    }

    /// `p1 ?// p2 ..`
    fn patterns(&mut self) -> Parsed<Vec<Pattern<&'s str>>> {
        let mut patterns = vec![self.pattern()?];
        while self.accept_symbol("?//")? {
            patterns.push(self.pattern()?);
        }
        let settle = |pattern| self.settled(pattern, &mut Vec::new());
        Ok(patterns.into_iter().map(settle).collect())
    }

    /// jq reads lists from their last item, objects from their first entry, and of two variables of one name the body
    /// sees the one that was read first. jaq sees the last one.
    fn settled(&self, pattern: Pattern<&'s str>, names: &mut Vec<&'s str>) -> Pattern<&'s str> {
        match pattern {
            Pattern::Var(name) if names.contains(&name) => Pattern::Var(UNSEEN),
            Pattern::Var(name) => {
                names.push(name);
                Pattern::Var(name)
            }
            Pattern::Arr(items) => {
                let items = items.into_iter().enumerate().rev();
                let mut items: Vec<_> = items
                    .map(|(index, item)| (index, self.settled(item, names)))
                    .collect();
                // Which item is read first shows only in what an error says.
                if self.catches && 1 < items.len() && items.len() <= POSITIONS.len() {
                    let position = |(index, item): (usize, _)| (Term::Num(POSITIONS[index]), item);
                    return Pattern::Obj(items.into_iter().map(position).collect());
                }
                items.reverse();
                Pattern::Arr(items.into_iter().map(|(_, item)| item).collect())
            }
            Pattern::Obj(entries) => {
                let entries = entries.into_iter();
                Pattern::Obj(
                    entries
                        .map(|(key, item)| (key, self.settled(item, names)))
                        .collect(),
                )
            }
        }
    }

    /// After `reduce` or `foreach`: `source as patterns`.
    fn folded(&mut self) -> Parsed<(Tree<'s>, Pattern<&'s str>)> {
        let source = self.alternative()?;
        self.expect_word("as")?;
        let mut patterns = self.patterns()?;
        if patterns.len() == 1
            && let Some(pattern) = patterns.pop()
        {
            return Ok((source, pattern));
        }
        // Whichever pattern fits, its variables arrive in one list.
        let mut names = Vec::new();
        patterns
            .iter()
            .for_each(|pattern| variables(pattern, &mut names));
        let row = list_of(names.iter().map(|name| Term::Var(*name)));
        let pattern = Pattern::Arr(names.into_iter().map(Pattern::Var).collect());
        Ok((destructure(source, patterns, &row), pattern))
    }

    /// After `reduce`.
    pub(super) fn reduce(&mut self) -> Parsed<Tree<'s>> {
        let (source, pattern) = self.folded()?;
        self.expect("(")?;
        let init = self.pipe()?;
        self.expect(";")?;
        let update = self.pipe()?;
        self.expect(")")?;
        // jq keeps the last output of an update, or null when there is none.
        let update = if self.yields(&update) <= Yields::One {
            update
        } else {
            call(LAST, vec![update])
        };
        let reduced = |source, init| {
            Term::Fold(
                "reduce",
                Box::new(source),
                pattern,
                vec![init, ticked(update)],
            )
        };
        if self.yields(&init) <= Yields::One {
            return Ok(reduced(source, init));
        }
        // For each further init jq evaluates the source with null.
        let item = |index| {
            Term::Path(
                Box::new(Term::Var(INIT)),
                Path(vec![(Part::Index(index), Opt::Essential)]),
            )
        };
        let count = binary(Term::Id, BinaryOp::Math(Math::Add), Term::Num("1"));
        let numbered = list_of([Term::Id, Term::Var(INIT)]);
        let inits = Term::Fold(
            "foreach",
            Box::new(init),
            Pattern::Var(INIT),
            vec![Term::Neg(Box::new(Term::Num("1"))), count, numbered],
        );
        let first = binary(item(Term::Num("0")), BinaryOp::Cmp(Cmp::Eq), Term::Num("0"));
        let input = Term::IfThenElse(
            vec![(first, Term::Id)],
            Some(Box::new(call("null", Vec::new()))),
        );
        let body = pipe(input, reduced(source, item(Term::Num("1"))));
        Ok(bind(inits, INIT, body))
    }

    /// After `foreach`.
    pub(super) fn foreach(&mut self) -> Parsed<Tree<'s>> {
        let (source, pattern) = self.folded()?;
        self.expect("(")?;
        let init = self.pipe()?;
        self.expect(";")?;
        let update = self.pipe()?;
        let extract = if self.accept_symbol(";")? {
            Some(self.pipe()?)
        } else {
            None
        };
        self.expect(")")?;
        if self.yields(&update) <= Yields::One {
            let arguments = [init, ticked(update)].into_iter().chain(extract).collect();
            return Ok(Term::Fold("foreach", Box::new(source), pattern, arguments));
        }
        // jq continues with the last output of an update, or null: the state is the list of outputs.
        let state = |part| Term::Path(Box::new(Term::Id), Path(vec![(part, Opt::Essential)]));
        let last = state(Part::Index(Term::Neg(Box::new(Term::Num("1")))));
        let update = Term::Arr(Some(Box::new(pipe(last, update))));
        let outputs = state(Part::Range(None, None));
        let extract = match extract {
            Some(extract) => pipe(outputs, extract),
            None => outputs,
        };
        let init = pipe(init, Term::Arr(Some(Box::new(Term::Id))));
        Ok(Term::Fold(
            "foreach",
            Box::new(source),
            pattern,
            vec![init, ticked(update), extract],
        ))
    }

    fn pattern(&mut self) -> Parsed<Pattern<&'s str>> {
        self.nested(|parser| match parser.peek()? {
            (Token::Variable(name), end) => {
                parser.offset = end;
                Ok(Pattern::Var(name))
            }
            (Token::Symbol("["), end) => {
                parser.offset = end;
                let mut items = vec![parser.pattern()?];
                while parser.accept_symbol(",")? {
                    items.push(parser.pattern()?);
                }
                parser.expect("]")?;
                Ok(Pattern::Arr(items))
            }
            (Token::Symbol("{"), end) => {
                parser.offset = end;
                let mut entries = Vec::new();
                loop {
                    parser.pattern_entry(&mut entries)?;
                    if !parser.accept_symbol(",")? {
                        break;
                    }
                }
                parser.expect("}")?;
                Ok(Pattern::Obj(entries))
            }
            _ => Err(parser.unexpected("a variable, `[` or `{`")),
        })
    }

    fn pattern_entry(&mut self, entries: &mut Vec<(Tree<'s>, Pattern<&'s str>)>) -> Parsed<()> {
        let key = match self.peek()? {
            (Token::Variable(name), end) => {
                self.offset = end;
                let key = literal(name.strip_prefix('$').unwrap_or(name));
                entries.push((key.clone(), Pattern::Var(name)));
                if !self.accept_symbol(":")? {
                    return Ok(());
                }
                // `{$a: pattern}` binds the value and what the pattern finds in it.
                let pattern = self.pattern()?;
                entries.push((key, pattern));
                return Ok(());
            }
            (Token::Word(word), end) => {
                self.offset = end;
                literal(word)
            }
            (Token::Symbol("("), end) => {
                self.offset = end;
                let key = self.pipe()?;
                if !may_be_key(&key) {
                    return Err(self.error("a key of an object pattern is no string"));
                }
                self.expect(")")?;
                key
            }
            (Token::Quote, end) => {
                self.offset = end;
                self.string(None)?
            }
            _ => return Err(self.unexpected("an object pattern")),
        };
        self.expect(":")?;
        let pattern = self.pattern()?;
        entries.push((key, pattern));
        Ok(())
    }

    /// After `def`.
    pub(super) fn definition(&mut self) -> Parsed<Def<&'s str>> {
        let name = match self.next()? {
            Token::Word(name) if !KEYWORDS.contains(&name) => name,
            _ => return Err(self.error("expected the name of a function")),
        };
        let mut args = Vec::new();
        if self.accept_symbol("(")? {
            loop {
                match self.next()? {
                    Token::Word(arg) | Token::Variable(arg) => args.push(arg),
                    _ => return Err(self.error("expected a parameter")),
                }
                if !self.accept_symbol(";")? {
                    break;
                }
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        if !self.internal {
            let parameters = args
                .iter()
                .map(|arg: &&str| (arg.strip_prefix('$').unwrap_or(arg), 0));
            self.defined.extend(parameters);
            self.defined.push((name, args.len()));
        }
        self.scopes.push((name, args.len()));
        let body = self.pipe();
        self.scopes.pop();
        let mut body = body?;
        self.expect(";")?;
        // `def f($a)` also defines `a` as a function.
        let values: Vec<Def<&'s str>> = args
            .iter()
            .copied()
            .filter_map(|arg: &'s str| {
                let name = arg.strip_prefix('$')?;
                Some(Def {
                    name,
                    args: Vec::new(),
                    body: Term::Var(arg),
                })
            })
            .collect();
        if !values.is_empty() {
            body = Term::Def(values, Box::new(body));
        }
        Ok(Def {
            name,
            args,
            body: ticked(body),
        })
    }
}

fn list_of<'s>(items: impl IntoIterator<Item = Tree<'s>>) -> Tree<'s> {
    let items = items.into_iter();
    Term::Arr(
        items
            .reduce(|list, item| binary(list, BinaryOp::Comma, item))
            .map(Box::new),
    )
}
