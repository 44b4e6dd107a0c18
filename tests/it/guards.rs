//! What keeps a mistake from emptying a catalogue: deletion switched off, and a bound on what goes.

use sandbox::bitbucket::Workspace;
use sandbox::webhook::Delivery;
use serde_json::json;

use crate::support::{Settings, World};

const DELETED: [&str; 4] = [
    "checkout-service",
    "payments-api",
    "monorepo",
    "perl-scripts",
];

fn delete_repositories(world: &World) -> Vec<Delivery> {
    let delete = |slug: &&str| world.bitbucket.delete_repository(slug).unwrap();
    DELETED.iter().flat_map(delete).collect()
}

#[tokio::test]
async fn nothing_is_deleted_where_deletion_is_switched_off() {
    let settings = Settings::from([("FERRY__DELETE", "off".to_owned())]);
    let mut world = World::new(Workspace::demo().unwrap(), settings).await;
    world.resync().await;
    let before = world.identifiers();
    world.accept(&delete_repositories(&world)).await;
    assert_eq!(world.identifiers(), before);
    let outcome = world.resync().await;
    assert_eq!(world.identifiers(), before);
    assert_eq!(outcome["counts"]["deleted"], 0);
    let kept = outcome["kept"].as_str().unwrap();
    assert!(kept.contains("FERRY__DELETE"), "{kept}");
    // Switched on again, it all goes with the next run: nothing of it was forgotten.
    let store = world.app().store.clone();
    world.replace_function(Settings::new());
    world.app_mut().store = store;
    world.resync().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn a_burst_of_live_deletions_waits_for_a_run() {
    let world = World::demo().await;
    world.resync().await;
    let mut config = world.port.integration().unwrap()["config"].clone();
    config["entityDeletionThreshold"] = json!(0.1);
    world.port.set_config(config.clone());
    world.resync().await;
    let owned = world.port.entities().len();
    world.accept(&delete_repositories(&world)).await;
    let left = world.port.entities().len();
    assert!(owned - left <= owned / 10, "{left} of {owned} are left");
    assert_ne!(world.port.catalogue(), world.fresh_catalogue().await);
    // A run is bounded as well, until somebody allows it.
    let outcome = world.resync_with_losses().await;
    let kept = outcome["kept"].as_str().unwrap();
    assert!(kept.contains("entityDeletionThreshold"), "{kept}");
    config["entityDeletionThreshold"] = json!(0.9);
    world.port.set_config(config);
    world.resync().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// Port deletes the dependents of an entity along with it, and may know less than Bitbucket about what depends on it.
#[tokio::test]
async fn what_goes_along_with_another_comes_back_where_it_exists() {
    let world = World::demo().await;
    world
        .port
        .configure(|behaviour| behaviour.names_dependents = true);
    let (_, created) = world.bitbucket.create_project("NEW", "New").unwrap();
    let home = world
        .bitbucket
        .move_repository("payments-api", "NEW")
        .unwrap();
    world.resync().await;
    let mut config = world.port.integration().unwrap()["config"].clone();
    // Else the project would stay as the target of a relation.
    config["createMissingRelatedEntities"] = json!(false);
    world.port.set_config(config);
    world.resync().await;
    world.accept(&created).await;
    world.accept(&home).await;
    let blueprints = world.port.blueprints();
    let mut blueprint = blueprints
        .into_iter()
        .find(|blueprint| blueprint["identifier"] == "bitbucketRepository")
        .unwrap();
    blueprint["relations"]["project"]["required"] = json!(true);
    world.port.put_blueprint(&blueprint).unwrap();
    // Nobody hears of the move.
    world
        .bitbucket
        .move_repository("payments-api", "LEGACY")
        .unwrap();
    world.bitbucket.delete_project("NEW").unwrap();
    let told = world.bitbucket.describe_project("PLAT", "Told").unwrap();
    world.accept(&told).await;
    world.settle().await;
    let repositories = &world.identifiers()["bitbucketRepository"];
    assert!(repositories.iter().any(|one| one == "payments-api"));
    // Port has emptied the relations that led there; a run sees that.
    world.resync().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// A second Ferry, or an Ocean left running, under the same identifier: each would delete what the other has written.
#[tokio::test]
async fn two_installations_with_one_identifier_delete_nothing() {
    let mut world = World::demo().await;
    world.resync().await;
    let own = world.app().store.clone();
    world.replace_function(Settings::new());
    world.resync().await;
    let other = std::mem::replace(&mut world.app_mut().store, own);
    let before = world.identifiers();
    let deleted = delete_repositories(&world);
    let outcome = world.resync_with_losses().await;
    let kept = outcome["kept"].as_str().unwrap();
    assert!(kept.contains("OCEAN__INTEGRATION__IDENTIFIER"), "{kept}");
    world.accept(&deleted).await;
    assert_eq!(world.identifiers(), before);
    // The other one sees it as well.
    let own = std::mem::replace(&mut world.app_mut().store, other);
    world.resync_with_losses().await;
    assert_eq!(world.identifiers(), before);
    // It is taken away. One run cannot tell yet, the next one can.
    world.app_mut().store = own;
    world.resync_with_losses().await;
    world.resync().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}
