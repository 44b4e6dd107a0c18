//! Whose credentials are believed to be dead, and when.

use sandbox::server::Fault;

use super::*;
use crate::class::Class;

fn user() -> Credential {
    Credential::Basic {
        user: "dana@acme.example".to_owned(),
        password: SecretString::from("ATATT-token"),
    }
}

/// A workspace that refuses `/members` to `Bearer` tokens, and everything while `dead`.
async fn particular(credentials: Vec<Credential>) -> (Server, Arc<Mutex<u16>>, Setup) {
    let probe = Arc::new(Mutex::new(200));
    let status = Arc::clone(&probe);
    let server = Server::start(move |request| {
        let is_token = request
            .header("authorization")
            .is_some_and(|header| header.starts_with("Bearer"));
        let status = *status.lock().unwrap();
        let denied = json!({"error": {"message": "Token is invalid, expired, or not supported for this endpoint."}});
        if request.path == "/2.0/workspaces/acme" {
            Response::json(status, &json!({"slug": "acme"}))
        } else if is_token && (request.path.ends_with("/members") || status == 401) {
            Response::json(401, &denied)
        } else {
            Response::json(200, &json!({"values": []}))
        }
    });
    let server = server.await.unwrap();
    let setup = setup(&format!("{}/2.0", server.url()), "acme", credentials);
    (server, probe, setup)
}

