//! Objects by their ids, and what is gone.

use super::*;

#[tokio::test]
async fn those_of_a_list_are_asked_for_fifty_at_a_time() {
    let bitbucket = Bitbucket::start(Workspace::generate(2, 130, 0, 1).unwrap())
        .await
        .unwrap();
    let Setup {
        client, deadline, ..
    } = setup(
        &bitbucket.url(),
        &bitbucket.workspace(),
        vec![token(Bitbucket::TOKEN)],
    );
    let listed = all(client.repositories(None, None), &deadline)
        .await
        .unwrap();
    let mut uuids: Vec<&str> = listed
        .iter()
        .filter_map(|repository| repository["uuid"].as_str())
        .collect();
    uuids.push("{00000000-0000-4000-8000-000000000000}");
    let sent = bitbucket.server().requests().len();
    let found = client
        .repositories_among(None, None, &uuids, &deadline)
        .await
        .unwrap();
    assert_eq!(bitbucket.server().requests().len(), sent + 3);
    assert_eq!(found.len(), 130);
    let key = listed[0]["project"]["key"].as_str().unwrap();
    let query = format!("project.key=\"{key}\"");
    let within = client
        .repositories_among(None, Some(&query), &uuids, &deadline)
        .await
        .unwrap();
    let expected = listed
        .iter()
        .filter(|repository| repository["project"]["key"] == key)
        .count();
    assert!(0 < expected && expected < 130);
    assert_eq!(within.len(), expected);
}

#[tokio::test]
async fn pull_requests_are_found_by_their_ids() {
    let (
        bitbucket,
        Setup {
            client, deadline, ..
        },
    ) = demo().await;
    let uuid = bitbucket.repository_uuid("payments-api").unwrap();
    let open = "state=\"OPEN\"";
    let listed = all(client.pull_requests(&uuid, Some(open)), &deadline)
        .await
        .unwrap();
    let mut ids: Vec<u64> = listed
        .iter()
        .filter_map(|request| request["id"].as_u64())
        .collect();
    assert!(!ids.is_empty());
    ids.extend([9_998, 9_999]);
    let found = client
        .pull_requests_among(&uuid, open, &ids, &deadline)
        .await
        .unwrap();
    assert_eq!(found.len(), listed.len());
    assert!(found.iter().all(|request| listed.contains(request)));
    let none = client.pull_requests_among(&uuid, "state=\"DECLINED\" AND id=0", &ids, &deadline);
    assert_eq!(none.await.unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn each_object_has_its_address_and_a_404_is_none() {
    let (server, setup) = scripted(vec![Response::json(200, &json!({"a": 1}))]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    let (r, u) = ("{r}", "{u}");
    for found in [
        client.project("P", &deadline).await,
        client.member(u, &deadline).await,
        client.branch(r, "a/b", &deadline).await,
        client.tag(r, "v1", &deadline).await,
        client.pipeline(r, u, &deadline).await,
        client.deployment(r, u, &deadline).await,
        client.environment(r, u, &deadline).await,
    ] {
        assert_eq!(found.unwrap(), Some(json!({"a": 1})));
    }
    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    insta::assert_snapshot!(asked.join("\n"), @r#"
    /2.0/workspaces/acme/projects/P
    /2.0/workspaces/acme/members/%7Bu%7D
    /2.0/repositories/acme/%7Br%7D/refs/branches/a%2Fb
    /2.0/repositories/acme/%7Br%7D/refs/tags/v1
    /2.0/repositories/acme/%7Br%7D/pipelines/%7Bu%7D
    /2.0/repositories/acme/%7Br%7D/deployments/%7Bu%7D
    /2.0/repositories/acme/%7Br%7D/environments/%7Bu%7D
    "#);

    let (_server, setup) = scripted(vec![Response::json(404, &json!({}))]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    assert_eq!(client.project("P", &deadline).await.unwrap(), None);
    assert_eq!(client.pipeline(r, u, &deadline).await.unwrap(), None);
}

#[tokio::test]
async fn quotes_and_backslashes_are_escaped() {
    let (server, setup) = scripted(vec![Response::json(200, &json!({"values": []}))]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    let odd = r#"{a"b\c}"#;
    client
        .repositories_among(None, Some("name ~ \"x\""), &[odd], &deadline)
        .await
        .unwrap();
    client
        .repositories_among(Some("member"), Some(" "), &[odd, "{d}"], &deadline)
        .await
        .unwrap();
    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.query("q").unwrap().to_owned())
        .collect();
    insta::assert_snapshot!(asked.join("\n"), @r#"
    (name ~ "x") AND (uuid="{a\"b\\c}")
    (uuid="{a\"b\\c}" OR uuid="{d}")
    "#);
}

#[tokio::test]
async fn a_repository_is_gone_only_where_itself_and_the_workspace_are_asked_for() {
    let (
        bitbucket,
        Setup {
            client, deadline, ..
        },
    ) = demo().await;
    let uuid = bitbucket.repository_uuid("payments-api").unwrap();
    assert!(client.is_repository_there(&uuid, &deadline).await.unwrap());
    let unknown = "{00000000-0000-4000-8000-000000000000}";
    let is_there = client.is_repository_there(unknown, &deadline).await;
    assert!(!is_there.unwrap());

    // A token whose rights were narrowed: the list is empty, and the workspace hidden.
    for status in [403, 404, 503] {
        let (
            _server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![
            Response::json(200, &json!({"values": []})),
            Response::json(status, &json!({})),
        ])
        .await;
        let uuids = [uuid.as_str()];
        let listed = client.repositories_among(None, None, &uuids, &deadline);
        assert_eq!(listed.await.unwrap(), Vec::<Value>::new());
        assert!(client.workspace(&deadline).await.is_err(), "{status}");
        // Only 404 says that it is not there.
        let is_there = client.is_repository_there(&uuid, &deadline).await;
        assert_eq!(is_there.is_ok(), status == 404, "{status}");
    }
}
