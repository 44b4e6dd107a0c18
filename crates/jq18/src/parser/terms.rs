//! Terms: what stands between operators.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::Term;
use jaq_core::path::{Opt, Part, Path};

use super::lexer::Token;
use super::lower::{CLOSURE_TICK, FORMAT, call, literal, pipe, ticked};
use super::{KEYWORDS, Parsed, Parser, Tree};

/// Native functions of several values.
const OF_VALUES: [&str; 15] = [
    "setpath",
    "pow",
    "atan2",
    "fmod",
    "fmin",
    "fmax",
    "fdim",
    "hypot",
    "copysign",
    "nextafter",
    "ldexp",
    "scalb",
    "scalbln",
    "fma",
    "drem",
];

impl<'s> Parser<'s> {
    pub(super) fn term(&mut self) -> Parsed<Tree<'s>> {
        let (token, end) = self.peek()?;
        let start = self.offset;
        self.offset = end;
        match token {
            Token::Symbol(".") => match self.peek()? {
                (Token::Quote | Token::Format(_), _) => {
                    let key = self.after_dot()?;
                    Ok(Term::Path(
                        Box::new(Term::Id),
                        Path(vec![(key, Opt::Essential)]),
                    ))
                }
                _ => Ok(Term::Id),
            },
            Token::Symbol("..") => Ok(Term::Recurse),
            Token::Field(name) => {
                let key = Part::Index(literal(name));
                Ok(Term::Path(
                    Box::new(Term::Id),
                    Path(vec![(key, Opt::Essential)]),
                ))
            }
            Token::Number(text) => Ok(Term::Num(text)),
            Token::Quote => self.string(None),
            Token::Format(format) => {
                if self.accept(Token::Quote)? {
                    return self.string(Some(format));
                }
                Ok(call(
                    FORMAT,
                    vec![literal(format.strip_prefix('@').unwrap_or(format))],
                ))
            }
            Token::Variable("$__loc__") => Ok(self.location(start)),
            Token::Variable(name) => Ok(Term::Var(name)),
            Token::Symbol("(") => {
                let inner = self.pipe()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => {
                if self.accept_symbol("]")? {
                    return Ok(Term::Arr(None));
                }
                let inner = self.pipe()?;
                self.expect("]")?;
                Ok(Term::Arr(Some(Box::new(inner))))
            }
            Token::Symbol("{") => self.object(),
            Token::Word("if") => self.conditional(),
            Token::Word("try") => self.attempt(),
            Token::Word("reduce") => self.reduce(),
            Token::Word("foreach") => self.foreach(),
            Token::Word("break") => Ok(Term::Break(self.variable()?)),
            Token::Word(word) if !KEYWORDS.contains(&word) => self.invocation(word),
            _ => {
                self.offset = start;
                Err(self.unexpected("a term"))
            }
        }
    }

