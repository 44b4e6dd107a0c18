//! Each condition under which a partition is taken over unread, broken alone: then it is read, and the catalogue is right.

use sandbox::fault::Fault;
use serde_json::{Value, json};

use super::{
    PROPERTIES, blueprint, mapping, mapping_with, put_blueprints, reads_everything, resource,
    skip_audit, synced, take_contents, workspace, world_of,
};
use crate::support::World;

/// After a first run; the next one audits nobody, so that nothing else finds out what a condition should have.
async fn rested(mapping: Value) -> World {
    let world = synced(mapping).await;
    skip_audit(&world).await;
    world
}

const FILE: &str = "service-2/apps/web/catalog.yml";

fn property<'c>(catalogue: &'c Value, kind: &str, identifier: &str, name: &str) -> &'c Value {
    &catalogue[kind][identifier]["properties"][name]
}

/// (a) The same commit on a branch of another name.
#[tokio::test]
async fn another_main_branch_is_read_though_its_head_is_the_same() {
    let mut world = rested(mapping()).await;
    world
        .bitbucket
        .create_branch("service-2", "trunk", None)
        .unwrap();
    world
        .bitbucket
        .set_default_branch("service-2", "trunk")
        .unwrap();
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert_eq!(property(&catalogue, "file", FILE, "branch"), "trunk");
    reads_everything(&mut world).await;
    world.finish();
}

/// (a) A branch that was pushed back is another branch.
#[tokio::test]
async fn a_forced_push_is_read() {
    let mut world = rested(mapping()).await;
    let files = [("apps/web/catalog.yml", Some("tier: lead\n"))];
    world
        .bitbucket
        .force_push("service-2", "main", &files)
        .unwrap();
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert_eq!(property(&catalogue, "file", FILE, "tier"), "lead");
    reads_everything(&mut world).await;
    world.finish();
}

/// (a) What lies on other branches than the main one is read: the list does not show their heads.
#[tokio::test]
async fn other_branches_than_the_main_one_are_always_read() {
    let folders =
        json!([{"path": "apps/*", "repos": [{"name": "Service 2", "branch": "release"}]}]);
    let mapping = mapping_with("folder", "/selector/folders", folders);
    let world = world_of(workspace(3), mapping).await;
    world
        .bitbucket
        .create_branch("service-2", "release", None)
        .unwrap();
    world.resync().await;
    skip_audit(&world).await;
    let files = [("apps/shop/a.txt", Some("a\n"))];
    world
        .bitbucket
        .push("service-2", "release", &files)
        .unwrap();
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert!(
        catalogue["folder"]["service-2/apps/shop"].is_object(),
        "{catalogue:#}"
    );
    world.finish();
}

/// (b) A file that could not be read has left its item as it was.
#[tokio::test]
async fn what_was_not_read_to_its_end_is_read_again() {
    let world = world_of(workspace(3), mapping()).await;
    let uuid = world.bitbucket.repository_uuid("service-2").unwrap();
    let uuid = uuid.trim_matches(['{', '}']);
    let is_of = uuid.to_owned();
    let broken = Fault::refused("/apps/web/catalog.yml", 403)
        .when(move |request| request.path.contains(&is_of))
        .always();
    world.bitbucket.server().misbehave(broken);
    world.resync_with_losses().await;
    skip_audit(&world).await;
    assert!(world.port.entity("file", FILE).is_none());
    world.bitbucket.server().behave();
    world.resync().await;
    assert!(world.port.entity("file", FILE).is_some());
    world.finish();
}

/// (b) Port has refused an entity: it is offered again.
#[tokio::test]
async fn what_port_has_refused_is_read_again() {
    let world = world_of(workspace(3), mapping()).await;
    let refused = Fault::entity_fails(FILE, 422).times(2);
    world.port.server().misbehave(refused);
    world.resync_with_losses().await;
    skip_audit(&world).await;
    world.port.server().behave();
    world.resync().await;
    assert!(world.port.entity("file", FILE).is_some());
    world.finish();
}

