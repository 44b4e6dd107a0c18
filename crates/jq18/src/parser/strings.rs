//! Strings: escapes and interpolation.

use jaq_core::load::lex::StrPart;

use super::lower::{FORMAT, call, literal, pipe};
use super::{Parsed, Parser, Tree};

impl<'s> Parser<'s> {
    /// After an opening quote.
    pub(super) fn string(&mut self, format: Option<&'s str>) -> Parsed<Tree<'s>> {
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
                return Ok(self.interpolate(parts));
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
    pub(super) fn escape(&mut self) -> Parsed<char> {
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
