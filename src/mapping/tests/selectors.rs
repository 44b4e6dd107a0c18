//! Selectors against recorded answers of Ocean, and what they hold of blanks and unknown keys.

use serde_json::{Value, json};

use super::super::*;
use super::json_fixture;
use crate::identity::{Repository, RepositoryId};

fn repository(slug: &str, name: &str) -> Repository {
    Repository {
        head: None,
        uuid: RepositoryId::new(format!("{{{slug}}}")),
        full_name: format!("acme/{slug}"),
        name: name.to_owned(),
        main_branch: None,
    }
}

/// The mapping of one resource with this selector, and what is said of it.
fn read(kind: &str, mut selector: Value) -> (Mapping, Vec<String>) {
    selector["query"] = json!("true");
    let mapping = Mapping::from_config(&json!({"resources": [{
        "kind": kind,
        "selector": selector,
        "port": {"entity": {"mappings": {"identifier": ".x", "blueprint": "'x'"}}},
    }]}))
    .unwrap();
    let problems = mapping.problems().iter().map(ToString::to_string);
    let problems = problems.collect();
    (mapping, problems)
}

fn files(selector: Value) -> FileSelector {
    let (mapping, problems) = read("file", json!({"files": selector}));
    assert_eq!(problems, Vec::<String>::new());
    match &mapping.resources()[0].selector {
        Selector::File { files, .. } => files[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_found_by_folder_as_in_ocean() {
    let vectors = json_fixture("file-paths.json");
    let all = vectors["files"].as_array().unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let selector = files(json!({"path": case["path"], "filenames": ["catalog.yml"]}));
        let selected = all.iter().filter(|path| {
            let path = path.as_str().unwrap();
            let is_selected = selector.matches(path);
            let levels = path.split('/').count();
            let is_listed = selector.depth().is_none_or(|depth| levels <= depth);
            assert!(is_listed || !is_selected, "{path} of {case} is not listed");
            is_selected
        });
        let selected: Vec<&Value> = selected.collect();
        assert_eq!(json!(selected), case["selected"], "{case}");
    }
}

#[test]
fn names_of_files_match_whole_segments() {
    for (path, name, file, matches) in [
        ("*", "port.yml", "port.yml", true),
        ("*", "port.yml", "a/port.yml", true),
        ("*", "port.yml", "a/report.yml", false),
        ("*", "port.yml", "a/port.yml/b", false),
        ("/", "deploy/port.yml", "deploy/port.yml", true),
        ("apps", "deploy/port.yml", "apps/deploy/port.yml", true),
        ("apps", "deploy/port.yml", "apps/redeploy/port.yml", false),
        ("apps", "port.yml", "apps/deploy/port.yml", false),
        ("*", "*.yml", "a/b/c.yml", true),
        ("*", "[ab].yml", "a/b.yml", true),
        ("*", "**/port.yml", "a/b/port.yml", true),
        ("*", "Port.yml", "port.yml", false),
        ("*", "", "a/port.yml", false),
    ] {
        let selector = files(json!({"path": path, "filenames": [name]}));
        assert_eq!(selector.matches(file), matches, "{path} {name} {file}");
        let levels = file.split('/').count();
        assert!(!matches || selector.depth().is_none_or(|depth| levels <= depth));
    }
    let selector = files(json!({"path": "services/*/port.yml"}));
    assert!(selector.matches("services/a/port.yml") && !selector.matches("services/a/b/port.yml"));
}

#[test]
fn paths_without_names_are_told() {
    for path in [
        json!(""),
        json!("*"),
        json!("**/*"),
        json!("apps/"),
        json!(null),
    ] {
        let (_, problems) = read("file", json!({"files": {"path": path}}));
        assert_eq!(
            problems,
            [
                "resources[0].selector.files.filenames: is missing, so no file is selected: name them, such as \
                 [package.json, \"*.yml\"]"
            ],
            "{path}"
        );
    }
}

#[test]
fn repositories_are_found_by_name_as_in_ocean() {
    let vectors = json_fixture("repository-names.json");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all: Vec<Repository> = vectors["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| repository(&text(&one["slug"]), &text(&one["name"])))
        .collect();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let name = &case["repos"];
        for selector in [
            json!({"files": {"filenames": ["x"], "repos": [name]}}),
            json!({"files": {"filenames": ["x"], "repos": name}}),
            json!({"folders": [{"path": "*", "repos": [{"name": name}]}]}),
            json!({"folders": [{"path": "*", "repos": [name]}]}),
            json!({"folders": [{"path": "*", "repos": name}]}),
        ] {
            let kind = match selector.get("files") {
                Some(_) => "file",
                None => "folder",
            };
            let (mapping, _) = read(kind, selector);
            let names = mapping.resources()[0].selector.repository_names();
            let selected = all
                .iter()
                .filter(|one| names.iter().any(|name| name.means(one)));
            let selected: Vec<&str> = selected.map(Repository::slug).collect();
            assert_eq!(json!(selected), case["selected"], "{case}");
        }
    }
}

#[test]
fn names_that_mean_no_repository_are_told_with_the_nearest() {
    let repositories = [
        repository("checkout-service", "Checkout Service"),
        repository("payments", "Payments"),
    ];
    let (mapping, _) = read(
        "folder",
        json!({"repoQuery": "x", "folders": [{"path": "*", "repos": [
            "PAYMENTS", {"name": "Chekout Service"}, "legacy", "",
        ]}]}),
    );
    let resource = &mapping.resources()[0];
    let Selector::Folder {
        repositories: filter,
        ..
    } = &resource.selector
    else {
        panic!("a folder")
    };
    let unmet = resource.unmet_names(filter, &repositories);
    let unmet: Vec<String> = unmet.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(unmet.join("\n"), @r#"
    resources[0].selector.folders[0].repos[1].name: "Chekout Service" is no repository of those that userRole and repoQuery select, so it selects nothing: the nearest name is "Checkout Service"
    resources[0].selector.folders[0].repos[2]: "legacy" is no repository of those that userRole and repoQuery select, so it selects nothing: give a slug or a name
    resources[0].selector.folders[0].repos[3]: "" is no repository of those that userRole and repoQuery select, so it selects nothing: give a slug or a name
    "#);
}

#[test]
fn blank_texts_count_as_not_given() {
    for blank in ["", " ", "\n", " \t\r\n "] {
        let with = |kind: &str, key: &str| read(kind, json!({key: blank})).0;
        let without = |kind: &str| read(kind, json!({})).0;
        for (kind, key) in [
            ("pull-request", "pullRequestQuery"),
            ("pull-request", "repoQuery"),
            ("repository", "userRole"),
            ("repository", "repoQuery"),
            ("branch", "branchQuery"),
            ("tag", "tagQuery"),
            ("pipeline", "targetBranch"),
        ] {
            assert_eq!(
                with(kind, key).resources()[0].selector,
                without(kind).resources()[0].selector,
                "{kind} {key} {blank:?}"
            );
        }
    }
    let (padded, _) = read(
        "pull-request",
        json!({"pullRequestQuery": "\n state=\"MERGED\" \n", "userRole": " admin ", "repoQuery": " x\n"}),
    );
    let (plain, _) = read(
        "pull-request",
        json!({"pullRequestQuery": "state=\"MERGED\"", "userRole": "admin", "repoQuery": "x"}),
    );
    assert_eq!(
        padded.resources()[0].selector,
        plain.resources()[0].selector
    );
}

#[test]
fn unknown_keys_are_told_with_their_paths() {
    let mut told = Vec::new();
    for (kind, selector) in [
        (
            "repository",
            json!({"repoFilter": "x", "userrole": "admin", "states": null}),
        ),
        ("project", json!({"userRole": "admin"})),
        (
            "pull-request",
            json!({"maxResults": 10, "states": ["OPEN"]}),
        ),
        (
            "file",
            json!({"files": [{"filenames": ["a"], "repo": "x", "skipParsin": true}]}),
        ),
        (
            "folder",
            json!({"folders": [{"path": "a", "repository": "x", "repos": [{"name": "x", "brnach": "y"}]}]}),
        ),
    ] {
        told.extend(read(kind, selector).1);
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    resources[0].selector.repoFilter: is not known and does nothing: write repoQuery, in Bitbucket's query language, such as repoQuery: 'project.key="PAY"'
    resources[0].selector.userrole: is not known and does nothing: did you mean userRole?
    resources[0].selector.states: is not known and does nothing: known here are query, userRole, repoQuery, includedFiles
    resources[0].selector.userRole: is not known and does nothing: known here are query
    resources[0].selector.maxResults: is not known and does nothing: all that pullRequestQuery selects are read: narrow that, such as pullRequestQuery: 'state="OPEN" AND updated_on>2026-01-01'
    resources[0].selector.states: is not known and does nothing: write pullRequestQuery: 'state="OPEN"'
    resources[0].selector.files[0].repo: is not known and does nothing: write repos: ["x"]
    resources[0].selector.files[0].skipParsin: is not known and does nothing: did you mean skipParsing?
    resources[0].selector.folders[0].repository: is not known and does nothing: write repos: ["x"]
    resources[0].selector.folders[0].repos[0].brnach: is not known and does nothing: did you mean branch?
    "#);
}