/// (b) What has to be told of an item every run tells.
#[tokio::test]
async fn what_had_to_be_told_is_told_again() {
    let number = mapping_with(
        "file",
        &format!("{PROPERTIES}/number"),
        json!(".content.number"),
    );
    let failing = mapping_with(
        "file",
        &format!("{PROPERTIES}/more"),
        json!(".content.tier + 1"),
    );
    for mapping in [number, failing] {
        let world = world_of(workspace(3), mapping).await;
        let first = world.invoke_run().await;
        skip_audit(&world).await;
        let outcomes = [first, world.invoke_run().await];
        let told = outcomes.map(|outcome| {
            (
                outcome["mapping_problems"].clone(),
                outcome["counts"]["left_out"].clone(),
            )
        });
        assert_ne!(told[0].0, json!([]));
        assert_eq!(told[0], told[1]);
        world.finish();
    }
}

/// (b) Another mapping makes something else of the same contents.
#[tokio::test]
async fn under_another_mapping_everything_is_read_once() {
    let mut world = rested(mapping()).await;
    let other = mapping_with(
        "file",
        &format!("{PROPERTIES}/more"),
        json!(".content.tier"),
    );
    world.port.set_now(world.clock.now());
    world.port.set_config(other);
    let outcome = world.resync().await;
    // Of the repositories' own items nothing has changed.
    assert_eq!(outcome["taken_over"], 3);
    let catalogue = world.port.catalogue();
    assert_eq!(property(&catalogue, "file", FILE, "more"), "gold");
    reads_everything(&mut world).await;
    world.finish();
}

/// (c) What items show of their repository has changed, though nobody has pushed.
#[tokio::test]
async fn what_items_show_of_their_repository_is_compared() {
    let mut world = rested(mapping()).await;
    world.bitbucket.set_language("service-2", "rust").unwrap();
    world.bitbucket.move_repository("service-3", "PAY").unwrap();
    world
        .bitbucket
        .describe_repository("service-1", "New")
        .unwrap();
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert_eq!(property(&catalogue, "file", FILE, "language"), "rust");
    assert_eq!(
        property(&catalogue, "folder", "service-3/apps/web", "project"),
        "PAY"
    );
    assert_eq!(
        property(&catalogue, "repository", "service-1", "description"),
        "New"
    );
    reads_everything(&mut world).await;
    world.finish();
}

/// (c) Its names pick it out, whatever items show of it.
#[tokio::test]
async fn a_repository_that_selectors_name_is_read_when_it_is_renamed() {
    let folders = json!([{"path": "docs"}, {"path": "apps/*", "repos": [{"name": "Chosen"}]}]);
    let identifier = r#"(.repo.uuid | gsub("[{}]"; "")) + "/" + .folder.path"#;
    let one = resource("folder", json!({"folders": folders}), identifier, json!({}));
    let mut world = rested(json!({"resources": [one]})).await;
    let folders = |world: &World| world.port.entities().len();
    assert_eq!(folders(&world), 3);
    world
        .bitbucket
        .rename_repository("service-2", "Chosen")
        .unwrap();
    world.resync().await;
    assert_eq!(folders(&world), 4);
    reads_everything(&mut world).await;
    world.finish();
}

/// (d) The same item becomes something else at another time.
#[tokio::test]
async fn what_depends_on_the_time_is_always_read() {
    let clock = mapping_with(
        "file",
        &format!("{PROPERTIES}/more"),
        json!("now | tostring"),
    );
    let mut world = rested(clock).await;
    let written = |world: &World| world.port.take_writes().len();
    for _ in 0..2 {
        world.resync().await;
        assert_eq!(written(&world), 3, "one for each file");
    }
    world.app_mut().config.reads_unchanged = true;
    world.resync().await;
    assert_eq!(written(&world), 3);
    world.finish();
}