    /// `$__loc__`: the line that `offset` is in.
    fn location(&self, offset: usize) -> Tree<'s> {
        let before = self.source.get(..offset);
        let line = 1 + before.map_or(0, |text| text.matches('\n').count());
        let digits = line.to_string().chars().map(StrPart::Char).collect();
        let line = pipe(Term::Str(None, digits), call("tonumber", Vec::new()));
        Term::Obj(vec![
            (literal("file"), Some(literal("<top-level>"))),
            (literal("line"), Some(line)),
        ])
    }

    /// After `try`.
    fn attempt(&mut self) -> Parsed<Tree<'s>> {
        let body = self.negation()?;
        let catch = if self.accept_word("catch")? {
            Some(Box::new(self.negation()?))
        } else {
            None
        };
        Ok(Term::TryCatch(Box::new(body), catch))
    }

    pub(super) fn invocation(&mut self, name: &'s str) -> Parsed<Tree<'s>> {
        let mut arguments = Vec::new();
        if self.accept_symbol("(")? {
            loop {
                arguments.push(self.pipe()?);
                if !self.accept_symbol(";")? {
                    break;
                }
            }
            self.expect(")")?;
        }
        let recursive = !arguments.is_empty() && self.scopes.contains(&(name, arguments.len()));
        if !recursive {
            return Ok(
                if OF_VALUES.contains(&name) && !self.defined.contains(&(name, arguments.len())) {
                    self.call_of_values(name, arguments)
                } else {
                    call(name, arguments)
                },
            );
        }
        // A closure passed down by recursion nests in the one before; running it must pass the guard.
        let arguments = arguments.into_iter().map(ticked).collect();
        Ok(pipe(call(CLOSURE_TICK, Vec::new()), call(name, arguments)))
    }

    pub(super) fn conditional(&mut self) -> Parsed<Tree<'s>> {
        let mut branches = Vec::new();
        loop {
            let test = self.pipe()?;
            self.expect_word("then")?;
            branches.push((test, self.pipe()?));
            if self.accept_word("elif")? {
                continue;
            }
            let otherwise = if self.accept_word("else")? {
                Some(Box::new(self.pipe()?))
            } else {
                None
            };
            self.expect_word("end")?;
            return Ok(Term::IfThenElse(branches, otherwise));
        }
    }

    /// After `{`.
    pub(super) fn object(&mut self) -> Parsed<Tree<'s>> {
        let mut entries = Vec::new();
        loop {
            if self.accept_symbol("}")? {
                break;
            }
            entries.push(self.object_entry()?);
            if !self.accept_symbol(",")? {
                self.expect("}")?;
                break;
            }
        }
        Ok(self.object_of(entries))
    }

    pub(super) fn object_entry(&mut self) -> Parsed<(Tree<'s>, Option<Tree<'s>>)> {
        let (token, end) = self.peek()?;
        let start = self.offset;
        self.offset = end;
        let field = |key: &Tree<'s>| {
            let part = (Part::Index(key.clone()), Opt::Essential);
            Term::Path(Box::new(Term::Id), Path(vec![part]))
        };
        let key = match token {
            Token::Variable("$__loc__") => {
                self.offset = start;
                return Ok((literal("__loc__"), Some(self.term()?)));
            }
            Token::Variable(name) => {
                if self.accept_symbol(":")? {
                    return Ok((Term::Var(name), Some(self.object_value()?)));
                }
                return Ok((
                    literal(name.strip_prefix('$').unwrap_or(name)),
                    Some(Term::Var(name)),
                ));
            }
            Token::Symbol("(") => {
                let key = self.pipe()?;
                if !may_be_key(&key) {
                    return Err(self.error("an object's key is no string"));
                }
                self.expect(")")?;
                self.expect(":")?;
                return Ok((key, Some(self.object_value()?)));
            }
            Token::Word(word) => literal(word),
            Token::Quote => self.string(None)?,
            Token::Format(format) => {
                self.expect_quote()?;
                self.string(Some(format))?
            }
            _ => {
                self.offset = start;
                return Err(self.unexpected("an object key"));
            }
        };
        if self.accept_symbol(":")? {
            return Ok((key, Some(self.object_value()?)));
        }
        let value = field(&key);
        Ok((key, Some(value)))
    }

    /// A value of an object: no comma, no binding.
    pub(super) fn object_value(&mut self) -> Parsed<Tree<'s>> {
        let mut value = self.alternative()?;
        while self.accept_symbol("|")? {
            value = pipe(value, self.alternative()?);
        }
        Ok(value)
    }
}

/// Whether a term may be a key: a constant that is no string surely is none, and jq says so before it runs.
pub(super) fn may_be_key(key: &Tree<'_>) -> bool {
    match key {
        Term::Num(_) | Term::Arr(None) => false,
        Term::Obj(entries) => !entries.is_empty(),
        Term::Call(name, arguments) => {
            !arguments.is_empty() || !matches!(*name, "null" | "true" | "false")
        }
        _ => true,
    }
}
