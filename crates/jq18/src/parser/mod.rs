//! The grammar of jq 1.8: program text to jaq's syntax tree.
//!
//! jaq has a parser of its own; this one exists because the grammars differ where authors meet it
//! (`. / 60 % 60`, `.5`, `"\ud83d\ude00"`, `{$a: [$b]}`, `?//`), and because the places where an
//! expression can loop get a step counter here: see [`super::guard`].

mod bindings;
mod lexer;
mod lower;
mod postfix;
mod strings;
mod terms;
mod yields;

use jaq_core::load::parse::{BinaryOp, Def, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part};

pub(super) use lower::{ASSIGN, CLOSURE_TICK, LAST, MODIFY, TICK, preferred};

use lexer::Token;
use lower::{alternative, binary, bind, call, pipe, ticked};

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
type Steps<'s> = Vec<(Part<Tree<'s>>, Opt)>;

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
    /// Functions that the program defines anywhere before the current position; empty for the built-in ones.
    defined: Vec<(&'s str, usize)>,
    /// Bodies are copied per alternative of `?//`; nested ones would multiply.
    alternatives: usize,
    /// Whether the program may look at what an error says: then it shows which of two operands fails first.
    catches: bool,
    /// Whether names may end in `!`: the built-in functions that programs cannot name.
    internal: bool,
}

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
                if matches!(parser.peek()?.0, Token::Word("def" | "label")) {
                    let right = parser.pipe()?;
                    return Ok(binary(left, BinaryOp::Comma, ticked(right)));
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

    /// `f // g`: to the right.
    fn alternative(&mut self) -> Parsed<Tree<'s>> {
        self.nested(|parser| {
            let left = parser.update()?;
            if parser.accept_symbol("//")? {
                let right = parser.alternative()?;
                return Ok(alternative(left, right));
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
        Ok(self.operation(left, BinaryOp::Cmp(operator), right))
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
            left = self.operation(left, BinaryOp::Math(operator), right);
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
            left = self.operation(left, BinaryOp::Math(operator), right);
        }
    }

    fn negation(&mut self) -> Parsed<Tree<'s>> {
        if self.accept_symbol("-")? {
            return self.nested(|parser| Ok(Term::Neg(Box::new(parser.negation()?))));
        }
        self.postfix()
    }
}
