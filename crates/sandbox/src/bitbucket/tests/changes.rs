//! Each change, seen through the API and through its deliveries.

use super::*;

fn events(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| d.event_key.as_str()).collect()
}

fn only(deliveries: Vec<Delivery>) -> Value {
    let [delivery] = <[Delivery; 1]>::try_from(deliveries).unwrap();
    let body = delivery.json();
    assert_eq!(body["actor"]["display_name"], "Dana Okafor");
    body
}

#[tokio::test]
async fn a_new_repository_is_empty_until_the_first_push() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let (uuid, created) = bitbucket.create_repository("PAY", "New One").unwrap();
    assert_eq!(events(&created), ["repo:created"]);
    let body = only(created);
    let expected = [
        "type",
        "full_name",
        "links",
        "name",
        "uuid",
        "scm",
        "website",
        "owner",
        "workspace",
        "is_private",
        "project",
        "parent",
    ];
    assert_eq!(
        keys(&body["repository"]),
        expected.map(str::to_owned).into()
    );
    let path = "/repositories/acme-platform/new-one";
    assert_eq!(client.ok(path).await["mainbranch"], Value::Null);
    let (hash, pushed) = bitbucket
        .push(&uuid, "trunk", &[("README.md", Some("Hello"))])
        .unwrap();
    let change = only(pushed)["push"]["changes"][0].clone();
    assert_eq!(change["old"], Value::Null);
    assert_eq!(change["created"], true);
    assert_eq!(change["new"]["target"]["hash"], hash);
    assert_eq!(client.ok(path).await["mainbranch"]["name"], "trunk");
    assert!(bitbucket.create_repository("PAY", "new one").is_err());
    assert!(bitbucket.create_repository("NOPE", "x").is_err());
}

#[tokio::test]
async fn a_rename_moves_the_slug_and_says_what_it_was() {
    let client = Client::demo().await;
    let uuid = client.bitbucket.repository_uuid("payments-api").unwrap();
    let body = only(
        client
            .bitbucket
            .rename_repository(&uuid, "Ledger API")
            .unwrap(),
    );
    assert_eq!(
        body["changes"]["full_name"],
        json!({"old": "acme-platform/payments-api", "new": "acme-platform/ledger-api"})
    );
    assert_eq!(body["repository"]["name"], "Ledger API");
    assert_eq!(
        client
            .message("/repositories/acme-platform/payments-api")
            .await
            .0,
        404
    );
    let pull_request = client
        .ok("/repositories/acme-platform/ledger-api/pullrequests/1")
        .await;
    assert_eq!(
        pull_request["destination"]["repository"]["name"],
        "Ledger API"
    );
    let only_case = client
        .bitbucket
        .rename_repository(&uuid, "ledger API")
        .unwrap();
    assert_eq!(
        keys(&only(only_case)["changes"]),
        ["name".to_owned()].into()
    );
}

#[tokio::test]
async fn changes_of_a_repository_are_all_repo_updated() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    bitbucket.create_branch("monorepo", "next", None).unwrap();
    for (deliveries, changes) in [
        (
            bitbucket
                .describe_repository("monorepo", "All of it")
                .unwrap(),
            json!({"description": {"old": "", "new": "All of it"}}),
        ),
        (
            bitbucket.move_repository("monorepo", "LEGACY").unwrap(),
            json!({}),
        ),
        (
            bitbucket.set_default_branch("monorepo", "next").unwrap(),
            json!({}),
        ),
    ] {
        assert_eq!(events(&deliveries), ["repo:updated"]);
        assert_eq!(only(deliveries)["changes"], changes);
    }
    let now = client.ok("/repositories/acme-platform/monorepo").await;
    assert_eq!(now["project"]["key"], "LEGACY");
    assert_eq!(now["mainbranch"]["name"], "next");
    assert_eq!(now["description"], "All of it");
}

#[tokio::test]
async fn a_repository_leaves_by_deletion_or_transfer() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let deleted = only(bitbucket.delete_repository("payments-api-luis").unwrap());
    assert_eq!(
        deleted["repository"]["full_name"],
        "acme-platform/payments-api-luis"
    );
    let from_fork = client
        .ok("/repositories/acme-platform/payments-api/pullrequests/6")
        .await;
    assert_eq!(from_fork["source"]["repository"], Value::Null);
    assert_eq!(
        from_fork["source"]["branch"]["name"],
        "feature/fix-rounding"
    );

    let moved = only(bitbucket.transfer_out("monorepo", "acme-labs").unwrap());
    assert_eq!(moved["repository"]["full_name"], "acme-labs/monorepo");
    assert_eq!(moved["previous_workspace"]["slug"], "acme-platform");
    assert_eq!(client.all("/repositories/acme-platform").await.len(), 7);
    let (uuid, _) = bitbucket.transfer_in("PAY", "Gained", "acme-labs").unwrap();
    let (fork, forked) = bitbucket
        .fork_repository(&uuid, "PAY", "Gained Fork")
        .unwrap();
    assert_eq!(only(forked)["fork"]["uuid"], fork);
}

