//! Packs, written as a server would: compressed, and what resembles the object before as what differs from it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest as _, Sha1};

use super::objects::{Id, Object};

/// What a delta is called in a pack, by how it names its base.
const BY_OFFSET: u8 = 6;
const BY_ID: u8 = 7;

/// Longest piece that a delta holds itself.
const LONGEST_PIECE: usize = 127;

/// Longest copy that takes three bytes of length.
const LONGEST_COPY: usize = 0xff_ffff;

pub(super) fn pack(objects: &[(Id, Object)], may_be_by_offset: bool) -> std::io::Result<Vec<u8>> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    let count = u32::try_from(objects.len()).unwrap_or(u32::MAX);
    pack.extend(count.to_be_bytes());
    let mut offsets = Vec::new();
    for (at, (_, object)) in objects.iter().enumerate() {
        let offset = pack.len();
        offsets.push(offset);
        let before = at.checked_sub(1).and_then(|before| {
            let (id, base) = objects.get(before)?;
            let delta = (base.kind == object.kind).then(|| delta(&base.content, &object.content));
            Some((id, offsets.get(before)?, delta??))
        });
        match before {
            // By turns, for a server may do either.
            Some((_, base, delta)) if may_be_by_offset && at % 2 == 0 => {
                header(&mut pack, BY_OFFSET, delta.len());
                distance(&mut pack, offset - base);
                compressed(&mut pack, &delta)?;
            }
            Some((id, _, delta)) => {
                header(&mut pack, BY_ID, delta.len());
                pack.extend_from_slice(id);
                compressed(&mut pack, &delta)?;
            }
            None => {
                header(&mut pack, object.kind as u8, object.content.len());
                compressed(&mut pack, &object.content)?;
            }
        }
    }
    let checksum = Sha1::digest(&pack);
    pack.extend_from_slice(&checksum);
    Ok(pack)
}

fn compressed(pack: &mut Vec<u8>, content: &[u8]) -> std::io::Result<()> {
    let mut encoder = ZlibEncoder::new(pack, Compression::fast());
    encoder.write_all(content)?;
    encoder.finish()?;
    Ok(())
}

/// Kind, and size: four bits of it, then seven a byte.
fn header(pack: &mut Vec<u8>, kind: u8, size: usize) {
    let mut byte = kind << 4 | low(size, 4);
    let mut size = size >> 4;
    while 0 < size {
        pack.push(byte | 0x80);
        byte = low(size, 7);
        size >>= 7;
    }
    pack.push(byte);
}

/// The lowest bits of a number.
fn low(number: usize, bits: u32) -> u8 {
    (number & ((1 << bits) - 1)) as u8
}

/// How far back the base begins: seven bits a byte, the high ones first, less one for each byte that follows.
fn distance(pack: &mut Vec<u8>, distance: usize) {
    let mut bytes = vec![low(distance, 7)];
    let mut left = distance >> 7;
    while 0 < left {
        left -= 1;
        bytes.push(low(left, 7) | 0x80);
        left >>= 7;
    }
    bytes.reverse();
    pack.extend(bytes);
}

/// What makes `target` of `base`: what they have in common at both ends, and the new part between. `None` where that is
/// not worth it.
fn delta(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let same = |(one, other): &(&u8, &u8)| one == other;
    let begin = base.iter().zip(target).take_while(same).count();
    let left = base.len().min(target.len()) - begin;
    let ends = base.iter().rev().zip(target.iter().rev()).take(left);
    let end = ends.take_while(same).count();
    let new = target.get(begin..target.len() - end)?;
    let is_worth_it = 20 < begin + end && new.len() < (begin + end) / 2;
    if !is_worth_it || LONGEST_COPY < base.len() {
        return None;
    }
    let mut delta = Vec::new();
    number(&mut delta, base.len());
    number(&mut delta, target.len());
    copy(&mut delta, 0, begin);
    for piece in new.chunks(LONGEST_PIECE) {
        delta.push(low(piece.len(), 7));
        delta.extend_from_slice(piece);
    }
    copy(&mut delta, base.len() - end, end);
    Some(delta)
}

/// Seven bits a byte, the low ones first.
fn number(delta: &mut Vec<u8>, mut number: usize) {
    while 0x7f < number {
        delta.push(low(number, 7) | 0x80);
        number >>= 7;
    }
    delta.push(low(number, 7));
}

/// Four bytes of where, three of how much; zeros are left away.
fn copy(delta: &mut Vec<u8>, from: usize, length: usize) {
    if length == 0 {
        return;
    }
    let place = delta.len();
    delta.push(0x80);
    let bytes = (0..4).map(|at| low(from >> (8 * at), 8));
    let bytes = bytes.chain((0..3).map(|at| low(length >> (8 * at), 8)));
    let mut command = 0x80;
    for (bit, byte) in bytes.enumerate().filter(|(_, byte)| *byte != 0) {
        command |= 1 << bit;
        delta.push(byte);
    }
    if let Some(first) = delta.get_mut(place) {
        *first = command;
    }
}
