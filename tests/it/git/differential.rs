//! Random repositories under random mappings: what is read over git is what is read over REST, byte by byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sandbox::bitbucket::{AWKWARD_PATHS, FileKind, Workspace};
use serde_json::{Value, json};

use super::{resource, sorted, world};

#[derive(Clone, Debug)]
struct Case {
    files: BTreeMap<String, (FileKind, Vec<u8>)>,
    /// On another branch, which folders name.
    others: BTreeMap<String, (FileKind, Vec<u8>)>,
    main_branch: &'static str,
    resources: Vec<Value>,
}

/// Folders and files have names of their own, so that no path is both.
fn path() -> impl Strategy<Value = String> {
    let folder =
        proptest::sample::select(vec!["apps", "web", "two words", "Übersicht", "a.b", "-"]);
    let name = proptest::sample::select(vec![
        "catalog.yml",
        "README.md",
        "a.json",
        "no extension",
        "ü ö.yaml",
        "list.yml",
        "x.bin",
    ]);
    let plain = (proptest::collection::vec(folder, 0..4), name)
        .prop_map(|(folders, name)| [folders, vec![name]].concat().join("/"));
    let awkward = proptest::sample::select(AWKWARD_PATHS.to_vec()).prop_map(str::to_owned);
    prop_oneof![6 => plain, 1 => awkward]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let reference = (path(), proptest::sample::select(vec!["", "/", "./", "../"]))
        .prop_map(|(path, from)| json!({"text": format!("file://{from}{path}")}).to_string());
    prop_oneof![
        4 => "[a-z]{1,8}: [a-z0-9 ]{0,20}\n- x".prop_map(String::into_bytes),
        4 => "([a-z]{1,8}: [a-z0-9]{1,20}\n){1,9}".prop_map(String::into_bytes),
        4 => reference.prop_map(String::into_bytes),
        1 => Just(b"a: 1\n---\nb: 0o17\n".to_vec()),
        1 => Just(b"\xef\xbb\xbfa: bom\n".to_vec()),
        1 => Just(b"\xff\xfea\0:\0 \0\xfc\0".to_vec()),
        1 => Just(b"Z\xfcrich: latin\n".to_vec()),
        1 => Just(Vec::new()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (1_usize..3).prop_map(|factor| b"large: yes\n".repeat(factor * 120_000)),
    ]
}

fn file() -> impl Strategy<Value = (FileKind, Vec<u8>)> {
    let kind = prop_oneof![
        12 => Just(FileKind::Plain),
        2 => Just(FileKind::Executable),
        1 => Just(FileKind::Link),
        1 => Just(FileKind::Submodule),
        1 => Just(FileKind::Lfs),
    ];
    (kind, content()).prop_map(|(kind, content)| {
        // Bitbucket says of a file whether it is binary, as git does.
        let is_binary = content.contains(&0);
        match (kind, is_binary) {
            (FileKind::Plain | FileKind::Executable, true) => (FileKind::Binary, content),
            _ => (kind, content),
        }
    })
}

fn files() -> impl Strategy<Value = BTreeMap<String, (FileKind, Vec<u8>)>> {
    proptest::collection::btree_map(path(), file(), 0..14)
}

fn one_resource() -> impl Strategy<Value = Value> {
    let included = proptest::sample::subsequence(
        vec!["README.md", "./README.md", "../catalog.yml", "apps", "none"],
        0..4,
    );
    let folders = proptest::sample::select(vec![
        json!([{"path": "*"}]),
        json!([{"path": "**"}]),
        json!([{"path": "apps/*"}, {"path": "{web,apps}/**"}]),
        json!([{"path": "**/web", "repos": [{"name": "one", "branch": "feature/x"}, "two"]}]),
    ]);
    let files = proptest::sample::select(vec![
        json!({"path": "**/*.{yml,yaml}"}),
        json!({"path": "*/catalog.yml"}),
        json!({"filenames": ["catalog.yml", "*.json", "*.bin"]}),
        json!({"path": "apps/*", "filenames": ["README.md", "*.yml"], "skipParsing": true}),
        json!({"path": "/", "filenames": ["*"], "skipParsing": true}),
        json!([{"path": "**/*"}, {"filenames": ["README.md"], "repos": ["two"]}]),
    ]);
    prop_oneof![
        (folders, included.clone()).prop_map(|(folders, included)| {
            let selector = json!({"folders": folders, "includedFiles": included});
            resource(
                "folder",
                selector,
                "[.repo.slug, .folder.path, .branch, .pattern]",
            )
        }),
        (files, included).prop_map(|(files, included)| {
            let selector = json!({"files": files, "includedFiles": included});
            resource(
                "file",
                selector,
                "[.repo.slug, .file.path, .branch, (.content | type)]",
            )
        }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let branch = proptest::sample::select(vec!["main", "release/2026"]);
    let resources = proptest::collection::vec(one_resource(), 1..4);
    (files(), files(), branch, resources).prop_map(|(files, others, main_branch, resources)| Case {
        files,
        others,
        main_branch,
        resources,
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn git_and_rest_make_the_same_catalogue(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (over_git, over_rest) = runtime.block_on(async {
            (run(&case, "auto").await, run(&case, "rest").await)
        });
        prop_assert_eq!(over_git, over_rest);
    }
}

/// The catalogue, and what was counted on the way.
async fn run(case: &Case, contents: &str) -> (String, Value) {
    let workspace = Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap();
    let workspace = ["One", "Two", "Three"]
        .into_iter()
        .fold(workspace, |workspace, name| {
            workspace.with_repository("SHOP", name, &[]).unwrap()
        });
    let world = world(workspace, contents, &case.resources).await;
    for (repository, branch, files) in [
        ("one", case.main_branch, &case.files),
        ("one", "feature/x", &case.others),
        ("two", case.main_branch, &case.others),
    ] {
        for (path, (kind, content)) in files {
            let pushed = world
                .bitbucket
                .push_special(repository, branch, path, content, *kind);
            pushed.unwrap();
        }
    }
    let outcome = world.resync().await;
    let (over_git, rest) = sorted(&world.take_requests().0);
    if contents == "auto" {
        assert!(over_git.values().all(|count| *count <= 3), "{over_git:?}");
        // Only what git does not hold, and never a listing.
        let is_special = |kind: &FileKind| matches!(kind, FileKind::Lfs | FileKind::Submodule);
        let all = case.files.iter().chain(&case.others);
        let special = all.filter(|(_, (kind, _))| is_special(kind)).count();
        assert!(rest.len() <= 2 * special, "{rest:?}");
        assert!(rest.iter().all(|target| !target.contains('?')), "{rest:?}");
    }
    // Each world has its own address.
    let catalogue = world.port.catalogue().to_string();
    let catalogue = catalogue.replace(&world.bitbucket.url(), "");
    world.finish();
    (catalogue, outcome["counts"].clone())
}
