//! The command `fetch`: what is asked, and how the answer is cut into sections and side bands.

use crate::object::{ObjectId, Objects};
use crate::packet::{Message, Packet, Packets};
use crate::{Limits, Unusable, pack};

/// Longest message of a server that is kept, in characters.
const LONGEST_MESSAGE: usize = 200;

/// Asks for commits and all their trees, without files and without what came before. Needs
/// [`trees_alone`](crate::Capabilities::trees_alone).
pub fn trees(commits: &[ObjectId]) -> Vec<u8> {
    request(&["deepen 1", "filter blob:none"], commits)
}

/// Asks for single objects by their ids.
pub fn blobs(ids: &[ObjectId]) -> Vec<u8> {
    request(&[], ids)
}

fn request(arguments: &[&str], wanted: &[ObjectId]) -> Vec<u8> {
    let mut message = Message::default();
    message.line("command=fetch").delimiter();
    message.line("no-progress").line("ofs-delta");
    for argument in arguments {
        message.line(argument);
    }
    for id in wanted {
        message.line(&format!("want {id}"));
    }
    // Nothing is told of what is known already: the answer is the pack.
    message.line("done").flush()
}

/// The objects of an answer. Each is named by what it holds, so whether those that were asked for are among them shows
/// when they are taken out.
pub fn read(answer: &[u8], limits: &Limits) -> Result<Objects, Unusable> {
    let pack = packfile(answer, limits)?;
    pack::unpack(&pack, limits)
}

/// The pack, without what is around it.
fn packfile(answer: &[u8], limits: &Limits) -> Result<Vec<u8>, Unusable> {
    let mut packets = Packets::of(answer);
    loop {
        match packets.next()? {
            // Sections such as `shallow-info` come first, each with its lines.
            packet if packet.line() == Some(b"packfile") => break,
            Packet::Data(data) => refusal(data)?,
            Packet::Delimiter => {}
            Packet::Flush | Packet::ResponseEnd => {
                return Err(Unusable::Malformed("an answer without a pack"));
            }
        }
    }
    let mut pack = Vec::new();
    loop {
        match packets.next()? {
            Packet::Data([1, data @ ..]) => {
                if limits.pack < pack.len() + data.len() {
                    let (what, limit) = ("bytes of pack", limits.pack);
                    return Err(Unusable::TooLarge { what, limit });
                }
                pack.extend_from_slice(data);
            }
            // How far it is.
            Packet::Data([2, ..]) => {}
            Packet::Data([3, message @ ..]) => return Err(refused(message)),
            Packet::Data(data) => {
                refusal(data)?;
                return Err(Unusable::Malformed("an unknown side band"));
            }
            Packet::Flush | Packet::ResponseEnd => return Ok(pack),
            Packet::Delimiter => return Err(Unusable::Malformed("a pack that is cut in two")),
        }
    }
}

/// An error, where a packet is one.
fn refusal(data: &[u8]) -> Result<(), Unusable> {
    match data.strip_prefix(b"ERR ") {
        Some(message) => Err(refused(message)),
        None => Ok(()),
    }
}

fn refused(message: &[u8]) -> Unusable {
    let message = String::from_utf8_lossy(message);
    let printable = message.trim().chars().map(|char| match char.is_control() {
        true => ' ',
        false => char,
    });
    Unusable::Refused(printable.take(LONGEST_MESSAGE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(answer: &[u8]) -> Unusable {
        read(answer, &Limits::default()).unwrap_err()
    }

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let id: ObjectId = "ce013625030ba8dba906f756967f9e9ca394464a".parse().unwrap();
        let text = String::from_utf8(trees(&[id])).unwrap();
        assert_eq!(
            text,
            "0012command=fetch\n00010010no-progress\n000eofs-delta\n000ddeepen 1\n0015filter blob:none\n\
             0032want ce013625030ba8dba906f756967f9e9ca394464a\n0009done\n0000"
        );
        let text = String::from_utf8(blobs(&[id, id])).unwrap();
        assert!(!text.contains("filter") && text.matches("want ").count() == 2);
    }

    #[test]
    fn refusals_are_told_in_the_words_of_the_server() {
        let refused = |text: &str| Unusable::Refused(text.to_owned());
        let message = "ERR upload-pack: not our ref\x1b";
        let answer = format!("{:04x}{message}", message.len() + 4);
        assert_eq!(
            read_text(answer.as_bytes()),
            refused("upload-pack: not our ref ")
        );
        let answer = b"000dpackfile\n000d\x03too bad\n0000";
        assert_eq!(read_text(answer), refused("too bad"));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in [
            &b""[..],
            b"0000",
            b"000dpackfile\n0000",
            b"000dpackfile\n0001",
            b"000dpackfile\n0006\x04x0000",
            b"<html>hold on</html>",
        ] {
            let error = read_text(answer);
            assert!(matches!(error, Unusable::Malformed(_)), "{error}");
        }
    }
}
