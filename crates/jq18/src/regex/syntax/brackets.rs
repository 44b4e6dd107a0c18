//! `[..]`: ranges, escapes and POSIX names; no nesting, no intersection.

use regex_syntax::hir::ClassUnicode;

use super::{Parsed, Parser};
use crate::regex::class;

impl Parser {
    /// After `[`.
    pub(super) fn brackets(&mut self) -> Parsed<ClassUnicode> {
        let negated = self.accept("^");
        let mut all = ClassUnicode::empty();
        let start = self.at;
        // A `]` that comes first is text, if another one follows.
        let closed_later = self
            .chars
            .get(start + 1..)
            .unwrap_or_default()
            .contains(&']');
        if self.peek() == Some(']') && !closed_later {
            return Err("empty char-class");
        }
        loop {
            if start < self.at && self.accept("]") {
                break;
            }
            let Some(item) = self.item()? else {
                return Err("premature end of char-class");
            };
            let first = match item {
                Item::Class(class) => {
                    all.union(&class);
                    continue;
                }
                Item::Char(char) => char,
            };
            if !self.begins_range() {
                all.union(&class::single(first));
                continue;
            }
            self.at += 1;
            match self.item()? {
                Some(Item::Char(last)) if first <= last => all.union(&class::range(first, last)),
                Some(Item::Char(_)) => return Err("empty range in char class"),
                Some(Item::Class(_)) => return Err("char-class value at end of range"),
                None => return Err("premature end of char-class"),
            }
            // In `a-c-e` the second dash is text.
            if self.begins_range() {
                all.union(&class::single('-'));
                self.at += 1;
            }
        }
        if self.modes.ignore_case {
            class::fold_case(&mut all);
        }
        if negated {
            all.negate();
        }
        Ok(all)
    }

    /// Whether a dash comes next that does not end the brackets.
    fn begins_range(&self) -> bool {
        self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|char| *char != ']')
    }

    fn item(&mut self) -> Parsed<Option<Item>> {
        let Some(char) = self.next() else {
            return Ok(None);
        };
        Ok(Some(match char {
            '\\' => {
                let letter = self.next().ok_or("end pattern at escape")?;
                match self.class_escape(letter)? {
                    Some(class) => Item::Class(class),
                    None if letter == 'b' => Item::Char('\u{8}'),
                    None if letter.is_digit(8) => {
                        self.at -= 1;
                        Item::Char(self.number(8, 3)?)
                    }
                    None => Item::Char(self.char_escape(letter)?),
                }
            }
            '[' if self.peek() == Some(':') => match self.posix()? {
                Some(class) => Item::Class(class),
                None => Item::Char('['),
            },
            char => Item::Char(char),
        }))
    }

    /// `:name:]` or `:^name:]`, after `[`.
    fn posix(&mut self) -> Parsed<Option<ClassUnicode>> {
        let rest: String = self
            .chars
            .get(self.at + 1..)
            .unwrap_or_default()
            .iter()
            .take(16)
            .collect();
        let Some((name, _)) = rest.split_once(":]") else {
            return Ok(None);
        };
        if name.contains(']') {
            return Ok(None);
        }
        self.at += name.chars().count() + 3;
        let plain = name.strip_prefix('^');
        let mut class = class::posix(plain.unwrap_or(name)).ok_or("invalid POSIX bracket type")?;
        if plain.is_some() {
            class.negate();
        }
        Ok(Some(class))
    }
}

/// What stands in brackets.
enum Item {
    Char(char),
    Class(ClassUnicode),
}
