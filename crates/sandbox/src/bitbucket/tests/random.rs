//! Changes chosen by a number.

use super::*;

#[tokio::test]
async fn a_random_change_is_about_what_its_deliveries_name() {
    let client = Client::demo().await;
    let states = "state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED";
    let heads_and_states = async || {
        let mut all = std::collections::BTreeMap::new();
        for uuid in client.bitbucket.repositories() {
            let encoded = uuid.replace('{', "%7B").replace('}', "%7D");
            let path = format!("/repositories/acme-platform/{encoded}/pullrequests?{states}");
            let pull_requests = client.all(&path).await;
            let branches = client.bitbucket.branches(&uuid).unwrap();
            all.insert(uuid, (column(&pull_requests, "state"), branches));
        }
        all
    };
    let mut before = heads_and_states().await;
    for choice in 0..200 {
        let (what, deliveries) = client.bitbucket.change_at_random(choice).unwrap();
        let after = heads_and_states().await;
        for (uuid, now) in &after {
            let told = deliveries
                .iter()
                .any(|delivery| delivery.json()["repository"]["uuid"] == uuid.as_str());
            assert!(told || before.get(uuid) == Some(now), "{what}: {uuid}");
        }
        before = after;
    }
}

#[tokio::test]
async fn random_changes_repeat_and_are_all_reported() {
    let run = async || {
        let client = Client::demo().await;
        let mut log = Vec::new();
        let mut seen = BTreeSet::new();
        for choice in 0..300 {
            let (what, deliveries) = client.bitbucket.change_at_random(choice).unwrap();
            assert!(!deliveries.is_empty(), "{what}");
            seen.extend(deliveries.iter().map(|delivery| delivery.event_key.clone()));
            log.push(what);
        }
        let states = "state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED";
        for uuid in client.bitbucket.repositories() {
            let uuid = uuid.replace('{', "%7B").replace('}', "%7D");
            let base = format!("/repositories/acme-platform/{uuid}");
            client.all(&format!("{base}/pullrequests?{states}")).await;
            client.all(&format!("{base}/refs/branches")).await;
        }
        (log, seen)
    };
    let (log, seen) = run().await;
    assert_eq!(run().await.0, log);
    assert_eq!(seen.len(), 15, "{seen:?}");
}
