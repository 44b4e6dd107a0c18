//! Pages, filters, states and fields.

use super::*;

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
