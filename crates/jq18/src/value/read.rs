//! JSON text as `fromjson` reads it: what jq takes beyond JSON (`nan`, `infinity`, `+1`, `.5`, `01`, a byte-order mark),
//! and numbers as they are written.

use indexmap::IndexMap;

use super::{Error, Text, Val, ValR};
use crate::guard;

impl Val {
    /// Reads one value and nothing behind it.
    pub(crate) fn from_text(text: &str) -> ValR {
        let mut reader = Reader {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
        };
        let value = reader.value(guard::MAX_VALUE_DEPTH)?;
        reader.skip_blanks();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.error("Unexpected extra JSON values")),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Whether `byte` comes next, behind blanks; takes it.
    fn accept(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, problem: &str) -> Error {
        Error::str(format!("{problem} at byte {}", self.at))
    }

    fn value(&mut self, levels: u32) -> ValR {
        let inner = levels
            .checked_sub(1)
            .ok_or_else(|| self.error("Exceeds depth limit for parsing"));
        self.skip_blanks();
        match self.peek() {
            None => Err(self.error("Expected JSON value")),
            Some(b'"') => Ok(Val::Str(self.string()?.into())),
            Some(b'[') => self.array(inner?),
            Some(b'{') => self.object(inner?),
            Some(_) => self.literal(),
        }
    }

    fn array(&mut self, levels: u32) -> ValR {
        self.at += 1;
        let mut items = Vec::new();
        if self.accept(b']') {
            return Val::array(items);
        }
        loop {
            items.push(self.value(levels)?);
            if self.accept(b']') {
                return Val::array(items);
            }
            if !self.accept(b',') {
                return Err(self.error("Expected separator between values"));
            }
        }
    }

    fn object(&mut self, levels: u32) -> ValR {
        self.at += 1;
        let mut entries: IndexMap<Text, Val> = IndexMap::new();
        if self.accept(b'}') {
            return Val::object(entries);
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.error("Object keys must be strings"));
            }
            let key = self.string()?;
            if !self.accept(b':') {
                return Err(self.error("Objects must consist of key:value pairs"));
            }
            entries.insert(key.into(), self.value(levels)?);
            if self.accept(b'}') {
                return Val::object(entries);
            }
            if !self.accept(b',') {
                return Err(self.error("Expected separator between values"));
            }
        }
    }

    /// Up to the next sign of punctuation: a word or a number.
    fn literal(&mut self) -> ValR {
        let ends = |char: char| " \t\r\n[]{},:\"".contains(char);
        let rest = self.rest();
        let word = rest.split(ends).next().unwrap_or_default();
        let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
        let is = |name: &str| unsigned.eq_ignore_ascii_case(name);
        let value = match word {
            "null" => Val::Null,
            "true" => Val::Bool(true),
            "false" => Val::Bool(false),
            _ if is("nan") || is("snan") => Val::Num(f64::NAN),
            _ if is("inf") || is("infinity") => {
                let sign = if word.starts_with('-') { -1.0 } else { 1.0 };
                Val::Num(f64::INFINITY * sign)
            }
            _ => match Val::literal(word) {
                Some(number) => number,
                None => return Err(self.error("Invalid numeric literal")),
            },
        };
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> ValR<String> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .find(|char: char| matches!(char, '"' | '\\' | '\0'..='\u{1f}'))
                .ok_or_else(|| self.error("Unfinished string"))?;
            string.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                _ => return Err(self.error("Invalid string: control characters must be escaped")),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> ValR<char> {
        let escaped = self.peek();
        self.at += 1;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    // The second half of a pair alone is no character.
                    return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                let second = match self.rest().strip_prefix("\\u") {
                    Some(_) => {
                        self.at += 2;
                        self.unit()?
                    }
                    None => 0,
                };
                let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                let char =
                    low.and_then(|low| char::from_u32(0x10000 + (unit - 0xd800) * 0x400 + low));
                char.ok_or_else(|| self.error("Invalid \\uXXXX\\uXXXX surrogate pair escape"))?
            }
            _ => return Err(self.error("Invalid escape")),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> ValR<u32> {
        let digits = self.rest().get(..4).unwrap_or_default();
        let all = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let unit = u32::from_str_radix(digits, 16).ok().filter(|_| all);
        let unit = unit.ok_or_else(|| self.error("Invalid \\uXXXX escape"))?;
        self.at += 4;
        Ok(unit)
    }
}
