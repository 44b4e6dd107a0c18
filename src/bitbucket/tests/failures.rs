//! Every status and fault of Bitbucket against the table of classes, and how often each is tried in place.

use super::*;
use crate::class::Class;
use crate::failure::Failure;
use crate::telemetry::chain;

fn refusal(status: u16) -> Response {
    let body = json!({"type": "error", "error": {"message": "No.", "detail": {"required": ["repository"]}}});
    Response::json(status, &body)
}

#[tokio::test]
async fn every_status_has_its_class() {
    let mut shown = Vec::new();
    for (status, class, requests) in [
        (304, Class::Later, 1),
        (400, Class::Part, 1),
        (401, Class::Credentials, 3),
        (403, Class::Part, 1),
        (404, Class::Part, 1),
        (408, Class::Later, 5),
        (409, Class::Part, 1),
        (410, Class::Part, 1),
        (414, Class::Part, 1),
        (500, Class::Later, 5),
        (501, Class::Later, 1),
        (502, Class::Later, 5),
        (503, Class::Later, 5),
        (504, Class::Later, 5),
        (555, Class::Part, 1),
    ] {
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![refusal(status)]).await;
        let error = client.repository("{a}", &deadline).await.unwrap_err();
        assert_eq!(
            (error.class(), server.requests().len()),
            (class, requests),
            "{status}"
        );
        shown.push(format!("{status} {}", chain(&error)));
    }
    insta::assert_snapshot!(shown.join("\n"), @r#"
    304 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 304)
    400 /2.0/repositories/acme/%7Ba%7D: Bitbucket refuses the request (HTTP 400) (No.; required scopes: repository)
    401 Bitbucket refuses the credentials (No.; required scopes: repository): check BITBUCKET_WORKSPACE_TOKEN, or BITBUCKET_USER_EMAIL and BITBUCKET_USER_SCOPED_TOKEN
    403 /2.0/repositories/acme/%7Ba%7D: these credentials may not read it (No.; required scopes: repository)
    404 /2.0/repositories/acme/%7Ba%7D: not found, or not visible to these credentials (No.; required scopes: repository)
    408 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 408)
    409 /2.0/repositories/acme/%7Ba%7D: Bitbucket refuses the request (HTTP 409) (No.; required scopes: repository)
    410 /2.0/repositories/acme/%7Ba%7D: Bitbucket has removed it for good (No.; required scopes: repository)
    414 /2.0/repositories/acme/%7Ba%7D: Bitbucket refuses the request (HTTP 414) (No.; required scopes: repository)
    500 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 500)
    501 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 501)
    502 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 502)
    503 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 503)
    504 /2.0/repositories/acme/%7Ba%7D: Bitbucket is not available (HTTP 504)
    555 /2.0/repositories/acme/%7Ba%7D: the answer is too large
    "#);
}

#[tokio::test]
async fn a_success_that_is_none_is_tried_again_and_then_later() {
    for (answer, wanted) in [
        (Response::json(200, &json!({})), "a page without `values`"),
        (
            Response::json(200, &json!({"values": null})),
            "a page without `values`",
        ),
        (
            Response::json(200, &json!({"values": {"a": 1}})),
            "a page without `values`",
        ),
        (Response::json(200, &json!([])), "a page without `values`"),
        (Response::text(200, "<html>"), "not the expected JSON"),
        (
            Response::text(200, "{\"values\": [1, 2"),
            "not the expected JSON",
        ),
        (Response::empty(204), "not the expected JSON"),
    ] {
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![answer.clone()]).await;
        let error = all(client.repositories(None, None), &deadline)
            .await
            .unwrap_err();
        let shown = chain(&error);
        assert!(shown.contains(wanted), "{wanted}: {shown}");
        assert_eq!((error.class(), server.requests().len()), (Class::Later, 5));

        let sound = Response::json(200, &json!({"values": [7]}));
        let (
            server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![answer.clone(), answer, sound]).await;
        let values = all(client.repositories(None, None), &deadline).await;
        assert_eq!(values.unwrap(), [json!(7)]);
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn an_object_that_is_none_is_no_object() {
    for answer in [
        Response::json(200, &json!([])),
        Response::json(200, &Value::Null),
        Response::text(200, "<html>"),
    ] {
        let (
            _server,
            Setup {
                client, deadline, ..
            },
        ) = scripted(vec![answer]).await;
        let error = client.project("P", &deadline).await.unwrap_err();
        assert_eq!(error.class(), Class::Later);
    }
}

#[tokio::test]
async fn a_circle_before_the_end_is_later() {
    let circle = json!({"values": [], "next": "/2.0/repositories/acme?pagelen=100"});
    let (
        server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![Response::json(200, &circle)]).await;
    let error = all(client.repositories(None, None), &deadline)
        .await
        .unwrap_err();
    assert!(chain(&error).contains("leads back"));
    assert_eq!((error.class(), server.requests().len()), (Class::Later, 1));
}

#[tokio::test]
async fn connections_that_stay_broken_are_later() {
    for kind in [FaultKind::Refuse, FaultKind::Reset, FaultKind::Truncate] {
        let (
            bitbucket,
            Setup {
                client, deadline, ..
            },
        ) = demo().await;
        bitbucket
            .server()
            .misbehave(Fault::new("/projects", kind).always());
        let error = all(client.projects(), &deadline).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
        assert_eq!(error.class(), Class::Later);
    }
}

#[tokio::test]
async fn a_wait_says_when_to_come_back() {
    let limited = Response::text(429, "").with_header("Retry-After", 120);
    let (
        _server,
        Setup {
            client, deadline, ..
        },
    ) = scripted(vec![limited]).await;
    let error = client.repository("{a}", &deadline).await.unwrap_err();
    let failure = Failure::from(error);
    assert_eq!(failure.class(), Class::Later);
    assert_eq!(failure.wait(), Some(Duration::from_secs(120)));
}

/// `Retry-After: 0` is no invitation to ask as fast as one can.
#[tokio::test]
async fn a_wait_of_nothing_is_a_wait() {
    let limited = || Response::text(429, "").with_header("Retry-After", 0);
    let sound = Response::json(200, &json!({"values": []}));
    let (
        server,
        Setup {
            client,
            clock,
            deadline,
        },
    ) = scripted(vec![limited(), sound]).await;
    let before = clock.now();
    all(client.projects(), &deadline).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(clock.now().duration_since(before).as_secs(), 10);
}

/// A server that says "in a second" for ever is not asked until the invocation ends.
#[tokio::test]
async fn short_waits_without_end_are_given_up() {
    for (retry_after, waited) in [(1, 11), (9, 19), (11, 0)] {
        let limited = Response::text(429, "").with_header("Retry-After", retry_after);
        let (
            server,
            Setup {
                client,
                clock,
                deadline,
            },
        ) = scripted(vec![limited]).await;
        let before = clock.now();
        let error = all(client.projects(), &deadline).await.unwrap_err();
        assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
        assert_eq!(clock.now().duration_since(before).as_secs(), waited);
        assert!(server.requests().len() <= 4);
    }
}
