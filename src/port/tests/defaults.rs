//! A new installation, an old one, and those in between.

use reqwest::Method;
use sandbox::server::Fault;

use super::*;

const BLUEPRINTS: [&str; 3] = [
    "bitbucketProject",
    "bitbucketPullRequest",
    "bitbucketRepository",
];

fn mapping() -> Value {
    json!({ "resources": [{ "kind": "repository" }] })
}

impl Port {
    async fn ensure(&self, initialize: bool) -> Result<Integration, Error> {
        let deadline = self.deadline();
        self.client
            .ensure_integration(&mapping(), initialize, &deadline)
            .await
    }

    fn stored(&self) -> Value {
        self.state().integration.clone().unwrap()
    }

    fn blueprints(&self) -> Vec<String> {
        self.state().blueprints.keys().cloned().collect()
    }
}

/// What a previous installation of Ocean left.
fn old(config: Value, initialized: bool) -> Value {
    json!({
        "installationAppType": "bitbucket-cloud",
        "installationType": "OnPrem",
        "version": "0.5.110",
        "processingMode": "dsp",
        "changelogDestination": { "type": "KAFKA" },
        "config": config,
        "arePortResourcesInitialized": initialized,
        "unknown": { "a": 1 },
    })
}

#[tokio::test]
async fn a_new_installation_gets_its_defaults_exactly_once() {
    let port = Port::start(&[]).await;
    let integration = port.ensure(true).await.unwrap();
    assert_eq!(integration.config, Some(mapping()));
    assert!(integration.resources_initialized);
    assert_eq!(port.blueprints(), BLUEPRINTS);
    insta::assert_snapshot!(port.took().join("\n"), @"
    GET /v1/integration/my-bb
    POST /v1/integration
    GET /v1/blueprints/bitbucketProject
    GET /v1/blueprints/bitbucketRepository
    GET /v1/blueprints/bitbucketPullRequest
    POST /v1/blueprints
    POST /v1/blueprints
    POST /v1/blueprints
    PATCH /v1/blueprints/bitbucketRepository
    PATCH /v1/blueprints/bitbucketPullRequest
    PATCH /v1/blueprints/bitbucketPullRequest
    PATCH /v1/integration/my-bb
    ");
    let request = &port.state().blueprints["bitbucketPullRequest"].clone();
    assert_eq!(
        request["relations"]["repository"]["target"],
        "bitbucketRepository"
    );
    assert!(request["calculationProperties"]["lead_time_days"].is_object());

    port.state().blueprints.clear();
    port.ensure(true).await.unwrap();
    assert_eq!(port.blueprints(), [""; 0]);
    assert_eq!(port.took(), ["GET /v1/integration/my-bb"]);
}

#[tokio::test]
async fn a_stored_mapping_is_never_touched() {
    let port = Port::start(&[("bitbucketProject", json!({}))]).await;
    let theirs = json!({ "resources": [], "note": "mine" });
    for initialized in [false, true] {
        port.state().integration = Some(old(theirs.clone(), initialized));
        let integration = port.ensure(true).await.unwrap();
        assert_eq!(integration.config, Some(theirs.clone()));
        let stored = port.stored();
        assert_eq!(stored["config"], theirs);
        assert_eq!(stored["processingMode"], "ocean-core");
        assert_eq!(stored["changelogDestination"], json!({}));
        assert_eq!(stored["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(stored["arePortResourcesInitialized"], true);
        // One of the defaults exists, so none is created.
        assert_eq!(port.blueprints(), ["bitbucketProject"]);
    }
}

#[tokio::test]
async fn an_empty_mapping_gets_the_default_without_asking_for_a_resync() {
    let port = Port::start(&[]).await;
    port.state().integration = Some(old(json!({}), false));
    let integration = port.ensure(true).await.unwrap();
    assert_eq!(integration.config, Some(mapping()));
    let config = port
        .server
        .take_requests()
        .into_iter()
        .find(|request| request.path.ends_with("/config"))
        .unwrap();
    assert_eq!(config.header("x-skip-resync"), Some("true"));
    assert_eq!(config.json(), json!({ "config": mapping() }));
}

#[tokio::test]
async fn nothing_is_set_up_when_that_is_switched_off_or_left_to_port() {
    let port = Port::start(&[]).await;
    port.state().integration = Some(old(json!({}), false));
    assert_eq!(port.ensure(false).await.unwrap().config, None);
    let mut by_port = old(json!({}), false);
    by_port["createPortResourcesOrigin"] = "Port".into();
    port.state().integration = Some(by_port);
    assert_eq!(port.ensure(true).await.unwrap().config, None);
    let mut empty = old(json!({}), false);
    empty["createPortResourcesOrigin"] = "Empty".into();
    port.state().integration = Some(empty);
    let integration = port.ensure(true).await.unwrap();
    assert_eq!(integration.config, Some(json!({ "resources": [] })));
    assert_eq!(port.blueprints(), [""; 0]);
}

#[tokio::test]
async fn half_of_the_defaults_is_undone() {
    for (status, initialized) in [(422, json!(true)), (503, json!(false))] {
        let port = Port::start(&[]).await;
        port.state().integration = Some(old(mapping(), false));
        let fault = Fault::status("/v1/blueprints", status).on(Method::POST);
        port.server.misbehave(fault.after(1));
        let error = port.ensure(true).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(port.blueprints(), [""; 0]);
        // An outage is no decision: the next call tries again.
        assert_eq!(port.stored()["arePortResourcesInitialized"], initialized);
    }
}

#[tokio::test]
async fn half_of_the_defaults_that_a_death_leaves_is_completed() {
    let all = Port::start(&[]).await;
    all.ensure(true).await.unwrap();
    let all = all.state().blueprints.clone();
    // The process dies after so many requests.
    for requests in 0..9 {
        let port = Port::start(&[]).await;
        port.state().integration = Some(old(mapping(), false));
        port.server.cut_after(requests);
        port.ensure(true).await.unwrap_err();
        port.server.behave();
        port.ensure(true).await.unwrap();
        assert_eq!(port.state().blueprints, all, "after {requests} requests");
        assert_eq!(port.stored()["arePortResourcesInitialized"], true);
    }
}

#[tokio::test]
async fn an_identifier_of_somebody_else_is_refused() {
    for (name, value) in [
        ("installationType", "Saas"),
        ("installationAppType", "github-ocean"),
    ] {
        let port = Port::start(&[]).await;
        let mut theirs = old(mapping(), true);
        theirs[name] = value.into();
        port.state().integration = Some(theirs);
        let error = format!(
            "{:#}",
            anyhow::Error::new(port.ensure(true).await.unwrap_err())
        );
        assert!(error.contains("OCEAN__INTEGRATION__IDENTIFIER"), "{error}");
        assert_eq!(port.took(), ["GET /v1/integration/my-bb"]);
    }
}
