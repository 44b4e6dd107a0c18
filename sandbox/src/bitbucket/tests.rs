//! The simulated workspace against a plain HTTP client.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

struct Client {
    bitbucket: Bitbucket,
    http: reqwest::Client,
}

impl Client {
    async fn demo() -> Client {
        Client::of(Workspace::demo().unwrap()).await
    }

    async fn of(workspace: Workspace) -> Client {
        let redirect = reqwest::redirect::Policy::none();
        Client {
            bitbucket: Bitbucket::start(workspace).await.unwrap(),
            http: reqwest::Client::builder()
                .redirect(redirect)
                .build()
                .unwrap(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> reqwest::Response {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.bitbucket.url())
        };
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth(Bitbucket::TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send("GET", path, None).await;
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn message(&self, path: &str) -> (u16, String) {
        let (status, body) = self.get(path).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        (status, message.to_owned())
    }

    /// All values, following `next`.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut values = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let mut page = self.ok(&path).await;
            values.append(page["values"].as_array_mut().unwrap());
            next = page["next"]
                .as_str()
                .filter(|next| !next.is_empty())
                .map(str::to_owned);
        }
        values
    }
}

fn column(values: &[Value], name: &str) -> Vec<String> {
    values
        .iter()
        .map(|value| match &value[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn q(text: &str) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    format!("q={}", percent_encoding::utf8_percent_encode(text, all))
}

#[tokio::test]
async fn nothing_is_shown_without_credentials() {
    let client = Client::demo().await;
    let url = format!("{}/workspaces/acme-platform", client.bitbucket.url());
    let refused = json!({"type": "error", "error": {"message": "Token is invalid, expired, or not supported for this endpoint."}});
    for request in [
        client.http.get(&url),
        client.http.get(&url).bearer_auth("wrong"),
        client.http.get(&url).bearer_auth("dana@acme.example:api"),
        client
            .http
            .get(&url)
            .basic_auth("dana@acme.example", Some(Bitbucket::TOKEN)),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.json::<Value>().await.unwrap(), refused);
    }
    client.bitbucket.accept_basic("dana@acme.example", "api");
    let basic = || {
        client
            .http
            .get(&url)
            .basic_auth("dana@acme.example", Some("api"))
    };
    assert_eq!(basic().send().await.unwrap().status(), 200);
    client.bitbucket.revoke("dana@acme.example:api");
    assert_eq!(basic().send().await.unwrap().status(), 401);
    let app_password = client.http.get(&url).basic_auth("dana", Some("app"));
    assert_eq!(app_password.send().await.unwrap().status(), 410);
}

#[tokio::test]
async fn repositories_come_in_pages_that_repeat_the_question() {
    let client = Client::demo().await;
    let page = client
        .ok("/repositories/acme-platform?pagelen=4&fields=%2Bvalues.name&sort=-name")
        .await;
    assert_eq!(page["size"], 9);
    let next = page["next"].as_str().unwrap();
    assert!(next.starts_with("http://127.0.0.1:"), "{next}");
    for part in [
        "pagelen=4",
        "fields=%2Bvalues%2Ename",
        "sort=%2Dname",
        "page=2",
    ] {
        assert!(next.contains(part), "{next}");
    }
    let all = client.all("/repositories/acme-platform?pagelen=2").await;
    assert_eq!(
        column(&all, "slug"),
        [
            "payments-api",
            "checkout-service",
            "zurich-unicode",
            "a.b_c",
            "empty-repo",
            "monorepo",
            "old-billing-archived",
            "perl-scripts",
            "payments-api-luis"
        ]
    );
    assert_eq!(all[4]["mainbranch"], Value::Null);
    assert_eq!(all[8]["parent"]["full_name"], "acme-platform/payments-api");
    assert_eq!(
        client.ok("/repositories/acme-platform").await["pagelen"],
        10
    );
    assert_eq!(
        client.ok("/repositories/acme-platform?page=99").await["values"],
        json!([])
    );
}

#[tokio::test]
async fn a_repository_looks_like_the_documented_one() {
    let client = Client::demo().await;
    let repository = client.ok("/repositories/acme-platform/payments-api").await;
    let expected = [
        "created_on",
        "description",
        "enforced_signed_commits",
        "fork_policy",
        "full_name",
        "has_issues",
        "has_wiki",
        "is_private",
        "language",
        "links",
        "mainbranch",
        "name",
        "override_settings",
        "owner",
        "parent",
        "project",
        "scm",
        "size",
        "slug",
        "type",
        "updated_on",
        "uuid",
        "website",
        "workspace",
    ];
    assert_eq!(keys(&repository), expected.map(str::to_owned).into());
    assert_eq!(repository["project"]["key"], "PAY");
    let uuid = repository["uuid"].as_str().unwrap();
    let encoded = uuid.replace('{', "%7B").replace('}', "%7D");
    for path in [
        format!("/repositories/acme-platform/{encoded}"),
        format!("/repositories/%7B%7D/{encoded}"),
    ] {
        assert_eq!(client.ok(&path).await, repository);
    }
}

#[tokio::test]
async fn page_lengths_over_the_cap_are_refused() {
    let client = Client::demo().await;
    let invalid = (400, "Invalid pagelen".to_owned());
    for path in [
        "/repositories/acme-platform?pagelen=101",
        "/repositories/acme-platform?pagelen=0",
        "/repositories/acme-platform/payments-api/pullrequests?pagelen=51",
        "/repositories/acme-platform/payments-api/diffstat/main?pagelen=501",
        "/workspaces/acme-platform/projects?pagelen=101",
    ] {
        assert_eq!(client.message(path).await, invalid, "{path}");
    }
    client
        .ok("/repositories/acme-platform/payments-api/pullrequests?pagelen=50")
        .await;
}

#[tokio::test]
async fn mistakes_in_requests_are_answered_as_such() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform";
    for (path, status, message) in [
        (
            format!("{base}?{}", q("nope=1")),
            400,
            "Invalid field \"nope\"",
        ),
        (format!("{base}?sort=nope"), 400, "Invalid field \"nope\""),
        (
            format!("{base}?rol=member"),
            400,
            "Sandbox: unknown parameter \"rol\"",
        ),
        (
            format!("{base}/nope"),
            404,
            "Repository acme-platform/nope not found",
        ),
        (
            "/repositories/acme".to_owned(),
            404,
            "No workspace with identifier 'acme'.",
        ),
        (
            "/repositories/".to_owned(),
            410,
            "CHANGE-2770 - Functionality has been deprecated",
        ),
        (
            "/repositories".to_owned(),
            410,
            "CHANGE-2770 - Functionality has been deprecated",
        ),
        (
            format!("{base}/payments-api/pullrequests/99"),
            404,
            "Pull request 99 not found",
        ),
        (
            format!(
                "{base}/payments-api/pullrequests?{}",
                q("closed_on > 2026-01-01")
            ),
            400,
            "Invalid field \"closed_on\"",
        ),
        (
            format!(
                "{base}/payments-api/pullrequests?sort=id&state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED"
            ),
            500,
            "Something went wrong",
        ),
        (
            format!("{base}/payments-api/src/main/?page=2"),
            400,
            "Invalid page",
        ),
        (
            format!("{base}/payments-api/src/main"),
            404,
            "Resource not found",
        ),
        (
            format!("{base}/payments-api/src/main/nope"),
            404,
            "No such file or directory: nope",
        ),
        (
            format!("{base}/a.b_c/src/release/2026/"),
            404,
            "Commit not found",
        ),
        (
            format!("{base}/a.b_c/src/release%2F2026/"),
            404,
            "Commit not found",
        ),
    ] {
        assert_eq!(
            client.message(&path).await,
            (status, message.to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pull_requests_are_open_ones_unless_a_state_is_asked_for() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform/payments-api/pullrequests";
    for (path, ids) in [
        (base.to_owned(), &["6", "2", "1"][..]),
        (format!("{base}?state=MERGED"), &["3"]),
        (format!("{base}?state=MERGED&state=DECLINED"), &["4", "3"]),
        (format!("{base}?{}", q("state=\"SUPERSEDED\"")), &["5"]),
        (
            format!("{base}?{}", q("state IN (\"OPEN\",\"MERGED\")")),
            &["6", "3", "2", "1"],
        ),
        (format!("{base}?{}", q("id > 1")), &["6", "2"]),
        (format!("{base}?{}", q("draft = true")), &["2"]),
        (format!("{base}?sort=id"), &["1", "2", "6"]),
    ] {
        assert_eq!(column(&client.all(&path).await, "id"), ids, "{path}");
    }
}

#[tokio::test]
async fn lists_of_pull_requests_leave_out_the_reviewers_unless_asked() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform/payments-api/pullrequests";
    let single = client.ok(&format!("{base}/1")).await;
    let listed = client.ok(&format!("{base}?{}", q("id=1"))).await["values"][0].clone();
    let missing: Vec<String> = keys(&single).difference(&keys(&listed)).cloned().collect();
    assert_eq!(missing, ["participants", "queued", "rendered", "reviewers"]);
    let fields = "fields=%2Bvalues.reviewers,%2Bvalues.participants,%2Bvalues.closed_on";
    let full = client.ok(&format!("{base}?{fields}&state=MERGED")).await["values"][0].clone();
    assert_eq!(full["reviewers"][0]["display_name"], "Luis Ferro");
    assert!(full["closed_on"].is_string());
    assert_eq!(single["participants"][0]["state"], "approved");
    assert_eq!(single["participants"][1]["state"], "changes_requested");
    assert_eq!(
        single["source"]["commit"]["hash"].as_str().unwrap().len(),
        12
    );
}

#[tokio::test]
async fn what_is_missing_in_life_is_missing_here() {
    let client = Client::demo().await;
    let base = "/repositories/acme-platform/checkout-service/pullrequests";
    let [unknown, orphan, former] = client.all(base).await.try_into().unwrap();
    assert_eq!(former["author"]["display_name"], "Former user");
    assert_eq!(orphan["source"]["repository"], Value::Null);
    assert_eq!(unknown["author"], Value::Null);
    let members = client.all("/workspaces/acme-platform/members").await;
    assert_eq!(members.len(), 3);
    assert_eq!(members[0]["user"]["email"], Value::Null);
    let with_mail = client
        .ok("/workspaces/acme-platform/members?fields=%2Bvalues.user.email")
        .await;
    assert_eq!(
        with_mail["values"][0]["user"]["email"],
        "dana.okafor@acme-platform.example"
    );
}

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
async fn a_diffstat_is_the_exact_difference_only_without_topic() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let old = bitbucket.branches("payments-api").unwrap();
    let old = &old.iter().find(|(name, _)| name == "main").unwrap().1;
    let (new, _) = bitbucket
        .push(
            "payments-api",
            "main",
            &[
                ("README.md", Some("# Payments API\n\nMore.\n")),
                ("CODEOWNERS", None),
                ("src/lib.rs", Some("fn main() {}\n")),
                ("src/main.rs", None),
                ("new.txt", Some("new\n")),
            ],
        )
        .unwrap();
    let base = "/repositories/acme-platform/payments-api/diffstat";
    let show = |rows: Vec<Value>| -> Vec<String> {
        rows.iter()
            .map(|row| {
                let path = |side: &str| row[side]["path"].as_str().unwrap_or("-").to_owned();
                let status = row["status"].as_str().unwrap();
                format!(
                    "{status} {} {} +{} -{}",
                    path("old"),
                    path("new"),
                    row["lines_added"],
                    row["lines_removed"]
                )
            })
            .collect()
    };
    let forwards = client
        .all(&format!("{base}/{new}..{old}?topic=false"))
        .await;
    assert_eq!(
        show(forwards),
        [
            "removed CODEOWNERS - +0 -2",
            "modified README.md README.md +1 -1",
            "added - new.txt +1 -0",
            "renamed src/main.rs src/lib.rs +0 -0",
        ]
    );
    // The other way round all of it lies behind the merge base.
    assert!(client.all(&format!("{base}/{old}..{new}")).await.is_empty());
    assert_eq!(
        client
            .all(&format!("{base}/{old}..{new}?topic=false"))
            .await
            .len(),
        4
    );
    assert_eq!(
        client
            .all(&format!("{base}/{new}?renames=false&path=src"))
            .await
            .len(),
        2
    );
    let (status, _) = client
        .get(&format!("{base}/{new}..{old}?topic=false&merge=true"))
        .await;
    assert_eq!(status, 400);
    let (status, _) = client
        .get(&format!("{base}/{new}..{}?topic=false", "0".repeat(40)))
        .await;
    assert_eq!(status, 404);
    let redirect = client
        .send(
            "GET",
            "/repositories/acme-platform/payments-api/pullrequests/1/diffstat",
            None,
        )
        .await;
    assert_eq!(redirect.status(), 302);
    let location = redirect.headers()["location"].to_str().unwrap();
    assert_eq!(client.all(location).await.len(), 1);
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

#[tokio::test]
async fn hooks_are_kept_without_showing_their_secret() {
    let client = Client::demo().await;
    let hooks = "/workspaces/acme-platform/hooks";
    let wish = json!({
        "description": "ferry", "url": "https://example.org/webhook", "active": true,
        "secret": "s", "events": ["repo:push", "project:updated"],
    });
    let created = client.send("POST", hooks, Some(wish)).await;
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    assert_eq!(created["secret_set"], true);
    assert_eq!(created["secret"], Value::Null);
    let uuid = created["uuid"].as_str().unwrap();
    let one = format!("{hooks}/{}", uuid.replace('{', "%7B").replace('}', "%7D"));
    let changed = client
        .send(
            "PUT",
            &one,
            Some(json!({"active": false, "events": ["repo:push"]})),
        )
        .await;
    let changed: Value = changed.json().await.unwrap();
    assert_eq!(changed["secret_set"], true);
    assert_eq!(changed["events"], json!(["repo:push"]));
    let cleared = client.send("PUT", &one, Some(json!({"secret": ""}))).await;
    assert_eq!(cleared.json::<Value>().await.unwrap()["secret_set"], false);
    for wrong in [
        json!({"url": "https://example.org/"}),
        json!({"url": "https://example.org/", "events": ["repo:nope"]}),
        json!({"url": "example.org", "events": ["repo:push"]}),
        json!({"url": "https://example.org/", "events": ["repo:push"], "secret": "x".repeat(129)}),
    ] {
        assert_eq!(client.send("POST", hooks, Some(wrong)).await.status(), 400);
    }
    assert_eq!(client.all(hooks).await.len(), 1);
    assert_eq!(client.send("DELETE", &one, None).await.status(), 204);
    assert!(client.all(hooks).await.is_empty());
    let events = client.all("/hook_events/workspace?pagelen=100").await;
    assert!(column(&events, "event").contains(&"repo:deleted".to_owned()));
}

#[tokio::test]
async fn scopes_and_hidden_repositories_are_respected() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let members = "/workspaces/acme-platform/members";
    bitbucket
        .set_scopes(Bitbucket::TOKEN, Some(&["repository"]))
        .unwrap();
    let (status, body) = client.get(members).await;
    assert_eq!(status, 403);
    assert_eq!(
        body["error"]["detail"],
        json!({"required": ["account"], "granted": ["repository"]})
    );
    bitbucket.set_scopes(Bitbucket::TOKEN, None).unwrap();
    client.ok(members).await;

    let pull_requests = "/repositories/acme-platform/monorepo/pullrequests";
    for (hidden, status, listed) in [
        (Some(Hidden::NotFound), 404, 8),
        (Some(Hidden::Forbidden), 403, 9),
        (None, 200, 9),
    ] {
        bitbucket
            .hide_from_token(Bitbucket::TOKEN, "monorepo", hidden)
            .unwrap();
        assert_eq!(client.get(pull_requests).await.0, status);
        let all = client.all("/repositories/acme-platform").await;
        assert_eq!(all.len(), listed);
    }
}

#[tokio::test]
async fn an_allowance_is_used_up_and_comes_back() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let limit = RateLimit {
        requests: 5,
        raw_files: 1,
        retry_after: Some(30),
        headers: true,
    };
    bitbucket
        .set_rate_limit(Bitbucket::TOKEN, Some(limit))
        .unwrap();
    let readme = "/repositories/acme-platform/payments-api/src/main/README.md";
    assert_eq!(client.send("GET", readme, None).await.status(), 200);
    assert_eq!(client.send("GET", readme, None).await.status(), 429);
    let mut near = Vec::new();
    for _ in 0..5 {
        let response = client.send("GET", "/workspaces/acme-platform", None).await;
        near.push(
            response.headers()["x-ratelimit-nearlimit"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(near, ["false", "false", "false", "false", "true"]);
    let refused = client.send("GET", "/workspaces/acme-platform", None).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "30");
    assert_eq!(
        refused.text().await.unwrap(),
        "Rate limit for this resource has been exceeded"
    );
    bitbucket.start_next_hour();
    client.ok("/workspaces/acme-platform").await;
    bitbucket.set_rate_limit(Bitbucket::TOKEN, Some(0)).unwrap();
    let bare = client.send("GET", "/workspaces/acme-platform", None).await;
    assert_eq!(bare.status(), 429);
    assert!(!bare.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn quirks_change_the_order_but_lose_nothing() {
    let client = Client::demo().await;
    let path = "/repositories/acme-platform?pagelen=3";
    let plain: BTreeSet<String> = column(&client.all(path).await, "uuid")
        .into_iter()
        .collect();
    client.bitbucket.set_quirks(Quirks {
        reversed_lists: true,
        duplicates: true,
        empty_pages: true,
        empty_next: true,
        ..Quirks::default()
    });
    let odd = column(&client.all(path).await, "uuid");
    assert!(plain.len() < odd.len());
    assert_eq!(odd.into_iter().collect::<BTreeSet<_>>(), plain);
}

#[tokio::test]
async fn generated_workspaces_have_the_size_asked_for() {
    let client = Client::of(Workspace::generate(3, 20, 7, 1).unwrap()).await;
    let workspace = client.bitbucket.workspace();
    let all = client
        .all(&format!("/repositories/{workspace}?pagelen=100"))
        .await;
    assert_eq!(all.len(), 20);
    let states = "state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED";
    let path = format!("/repositories/{workspace}/service-7/pullrequests?{states}");
    assert_eq!(client.all(&path).await.len(), 7);
}