#[tokio::test]
async fn projects_report_their_changes_but_not_their_coming() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    assert!(bitbucket.create_project("NEW", "New").unwrap().1.is_empty());
    let renamed = only(bitbucket.rename_project("PAY", "Money").unwrap());
    assert_eq!(
        renamed["changes"],
        json!({"name": {"old": "Payments", "new": "Money"}})
    );
    assert!(renamed.get("repository").is_none());
    let moved = only(bitbucket.change_project_key("PAY", "CASH").unwrap());
    assert_eq!(moved["project"]["key"], "CASH");
    let repository = client.ok("/repositories/acme-platform/payments-api").await;
    assert_eq!(repository["project"]["name"], "Money");
    assert!(bitbucket.change_project_key("CASH", "PLAT").is_err());
    assert!(bitbucket.delete_project("CASH").is_err());
    bitbucket.delete_project("NEW").unwrap();
    assert_eq!(bitbucket.projects(), ["CASH", "PLAT", "LEGACY"]);
}

#[tokio::test]
async fn a_pull_request_lives_from_branch_to_merge() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let wish = NewPullRequest::new("Add metrics", "Luis Ferro").reviewed_by("Mina Sato");
    let (id, opened) = bitbucket.open_pull_request("monorepo", wish).unwrap();
    assert_eq!(events(&opened), ["repo:push", "pullrequest:created"]);
    let body = opened[1].json();
    assert_eq!(
        body["pullrequest"]["reviewers"][0]["display_name"],
        "Mina Sato"
    );
    assert!(body["pullrequest"].get("closed_on").is_none());

    let approved = bitbucket.approve("monorepo", id, "Mina Sato").unwrap();
    assert_eq!(
        approved[0].json()["approval"]["user"]["display_name"],
        "Mina Sato"
    );
    let wished = bitbucket
        .request_changes("monorepo", id, "Mina Sato")
        .unwrap();
    assert_eq!(events(&wished), ["pullrequest:changes_request_created"]);
    let commented = bitbucket
        .comment("monorepo", id, "Dana Okafor", "Nice")
        .unwrap();
    assert_eq!(only(commented)["comment"]["content"]["raw"], "Nice");
    let change = PullRequestChange {
        title: Some("Add all metrics".to_owned()),
        reviewers: Some(vec!["Dana Okafor".to_owned()]),
        ..PullRequestChange::default()
    };
    let updated = bitbucket
        .update_pull_request("monorepo", id, change)
        .unwrap();
    assert_eq!(events(&updated), ["pullrequest:updated"]);

    let path = format!("/repositories/acme-platform/monorepo/pullrequests/{id}");
    let open = client.ok(&path).await;
    assert_eq!(open["title"], "Add all metrics");
    assert_eq!(open["comment_count"], 1);
    assert_eq!(
        column(open["participants"].as_array().unwrap(), "role"),
        ["REVIEWER"]
    );

    let source = open["source"]["branch"]["name"].as_str().unwrap();
    let (_, pushed) = bitbucket
        .push("monorepo", source, &[("metrics.md", Some("42"))])
        .unwrap();
    assert_eq!(events(&pushed), ["repo:push", "pullrequest:updated"]);
    let merged = bitbucket.merge("monorepo", id, "Dana Okafor").unwrap();
    assert_eq!(
        events(&merged),
        ["repo:push", "repo:push", "pullrequest:fulfilled"]
    );
    let closed = client.ok(&path).await;
    assert_eq!(closed["state"], "MERGED");
    assert_eq!(closed["closed_by"]["display_name"], "Dana Okafor");
    assert!(open["updated_on"].as_str() < closed["updated_on"].as_str());
    let (status, _) = client
        .get("/repositories/acme-platform/monorepo/src/main/metrics.md")
        .await;
    assert_eq!(status, 200);
    assert!(bitbucket.approve("monorepo", id, "Mina Sato").is_err());

    let (other, _) = bitbucket
        .open_pull_request("monorepo", NewPullRequest::new("No", "Luis Ferro"))
        .unwrap();
    let declined = bitbucket
        .decline("monorepo", other, "Dana Okafor", "no")
        .unwrap();
    assert_eq!(only(declined)["pullrequest"]["reason"], "no");
    let empty = NewPullRequest::new("Early", "Luis Ferro");
    assert!(bitbucket.open_pull_request("empty-repo", empty).is_err());
}

