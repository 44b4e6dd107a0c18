//! The grammar of jq 1.8: program text to jaq's syntax tree.
//!
//! jaq has a parser of its own; this one exists because the grammars differ where authors meet it
//! (`. / 60 % 60`, `.5`, `"\ud83d\ude00"`, `{$a: [$b]}`, `?//`), and because the places where an
//! expression can loop get a step counter here: see [`super::guard`].

mod lexer;
mod lower;
mod strings;
mod terms;

use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part};

pub(super) use lower::{ASSIGN, CLOSURE_TICK, LAST, MODIFY, TICK};

use lexer::Token;
use lower::{binary, bind, call, destructure, literal, ordered, pipe, ticked, wrap_path};

/// Nesting of a program, in levels: bounds the recursion of parser, compiler and one evaluation step.
const MAX_NESTING: usize = 100;

/// A syntax error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// What was found or expected.
    pub(super) message: String,
    /// Byte offset into the program.
    pub(super) offset: usize,
}

type Parsed<T> = Result<T, SyntaxError>;
type Tree<'s> = Term<&'s str>;

/// Parses a whole program.
pub(super) fn parse(source: &str) -> Parsed<Term<&str>> {
    let mut parser = Parser::new(source, false);
    let term = parser.pipe()?;
    match parser.peek()? {
        (Token::End, _) => Ok(term),
        _ => Err(parser.unexpected("end of the expression")),
    }
}

/// Parses function definitions only: the built-in ones.
pub(super) fn parse_definitions(source: &str) -> Parsed<Vec<Def<&str>>> {
    let mut parser = Parser::new(source, true);
    let mut definitions = Vec::new();
    while parser.accept_word("def")? {
        definitions.push(parser.definition()?);
    }
    match parser.peek()? {
        (Token::End, _) => Ok(definitions),
        _ => Err(parser.unexpected("def")),
    }
}

/// Words that cannot name a function.
const KEYWORDS: [&str; 16] = [
    "def", "if", "then", "elif", "else", "end", "as", "reduce", "foreach", "try", "catch", "label",
    "import", "include", "and", "or",
];

struct Parser<'s> {
    source: &'s str,
    offset: usize,
    nesting: usize,
    /// Functions being defined around the current position, to recognise recursion.
    scopes: Vec<(&'s str, usize)>,
    /// Bodies are copied per alternative of `?//`; nested ones would multiply.
    alternatives: usize,
    /// Whether names may end in `!`: the built-in functions that programs cannot name.
    internal: bool,
}

/// Depth to which bindings with `?//` may nest.
const MAX_ALTERNATIVES: usize = 3;

impl<'s> Parser<'s> {
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if MAX_NESTING <= self.nesting {
            return Err(self.error(format!("nested more than {MAX_NESTING} levels")));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    /// `def f: ..; g`, `label $l | g`, `f as $x | g`, `f | g`, `f, g`.
    fn pipe(&mut self) -> Parsed<Tree<'s>> {
        self.nested(|parser| {
            if parser.accept_word("def")? {
                let definition = parser.definition()?;
                let body = parser.pipe()?;
                return Ok(Term::Def(vec![definition], Box::new(body)));
            }
            if parser.accept_word("label")? {
                let name = parser.variable()?;
                parser.expect("|")?;
                return Ok(Term::Label(name, Box::new(parser.pipe()?)));
            }
            let mut left = parser.alternative()?;
            loop {
                if parser.accept_word("as")? {
                    return parser.binding(left);
                }
                if parser.accept_symbol("|")? {
                    let right = parser.pipe()?;
                    return Ok(pipe(left, right));
                }
                if !parser.accept_symbol(",")? {
                    return Ok(left);
                }
                let right = parser.alternative()?;
                if parser.accept_word("as")? {
                    let right = parser.binding(right)?;
                    return Ok(binary(left, BinaryOp::Comma, ticked(right)));
                }
                left = binary(left, BinaryOp::Comma, ticked(right));
            }
        })
    }

