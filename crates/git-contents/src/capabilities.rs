//! What a server says it can do, before it is asked for anything.

use crate::Unusable;
use crate::packet::{Packet, Packets};

/// The answer to `info/refs?service=git-upload-pack` under `Git-Protocol: version=2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether protocol version 2 is spoken. A server that does not know it answers with its references.
    pub version_2: bool,
    /// Whether objects can be fetched.
    pub fetch: bool,
    /// Whether a fetch may leave objects out (`filter`).
    pub filter: bool,
    /// Whether a fetch may leave older commits out (`shallow`).
    pub shallow: bool,
    /// Whether ids are other than SHA-1.
    pub other_ids: bool,
}

impl Capabilities {
    /// Reads the advertisement, with or without the line that names the service.
    pub fn read(body: &[u8]) -> Result<Capabilities, Unusable> {
        let mut packets = Packets::of(body);
        let mut first = packets.next()?;
        if first.line() == Some(b"# service=git-upload-pack") {
            if packets.next()? != Packet::Flush {
                return Err(Unusable::Malformed("no end after the name of the service"));
            }
            first = packets.next()?;
        }
        let mut known = Capabilities::default();
        if first.line() != Some(b"version 2") {
            return Ok(known);
        }
        known.version_2 = true;
        while let Some(line) = packets.next()?.line() {
            let (name, values) = match line.iter().position(|byte| *byte == b'=') {
                Some(at) => (line.get(..at), line.get(at + 1..)),
                None => (Some(line), None),
            };
            let has = |value: &[u8]| {
                let mut values = values.unwrap_or_default().split(|byte| *byte == b' ');
                values.any(|known| known == value)
            };
            match name {
                Some(b"fetch") => {
                    known.fetch = true;
                    known.filter = has(b"filter");
                    known.shallow = has(b"shallow");
                }
                Some(b"object-format") => known.other_ids = !has(b"sha1"),
                _ => {}
            }
        }
        Ok(known)
    }

    /// Whether a commit's trees can be had without its files and its history; else why not.
    pub fn trees_alone(&self) -> Result<(), &'static str> {
        let wanted = [
            (self.version_2, "protocol version 2 is not spoken"),
            (self.fetch, "nothing can be fetched"),
            (self.filter, "no filters are known"),
            (self.shallow, "history cannot be left out"),
            (!self.other_ids, "ids are no SHA-1"),
        ];
        match wanted.into_iter().find(|(is_so, _)| !is_so) {
            Some((_, why)) => Err(why),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Message;

    fn advertised(lines: &[&str]) -> Result<(), &'static str> {
        let mut message = Message::default();
        for line in lines {
            message.line(line);
        }
        let known = Capabilities::read(&message.flush()).unwrap();
        known.trees_alone()
    }

    #[test]
    fn servers_differ_in_what_they_can_do() {
        let all = [
            "version 2",
            "agent=git/2.47",
            "ls-refs=unborn",
            "fetch=shallow wait-for-done filter",
            "object-format=sha1",
        ];
        assert_eq!(advertised(&all), Ok(()));
        assert_eq!(
            advertised(&["version 2", "fetch=shallow"]),
            Err("no filters are known")
        );
        assert_eq!(
            advertised(&["version 2", "fetch=filter"]),
            Err("history cannot be left out")
        );
        assert_eq!(advertised(&["version 2"]), Err("nothing can be fetched"));
        let sha256 = ["version 2", "fetch=shallow filter", "object-format=sha256"];
        assert_eq!(advertised(&sha256), Err("ids are no SHA-1"));
        let references = ["4b825dc642cb6eb9a060e54bf8d69288fbee4904 HEAD"];
        assert_eq!(
            advertised(&references),
            Err("protocol version 2 is not spoken")
        );
    }

    #[test]
    fn the_name_of_the_service_may_come_first() {
        let mut message = Message::default();
        let mut bytes = message.line("# service=git-upload-pack").flush();
        let lines = message.line("version 2").line("fetch=shallow filter");
        bytes.extend(lines.flush());
        let known = Capabilities::read(&bytes).unwrap();
        assert_eq!(known.trees_alone(), Ok(()));
        assert!(Capabilities::read(b"<!DOCTYPE html>").is_err());
        assert!(Capabilities::read(b"000eversion 2\n").is_err());
    }
}
