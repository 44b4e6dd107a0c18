//! What is asked for by its id, what comes along when asked for, and what exists at all.

use super::*;

const REPOSITORIES: &str = "/repositories/acme-platform?pagelen=3";

#[tokio::test]
async fn many_are_asked_for_by_their_ids() {
    let client = Client::demo().await;
    let uuid = |slug| client.bitbucket.repository_uuid(slug).unwrap();
    let (one, two) = (uuid("monorepo"), uuid("payments-api"));
    for (text, expected) in [
        (
            format!("uuid=\"{one}\" OR uuid=\"{two}\""),
            vec!["payments-api", "monorepo"],
        ),
        (
            format!("uuid IN (\"{one}\",\"{two}\")"),
            vec!["payments-api", "monorepo"],
        ),
        (
            format!("(name ~ \"mono\") AND (uuid=\"{one}\" OR uuid=\"{two}\")"),
            vec!["monorepo"],
        ),
        (
            "uuid=\"{00000000-0000-5000-8000-000000000000}\"".to_owned(),
            vec![],
        ),
    ] {
        let path = format!("/repositories/acme-platform?pagelen=100&{}", q(&text));
        assert_eq!(column(&client.all(&path).await, "slug"), expected, "{text}");
    }
    let pull_requests = "/repositories/acme-platform/payments-api/pullrequests?pagelen=50";
    let known = client.bitbucket.pull_requests("payments-api").unwrap();
    let (closed, _) = known
        .iter()
        .find(|(_, state)| *state == PullRequestState::Merged)
        .unwrap();
    let by_id = format!("id=1 OR id={closed} OR id=999");
    let open = client.all(&format!("{pull_requests}&{}", q(&by_id))).await;
    assert_eq!(
        column(&open, "id"),
        ["1"],
        "open ones unless a state is named"
    );
    let of_any_state = format!("state IN (\"OPEN\",\"MERGED\") AND ({by_id})");
    let found = client
        .all(&format!("{pull_requests}&{}", q(&of_any_state)))
        .await;
    assert_eq!(found.len(), 2);

    let broken = format!("/repositories/acme-platform?{}", q("name=\"a\"b\""));
    let answer = client.send("GET", &broken, None).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["content-type"], "text/html");
    let escaped = format!("/repositories/acme-platform?{}", q("name=\"a\\\"b\""));
    assert!(client.all(&escaped).await.is_empty());
}

#[tokio::test]
async fn the_head_comes_with_a_repository_when_asked_for() {
    let client = Client::demo().await;
    let hash = client.bitbucket.branches("monorepo").unwrap();
    let (_, hash) = hash.into_iter().find(|(name, _)| name == "main").unwrap();
    let by_uuid = client.bitbucket.repository_uuid("monorepo").unwrap();
    let fields = "fields=%2Bvalues.mainbranch.target.hash";
    let all = client.all(&format!("{REPOSITORIES}&{fields}")).await;
    let of = |slug: &str| all.iter().find(|it| it["slug"] == slug).unwrap()["mainbranch"].clone();
    let expected = json!({"name": "main", "type": "branch", "target": {"hash": hash}});
    assert_eq!(of("monorepo"), expected);
    assert_eq!(of("empty-repo"), Value::Null);
    let single = format!("/repositories/acme-platform/{by_uuid}?fields=%2Bmainbranch.target.hash");
    assert_eq!(client.ok(&single).await["mainbranch"], expected);
    let plain = client.ok("/repositories/acme-platform/monorepo").await;
    assert_eq!(
        plain["mainbranch"],
        json!({"name": "main", "type": "branch"})
    );
}

#[tokio::test]
async fn what_exists_is_known_by_name() {
    let client = Client::demo().await;
    let bitbucket = &client.bitbucket;
    let objects = bitbucket.objects();
    let count = |kind: &str| {
        let named = objects.iter().map(ToString::to_string);
        named.filter(|name| name.starts_with(kind)).count()
    };
    assert_eq!(count("repository"), 9);
    assert_eq!(
        count("project"),
        client.all("/workspaces/acme-platform/projects").await.len()
    );
    assert_eq!(
        count("member"),
        client.all("/workspaces/acme-platform/members").await.len()
    );
    let uuid = bitbucket.repository_uuid("monorepo").unwrap();
    bitbucket
        .push("monorepo", "main", &[("new.txt", Some("x"))])
        .unwrap();
    bitbucket.delete_repository("perl-scripts").unwrap();
    let after = bitbucket.objects();
    let new: Vec<&Object> = after.iter().filter(|it| !objects.contains(it)).collect();
    assert_eq!(new, [&Object::File(uuid, "new.txt".to_owned())]);
    assert!(after.len() < objects.len());
}
