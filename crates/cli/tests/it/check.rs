//! `ferry check`.

use sandbox::bitbucket::Bitbucket;
use serde_json::{Value, json};

use crate::program::{ended, ferry};
use crate::support::{WEBHOOK_SECRET, World};

#[tokio::test]
async fn check_finds_what_is_wrong_and_says_what_to_do() {
    let world = World::demo().await;
    world.resync().await;
    let check = || {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("OCEAN__BASE_URL", "https://ferry.example.com")
            .arg("check");
        command
    };
    let (code, out, _) = ended(&mut check()).await;
    assert!(code == 1 && out.contains("ferry webhook install"), "{out}");
    let mut install = ferry(&world);
    install
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .args(["webhook", "install", "--url", "https://ferry.example.com"]);
    assert_eq!(ended(&mut install).await.0, 0);
    let mut status = ferry(&world);
    status
        .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
        .args([
            "webhook",
            "status",
            "--json",
            "--url",
            "https://ferry.example.com",
        ]);
    let (code, out, _) = ended(&mut status).await;
    let standing: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && standing["right"] == true, "{out}");
    world.port.take_writes();
    let (code, out, log) = ended(&mut check()).await;
    assert_eq!(code, 0, "{out}{log}");
    assert!(!out.contains("wrong"), "{out}");

    let mapping = json!({"resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".slug", "blueprint": "'bitbucketRepository'", "properties": {"nowhere": ".x"}}}}},
        {"kind": "project", "selector": {"query": "true ||"}, "port": {"entity": {"mappings": {
            "identifier": ".key", "blueprint": "'unknownBlueprint'"}}}},
        {"kind": "file", "selector": {"query": "true", "files": {"filenames": ["x"], "repos": ["chekout-service"]}},
         "port": {"entity": {"mappings": {"identifier": ".file.path", "blueprint": "'bitbucketRepository'"}}}},
    ]});
    world.port.set_config(mapping);
    let scopes = ["repository", "webhook", "account"];
    world
        .bitbucket
        .set_scopes(Bitbucket::TOKEN, Some(&scopes))
        .unwrap();
    let (code, out, _) = ended(&mut check()).await;
    assert_eq!(code, 1);
    for part in [
        "`nowhere`",
        "unknownBlueprint",
        "resources[1].selector.query",
        "scope project (read)",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let (code, out, _) = ended(check().arg("--json")).await;
    assert!(code == 1 && serde_json::from_str::<Value>(&out).unwrap().is_array());
    let told = "the nearest name is \\\"checkout-service\\\"";
    assert!(out.contains(told), "{told} in {out}");
    assert!(world.port.take_writes().is_empty());
    world.finish();
}

#[tokio::test]
async fn check_foresees_what_port_would_refuse_and_knows_tokens_by_their_kind() {
    let world = World::demo().await;
    world.resync().await;
    let mapping = json!({"createMissingRelatedEntities": false, "resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".slug + \" (repository)\"", "blueprint": "'bitbucketRepository'"}}}},
        {"kind": "pull-request", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".id | tostring", "blueprint": "'bitbucketPullRequest'",
            "relations": {"repository": "'nobody-' + (.id | tostring)"}}}}},
    ]});
    // This story says nothing about the repositories that relations lead to.
    let mut relations_only = mapping.clone();
    relations_only["resources"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    for (mapping, part) in [
        (mapping, "port.entity.mappings.identifier"),
        (
            relations_only,
            "do not exist, such as bitbucketRepository/nobody-",
        ),
    ] {
        world.port.set_config(mapping);
        let (code, out, _) = ended(ferry(&world).arg("check")).await;
        assert!(code == 1 && out.contains(part), "{part} in {out}");
    }
    for (name, token, part) in [
        (
            "WORKSPACE_TOKEN",
            "ATATT3xFfGF0",
            "BITBUCKET_USER_SCOPED_TOKEN",
        ),
        ("WORKSPACE_TOKEN", "ATBBabcdef", "app password"),
        (
            "USER_SCOPED_TOKEN",
            "ATCTT3xFfGN0",
            "BITBUCKET_WORKSPACE_TOKEN",
        ),
    ] {
        let mut check = ferry(&world);
        check
            .env_remove("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN")
            .env(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
                "ci@example.com",
            )
            .env(
                format!("OCEAN__INTEGRATION__CONFIG__BITBUCKET_{name}"),
                token,
            )
            .arg("check");
        let (code, out, _) = ended(&mut check).await;
        assert!(code == 1 && out.contains(part), "{part} in {out}");
        assert!(!out.contains(token), "{out}");
    }
    world.finish();
}

/// Nothing is there yet that Ferry makes itself.
#[tokio::test]
async fn a_new_installation_is_no_broken_one() {
    let world = World::demo().await;
    let check = || {
        let mut command = ferry(&world);
        command
            .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("OCEAN__BASE_URL", "https://ferry.example.com")
            .args(["check", "--strict"]);
        command
    };
    let (code, out, log) = ended(&mut check()).await;
    assert_eq!(code, 0, "{out}{log}");
    assert!(!out.contains("wrong ") && !out.contains("note "), "{out}");
    let last = out.lines().last().unwrap();
    let told = "ok     the first resync: will create: the installation `ferry-tests`, the blueprint `bitbucketProject`, \
                the blueprint `bitbucketRepository`, the blueprint `bitbucketPullRequest`";
    assert_eq!(last, told);
    assert!(world.port.take_writes().is_empty() && world.port.integration().is_none());
    // What is promised is what is made.
    world.resync().await;
    let made = world.port.blueprints();
    let made: Vec<&str> = made
        .iter()
        .filter_map(|it| it["identifier"].as_str())
        .collect();
    assert_eq!(made.len(), 3, "{made:?}");
    assert!(made.iter().all(|made| last.contains(made)), "{made:?}");
    // From now on a blueprint that is gone stays so.
    world.port.remove_blueprint("bitbucketPullRequest");
    let (code, out, _) = ended(&mut check()).await;
    let told = "the blueprint `bitbucketPullRequest` does not exist";
    assert!(code == 1 && out.contains(told), "{out}");
    assert!(!out.contains("will create"), "{out}");
    world.finish();
}

/// Another mapping of a new installation may need what nobody makes.
#[tokio::test]
async fn a_new_installation_is_wrong_where_its_mapping_needs_what_nobody_makes() {
    let world = World::demo().await;
    let mapping = json!({"resources": [{"kind": "project", "selector": {"query": "true"}, "port": {"entity": {
        "mappings": {"identifier": ".key", "blueprint": "'mine'"}}}}]});
    let file = std::env::temp_dir().join(format!("ferry-new-{}.json", std::process::id()));
    std::fs::write(&file, mapping.to_string()).unwrap();
    let mut check = ferry(&world);
    let (code, out, _) = ended(check.arg("check").arg("--mapping").arg(&file)).await;
    std::fs::remove_file(&file).unwrap();
    assert!(
        code == 1 && out.contains("the blueprint `mine` does not exist"),
        "{out}"
    );
    assert!(out.contains("will create: the installation"), "{out}");
    world.finish();
}

#[tokio::test]
async fn a_note_is_enough_for_strict_to_fail() {
    let world = World::demo().await;
    world.resync().await;
    for (arguments, expected) in [(&["check"][..], 0), (&["check", "--strict"], 1)] {
        let (code, out, log) = ended(ferry(&world).args(arguments)).await;
        assert_eq!(code, expected, "{out}{log}");
        assert!(out.contains("note   webhook"), "{out}");
    }
    world.finish();
}
