//! Steps behind a term: `.a`, `[..]`, `[..:..]`, `?`.

use jaq_core::load::parse::Term;
use jaq_core::path::{Opt, Part};

use super::lexer::Token;
use super::lower::literal;
use super::{Parsed, Parser, Tree};

impl<'s> Parser<'s> {
    /// A term followed by any number of `.a`, `[..]`, `?`.
    pub(super) fn postfix(&mut self) -> Parsed<Tree<'s>> {
        self.nested(|parser| {
            let mut term = parser.term()?;
            let mut path = Vec::new();
            loop {
                let part = match parser.peek()? {
                    (Token::Field(name), end) => {
                        parser.offset = end;
                        Part::Index(literal(name))
                    }
                    (Token::Symbol("."), end) => {
                        parser.offset = end;
                        parser.after_dot()?
                    }
                    (Token::Symbol("["), end) => {
                        parser.offset = end;
                        parser.bracket()?
                    }
                    (Token::Symbol("?"), end) => {
                        parser.offset = end;
                        term = parser.wrap_path(term, &mut path);
                        term = Term::TryCatch(Box::new(term), None);
                        continue;
                    }
                    _ => return Ok(parser.wrap_path(term, &mut path)),
                };
                // The first `?` behind a step is about that step alone.
                let optional = if parser.accept_symbol("?")? {
                    Opt::Optional
                } else {
                    Opt::Essential
                };
                path.push((part, optional));
            }
        })
    }

    /// After a `.` that no name follows: a string or a bracket.
    pub(super) fn after_dot(&mut self) -> Parsed<Part<Tree<'s>>> {
        match self.next()? {
            Token::Quote => Ok(Part::Index(self.string(None)?)),
            Token::Format(format) => {
                self.expect_quote()?;
                Ok(Part::Index(self.string(Some(format))?))
            }
            Token::Symbol("[") => self.bracket(),
            _ => Err(self.error("expected a name, a string or `[` after `.`")),
        }
    }

    pub(super) fn expect_quote(&mut self) -> Parsed<()> {
        if self.accept(Token::Quote)? {
            Ok(())
        } else {
            Err(self.unexpected("a string"))
        }
    }

    /// After `[` behind a term: `]`, `i]`, `i:]`, `i:j]`, `:j]`.
    fn bracket(&mut self) -> Parsed<Part<Tree<'s>>> {
        if self.accept_symbol("]")? {
            return Ok(Part::Range(None, None));
        }
        if self.accept_symbol(":")? {
            let to = self.pipe()?;
            self.expect("]")?;
            return Ok(Part::Range(None, Some(to)));
        }
        let from = self.pipe()?;
        if !self.accept_symbol(":")? {
            self.expect("]")?;
            return Ok(Part::Index(from));
        }
        if self.accept_symbol("]")? {
            return Ok(Part::Range(Some(from), None));
        }
        let to = self.pipe()?;
        self.expect("]")?;
        Ok(Part::Range(Some(from), Some(to)))
    }
}
