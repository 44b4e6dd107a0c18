//! Packet lines: four hexadecimal digits of length, which count themselves, then as many bytes.

use crate::Unusable;

/// Longest packet that git sends, its length included.
const LONGEST: usize = 65_520;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Data(&'a [u8]),
    /// Ends a message.
    Flush,
    /// Stands between the sections of a message.
    Delimiter,
    /// Ends an answer of a connection that stays open.
    ResponseEnd,
}

impl<'a> Packet<'a> {
    /// A text without the line break at its end.
    pub(crate) fn line(self) -> Option<&'a [u8]> {
        match self {
            Packet::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Packet::Flush | Packet::Delimiter | Packet::ResponseEnd => None,
        }
    }
}

/// Packets one after the other.
pub(crate) struct Packets<'a>(&'a [u8]);

impl<'a> Packets<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Packets<'a> {
        Packets(bytes)
    }

    /// The next packet; an error at the end, for a message ends with a packet that says so.
    pub(crate) fn next(&mut self) -> Result<Packet<'a>, Unusable> {
        let (length, rest) = self
            .0
            .split_at_checked(4)
            .ok_or(Unusable::Malformed("the answer ends too early"))?;
        let length = length
            .iter()
            .try_fold(0, |sum, byte| {
                let digit = char::from(*byte).to_digit(16)?;
                Some(sum << 4 | digit as usize)
            })
            .ok_or(Unusable::Malformed("a packet without a length"))?;
        let special = match length {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            3 => return Err(Unusable::Malformed("a packet shorter than its length")),
            4..=LONGEST => {
                let cut = rest.split_at_checked(length - 4);
                let (data, rest) = cut.ok_or(Unusable::Malformed("the answer ends too early"))?;
                self.0 = rest;
                return Ok(Packet::Data(data));
            }
            _ => return Err(Unusable::Malformed("a packet longer than packets are")),
        };
        self.0 = rest;
        Ok(special)
    }
}

/// Writes a message.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A short text as a packet.
    pub(crate) fn line(&mut self, text: &str) -> &mut Message {
        let line = format!("{:04x}{text}\n", text.len() + 5);
        self.0.extend_from_slice(line.as_bytes());
        self
    }

    pub(crate) fn delimiter(&mut self) -> &mut Message {
        self.0.extend_from_slice(b"0001");
        self
    }

    pub(crate) fn flush(&mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"0000");
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_written() {
        let mut message = Message::default();
        let bytes = message
            .line("command=fetch")
            .delimiter()
            .line("done")
            .flush();
        assert_eq!(bytes, b"0012command=fetch\n00010009done\n0000");
        let mut packets = Packets::of(&bytes);
        assert_eq!(packets.next().unwrap().line(), Some(&b"command=fetch"[..]));
        assert_eq!(packets.next(), Ok(Packet::Delimiter));
        assert_eq!(packets.next(), Ok(Packet::Data(b"done\n")));
        assert_eq!(packets.next(), Ok(Packet::Flush));
        assert!(packets.next().is_err());
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for bytes in [&b"0003"[..], b"00", b"zzzz", b"0009done", b"fffftoo long"] {
            assert!(Packets::of(bytes).next().is_err(), "{bytes:?}");
        }
    }
}
