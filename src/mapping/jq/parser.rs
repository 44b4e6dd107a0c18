//! The grammar of jq 1.8: program text to jaq's syntax tree.
//!
//! jaq has a parser of its own; this one exists because the grammars differ where mapping authors meet it
//! (`. / 60 % 60`, `.5`, `"\ud83d\ude00"`, `{$a: [$b]}`, `?//`), and because the places where an
//! expression can loop get a step counter here: see [`super::guard`].

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part, Path};

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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'s> {
    /// Identifier or keyword.
    Word(&'s str),
    /// `.name`, without the dot.
    Field(&'s str),
    /// `$name`, with the sign.
    Variable(&'s str),
    /// `@name`, with the sign.
    Format(&'s str),
    Number(&'s str),
    /// The opening quote of a string.
    Quote,
    Symbol(&'static str),
    End,
}

/// Longest first: the lexer takes the first that fits.
const SYMBOLS: [&str; 34] = [
    "?//", "//=", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "//", "..", ".", "[",
    "]", "(", ")", "{", "}", "|", ",", ":", ";", "=", "<", ">", "+", "-", "*", "/", "%", "?",
];

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

/// Counts a step. This and the other names ending in `!` are implemented in `natives`.
pub(super) const TICK: &str = "tick!";
/// Counts a recursive call that passes a closure.
pub(super) const CLOSURE_TICK: &str = "closure!";
/// `MODIFY(paths; update)` is `paths |= update`.
pub(super) const MODIFY: &str = "modify!";
/// `ASSIGN(paths; $value)` is `paths = $value`.
pub(super) const ASSIGN: &str = "assign!";
/// `LAST(f)` is the last output of `f`, or null.
pub(super) const LAST: &str = "last!";
/// `FORMAT($name)` is `@name`.
pub(super) const FORMAT: &str = "format!";

fn call<'s>(name: &'s str, arguments: Vec<Tree<'s>>) -> Tree<'s> {
    Term::Call(name, arguments)
}

fn binary<'s>(left: Tree<'s>, operator: BinaryOp<&'s str>, right: Tree<'s>) -> Tree<'s> {
    Term::BinOp(Box::new(left), operator, Box::new(right))
}

fn pipe<'s>(left: Tree<'s>, right: Tree<'s>) -> Tree<'s> {
    binary(left, BinaryOp::Pipe(None), right)
}

fn bind<'s>(value: Tree<'s>, name: &'s str, body: Tree<'s>) -> Tree<'s> {
    binary(value, BinaryOp::Pipe(Some(Pattern::Var(name))), body)
}

fn literal(text: &str) -> Term<&str> {
    Term::Str(None, vec![StrPart::Str(text)])
}

/// Counts a step before `term`; the guard can stop any loop that passes here.
fn ticked<'s>(term: Tree<'s>) -> Tree<'s> {
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

