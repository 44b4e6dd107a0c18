//! What is read of random repositories, compared with what `git` itself says of them.

#![expect(clippy::unwrap_used, reason = "a test")]

mod repository;

use std::collections::BTreeMap;

use git_contents::{
    Capabilities, Limits, Mode, ObjectId, ObjectKind, Objects, Tree, Unusable, fetch,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use repository::{Change, History, Repository};

/// Names with blanks, quotes, line breaks and letters beyond ASCII; some are files here and folders there.
const NAMES: [&str; 10] = [
    "a",
    "b.yml",
    "c d",
    "ü",
    "日本",
    "\"q\"",
    "tab\there",
    "-",
    "a-b",
    "a.b",
];

fn path() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(&NAMES[..]);
    proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

/// Contents that resemble each other, so that git makes deltas of them, with some that do not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let similar = (0_usize..400, 0_usize..400).prop_map(|(lines, changed)| {
        let line = |at: usize| match at == changed {
            true => format!("line {at} is another one\n"),
            false => format!("line {at} of a file that is much like others\n"),
        };
        (0..lines).map(line).collect::<String>().into_bytes()
    });
    let random = proptest::collection::vec(any::<u8>(), 0..3_000);
    prop_oneof![4 => similar, 1 => random, 1 => Just(Vec::new())]
}

