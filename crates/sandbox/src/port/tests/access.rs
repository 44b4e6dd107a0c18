//! Tokens, secrets and routes.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;

#[tokio::test]
async fn a_token_stays_the_same_until_it_expires() {
    let mut client = Client::start().await;
    let first = client.token.clone();
    client.sign_in("test-secret").await;
    assert_eq!(client.token, first);
    client.port.expire_tokens();
    let (status, body) = client
        .call(Method::GET, "/v1/blueprints", &Value::Null)
        .await;
    assert_eq!((status, &body["ok"]), (401, &json!(false)));
    client.sign_in("test-secret").await;
    assert_ne!(client.token, first);
    assert_eq!(
        client
            .call(Method::GET, "/v1/blueprints", &Value::Null)
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_rotated_secret_ends_the_token_and_the_old_secret() {
    let mut client = Client::start().await;
    client.port.rotate_secret("new");
    assert_eq!(
        client
            .call(Method::GET, "/v1/blueprints", &Value::Null)
            .await
            .0,
        401
    );
    assert_eq!(client.sign_in("test-secret").await.0, 401);
    assert_eq!(client.sign_in("new").await.0, 200);
}

#[tokio::test]
async fn tokens_expire_by_the_simulated_clock() {
    let mut client = Client::start().await;
    client.port.expire_tokens();
    client.port.set_now("2026-08-20T10:00:00Z".parse().unwrap());
    assert_eq!(client.sign_in("test-secret").await.1["expiresIn"], 10_800);
    client.port.set_now("2026-08-20T12:59:50Z".parse().unwrap());
    assert_eq!(client.sign_in("test-secret").await.1["expiresIn"], 10);
    client.port.set_now("2026-08-20T13:00:00Z".parse().unwrap());
    assert_eq!(
        client
            .call(Method::GET, "/v1/blueprints", &Value::Null)
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn an_unknown_route_is_noted() {
    let client = Client::start().await;
    assert_eq!(
        client
            .call(Method::GET, "/v1/nowhere", &Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(client.port.unknown_requests(), ["GET /v1/nowhere"]);
}