impl<'s> Parser<'s> {
    fn new(source: &'s str, internal: bool) -> Self {
        Self {
            source,
            offset: 0,
            nesting: 0,
            scopes: Vec::new(),
            alternatives: 0,
            internal,
        }
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            message: message.into(),
            offset: self.offset,
        }
    }

    fn unexpected(&mut self, expected: &str) -> SyntaxError {
        let found = match self.peek() {
            Ok((Token::End, _)) => "the end".to_owned(),
            Ok((_, end)) => format!("`{}`", self.source.get(self.offset..end).unwrap_or("?")),
            Err(error) => return error,
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.offset..).unwrap_or("")
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.offset += rest.len() - trimmed.len();
            let Some(comment) = trimmed.strip_prefix('#') else {
                return;
            };
            // An odd number of backslashes before the line end continues the comment.
            let mut length = 1;
            for line in comment.split_inclusive('\n') {
                length += line.len();
                let text = line.trim_end_matches('\n').trim_end_matches('\r');
                if (text.len() - text.trim_end_matches('\\').len()) & 1 == 0 {
                    break;
                }
            }
            self.offset += length;
        }
    }

    /// The next token, which starts at `self.offset` afterwards, and where it ends.
    fn peek(&mut self) -> Parsed<(Token<'s>, usize)> {
        self.skip_blanks();
        let rest = self.rest();
        let end = |length: usize| self.offset + length;
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, self.offset));
        };
        let name_length = |text: &str| {
            text.bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                .count()
        };
        let starts_name =
            |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if first == '"' {
            return Ok((Token::Quote, end(1)));
        }
        if let Some(after) = rest.strip_prefix('.') {
            if starts_name(after) {
                let length = name_length(after);
                return Ok((
                    Token::Field(after.get(..length).unwrap_or("")),
                    end(1 + length),
                ));
            }
            if after.starts_with(|c: char| c.is_ascii_digit()) {
                let length = number_length(rest);
                return Ok((Token::Number(rest.get(..length).unwrap_or("")), end(length)));
            }
        }
        if first.is_ascii_digit() {
            let length = number_length(rest);
            return Ok((Token::Number(rest.get(..length).unwrap_or("")), end(length)));
        }
        if let Some(after) = rest.strip_prefix(['$', '@']) {
            let length = 1 + name_length(after);
            let text = rest.get(..length).unwrap_or("");
            return match first {
                '$' if starts_name(after) => Ok((Token::Variable(text), end(length))),
                '@' if 1 < length => Ok((Token::Format(text), end(length))),
                _ => Err(self.error(format!("unexpected `{first}`"))),
            };
        }
        if starts_name(rest) {
            let mut length = name_length(rest);
            if self.internal && rest.as_bytes().get(length) == Some(&b'!') {
                length += 1;
            }
            return Ok((Token::Word(rest.get(..length).unwrap_or("")), end(length)));
        }
        match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => Ok((Token::Symbol(symbol), end(symbol.len()))),
            None => Err(self.error(format!("unexpected `{first}`"))),
        }
    }

    fn next(&mut self) -> Parsed<Token<'s>> {
        let (token, end) = self.peek()?;
        self.offset = end;
        Ok(token)
    }

    fn accept(&mut self, wanted: Token<'static>) -> Parsed<bool> {
        let (token, end) = self.peek()?;
        let found = token == wanted;
        if found {
            self.offset = end;
        }
        Ok(found)
    }

    fn accept_symbol(&mut self, symbol: &'static str) -> Parsed<bool> {
        self.accept(Token::Symbol(symbol))
    }

    fn accept_word(&mut self, word: &'static str) -> Parsed<bool> {
        self.accept(Token::Word(word))
    }

    fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.accept_symbol(symbol)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{symbol}`")))
        }
    }

    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.accept_word(word)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{word}`")))
        }
    }

    fn variable(&mut self) -> Parsed<&'s str> {
        match self.peek()? {
            (Token::Variable(name), end) => {
                self.offset = end;
                Ok(name)
            }
            _ => Err(self.unexpected("a variable")),
        }
    }

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
                path.push((part, Opt::Essential));
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

    fn term(&mut self) -> Parsed<Tree<'s>> {
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
            Token::Variable("$__loc__") => {
                let line = 1 + self
                    .source
                    .get(..start)
                    .map_or(0, |text| text.matches('\n').count());
                let digits = line.to_string().chars().map(StrPart::Char).collect();
                let line = pipe(Term::Str(None, digits), call("tonumber", Vec::new()));
                Ok(Term::Obj(vec![
                    (literal("file"), Some(literal("<top-level>"))),
                    (literal("line"), Some(line)),
                ]))
            }
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
            Token::Word("try") => {
                let body = self.negation()?;
                let catch = if self.accept_word("catch")? {
                    Some(Box::new(self.negation()?))
                } else {
                    None
                };
                Ok(Term::TryCatch(Box::new(body), catch))
            }
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

    fn invocation(&mut self, name: &'s str) -> Parsed<Tree<'s>> {
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
            return Ok(call(name, arguments));
        }
        // A closure passed down by recursion nests in the one before; running it must pass the guard.
        let arguments = arguments.into_iter().map(ticked).collect();
        Ok(pipe(call(CLOSURE_TICK, Vec::new()), call(name, arguments)))
    }

    fn conditional(&mut self) -> Parsed<Tree<'s>> {
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

    fn reduce(&mut self) -> Parsed<Tree<'s>> {
        let source = self.postfix()?;
        self.expect_word("as")?;
        let pattern = self.pattern()?;
        self.expect("(")?;
        let init = self.pipe()?;
        self.expect(";")?;
        let update = self.pipe()?;
        self.expect(")")?;
        // jq keeps the last output of an update, or null when there is none.
        let update = if is_single(&update) {
            update
        } else {
            call(LAST, vec![update])
        };
        Ok(Term::Fold(
            "reduce",
            Box::new(source),
            pattern,
            vec![init, ticked(update)],
        ))
    }

    fn foreach(&mut self) -> Parsed<Tree<'s>> {
        let source = self.postfix()?;
        self.expect_word("as")?;
        let pattern = self.pattern()?;
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
        if is_single(&update) {
            let arguments = [init, ticked(update)].into_iter().chain(extract).collect();
            return Ok(Term::Fold("foreach", Box::new(source), pattern, arguments));
        }
        // jq continues with the last output of an update, or null: the state is the list of outputs.
        let state = |part| Term::Path(Box::new(Term::Id), Path(vec![(part, Opt::Essential)]));
        let init = Term::Arr(Some(Box::new(init)));
        let inits = Term::Path(
            Box::new(init),
            Path(vec![(Part::Range(None, None), Opt::Essential)]),
        );
        let last = state(Part::Index(Term::Neg(Box::new(Term::Num("1")))));
        let update = Term::Arr(Some(Box::new(pipe(last, update))));
        let outputs = state(Part::Range(None, None));
        let extract = match extract {
            Some(extract) => pipe(outputs, extract),
            None => outputs,
        };
        let init = pipe(inits, Term::Arr(Some(Box::new(Term::Id))));
        Ok(Term::Fold(
            "foreach",
            Box::new(source),
            pattern,
            vec![init, ticked(update), extract],
        ))
    }

    /// After `{`.
    fn object(&mut self) -> Parsed<Tree<'s>> {
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
        Ok(Term::Obj(entries))
    }

    fn object_entry(&mut self) -> Parsed<(Tree<'s>, Option<Tree<'s>>)> {
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
    fn object_value(&mut self) -> Parsed<Tree<'s>> {
        let mut value = self.alternative()?;
        while self.accept_symbol("|")? {
            value = pipe(value, self.alternative()?);
        }
        Ok(value)
    }

    /// After an opening quote.
    fn string(&mut self, format: Option<&'s str>) -> Parsed<Tree<'s>> {
        let mut parts: Vec<StrPart<&'s str, Tree<'s>>> = Vec::new();
        loop {
            let rest = self.rest();
            let Some(length) = rest.find(['"', '\\']) else {
                return Err(self.error("a string is not closed"));
            };
            if 0 < length {
                parts.push(StrPart::Str(rest.get(..length).unwrap_or("")));
            }
            self.offset += length + 1;
            if rest.get(length..).is_some_and(|rest| rest.starts_with('"')) {
                return Ok(interpolate(parts));
            }
            if self.rest().starts_with('(') {
                self.offset += 1;
                let term = self.pipe()?;
                self.expect(")")?;
                let term = match format {
                    Some(format) => {
                        let name = format.strip_prefix('@').unwrap_or(format);
                        pipe(term, call(FORMAT, vec![literal(name)]))
                    }
                    None => term,
                };
                parts.push(StrPart::Term(term));
            } else {
                parts.push(StrPart::Char(self.escape()?));
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self) -> Parsed<char> {
        let mut chars = self.rest().chars();
        let char = match chars.next() {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (scalar, length) = unicode_escape(chars.as_str())
                    .ok_or_else(|| self.error("invalid \\u escape"))?;
                self.offset += 1 + length;
                return Ok(scalar);
            }
            _ => return Err(self.error("invalid escape")),
        };
        self.offset += 1;
        Ok(char)
    }
}

/// The character that `XXXX` or the surrogate pair `XXXX\uXXXX` at the start of `text` names, and its length.
fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let high = hex(text)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, 4));
    }
    let low = hex(text.get(4..)?.strip_prefix("\\u")?)?;
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    Some((
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?,
        10,
    ))
}

fn hex(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Length of the number at the start of `text`: `1`, `1.`, `.5`, `1.5e-3`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && (0 < length || 0 < digits(1)) {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if 0 < exponent {
            length += 1 + sign + exponent;
        }
    }
    length
}

/// jq evaluates the right operand first and lets the left one vary fastest; jaq does the opposite.
fn ordered<'s>(left: Tree<'s>, operator: BinaryOp<&'s str>, right: Tree<'s>) -> Tree<'s> {
    const RIGHT: &str = "$ right";
    if is_single(&left) || is_single(&right) {
        return binary(left, operator, right);
    }
    bind(right, RIGHT, binary(left, operator, Term::Var(RIGHT)))
}

/// As for operators, the first interpolation varies fastest.
fn interpolate<'s>(parts: Vec<StrPart<&'s str, Tree<'s>>>) -> Tree<'s> {
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
fn destructure<'s>(value: Tree<'s>, patterns: Vec<Pattern<&'s str>>, body: &Tree<'s>) -> Tree<'s> {
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

fn wrap_path<'s>(term: Tree<'s>, path: &mut Vec<(Part<Tree<'s>>, Opt)>) -> Tree<'s> {
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
