//! The tree of a commit: what lies where, without what files hold.

use std::sync::Arc;

use crate::object::{ObjectId, ObjectKind, Objects};
use crate::{Limits, Unusable};

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Folder,
    File,
    Executable,
    /// The blob holds where it leads.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// An entry: what it is, and the object that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub mode: Mode,
    pub id: ObjectId,
}

/// The tree of one commit.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    objects: &'a Objects,
    root: ObjectId,
}

/// A folder that is still to be read.
struct Pending {
    /// Empty for the root, else with a slash at its end.
    path: String,
    /// Levels above what is in it.
    depth: usize,
    id: ObjectId,
}

impl<'a> Tree<'a> {
    /// The tree of `commit`, which is among `objects`.
    pub fn of_commit(objects: &'a Objects, commit: ObjectId) -> Result<Tree<'a>, Unusable> {
        let commit = objects.get(commit, ObjectKind::Commit)?;
        let line = commit.split(|byte| *byte == b'\n').next();
        let root = line
            .and_then(|line| line.strip_prefix(b"tree "))
            .and_then(|id| std::str::from_utf8(id).ok())
            .ok_or(Unusable::Malformed("a commit without a tree"))?;
        let root = root.parse()?;
        Ok(Tree { objects, root })
    }

    /// Reports every entry with its path, the entries of a folder one after the other, down to `depth` levels (all without
    /// it).
    pub fn walk(
        &self,
        depth: Option<usize>,
        limits: &Limits,
        report: &mut dyn FnMut(&str, Node),
    ) -> Result<(), Unusable> {
        let mut left = limits.entries;
        let mut pending = vec![Pending {
            path: String::new(),
            depth: 0,
            id: self.root,
        }];
        while let Some(folder) = pending.pop() {
            if limits.depth <= folder.depth {
                let (what, limit) = ("folders within folders", limits.depth);
                return Err(Unusable::TooLarge { what, limit });
            }
            for entry in entries(self.folder(folder.id)?) {
                let (name, node) = entry?;
                left = left.checked_sub(1).ok_or(Unusable::TooLarge {
                    what: "entries of a tree",
                    limit: limits.entries,
                })?;
                let path = format!("{}{name}", folder.path);
                report(&path, node);
                let below = folder.depth + 1;
                if node.mode == Mode::Folder && depth.is_none_or(|depth| below < depth) {
                    pending.push(Pending {
                        path: path + "/",
                        depth: below,
                        id: node.id,
                    });
                }
            }
        }
        Ok(())
    }

    /// The entry at `path`; `None` where there is none. Links are not followed.
    pub fn find(&self, path: &str) -> Result<Option<Node>, Unusable> {
        let mut found = Node {
            mode: Mode::Folder,
            id: self.root,
        };
        for segment in path.split('/') {
            if found.mode != Mode::Folder {
                return Ok(None);
            }
            let mut named = None;
            for entry in entries(self.folder(found.id)?) {
                let (name, node) = entry?;
                if name == segment {
                    named = Some(node);
                    break;
                }
            }
            match named {
                Some(node) => found = node,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    fn folder(&self, id: ObjectId) -> Result<&'a Arc<[u8]>, Unusable> {
        self.objects.get(id, ObjectKind::Tree)
    }
}

/// The entries of one folder, names and all.
fn entries(content: &[u8]) -> impl Iterator<Item = Result<(&str, Node), Unusable>> {
    let mut rest = Some(content);
    std::iter::from_fn(move || {
        let content = rest.take().filter(|content| !content.is_empty())?;
        let read = entry(content);
        if let Ok((_, _, after)) = &read {
            rest = Some(*after);
        }
        Some(read.map(|(name, node, _)| (name, node)))
    })
}

/// The first entry, and what comes after it.
fn entry(content: &[u8]) -> Result<(&str, Node, &[u8]), Unusable> {
    const MALFORMED: Unusable = Unusable::Malformed("an entry of a tree");
    let split = |content: &[u8], at: u8| content.iter().position(|byte| *byte == at);
    let space = split(content, b' ').ok_or(MALFORMED)?;
    let (mode, rest) = content.split_at_checked(space + 1).ok_or(MALFORMED)?;
    let end = split(rest, 0).ok_or(MALFORMED)?;
    let (name, rest) = rest.split_at_checked(end + 1).ok_or(MALFORMED)?;
    let (id, rest) = rest.split_at_checked(ObjectId::LENGTH).ok_or(MALFORMED)?;
    let mode = match mode {
        b"40000 " | b"040000 " => Mode::Folder,
        b"100755 " => Mode::Executable,
        b"120000 " => Mode::Link,
        b"160000 " => Mode::Submodule,
        // 100664 is what some old versions wrote.
        mode if mode.starts_with(b"100") => Mode::File,
        _ => return Err(MALFORMED),
    };
    let name = name.strip_suffix(b"\0").unwrap_or(name);
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(MALFORMED);
    }
    let name = std::str::from_utf8(name).map_err(|_| Unusable::NotText)?;
    let id = ObjectId::from_bytes(id).ok_or(MALFORMED)?;
    Ok((name, Node { mode, id }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(objects: &mut Objects, entries: &[(&str, &[u8], ObjectId)]) -> ObjectId {
        let mut content = Vec::new();
        for (mode, name, ObjectIdBytes(id)) in entries
            .iter()
            .map(|(mode, name, id)| (mode, name, ObjectIdBytes::of(*id)))
        {
            content.extend_from_slice(mode.as_bytes());
            content.push(b' ');
            content.extend_from_slice(name);
            content.push(0);
            content.extend_from_slice(&id);
        }
        insert(objects, ObjectKind::Tree, content)
    }

    fn insert(objects: &mut Objects, kind: ObjectKind, content: Vec<u8>) -> ObjectId {
        let id = ObjectId::of(kind, &content);
        objects.insert(id, kind, content.into());
        id
    }

    fn commit(objects: &mut Objects, root: ObjectId) -> ObjectId {
        insert(
            objects,
            ObjectKind::Commit,
            format!("tree {root}\n\nx").into(),
        )
    }

    struct ObjectIdBytes(Vec<u8>);

    impl ObjectIdBytes {
        fn of(id: ObjectId) -> ObjectIdBytes {
            let text = id.to_string();
            let digits: Vec<char> = text.chars().collect();
            let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
            let bytes = pairs.map(|pair| u8::from_str_radix(&pair, 16).unwrap());
            ObjectIdBytes(bytes.collect())
        }
    }

    fn count(objects: &Objects, commit: ObjectId, depth: Option<usize>) -> Result<usize, Unusable> {
        let mut count = 0;
        let tree = Tree::of_commit(objects, commit)?;
        tree.walk(depth, &Limits::default(), &mut |_, _| count += 1)?;
        Ok(count)
    }

    #[test]
    fn trees_that_unfold_for_ever_are_too_large() {
        let mut objects = Objects::default();
        let blob = insert(&mut objects, ObjectKind::Blob, b"x".to_vec());
        let mut id = tree(&mut objects, &[("100644", b"x", blob)]);
        for _ in 0..8 {
            let names = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];
            let entries: Vec<(&str, &[u8], ObjectId)> =
                names.iter().map(|name| ("40000", &name[..], id)).collect();
            id = tree(&mut objects, &entries);
        }
        let commit = commit(&mut objects, id);
        assert_eq!(count(&objects, commit, Some(2)), Ok(110));
        let error = count(&objects, commit, None).unwrap_err();
        assert!(matches!(error, Unusable::TooLarge { .. }), "{error}");
    }

    #[test]
    fn deep_trees_are_too_large() {
        let mut objects = Objects::default();
        let mut id = tree(&mut objects, &[]);
        for _ in 0..400 {
            id = tree(&mut objects, &[("40000", b"d", id)]);
        }
        let commit = commit(&mut objects, id);
        let error = count(&objects, commit, None).unwrap_err();
        assert!(matches!(error, Unusable::TooLarge { .. }), "{error}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_errors() {
        let names: [&[u8]; 5] = [b"", b".", b"..", b"a/b", b"Z\xfcrich"];
        for name in names {
            let mut objects = Objects::default();
            let blob = insert(&mut objects, ObjectKind::Blob, b"x".to_vec());
            let root = tree(&mut objects, &[("100644", name, blob)]);
            let commit = commit(&mut objects, root);
            count(&objects, commit, None).unwrap_err();
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut objects = Objects::default();
        let blob = ObjectId::of(ObjectKind::Blob, b"x");
        let folder = ObjectId::of(ObjectKind::Tree, b"");
        let entries: [(&str, &[u8], ObjectId); 2] =
            [("100644", b"a", blob), ("40000", b"b", folder)];
        let root = tree(&mut objects, &entries);
        let commit = commit(&mut objects, root);
        let tree = Tree::of_commit(&objects, commit).unwrap();
        let found = |path| tree.find(path).map(|node| node.map(|node| node.mode));
        assert_eq!(found("a"), Ok(Some(Mode::File)));
        assert_eq!(found("b"), Ok(Some(Mode::Folder)));
        assert_eq!(found("a/x"), Ok(None));
        assert_eq!(found(""), Ok(None));
        assert_eq!(found("b/x"), Err(Unusable::Missing(folder)));
        assert_eq!(count(&objects, commit, Some(1)), Ok(2));
        assert_eq!(
            count(&objects, commit, None),
            Err(Unusable::Missing(folder))
        );
        let root = Tree::of_commit(&objects, root).unwrap_err();
        assert!(matches!(root, Unusable::Malformed(_)));
    }
}
