//! What the machine asks of its text.

use super::Machine;
use crate::regex::class::is_word;
use crate::regex::tree::Assertion;
use crate::value::Error;

impl Machine<'_> {
    pub(super) fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let end = self.text.len();
        match assertion {
            Assertion::TextStart => at == 0,
            Assertion::TextEnd => at == end,
            Assertion::TextEndOrBreak => {
                at == end || (at + 1 == end && self.text.get(at) == Some(&b'\n'))
            }
            Assertion::LineStart => at == 0 || (at < end && self.text.get(at - 1) == Some(&b'\n')),
            Assertion::LineEnd => at == end || self.text.get(at) == Some(&b'\n'),
            Assertion::WordBoundary => self.at_word_boundary(at),
            Assertion::NoWordBoundary => !self.at_word_boundary(at),
            Assertion::SearchStart => at == self.search_start,
        }
    }

    fn at_word_boundary(&self, at: usize) -> bool {
        let word_at = |at| self.decode(at).is_some_and(|(char, _)| is_word(char));
        let before = at != 0 && word_at(self.before(at));
        before != word_at(at)
    }

    pub(super) fn group(&self, number: usize) -> Option<(usize, usize)> {
        let begin = self.slots.get(2 * number).copied().flatten()?;
        let end = self.slots.get(2 * number + 1).copied().flatten()?;
        (begin <= end).then_some((begin, end))
    }

    /// The end of a repetition of the first group that took part.
    pub(super) fn repeats(
        &mut self,
        groups: &[usize],
        ignore_case: bool,
        at: usize,
    ) -> Result<Option<usize>, Error> {
        let Some((mut from, to)) = groups.iter().find_map(|group| self.group(*group)) else {
            return Ok(None);
        };
        let mut at = at;
        self.tick(to - from)?;
        while from < to {
            let (Some((wanted, length)), Some((char, taken))) =
                (self.decode(from), self.decode(at))
            else {
                return Ok(None);
            };
            let same =
                wanted == char || ignore_case && wanted.to_lowercase().eq(char.to_lowercase());
            if !same {
                return Ok(None);
            }
            (from, at) = (from + length, at + taken);
        }
        Ok(Some(at))
    }

    /// Reads the character at a position, and counts its bytes. A search may begin within a character only behind an empty
    /// match; there, Oniguruma takes each byte for a character.
    pub(super) fn decode(&self, at: usize) -> Option<(char, usize)> {
        let first = *self.text.get(at)?;
        let follow = |offset: usize| {
            self.text
                .get(at + offset)
                .map_or(0, |byte| u32::from(byte & 0x3f))
        };
        let first_bits = u32::from(first);
        let (code, length) = match first {
            0..=0xbf => (first_bits, 1),
            0xc0..=0xdf => ((first_bits & 0x1f) << 6 | follow(1), 2),
            0xe0..=0xef => ((first_bits & 0x0f) << 12 | follow(1) << 6 | follow(2), 3),
            _ => (
                (first_bits & 0x07) << 18 | follow(1) << 12 | follow(2) << 6 | follow(3),
                4,
            ),
        };
        Some((char::from_u32(code)?, length))
    }

    /// The position of the character before.
    pub(super) fn before(&self, at: usize) -> usize {
        let mut at = at.saturating_sub(1);
        while 0 < at && self.text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            at -= 1;
        }
        at
    }
}