#[tokio::test]
async fn pushes_say_what_moved() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let row = |deliveries: Vec<Delivery>| only(deliveries)["push"]["changes"][0].clone();
    let (_, many) = bitbucket.push_commits("monorepo", "main", 7).unwrap();
    let many = row(many);
    assert_eq!(many["commits"].as_array().unwrap().len(), 5);
    assert_eq!(many["truncated"], true);
    assert_eq!(many["commits"][0]["hash"], many["new"]["target"]["hash"]);
    assert!(many["links"]["diff"].is_object());

    client.bitbucket.set_quirks(Quirks {
        forget_forced_commits: true,
        ..Quirks::default()
    });
    let (new, forced) = bitbucket
        .force_push("monorepo", "main", &[("a.txt", Some("a"))])
        .unwrap();
    let forced = row(forced);
    assert_eq!(forced["forced"], true);
    assert!(forced["links"].get("diff").is_none());
    let old = forced["old"]["target"]["hash"].as_str().unwrap();
    let root = |hash: &str| format!("/repositories/acme-platform/monorepo/src/{hash}/");
    assert_eq!(client.get(&root(old)).await.0, 404);
    assert_eq!(client.get(&root(&new)).await.0, 200);

    let created = row(bitbucket.create_branch("monorepo", "a/b", None).unwrap());
    assert_eq!(created["commits"], json!([]));
    let gone = row(bitbucket.delete_branch("monorepo", "a/b").unwrap());
    assert_eq!(
        (&gone["new"], &gone["closed"], gone.get("links")),
        (&Value::Null, &json!(true), None)
    );
    assert!(bitbucket.delete_branch("monorepo", "main").is_err());
    let tag = row(bitbucket
        .create_tag("monorepo", "v1", Some("First\n"))
        .unwrap());
    assert_eq!(tag["new"]["type"], "tag");
    assert!(tag.get("commits").is_none());
    let untagged = row(bitbucket.delete_tag("monorepo", "v1").unwrap());
    assert_eq!(untagged["old"]["message"], "First\n");
}

#[tokio::test]
async fn deliveries_reach_the_hooks_that_asked_for_them() {
    let client = Client::demo().await;
    let receiver = crate::server::Server::start(|_| crate::server::Response::empty(202))
        .await
        .unwrap();
    receiver.misbehave(crate::server::Fault::status("/hook", 503).times(2));
    let hook = json!({
        "url": format!("{}/hook", receiver.url()), "secret": "s", "events": ["repo:push"],
    });
    client
        .send("POST", "/workspaces/acme-platform/hooks", Some(hook))
        .await;
    let (_, pushed) = client
        .bitbucket
        .push_commits("monorepo", "main", 1)
        .unwrap();
    assert_eq!(client.bitbucket.deliver(&pushed[0]).await.unwrap(), [202]);
    let other = client
        .bitbucket
        .describe_repository("monorepo", "x")
        .unwrap();
    assert!(
        client
            .bitbucket
            .deliver(&other[0])
            .await
            .unwrap()
            .is_empty()
    );
    let requests = receiver.requests();
    let attempts: Vec<_> = requests
        .iter()
        .filter_map(|request| request.header("x-attempt-number"))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    let last = &requests[2];
    assert_eq!(last.header("x-event-key"), Some("repo:push"));
    assert_eq!(
        last.header("x-hub-signature"),
        Some(crate::webhook::sign("s", &last.body).as_str())
    );
}

#[tokio::test]
async fn a_merge_leaves_the_main_branch_in_place() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let wish = NewPullRequest::new("Add metrics", "Luis Ferro");
    let (id, _) = bitbucket.open_pull_request("monorepo", wish).unwrap();
    let path = format!("/repositories/acme-platform/monorepo/pullrequests/{id}");
    let open = client.ok(&path).await;
    assert_eq!(open["close_source_branch"], true);
    let source = open["source"]["branch"]["name"].as_str().unwrap();
    bitbucket.set_default_branch("monorepo", source).unwrap();

    let merged = bitbucket.merge("monorepo", id, "Dana Okafor").unwrap();
    assert_eq!(events(&merged), ["repo:push", "pullrequest:fulfilled"]);
    let branches = bitbucket.branches("monorepo").unwrap();
    assert!(branches.iter().any(|(name, _)| name == source));
}

#[tokio::test]
async fn a_deleted_user_is_a_former_one() {
    let client = Client::demo().await;
    client.bitbucket.delete_user("Luis Ferro").unwrap();
    let pull_request = client
        .ok("/repositories/acme-platform/payments-api/pullrequests/1")
        .await;
    assert_eq!(pull_request["author"]["display_name"], "Former user");
    assert_eq!(client.bitbucket.users(), ["Dana Okafor", "Mina Sato"]);
}