    /// After `value as`: patterns and the body.
    fn binding(&mut self, value: Tree<'s>) -> Parsed<Tree<'s>> {
        let mut patterns = vec![self.pattern()?];
        while self.accept_symbol("?//")? {
            patterns.push(self.pattern()?);
        }
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

    fn definition(&mut self) -> Parsed<Def<&'s str>> {
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

    /// `f // g`: to the right.
    fn alternative(&mut self) -> Parsed<Tree<'s>> {
        self.nested(|parser| {
            let left = parser.update()?;
            if parser.accept_symbol("//")? {
                let right = parser.alternative()?;
                return Ok(binary(left, BinaryOp::Alt, right));
            }
            Ok(left)
        })
    }

    /// `f = g`, `f |= g`, `f += g`, ..: not associative; defined by paths, as in jq.
    fn update(&mut self) -> Parsed<Tree<'s>> {
        let left = self.disjunction()?;
        let (Token::Symbol(symbol), end) = self.peek()? else {
            return Ok(left);
        };
        let math = match symbol {
            "=" | "|=" | "//=" => None,
            "+=" => Some(Math::Add),
            "-=" => Some(Math::Sub),
            "*=" => Some(Math::Mul),
            "/=" => Some(Math::Div),
            "%=" => Some(Math::Rem),
            _ => return Ok(left),
        };
        self.offset = end;
        // `f //= g` and the like accept an alternative on the right only in parentheses.
        let right = self.disjunction()?;
        const VALUE: &str = "$ value";
        let with = |operator| binary(Term::Id, operator, Term::Var(VALUE));
        Ok(match symbol {
            "|=" => call(MODIFY, vec![left, right]),
            "=" => bind(right, VALUE, call(ASSIGN, vec![left, Term::Var(VALUE)])),
            "//=" => bind(right, VALUE, call(MODIFY, vec![left, with(BinaryOp::Alt)])),
            _ => {
                let operator = BinaryOp::Math(math.unwrap_or(Math::Add));
                bind(right, VALUE, call(MODIFY, vec![left, with(operator)]))
            }
        })
    }

    fn disjunction(&mut self) -> Parsed<Tree<'s>> {
        let mut left = self.conjunction()?;
        while self.accept_word("or")? {
            left = binary(left, BinaryOp::Or, self.conjunction()?);
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Tree<'s>> {
        let mut left = self.comparison()?;
        while self.accept_word("and")? {
            left = binary(left, BinaryOp::And, self.comparison()?);
        }
        Ok(left)
    }

    /// `f == g`, ..: not associative.
    fn comparison(&mut self) -> Parsed<Tree<'s>> {
        let left = self.sum()?;
        let (Token::Symbol(symbol), end) = self.peek()? else {
            return Ok(left);
        };
        let operator = match symbol {
            "==" => Cmp::Eq,
            "!=" => Cmp::Ne,
            "<" => Cmp::Lt,
            "<=" => Cmp::Le,
            ">" => Cmp::Gt,
            ">=" => Cmp::Ge,
            _ => return Ok(left),
        };
        self.offset = end;
        let right = self.sum()?;
        Ok(ordered(left, BinaryOp::Cmp(operator), right))
    }

    fn sum(&mut self) -> Parsed<Tree<'s>> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek()?.0 {
                Token::Symbol("+") => Math::Add,
                Token::Symbol("-") => Math::Sub,
                _ => return Ok(left),
            };
            self.next()?;
            let right = self.product()?;
            left = ordered(left, BinaryOp::Math(operator), right);
        }
    }

    fn product(&mut self) -> Parsed<Tree<'s>> {
        let mut left = self.negation()?;
        loop {
            let operator = match self.peek()?.0 {
                Token::Symbol("*") => Math::Mul,
                Token::Symbol("/") => Math::Div,
                Token::Symbol("%") => Math::Rem,
                _ => return Ok(left),
            };
            self.next()?;
            let right = self.negation()?;
            left = ordered(left, BinaryOp::Math(operator), right);
        }
    }

    fn negation(&mut self) -> Parsed<Tree<'s>> {
        if self.accept_symbol("-")? {
            return self.nested(|parser| Ok(Term::Neg(Box::new(parser.negation()?))));
        }
        self.postfix()
    }

    /// A term followed by any number of `.a`, `[..]`, `?`.
    fn postfix(&mut self) -> Parsed<Tree<'s>> {
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
                        term = wrap_path(term, &mut path);
                        term = Term::TryCatch(Box::new(term), None);
                        continue;
                    }
                    _ => return Ok(wrap_path(term, &mut path)),
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
    fn after_dot(&mut self) -> Parsed<Part<Tree<'s>>> {
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

    fn expect_quote(&mut self) -> Parsed<()> {
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
