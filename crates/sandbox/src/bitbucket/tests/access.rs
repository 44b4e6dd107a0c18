//! Credentials, scopes, allowances and hooks.

use super::*;

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
        raw_files: Some(1),
        retry_after: Some(30),
        headers: true,
    };
    bitbucket.set_rate_limit(Bitbucket::TOKEN, limit).unwrap();
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
    bitbucket.set_rate_limit(Bitbucket::TOKEN, 0).unwrap();
    let bare = client.send("GET", "/workspaces/acme-platform", None).await;
    assert_eq!(bare.status(), 429);
    assert!(!bare.headers().contains_key("retry-after"));
    bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
    client.ok("/workspaces/acme-platform").await;
}
