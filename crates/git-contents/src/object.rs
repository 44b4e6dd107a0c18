//! Objects and their names: an id is the SHA-1 of kind, length and content.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use crate::Unusable;

/// The name of an object: 20 bytes, written as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; ObjectId::LENGTH]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Commit,
    Tree,
    Blob,
    Tag,
}

/// Objects by their ids. Contents are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    all: HashMap<ObjectId, (ObjectKind, Arc<[u8]>)>,
}

impl ObjectId {
    pub(crate) const LENGTH: usize = 20;

    /// The id of the object with this content.
    pub fn of(kind: ObjectKind, content: &[u8]) -> ObjectId {
        let mut digest = Sha1::new();
        digest.update(format!("{} {}\0", kind.name(), content.len()));
        digest.update(content);
        ObjectId(digest.finalize().into())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ObjectId> {
        bytes.try_into().ok().map(ObjectId)
    }
}

/// 40 hexadecimal digits, whatever their case.
impl FromStr for ObjectId {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<ObjectId, Unusable> {
        let malformed = Unusable::Malformed("an id of other than 40 hexadecimal digits");
        let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
        let digits = digits.ok_or_else(|| malformed.clone())?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        let id = ObjectId::from_bytes(&bytes).filter(|_| rest.is_empty());
        id.ok_or(malformed)
    }
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ObjectKind {
    fn name(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }
}

impl Objects {
    pub(crate) fn insert(&mut self, id: ObjectId, kind: ObjectKind, content: Arc<[u8]>) {
        self.all.insert(id, (kind, content));
    }

    /// The content of an object; an error where it is of another kind, or not there.
    pub fn get(&self, id: ObjectId, kind: ObjectKind) -> Result<&Arc<[u8]>, Unusable> {
        match self.all.get(&id) {
            Some((known, content)) if *known == kind => Ok(content),
            Some(_) => Err(Unusable::Malformed(
                "an object of another kind than its use",
            )),
            None => Err(Unusable::Missing(id)),
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_git_makes_of_contents() {
        // `git hash-object -t tree /dev/null`, `printf 'hello\n' | git hash-object --stdin`
        let empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        assert_eq!(ObjectId::of(ObjectKind::Tree, b"").to_string(), empty);
        let hello = ObjectId::of(ObjectKind::Blob, b"hello\n");
        assert_eq!(
            hello.to_string(),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
        assert_eq!(
            "CE013625030BA8DBA906F756967F9E9CA394464A".parse(),
            Ok(hello)
        );
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "ce01", "xe013625030ba8dba906f756967f9e9ca394464a"] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
        let long = "ce013625030ba8dba906f756967f9e9ca394464a0";
        assert!(long.parse::<ObjectId>().is_err());
    }
}
