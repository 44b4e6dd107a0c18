//! What files hold, and what stands for it in raw items.

use sandbox::bitbucket::AWKWARD_PATHS;
use serde_json::json;

use super::{FILE_ID, follow, property, resource, world};

/// Everything that mappings in the wild read of a file is there.
#[tokio::test]
async fn a_file_has_the_shape_that_documents_show() {
    let properties = json!({
        "file": ".file", "repo": ".metadata.commit.repository.full_name", "branch": ".metadata.commit.repository.mainbranch.name",
        "length": ".metadata.commit.hash | length", "slug": ".repo.slug", "path": ".metadata.path",
    });
    let selector = json!({"files": {"filenames": ["catalog.yml"], "repos": ["payments"]}});
    let world = world(vec![resource("file", selector, FILE_ID, properties)]).await;
    world.resync().await;
    let catalogue = world.port.catalogue();
    insta::assert_json_snapshot!(catalogue["file"]["payments/catalog.yml"]["properties"], @r#"
    {
      "branch": "main",
      "file": {
        "path": "catalog.yml",
        "name": "catalog.yml",
        "directory": "",
        "content": {
          "tier": false
        },
        "size": 10
      },
      "length": 40,
      "path": "catalog.yml",
      "repo": "acme/payments",
      "slug": "payments"
    }
    "#);
    // What a push moves of the repository is shown by the file, too.
    let (_, deliveries) = world
        .bitbucket
        .push("payments", "main", &[("x", Some("y"))])
        .unwrap();
    follow(&world, &deliveries).await;
    world.finish();
}

#[tokio::test]
async fn references_are_looked_for_beside_the_file_and_in_the_root() {
    let selector = json!({"files": {"filenames": ["port.yml"]}});
    let world = world(vec![resource(
        "file",
        selector,
        FILE_ID,
        json!({"content": ".content"}),
    )])
    .await;
    let port = "beside: file://a.md\nroot: file://docs/index.md\nonly: file://./docs/index.md\nup: file://../web.json\n\
                parsed: {json: file://a.json, yaml: [file:///catalog.yml]}\nfolder: file://docs\nnone: file://none\n\
                broken: file://broken.json\n";
    let (_, deliveries) = world
        .bitbucket
        .push(
            "checkout-service",
            "main",
            &[
                ("apps/web/port.yml", Some(port)),
                ("apps/web/a.md", Some("beside")),
                ("a.md", Some("root")),
                ("apps/web.json", Some("[1]")),
                (
                    "apps/web/a.json",
                    Some("\u{feff}{\"a\": NaN, \"b\": 1e400, \"c\": \"\\ud83d\"}"),
                ),
                ("apps/web/broken.json", Some("{")),
            ],
        )
        .unwrap();
    drop(deliveries);
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert_eq!(
        property(
            &catalogue,
            "file",
            "checkout-service/apps/web/port.yml",
            "content"
        ),
        &json!({
            "beside": "beside", "root": "# Docs\n", "only": null, "up": [1],
            "parsed": {
                "json": {"a": null, "b": null, "c": "\u{fffd}"},
                "yaml": [{"tier": false, "team": "b"}],
            },
            "folder": null, "none": null, "broken": "{",
        })
    );
    world.assert_converged().await;
    world.finish();
}

/// Line breaks, quotes, what ends or begins a part of an address, other alphabets: all are read, by resyncs and events.
#[tokio::test]
async fn strange_names_are_read() {
    let selector = json!({"files": {"filenames": ["*.yml"], "repos": ["payments"]}});
    let identifier = "(.file.path | @base64)";
    let properties = json!({"text": ".content.name", "path": ".file.path"});
    let world = world(vec![resource("file", selector, identifier, properties)]).await;
    world.resync().await;
    let contents: Vec<String> = AWKWARD_PATHS
        .iter()
        .map(|path| json!({"name": path}).to_string())
        .collect();
    let files: Vec<(&str, Option<&str>)> = AWKWARD_PATHS
        .iter()
        .zip(&contents)
        .map(|(path, content)| (*path, Some(content.as_str())))
        .collect();
    let (_, deliveries) = world.bitbucket.push("payments", "main", &files).unwrap();
    let catalogue = follow(&world, &deliveries).await;
    let files = catalogue["file"].as_object().unwrap();
    assert_eq!(files.len(), AWKWARD_PATHS.len() + 1);
    for path in AWKWARD_PATHS {
        let mut all = files.values();
        let file = all.find(|file| file["properties"]["path"] == *path);
        let file = file.unwrap_or_else(|| panic!("{path:?} is missing"));
        assert_eq!(file["properties"]["text"], *path);
    }
    world.finish();
}
