//! Program text to tokens, and the parser's cursor over them.
//!
//! Knows no grammar.

use super::{Parsed, Parser, SyntaxError};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'s> {
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

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str, internal: bool) -> Self {
        Self {
            source,
            offset: 0,
            nesting: 0,
            scopes: Vec::new(),
            defined: Vec::new(),
            alternatives: 0,
            catches: source.contains("catch"),
            internal,
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            message: message.into(),
            offset: self.offset,
        }
    }

    pub(super) fn unexpected(&mut self, expected: &str) -> SyntaxError {
        let found = match self.peek() {
            Ok((Token::End, _)) => "the end".to_owned(),
            Ok((_, end)) => format!("`{}`", self.source.get(self.offset..end).unwrap_or("?")),
            Err(error) => return error,
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    pub(super) fn rest(&self) -> &'s str {
        self.source.get(self.offset..).unwrap_or("")
    }

    pub(super) fn skip_blanks(&mut self) {
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
    pub(super) fn peek(&mut self) -> Parsed<(Token<'s>, usize)> {
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

    pub(super) fn next(&mut self) -> Parsed<Token<'s>> {
        let (token, end) = self.peek()?;
        self.offset = end;
        Ok(token)
    }

    pub(super) fn accept(&mut self, wanted: Token<'static>) -> Parsed<bool> {
        let (token, end) = self.peek()?;
        let found = token == wanted;
        if found {
            self.offset = end;
        }
        Ok(found)
    }

    pub(super) fn accept_symbol(&mut self, symbol: &'static str) -> Parsed<bool> {
        self.accept(Token::Symbol(symbol))
    }

    pub(super) fn accept_word(&mut self, word: &'static str) -> Parsed<bool> {
        self.accept(Token::Word(word))
    }

    pub(super) fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.accept_symbol(symbol)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{symbol}`")))
        }
    }

    pub(super) fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.accept_word(word)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{word}`")))
        }
    }

    pub(super) fn variable(&mut self) -> Parsed<&'s str> {
        match self.peek()? {
            (Token::Variable(name), end) => {
                self.offset = end;
                Ok(name)
            }
            _ => Err(self.unexpected("a variable")),
        }
    }
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
