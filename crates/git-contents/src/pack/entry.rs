//! The entries of a pack as they stand there: whole objects and deltas, each compressed.

use flate2::{Decompress, FlushDecompress, Status};

use super::Budget;
use crate::Unusable;
use crate::object::{ObjectId, ObjectKind};

/// What a delta builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// The entry that begins there.
    Offset(usize),
    Id(ObjectId),
}

pub(super) enum Body {
    Whole(ObjectKind, Vec<u8>),
    Delta(Base, Vec<u8>),
}

pub(super) struct Entry {
    /// Where it begins in the pack.
    pub(super) offset: usize,
    pub(super) body: Body,
}

/// Reads a pack without its checksum.
pub(super) struct Reader<'a> {
    pack: &'a [u8],
    at: usize,
    count: u32,
}

/// `PACK`, version, number of entries.
const HEADER: usize = 12;

/// The least that an entry takes: a byte of header, and an empty compressed stream.
const SHORTEST_ENTRY: usize = 9;

const ENDS_EARLY: Unusable = Unusable::Malformed("a pack that ends too early");

impl<'a> Reader<'a> {
    pub(super) fn of(pack: &'a [u8]) -> Result<Reader<'a>, Unusable> {
        let header = pack.first_chunk::<HEADER>().ok_or(ENDS_EARLY)?;
        let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, count @ ..] = header else {
            return Err(Unusable::Malformed("no pack of version 2 or 3"));
        };
        Ok(Reader {
            pack,
            at: HEADER,
            count: u32::from_be_bytes(*count),
        })
    }

    /// All entries; nothing may be left over.
    pub(super) fn entries(mut self, budget: &mut Budget) -> Result<Vec<Entry>, Unusable> {
        let count = self.count as usize;
        if self.pack.len() / SHORTEST_ENTRY < count {
            return Err(ENDS_EARLY);
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(self.entry(budget)?);
        }
        match self.at == self.pack.len() {
            true => Ok(entries),
            false => Err(Unusable::Malformed("a pack with more than it says")),
        }
    }

    fn entry(&mut self, budget: &mut Budget) -> Result<Entry, Unusable> {
        let offset = self.at;
        let (kind, size) = self.header()?;
        let body = match kind {
            1 => Body::Whole(ObjectKind::Commit, self.inflate(size, budget)?),
            2 => Body::Whole(ObjectKind::Tree, self.inflate(size, budget)?),
            3 => Body::Whole(ObjectKind::Blob, self.inflate(size, budget)?),
            4 => Body::Whole(ObjectKind::Tag, self.inflate(size, budget)?),
            6 => {
                let base = offset
                    .checked_sub(self.distance()?)
                    .ok_or(Unusable::Malformed("a delta on what comes before the pack"))?;
                Body::Delta(Base::Offset(base), self.inflate(size, budget)?)
            }
            7 => {
                let end = self.at + ObjectId::LENGTH;
                let id = self.pack.get(self.at..end).ok_or(ENDS_EARLY)?;
                let id = ObjectId::from_bytes(id).ok_or(ENDS_EARLY)?;
                self.at = end;
                Body::Delta(Base::Id(id), self.inflate(size, budget)?)
            }
            _ => return Err(Unusable::Malformed("an entry of an unknown kind")),
        };
        Ok(Entry { offset, body })
    }

    fn byte(&mut self) -> Result<u8, Unusable> {
        let byte = self.pack.get(self.at).ok_or(ENDS_EARLY)?;
        self.at += 1;
        Ok(*byte)
    }

    /// Kind and size: three bits of kind and four of size, then seven of size a byte.
    fn header(&mut self) -> Result<(u8, usize), Unusable> {
        let mut byte = self.byte()?;
        let kind = byte >> 4 & 7;
        let mut size = u64::from(byte & 0x0f);
        let mut shift = 4;
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            if 56 < shift {
                return Err(Unusable::Malformed("an entry of no possible size"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        let size = usize::try_from(size);
        Ok((
            kind,
            size.map_err(|_| Unusable::Malformed("an entry of no possible size"))?,
        ))
    }

    /// How far back a delta's base begins: seven bits a byte, the high ones first, one more for each byte that follows.
    fn distance(&mut self) -> Result<usize, Unusable> {
        const MALFORMED: Unusable = Unusable::Malformed("a delta on what comes before the pack");
        let mut byte = self.byte()?;
        let mut distance = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            distance = distance
                .checked_add(1)
                .and_then(|distance| distance.checked_mul(128))
                .ok_or(MALFORMED)?
                | usize::from(byte & 0x7f);
        }
        match distance {
            0 => Err(MALFORMED),
            distance => Ok(distance),
        }
    }

    /// Unpacks the stream that begins here, which holds exactly `size` bytes.
    fn inflate(&mut self, size: usize, budget: &mut Budget) -> Result<Vec<u8>, Unusable> {
        const MALFORMED: Unusable = Unusable::Malformed("an entry that cannot be unpacked");
        budget.take(size)?;
        let input = self.pack.get(self.at..).ok_or(ENDS_EARLY)?;
        let mut stream = Decompress::new(true);
        // A byte more than there may be shows what is too long, and lets an empty stream come to its end.
        let mut content = vec![0; size + 1];
        let mut read = 0;
        let mut written = 0;
        loop {
            let from = input.get(read..).unwrap_or_default();
            let to = content.get_mut(written..).unwrap_or_default();
            let status = stream
                .decompress(from, to, FlushDecompress::Finish)
                .map_err(|_| MALFORMED)?;
            let (before, after) = (read + written, stream.total_in() + stream.total_out());
            read = usize::try_from(stream.total_in()).map_err(|_| MALFORMED)?;
            written = usize::try_from(stream.total_out()).map_err(|_| MALFORMED)?;
            if status == Status::StreamEnd {
                break;
            }
            if size < written || before as u64 == after {
                return Err(MALFORMED);
            }
        }
        if written != size {
            return Err(MALFORMED);
        }
        content.truncate(size);
        self.at += read;
        Ok(content)
    }
}