#[tokio::test]
async fn another_token_goes_on_where_one_is_used_up_or_revoked() {
    let bitbucket = Bitbucket::start(Workspace::demo().unwrap()).await.unwrap();
    for name in ["one", "two", "three"] {
        bitbucket.accept_token(name);
    }
    let limit = RateLimit {
        retry_after: Some(600),
        ..RateLimit::from(2)
    };
    bitbucket.set_rate_limit("one", limit).unwrap();
    bitbucket.revoke("two");
    let tokens = ["one", "two", "three"].map(token).to_vec();
    let Setup {
        client, deadline, ..
    } = setup(&bitbucket.url(), &bitbucket.workspace(), tokens);
    for _ in 0..10 {
        assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 3);
    }
    bitbucket.revoke("three");
    let error = all(client.projects(), &deadline).await.unwrap_err();
    assert!(
        matches!(error, Error::RateLimited { .. }),
        "the first one comes back: {error:?}"
    );
    bitbucket.revoke("one");
    let sent = bitbucket.server().requests().len();
    client.replace_credentials(vec![token("new")]);
    let error = all(client.projects(), &deadline).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert_eq!(
        bitbucket.server().requests().len(),
        sent + 3,
        "refused, and probed twice"
    );
    bitbucket.accept_token("new");
    client.replace_credentials(vec![token("new")]);
    assert_eq!(all(client.projects(), &deadline).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_that_is_refused_to_a_kind_of_token_costs_that_list() {
    let (server, _, setup) = particular(vec![token("one")]).await;
    let Setup {
        client,
        clock,
        deadline,
    } = setup;
    for sent in [3, 5] {
        let error = all(client.members(), &deadline).await.unwrap_err();
        assert!(matches!(error, Error::NotForThisToken { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Part);
        assert_eq!(server.requests().len(), sent, "probed once a minute");
    }
    assert!(client.take_set_aside().is_empty());
    assert!(all(client.projects(), &deadline).await.is_ok());
    clock.advance(Duration::from_secs(60));
    all(client.members(), &deadline).await.unwrap_err();
    assert_eq!(server.requests().len(), 9);
}

#[tokio::test]
async fn a_refusal_in_passing_costs_nothing() {
    let (server, _, setup) = particular(vec![user()]).await;
    server.misbehave(Fault::status("/members", 401));
    assert!(all(setup.client.members(), &setup.deadline).await.is_ok());
    assert!(setup.client.take_set_aside().is_empty());
    assert_eq!(server.requests().len(), 3);
}

/// Two at once, of a list or of a list and the probe; three of a list: that list has failed, and nothing else.
#[tokio::test]
async fn refusals_in_a_row_cost_a_list_at_most() {
    for (faults, is_read) in [
        (vec![("/members", 2)], false),
        (vec![("/members", 1), ("/workspaces/acme", 1)], true),
        (vec![("/members", 3)], false),
    ] {
        let (server, _, setup) = particular(vec![user()]).await;
        for (path, times) in &faults {
            let fault = Fault::status(*path, 401).at_end().times(*times);
            server.misbehave(fault);
        }
        let members = all(setup.client.members(), &setup.deadline).await;
        assert_eq!(members.is_ok(), is_read, "{faults:?}");
        if let Err(error) = members {
            assert_eq!(error.class(), Class::Part);
        }
        assert!(setup.client.take_set_aside().is_empty(), "{faults:?}");
        assert!(all(setup.client.projects(), &setup.deadline).await.is_ok());
    }
}

#[tokio::test]
async fn another_kind_of_credential_is_tried_where_one_is_refused() {
    let (server, _, setup) = particular(vec![token("one"), token("two"), user()]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    assert!(all(client.members(), &deadline).await.is_ok());
    // Each token and its probe, the user.
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_credential_is_dead_when_the_workspace_says_so_too() {
    let (server, probe, setup) = particular(vec![token("one"), user()]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    *probe.lock().unwrap() = 401;
    assert!(all(client.projects(), &deadline).await.is_ok());
    assert_eq!(client.take_set_aside().len(), 1);
    assert_eq!(server.requests().len(), 4);
    assert!(all(client.projects(), &deadline).await.is_ok());
    assert_eq!(
        server.requests().len(),
        5,
        "the dead one is not asked again"
    );
}

#[tokio::test]
async fn a_probe_that_fails_decides_nothing() {
    for (status, class) in [
        (503, Class::Later),
        (429, Class::Later),
        (403, Class::Part),
        (404, Class::Part),
    ] {
        let (_server, probe, setup) = particular(vec![token("one")]).await;
        let Setup {
            client, deadline, ..
        } = setup;
        *probe.lock().unwrap() = status;
        let error = all(client.members(), &deadline).await.unwrap_err();
        assert_eq!(error.class(), class, "{status}: {error:?}");
        assert!(client.take_set_aside().is_empty());
    }
}

#[tokio::test]
async fn refusals_at_the_same_time_are_probed_once() {
    let (server, _, setup) = particular(vec![token("one")]).await;
    let Setup {
        client, deadline, ..
    } = setup;
    let lists = (0..6).map(|_| all(client.members(), &deadline));
    let outcomes = futures_util::future::join_all(lists).await;
    assert!(outcomes.iter().all(Result::is_err));
    // Six, each asked again, and one probe.
    assert_eq!(server.requests().len(), 13);
}

#[tokio::test]
async fn parallel_429s_of_one_incident_silence_a_token_briefly() {
    let limited = Arc::new(Mutex::new(true));
    let is_limited = Arc::clone(&limited);
    let server = Server::start(move |_| match *is_limited.lock().unwrap() {
        true => Response::text(429, "Rate limit for this resource has been exceeded"),
        false => Response::json(200, &json!({"values": []})),
    });
    let server = server.await.unwrap();
    let Setup { client, clock, .. } = setup(server.url(), "acme", vec![token("one")]);
    let short = Deadline::after(&clock, Duration::from_secs(1));
    let lists = (0..8).map(|_| all(client.projects(), &short));
    let outcomes = futures_util::future::join_all(lists).await;
    assert!(outcomes.iter().all(Result::is_err));
    let sent = server.requests().len();
    *limited.lock().unwrap() = false;
    clock.advance(Duration::from_secs(10));
    let deadline = Deadline::after(&clock, Duration::from_secs(1));
    assert!(all(client.projects(), &deadline).await.is_ok());
    assert_eq!(server.requests().len(), sent + 1);
}
