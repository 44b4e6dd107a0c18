//! Trees, files, diffs, refs and pipelines.

use super::*;

#[tokio::test]
async fn trees_are_listed_breadth_first_behind_an_opaque_cursor() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform/payments-api";
    let branch = client.ok(&format!("{base}/refs/branches/main")).await;
    let hash = branch["target"]["hash"].as_str().unwrap();
    let root = client.all(&format!("{base}/src/{hash}/?pagelen=2")).await;
    assert_eq!(
        column(&root, "path"),
        ["docs", "src", "CODEOWNERS", "README.md", "port.yml"]
    );
    let deep = client
        .all(&format!("{base}/src/{hash}/?max_depth=10"))
        .await;
    assert_eq!(
        column(&deep, "path"),
        [
            "docs",
            "src",
            "CODEOWNERS",
            "README.md",
            "port.yml",
            "docs/adr",
            "src/ledger",
            "docs/index.md",
            "src/main.rs",
            "docs/adr/0001-use-rust.md",
            "src/ledger/export.rs",
        ]
    );
    assert_eq!(deep[0]["type"], "commit_directory");
    assert!(deep[2]["size"].is_number());
    let docs = client.all(&format!("{base}/src/{hash}/docs/")).await;
    assert_eq!(column(&docs, "path"), ["docs/adr", "docs/index.md"]);
    let large = client
        .all(&format!(
            "{base}/src/{hash}/?{}",
            q("size > 20 and type=\"commit_file\"")
        ))
        .await;
    assert_eq!(
        column(&large, "path"),
        ["CODEOWNERS", "README.md", "port.yml"]
    );
    client.bitbucket.set_quirks(Quirks {
        listing_limit: 10,
        ..Quirks::default()
    });
    let (status, _) = client
        .get(&format!("{base}/src/{hash}/?max_depth=10"))
        .await;
    assert_eq!(status, 555);
    let (status, _) = client
        .get("/repositories/acme-platform/empty-repo/src")
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn files_are_sent_raw() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform";
    let path =
        format!("{base}/zurich-unicode/src/trunk/docs/%C3%9Cbersicht%20&%20Pl%C3%A4ne%20%231.md");
    let response = client.send("GET", &path, None).await;
    assert_eq!(response.headers()["content-type"], "text/markdown");
    assert!(response.headers().contains_key("etag"));
    assert_eq!(response.text().await.unwrap(), "Alles gut.\n");
    let meta = client
        .ok(&format!(
            "{base}/zurich-unicode/src/trunk/docs/100%25.txt?format=meta"
        ))
        .await;
    assert_eq!(meta["escaped_path"], "docs/100%25.txt");

    let large = client
        .send(
            "GET",
            &format!("{base}/monorepo/src/main/assets/video.bin"),
            None,
        )
        .await;
    assert_eq!(large.status(), 301);
    let location = large.headers()["location"].to_str().unwrap();
    assert_eq!(client.send("GET", location, None).await.status(), 400);
    let media = client.http.get(location).send().await.unwrap();
    assert_eq!(media.bytes().await.unwrap(), &b"large\0file"[..]);
}

#[tokio::test]
async fn refs_may_have_slashes_in_their_names() {
    let client = Client::demo().await;
    for name in ["release/2026", "release%2F2026"] {
        let path = format!("/repositories/acme-platform/a.b_c/refs/branches/{name}");
        assert_eq!(client.ok(&path).await["name"], "release/2026");
    }
    let tags = client
        .all("/repositories/acme-platform/payments-api/refs/tags?sort=-name")
        .await;
    assert_eq!(column(&tags, "name"), ["v1.1.0", "v1.0.0"]);
    assert_eq!(column(&tags, "message"), ["Second release\n", "null"]);
}

#[tokio::test]
async fn pipelines_are_another_service() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform/payments-api";
    let runs = client
        .all(&format!("{base}/pipelines/?sort=-created_on&pagelen=100"))
        .await;
    assert_eq!(column(&runs, "build_number"), ["3", "2", "1"]);
    assert_eq!(runs[0]["state"]["name"], "IN_PROGRESS");
    let deployments = client.all(&format!("{base}/deployments/?q=nonsense")).await;
    assert_eq!(deployments.len(), 2);
    let (status, _) = client
        .get(&format!("{base}/deployments/?sort=created_on"))
        .await;
    assert_eq!(status, 400);
    let environments = client.all(&format!("{base}/environments/")).await;
    assert_eq!(column(&environments, "name"), ["Staging", "Production"]);
    let (status, _) = client
        .get("/repositories/acme-platform/checkout-service/pipelines/")
        .await;
    assert_eq!(status, 404);
}
