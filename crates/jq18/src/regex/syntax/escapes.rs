//! What follows a backslash.

use regex_syntax::hir::ClassUnicode;

use super::{Parsed, Parser};
use crate::regex::class;
use crate::regex::tree::{Assertion, Greed, Node};

impl Parser {
    /// Outside of brackets.
    pub(super) fn escape(&mut self) -> Parsed<Node> {
        let Some(letter) = self.next() else {
            return Err("end pattern at escape");
        };
        if let Some(class) = self.class_escape(letter)? {
            return Ok(Node::Class(class));
        }
        Ok(match letter {
            'A' => Node::Assert(Assertion::TextStart),
            'z' => Node::Assert(Assertion::TextEnd),
            'Z' => Node::Assert(Assertion::TextEndOrBreak),
            'b' => Node::Assert(Assertion::WordBoundary),
            'B' => Node::Assert(Assertion::NoWordBoundary),
            'G' => Node::Assert(Assertion::SearchStart),
            'K' => Node::Keep,
            'N' => Node::Any(false),
            'O' => Node::Any(true),
            'R' => line_break(),
            'X' | 'y' | 'Y' => return Err("text segments are not supported"),
            'Q' => self.quoted(),
            'k' | 'g' if matches!(self.peek(), Some('<' | '\'')) => {
                let name = self.name()?.unwrap_or_default();
                if letter == 'g' {
                    return Err("calls of groups are not supported");
                }
                let groups = self.groups_named(&name)?;
                Node::Reference {
                    groups,
                    ignore_case: self.modes.ignore_case,
                }
            }
            '1'..='9' => self.reference_or_octal(letter)?,
            letter => {
                let char = self.char_escape(letter)?;
                self.literal(char)
            }
        })
    }

    /// `\w`, `\p{..}` and the like, in brackets and outside.
    pub(super) fn class_escape(&mut self, letter: char) -> Parsed<Option<ClassUnicode>> {
        if !matches!(letter, 'p' | 'P') {
            return Ok(class::shorthand(letter));
        }
        if !self.accept("{") {
            return Ok(None);
        }
        let negated = self.accept("^") != (letter == 'P');
        let mut name = String::new();
        loop {
            match self.next().ok_or("invalid character property name")? {
                '}' => break,
                char => name.push(char),
            }
        }
        let mut class = class::property(&name).ok_or("invalid character property name")?;
        if negated {
            class.negate();
        }
        Ok(Some(class))
    }

    /// Reads the letter behind a backslash as the one character that it stands for; most letters stand for themselves.
    pub(super) fn char_escape(&mut self, letter: char) -> Parsed<char> {
        Ok(match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'c' => {
                let char = self
                    .next()
                    .filter(char::is_ascii)
                    .ok_or("too short control sequence")?;
                char::from(if char == '?' { 0x7f } else { char as u8 & 0x1f })
            }
            'x' if self.accept("{") => self.braced(16)?,
            'o' if self.accept("{") => self.braced(8)?,
            'x' => self.number(16, 2)?,
            '0' => self.number(8, 2)?,
            letter => letter,
        })
    }

    /// Up to `digits` digits; none are zero.
    pub(super) fn number(&mut self, radix: u32, digits: usize) -> Parsed<char> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let values = rest
            .iter()
            .take(digits)
            .map_while(|char| char.to_digit(radix));
        let values: Vec<u32> = values.collect();
        self.at += values.len();
        let value = values.iter().fold(0, |value, digit| value * radix + digit);
        char::from_u32(value).ok_or("invalid code point value")
    }

    /// After `\x{`.
    fn braced(&mut self, radix: u32) -> Parsed<char> {
        let char = self.number(radix, 8)?;
        if self.accept("}") {
            Ok(char)
        } else {
            Err("invalid code point value")
        }
    }

    /// A group's number, or, where there are not so many, a character's number.
    fn reference_or_octal(&mut self, first: char) -> Parsed<Node> {
        let start = self.at;
        let mut digits = String::from(first);
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.at += 1;
        }
        let number: usize = digits.parse().unwrap_or(usize::MAX);
        if number <= 9 || number <= self.groups {
            let groups = self.groups_named(&digits)?;
            return Ok(Node::Reference {
                groups,
                ignore_case: self.modes.ignore_case,
            });
        }
        self.at = start;
        if !first.is_digit(8) {
            return Ok(self.literal(first));
        }
        self.at -= 1;
        let char = self.number(8, 3)?;
        Ok(self.literal(char))
    }

    /// After `\Q`: text up to `\E`.
    fn quoted(&mut self) -> Node {
        let mut nodes = Vec::new();
        while !self.accept("\\E") {
            let Some(char) = self.next() else { break };
            nodes.push(self.literal(char));
        }
        Node::Sequence(nodes)
    }
}

/// `\R`: never only the first half of `\r\n`.
fn line_break() -> Node {
    let pair = Node::Sequence(vec![
        Node::Class(class::single('\r')),
        Node::Class(class::single('\n')),
    ]);
    let mut single = class::range('\n', '\r');
    single.union(&class::single('\u{85}'));
    single.union(&class::range('\u{2028}', '\u{2029}'));
    let either = Node::Alternatives(vec![pair, Node::Class(single)]);
    Node::Repeat {
        node: Box::new(either),
        min: 1,
        max: Some(1),
        greed: Greed::Possessive,
    }
}