/// (d) Only Port can say which entity a search query stands for: it is asked each time.
#[tokio::test]
async fn what_port_has_to_find_is_always_read() {
    let search = json!({"combinator": "'and'", "rules": [
        {"property": "'$identifier'", "operator": "'='", "value": ".repo.slug"},
    ]});
    let mut mapping = mapping_with("file", "/port/entity/mappings/identifier", search);
    mapping["resources"].as_array_mut().unwrap().remove(1);
    mapping["resources"][1]["port"]["entity"]["mappings"]["blueprint"] = json!("'repository'");
    mapping["resources"][1]["port"]["entity"]["mappings"]["properties"] =
        json!({"tier": ".content.tier"});
    let world = rested(mapping).await;
    take_contents(&world);
    world.resync().await;
    let asked = take_contents(&world);
    let trees = asked.iter().filter(|path| path.ends_with("catalog.yml"));
    assert_eq!(trees.count(), 3, "{asked:#?}");
    world.finish();
}

/// (e) Somebody has changed or deleted entities in Port.
#[tokio::test]
async fn what_was_changed_in_port_by_hand_is_mended() {
    let mut world = rested(mapping()).await;
    let before = world.port.catalogue();
    let edit = ("tier", json!("by hand"));
    world.port.edit_property("file", FILE, edit).unwrap();
    world
        .port
        .remove_entity("folder", "service-3/apps/web")
        .unwrap();
    let edit = ("readme", json!("by hand"));
    world
        .port
        .edit_property("repository", "service-1", edit)
        .unwrap();
    world.resync().await;
    assert_eq!(world.port.catalogue(), before);
    reads_everything(&mut world).await;
    world.finish();
}

/// What others write to our entities, beside what the mapping names, is nobody's concern.
#[tokio::test]
async fn what_the_mapping_does_not_write_may_change_in_port() {
    let world = rested(mapping()).await;
    let edit = ("number", json!("by hand"));
    world.port.edit_property("file", FILE, edit).unwrap();
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 6);
    world.finish();
}

/// What Port takes of an entity is a matter of its blueprint.
#[tokio::test]
async fn under_another_blueprint_everything_is_read_once() {
    let world = rested(mapping()).await;
    let text = || json!({"type": "string"});
    let strict = json!({"type": "string", "enum": ["silver", "lead"]});
    let properties = [("tier", strict), ("branch", text()), ("language", text())];
    world
        .port
        .put_blueprint(&blueprint("file", &properties))
        .unwrap();
    // Blueprints are known for ten minutes.
    world.clock.advance(std::time::Duration::from_secs(3600));
    let outcome = world.resync_with_losses().await;
    assert_eq!(outcome["counts"]["left_out"], 3);
    put_blueprints(&world);
    world.clock.advance(std::time::Duration::from_secs(3600));
    world.resync().await;
    assert_eq!(
        property(&world.port.catalogue(), "file", FILE, "tier"),
        "gold"
    );
    world.finish();
}

/// (b) An item that was announced and not settled is written again, whatever Port holds.
#[tokio::test]
async fn what_is_not_sure_is_read_again() {
    use ferry::identity::ItemId;
    use ferry::store::Revision;
    use ferry::store::documents::records;
    use ferry::store::run::recorded_sources;

    let world = rested(mapping()).await;
    let store = &world.app().store;
    let sources = store
        .load(&recorded_sources())
        .await
        .unwrap()
        .value
        .unwrap();
    let mut doubted = 0;
    for source in sources.0 {
        for name in store.names(&records(&source), "").await.unwrap() {
            let key = records(&source).key(name);
            let mut record = store.load(&key).await.unwrap().value.unwrap();
            record.items.get_mut(&ItemId::Whole).unwrap().sure = false;
            store.save(&key, &record, Revision::ANYTHING).await.unwrap();
            doubted += 1;
        }
    }
    assert_eq!(doubted, 6);
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 0);
    assert_eq!(outcome["counts"]["written"], 9);
    world.finish();
}