fn change() -> impl Strategy<Value = Change> {
    let mode = prop_oneof![
        6 => Just(Mode::File),
        1 => Just(Mode::Executable),
        1 => Just(Mode::Link),
        1 => Just(Mode::Submodule),
    ];
    prop_oneof![
        8 => (path(), mode, content()).prop_map(|(path, mode, content)| Change::Write {
            path,
            mode,
            content,
        }),
        1 => path().prop_map(Change::Remove),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let commit = proptest::collection::vec(change(), 0..12);
    proptest::collection::vec(commit, 1..5).prop_map(|commits| History { commits })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Trees, files and ids are git's own, however the repository is packed, and of any of its commits.
    #[test]
    fn trees_and_files_are_what_git_says(history in history(), repack in any::<bool>()) {
        let repository = Repository::of(&history);
        if repack {
            repository.repack();
        }
        for commit in repository.commits() {
            compare(&repository, commit)?;
        }
    }

    /// A byte that is changed, and an answer that is cut short, never make another tree or another file.
    #[test]
    fn damage_is_noticed(history in history(), at in any::<prop::sample::Index>(), by in 1_u8..=255) {
        let repository = Repository::of(&history);
        repository.repack();
        let commit = *repository.commits().last().unwrap();
        let answer = repository.ask(&fetch::trees(&[commit]));
        let good = listed(&read(&answer).unwrap(), commit).unwrap();
        let at = at.index(answer.len());
        let mut damaged = answer.clone();
        damaged[at] ^= by;
        for damaged in [&damaged[..], &answer[..at]] {
            // Where the damage is in what surrounds the pack, all may still be there.
            if let Ok(objects) = read(damaged) {
                prop_assert_eq!(&listed(&objects, commit).unwrap(), &good);
            }
        }
    }
}

fn read(answer: &[u8]) -> Result<Objects, Unusable> {
    fetch::read(answer, &Limits::default())
}

fn listed(
    objects: &Objects,
    commit: ObjectId,
) -> Result<BTreeMap<String, (Mode, ObjectId)>, Unusable> {
    let mut listed = BTreeMap::new();
    let tree = Tree::of_commit(objects, commit)?;
    tree.walk(None, &Limits::default(), &mut |path, node| {
        listed.insert(path.to_owned(), (node.mode, node.id));
    })?;
    Ok(listed)
}

fn compare(repository: &Repository, commit: ObjectId) -> Result<(), TestCaseError> {
    let expected = repository.tree(commit);
    let answer = repository.ask(&fetch::trees(&[commit]));
    let trees = read(&answer).unwrap();
    let found = listed(&trees, commit).unwrap();
    prop_assert_eq!(&found, &expected);
    let tree = Tree::of_commit(&trees, commit).unwrap();
    for (path, (mode, id)) in &found {
        let node = tree.find(path).unwrap().unwrap();
        prop_assert_eq!((node.mode, node.id), (*mode, *id));
    }
    let is_blob = |mode: &Mode| !matches!(mode, Mode::Folder | Mode::Submodule);
    let blobs = found.values().filter(|(mode, _)| is_blob(mode));
    let mut blobs: Vec<ObjectId> = blobs.map(|(_, id)| *id).collect();
    blobs.sort();
    blobs.dedup();
    if blobs.is_empty() {
        return Ok(());
    }
    let request = fetch::blobs(&blobs);
    let without_offsets = String::from_utf8(request.clone()).unwrap();
    let without_offsets = without_offsets.replace("000eofs-delta\n", "");
    for request in [request, without_offsets.into_bytes()] {
        let files = read(&repository.ask(&request)).unwrap();
        prop_assert_eq!(files.len(), blobs.len());
        for blob in &blobs {
            let content = files.get(*blob, ObjectKind::Blob).unwrap();
            prop_assert_eq!(&content[..], &repository.blob(*blob)[..]);
        }
    }
    Ok(())
}

/// Both kinds of deltas occur, or the tests above would not say much.
#[test]
fn git_packs_deltas_of_both_kinds() {
    let file = |at: usize| Change::Write {
        path: format!("{at}.txt"),
        mode: Mode::File,
        content: (0..500)
            .map(|line| format!("line {} of a file\n", if line == at { 999 } else { line }))
            .collect::<String>()
            .into_bytes(),
    };
    let commits = vec![(0..10).map(file).collect()];
    let repository = Repository::of(&History { commits });
    repository.repack();
    let commit = *repository.commits().last().unwrap();
    let blobs: Vec<ObjectId> = repository
        .tree(commit)
        .values()
        .map(|(_, id)| *id)
        .collect();
    let by_offset = fetch::blobs(&blobs);
    let by_id = String::from_utf8(by_offset.clone()).unwrap();
    let by_id = by_id.replace("000eofs-delta\n", "").into_bytes();
    let sizes = [by_offset, by_id].map(|request| {
        let answer = repository.ask(&request);
        assert_eq!(read(&answer).unwrap().len(), 10);
        answer.len()
    });
    let whole: usize = blobs.iter().map(|id| repository.blob(*id).len()).sum();
    assert!(sizes[0] < whole / 20, "no deltas in {} bytes", sizes[0]);
    // Nine deltas name their base by 20 bytes instead of one or two.
    assert!(sizes[0] + 9 * 15 < sizes[1], "{sizes:?}");
}

#[test]
fn several_commits_come_in_one_answer() {
    let write = |path: &str, content: &str| Change::Write {
        path: path.to_owned(),
        mode: Mode::File,
        content: content.as_bytes().to_vec(),
    };
    let commits = vec![
        vec![write("a/b", "one")],
        vec![write("a/b", "two"), write("c", "three")],
    ];
    let repository = Repository::of(&History { commits });
    let commits = repository.commits();
    let objects = read(&repository.ask(&fetch::trees(&commits))).unwrap();
    for commit in commits {
        assert_eq!(listed(&objects, commit).unwrap(), repository.tree(commit));
    }
}

#[test]
fn what_is_not_there_is_refused_in_words() {
    let repository = Repository::of(&History {
        commits: vec![Vec::new()],
    });
    let nobody = ObjectId::of(ObjectKind::Blob, b"nobody has this");
    let error = read(&repository.ask(&fetch::blobs(&[nobody]))).unwrap_err();
    assert!(
        matches!(&error, Unusable::Refused(message) if message.contains("not our ref")),
        "{error}"
    );
}

/// Commits without a file have a tree all the same.
#[test]
fn an_empty_tree_is_a_tree() {
    let repository = Repository::of(&History {
        commits: vec![Vec::new()],
    });
    let commit = *repository.commits().last().unwrap();
    let objects = read(&repository.ask(&fetch::trees(&[commit]))).unwrap();
    assert_eq!(listed(&objects, commit).unwrap(), BTreeMap::new());
}

#[test]
fn a_server_says_what_it_can_do() {
    let repository = Repository::of(&History {
        commits: vec![Vec::new()],
    });
    let known = Capabilities::read(&repository.advertised()).unwrap();
    assert_eq!(known.trees_alone(), Ok(()));
    repository.configure("uploadpack.allowFilter", "false");
    let known = Capabilities::read(&repository.advertised()).unwrap();
    assert_eq!(known.trees_alone(), Err("no filters are known"));
    // Whoever asks all the same gets no pack; some are told why.
    let commit = *repository.commits().last().unwrap();
    read(&repository.ask(&fetch::trees(&[commit]))).unwrap_err();
}
