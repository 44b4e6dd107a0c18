//! Deltas: an object as pieces of another one, and what is new.

use crate::Unusable;

const MALFORMED: Unusable = Unusable::Malformed("a delta that does not fit its base");

/// A copy without a length.
const DEFAULT_LENGTH: usize = 0x10000;

/// How long the object is that `delta` makes.
pub(super) fn target_size(delta: &[u8]) -> Result<usize, Unusable> {
    let mut reader = Reader(delta);
    reader.size()?;
    reader.size()
}

/// The object that `delta` makes of `base`.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, Unusable> {
    let mut reader = Reader(delta);
    if reader.size()? != base.len() {
        return Err(MALFORMED);
    }
    let size = reader.size()?;
    let mut target = Vec::with_capacity(size);
    while let Some(command) = reader.command() {
        let piece = if command & 0x80 != 0 {
            let offset = reader.number(command, 4)?;
            let length = match reader.number(command >> 4, 3)? {
                0 => DEFAULT_LENGTH,
                length => length,
            };
            let end = offset.checked_add(length).ok_or(MALFORMED)?;
            base.get(offset..end).ok_or(MALFORMED)?
        } else if command != 0 {
            reader.take(usize::from(command))?
        } else {
            // Kept free by git.
            return Err(MALFORMED);
        };
        if size - target.len() < piece.len() {
            return Err(MALFORMED);
        }
        target.extend_from_slice(piece);
    }
    match target.len() == size {
        true => Ok(target),
        false => Err(MALFORMED),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte; `None` at the end.
    fn command(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unusable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the low ones first.
    fn size(&mut self) -> Result<usize, Unusable> {
        let mut size = 0;
        for shift in (0..u64::BITS - 7).step_by(7) {
            let byte = self.command().ok_or(MALFORMED)?;
            size |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(size).map_err(|_| MALFORMED);
            }
        }
        Err(MALFORMED)
    }

    /// A number of up to `bytes` bytes, of which those follow whose bits are set in `present`.
    fn number(&mut self, present: u8, bytes: u32) -> Result<usize, Unusable> {
        let mut number = 0;
        for at in (0..bytes).filter(|at| present >> at & 1 != 0) {
            let byte = self.command().ok_or(MALFORMED)?;
            number |= usize::from(byte) << (8 * at);
        }
        Ok(number)
    }
}
