//! Packs made by hand: what is right in them, and each thing that can be wrong.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

/// A pack with entries as they are given: kind, what stands before the compressed content, the content.
fn pack(entries: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (kind, before, content) in entries {
        pack.extend(entry(*kind, before, content));
    }
    signed(pack)
}

fn entry(kind: u8, before: &[u8], content: &[u8]) -> Vec<u8> {
    let mut size = content.len();
    let mut byte = kind << 4 | (size & 0x0f) as u8;
    size >>= 4;
    let mut entry = Vec::new();
    while 0 < size {
        entry.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    entry.push(byte);
    entry.extend_from_slice(before);
    let mut encoder = ZlibEncoder::new(entry, Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn signed(mut pack: Vec<u8>) -> Vec<u8> {
    let checksum = Sha1::digest(&pack);
    pack.extend_from_slice(&checksum);
    pack
}

fn id(kind: ObjectKind, content: &[u8]) -> ObjectId {
    ObjectId::of(kind, content)
}

/// Twenty bytes of an id.
fn bytes(id: ObjectId) -> Vec<u8> {
    let text = id.to_string();
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..40).step_by(2).map(byte).collect()
}

fn read(pack: &[u8]) -> Result<Objects, Unusable> {
    unpack(pack, &Limits::default())
}

#[test]
fn whole_objects_and_deltas_of_both_kinds_are_unpacked() {
    let base = b"hello, world";
    // Of 12 bytes make 10: the first five, then five new ones.
    let delta = b"\x0c\x0a\x90\x05\x05, git";
    let first = entry(3, b"", base);
    let distance = [u8::try_from(first.len()).unwrap()];
    let by_id = bytes(id(ObjectKind::Blob, b"hello, git"));
    let delta_of_delta = b"\x0a\x02\x91\x08\x02";
    let pack = pack(&[
        (3, b"", base),
        (6, &distance, delta),
        (7, &by_id, delta_of_delta),
        (2, b"", b""),
    ]);
    let objects = read(&pack).unwrap();
    assert_eq!(objects.len(), 4);
    for content in [&base[..], b"hello, git", b"it"] {
        let found = objects
            .get(id(ObjectKind::Blob, content), ObjectKind::Blob)
            .unwrap();
        assert_eq!(&**found, content);
    }
    objects
        .get(id(ObjectKind::Tree, b""), ObjectKind::Tree)
        .unwrap();
}

#[test]
fn deltas_without_a_base_are_errors() {
    let missing = bytes(id(ObjectKind::Blob, b"nowhere"));
    let entries: [(u8, &[u8]); 3] = [(7, &missing), (6, b"\x05"), (6, b"\xff\xff\x01")];
    for (kind, before) in entries {
        let pack = pack(&[
            (3, b"", b"hello, world"),
            (kind, before, b"\x0c\x05\x90\x05"),
        ]);
        read(&pack).unwrap_err();
    }
}

#[test]
fn deltas_that_do_not_fit_are_errors() {
    for delta in [
        &b""[..],
        b"\x0c",
        b"\x0d\x05\x90\x05",
        b"\x0c\x05\x90\x06",
        b"\x0c\x05\x90\x04",
        b"\x0c\x05\x91\x0b\x05",
        b"\x0c\x05\x05hell",
        b"\x0c\x05\x00",
        b"\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x90\x05",
        b"\x0c\xff\xff\xff\xff\x7f\x90\x05",
    ] {
        let base = bytes(id(ObjectKind::Blob, b"hello, world"));
        let pack = pack(&[(3, b"", b"hello, world"), (7, &base, delta)]);
        assert!(read(&pack).is_err(), "{delta:?}");
    }
}

#[test]
fn what_unpacks_to_more_than_memory_is_an_error_before_it_does() {
    let zeros = vec![0; 1 << 20];
    let limits = Limits {
        unpacked: 1 << 20,
        ..Limits::default()
    };
    let once = pack(&[(3, b"", &zeros)]);
    unpack(&once, &limits).unwrap();
    let twice = pack(&[(3, b"", &zeros), (3, b"", b"x")]);
    let error = unpack(&twice, &limits).unwrap_err();
    assert!(matches!(error, Unusable::TooLarge { .. }), "{error}");
    // A delta that copies its base a thousand times.
    let base = vec![7; 0xffff];
    let mut delta = b"\xff\xff\x03\x98\xf8\x9f\x1f".to_vec();
    delta.extend(b"\xb0\xff\xff".repeat(1_000));
    let id = bytes(id(ObjectKind::Blob, &base));
    let error = unpack(&pack(&[(3, b"", &base), (7, &id, &delta)]), &limits).unwrap_err();
    assert!(matches!(error, Unusable::TooLarge { .. }), "{error}");
}

#[test]
fn chains_have_an_end() {
    let mut entries = vec![(3, Vec::new(), b"a".to_vec())];
    let mut last = b"a".to_vec();
    for at in 0..6_u8 {
        let before = bytes(id(ObjectKind::Blob, &last));
        last = vec![b'b' + at];
        entries.push((7, before, vec![1, 1, 1, b'b' + at]));
    }
    let entries: Vec<(u8, &[u8], &[u8])> = entries
        .iter()
        .map(|(kind, before, content)| (*kind, &before[..], &content[..]))
        .collect();
    let pack = pack(&entries);
    let limit = |chain| Limits {
        chain,
        ..Limits::default()
    };
    assert_eq!(unpack(&pack, &limit(6)).unwrap().len(), 7);
    let error = unpack(&pack, &limit(5)).unwrap_err();
    assert!(matches!(error, Unusable::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_pack_is_an_error() {
    let good = pack(&[(3, b"", b"hello")]);
    let body = good.get(..good.len() - 20).unwrap();
    let altered = |change: fn(&mut Vec<u8>)| {
        let mut pack = body.to_vec();
        change(&mut pack);
        signed(pack)
    };
    for (pack, why) in [
        (Vec::new(), "empty"),
        (body.to_vec(), "no checksum"),
        (altered(|pack| pack[7] = 4), "version 4"),
        (altered(|pack| pack[11] = 2), "fewer entries than it says"),
        (altered(|pack| pack[8] = 0xff), "billions of entries"),
        (
            altered(|pack| pack.push(0)),
            "something after the last entry",
        ),
        (altered(|pack| pack[12] = 0x36), "another size than it says"),
        (altered(|pack| pack[12] = 0x34), "another size than it says"),
        (altered(|pack| pack[12] = 0x55), "an unknown kind"),
        (altered(|pack| pack.truncate(16)), "half an entry"),
    ] {
        assert!(read(&pack).is_err(), "{why}");
    }
}
