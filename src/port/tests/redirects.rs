//! Answers that lead elsewhere: credentials and entities go to Port and nobody else.

use super::*;
use sandbox::server::{Fault, FaultKind};

#[tokio::test]
async fn nothing_of_ours_reaches_a_stranger() {
    let stranger = Server::start(|_| {
        Response::json(
            200,
            &json!({"accessToken": "t", "expiresIn": 9, "integration": {}, "request": null}),
        )
    })
    .await
    .unwrap();
    for status in [301, 302, 303, 307, 308] {
        let port = Port::start(&[]).await;
        let deadline = port.deadline();
        let away = |part: &str| {
            let target = format!("{}/{part}?key=k", stranger.url());
            Fault::new(part, FaultKind::redirect(status, &target)).always()
        };
        port.server.misbehave(away("integration/my-bb"));
        let read = port.client.integration(&deadline).await.unwrap_err();
        let written = port
            .client
            .update_integration(&json!({"version": "1"}), &deadline)
            .await
            .unwrap_err();
        let port = Port::start(&[]).await;
        port.server.misbehave(away("access_token"));
        let token = port.client.resync_request(&deadline).await.unwrap_err();
        for error in [read, written, token] {
            assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
            assert_eq!(error.class(), Class::Later);
            let shown = error.to_string();
            assert!(
                shown.contains(stranger.url()) && !shown.contains("key=k"),
                "{shown}"
            );
        }
    }
    assert_eq!(stranger.requests().len(), 0);
}

/// On the same host as well: what is there is not what was asked for, and the secret was not meant for it.
#[tokio::test]
async fn a_token_is_fetched_from_nowhere_else() {
    let port = Port::start(&[]).await;
    let fault = FaultKind::redirect(307, "/v1/other");
    port.server.misbehave(Fault::new("access_token", fault));
    let error = port.client.resync_request(&port.deadline()).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("leads to /v1/other")
    );
    assert_eq!(port.server.requests().len(), 1);
}
