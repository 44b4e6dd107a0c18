//! Random histories without webhooks: after each run that skips, the catalogue is that of a first run into an empty one, and
//! a run that reads everything finds nothing to do and counts the same.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use serde_json::{Value, json};

use super::{PROPERTIES, figures, mapping, mapping_with, resource, workspace, world_of};
use crate::convergence::difference;
use crate::support::World;

#[derive(Clone, Debug)]
enum Step {
    Push {
        repository: usize,
        file: usize,
        content: usize,
    },
    ForcePush {
        repository: usize,
        content: usize,
    },
    Branch {
        repository: usize,
    },
    DefaultBranch {
        repository: usize,
        branch: usize,
    },
    Rename {
        repository: usize,
        name: usize,
    },
    Language {
        repository: usize,
        language: usize,
    },
    Describe {
        repository: usize,
        text: usize,
    },
    Move {
        repository: usize,
        project: usize,
    },
    Delete {
        repository: usize,
    },
    Create {
        name: usize,
    },
    Mapping {
        variant: usize,
    },
    Edit {
        entity: usize,
    },
    Remove {
        entity: usize,
    },
    Resync,
}

fn step() -> impl Strategy<Value = Step> {
    let repository = || 0..6_usize;
    prop_oneof![
        4 => (repository(), 0..4_usize, 0..4_usize)
            .prop_map(|(repository, file, content)| Step::Push { repository, file, content }),
        2 => (repository(), 0..4_usize)
            .prop_map(|(repository, content)| Step::ForcePush { repository, content }),
        1 => repository().prop_map(|repository| Step::Branch { repository }),
        2 => (repository(), 0..2_usize)
            .prop_map(|(repository, branch)| Step::DefaultBranch { repository, branch }),
        2 => (repository(), 0..6_usize).prop_map(|(repository, name)| Step::Rename { repository, name }),
        2 => (repository(), 0..3_usize)
            .prop_map(|(repository, language)| Step::Language { repository, language }),
        1 => (repository(), 0..3_usize).prop_map(|(repository, text)| Step::Describe { repository, text }),
        1 => (repository(), 0..2_usize).prop_map(|(repository, project)| Step::Move { repository, project }),
        1 => repository().prop_map(|repository| Step::Delete { repository }),
        1 => (0..6_usize).prop_map(|name| Step::Create { name }),
        2 => (0..VARIANTS).prop_map(|variant| Step::Mapping { variant }),
        2 => (0..30_usize).prop_map(|entity| Step::Edit { entity }),
        2 => (0..30_usize).prop_map(|entity| Step::Remove { entity }),
        7 => Just(Step::Resync),
    ]
}

const VARIANTS: usize = 6;

/// Histories; each has some ten runs.
const CASES: u32 = 8;

/// Mappings that read other things, and share entities in other ways.
fn variant(number: usize) -> Value {
    let mut mapping = variants(number);
    // A property that no mapping names any more would stay, as Port merges.
    for resource in mapping["resources"].as_array_mut().unwrap() {
        let properties = resource.pointer_mut(PROPERTIES).unwrap();
        let properties = properties.as_object_mut().unwrap();
        for name in ["more", "tier", "description"] {
            properties.entry(name).or_insert(json!("null"));
        }
    }
    // A small catalogue may change altogether.
    mapping["entityDeletionThreshold"] = json!(1);
    mapping
}

fn variants(number: usize) -> Value {
    match number % VARIANTS {
        0 => mapping(),
        1 => mapping_with(
            "file",
            &format!("{PROPERTIES}/more"),
            json!(".repo.mainbranch.target.hash"),
        ),
        // Several repositories make one entity.
        2 => mapping_with(
            "file",
            "/port/entity/mappings/identifier",
            json!(".content.tier // \"none\""),
        ),
        3 => mapping_with(
            "folder",
            "/selector/folders",
            json!([{"path": "apps/*", "repos": [{"name": "Named 1"}]}]),
        ),
        // Two sources write one entity, and both one of its fields.
        4 => {
            let shared = resource(
                "file",
                json!({"files": {"path": "**/catalog.yml"}}),
                ".repo.slug",
                json!({"tier": ".content.tier", "description": ".content.tier"}),
            );
            let mut mapping = mapping();
            let resources = mapping["resources"].as_array_mut().unwrap();
            resources.push(shared);
            resources[3]["port"]["entity"]["mappings"]["blueprint"] = json!("'repository'");
            mapping
        }
        _ => {
            let mut mapping = mapping();
            mapping["enableMergeEntity"] = json!(false);
            mapping
        }
    }
}

const FILES: [&str; 4] = [
    "apps/web/catalog.yml",
    "README.md",
    "apps/new/catalog.yml",
    "other.txt",
];

fn text(content: usize) -> Option<String> {
    ["gold", "silver", "lead"]
        .get(content)
        .map(|tier| format!("tier: {tier}\n"))
}

/// What somebody does in Port.
fn take_in_port(world: &World, step: &Step) {
    let port = &world.port;
    let entity = |number: usize| {
        let entities = port.entities();
        let at = number % entities.len().max(1);
        entities.into_iter().nth(at)
    };
    match step {
        Step::Mapping { variant: number } => {
            port.set_now(world.clock.now());
            port.set_config(variant(*number));
        }
        Step::Edit { entity: number } => {
            if let Some(entity) = entity(*number) {
                let field = if entity.blueprint == "repository" {
                    "readme"
                } else {
                    "language"
                };
                let edit = (field, json!("by hand"));
                port.edit_property(&entity.blueprint, &entity.identifier, edit)
                    .ok();
            }
        }
        Step::Remove { entity: number } => {
            if let Some(entity) = entity(*number) {
                port.remove_entity(&entity.blueprint, &entity.identifier)
                    .ok();
            }
        }
        _ => {}
    }
}

fn named(world: &World, number: usize) -> String {
    let all = world.bitbucket.repositories();
    let at = number % all.len().max(1);
    all.get(at).cloned().unwrap_or_default()
}

/// What somebody pushes. What cannot be done in this world is not done.
fn take_in_git(world: &World, step: &Step) {
    let bitbucket = &world.bitbucket;
    let any_branch = |slug: &str| {
        let branches = bitbucket.branches(slug).unwrap_or_default();
        let first = branches.into_iter().next();
        first.map_or("main".to_owned(), |(name, _)| name)
    };
    match *step {
        Step::Push {
            repository,
            file,
            content,
        } => {
            let slug = named(world, repository);
            let files = [(FILES[file], text(content))];
            bitbucket.push(&slug, &any_branch(&slug), &files).ok();
        }
        Step::ForcePush {
            repository,
            content,
        } => {
            let slug = named(world, repository);
            let files = [(FILES[0], text(content))];
            bitbucket.force_push(&slug, &any_branch(&slug), &files).ok();
        }
        Step::Branch { repository } => {
            let slug = named(world, repository);
            bitbucket.create_branch(&slug, "trunk", None).ok();
        }
        Step::DefaultBranch { repository, branch } => {
            let slug = named(world, repository);
            let branch = ["main", "trunk"][branch];
            bitbucket.set_default_branch(&slug, branch).ok();
        }
        _ => {}
    }
}

/// What somebody does in Bitbucket's pages.
fn take_in_bitbucket(world: &World, step: &Step) {
    let bitbucket = &world.bitbucket;
    let named = |number: usize| named(world, number);
    match *step {
        Step::Rename { repository, name } => {
            let name = format!("Named {name}");
            bitbucket.rename_repository(&named(repository), &name).ok();
        }
        Step::Language {
            repository,
            language,
        } => {
            let language = ["rust", "go", "perl"][language];
            bitbucket.set_language(&named(repository), language).ok();
        }
        Step::Describe { repository, text } => {
            let text = format!("Text {text}");
            let slug = named(repository);
            bitbucket.describe_repository(&slug, &text).ok();
        }
        Step::Move {
            repository,
            project,
        } => {
            let project = ["SHOP", "PAY"][project];
            bitbucket.move_repository(&named(repository), project).ok();
        }
        Step::Delete { repository } => {
            bitbucket.delete_repository(&named(repository)).ok();
        }
        Step::Create { name } => {
            let files = [(FILES[0], Some("tier: gold\n"))];
            let name = format!("Created {name}");
            if let Ok((uuid, _)) = bitbucket.create_repository("SHOP", &name) {
                bitbucket.push(&uuid, "main", &files).ok();
            }
        }
        _ => {}
    }
}

async fn resync(world: &World) -> Value {
    world.clock.advance(std::time::Duration::from_secs(1800));
    world.invoke_run().await
}

async fn compare(world: &World, story: &[String]) -> Result<(), TestCaseError> {
    let (ours, fresh) = (world.port.catalogue(), world.fresh_catalogue().await);
    match ours == fresh {
        true => Ok(()),
        false => Err(TestCaseError::fail(format!(
            "{}\n{}",
            difference(&ours, &fresh),
            story.join("\n")
        ))),
    }
}

/// The world, and how often something was taken over in it, or what went wrong.
async fn play(steps: &[Step]) -> Result<usize, TestCaseError> {
    let mut world = world_of(workspace(4), variant(0)).await;
    let played = played(&mut world, steps).await;
    world.finish();
    played
}

async fn played(world: &mut World, steps: &[Step]) -> Result<usize, TestCaseError> {
    let mut story = Vec::new();
    let mut taken_over = 0;
    resync(world).await;
    for step in steps.iter().chain([&Step::Resync]) {
        take_in_git(world, step);
        take_in_bitbucket(world, step);
        take_in_port(world, step);
        story.push(format!("{step:?}"));
        if matches!(step, Step::Resync) {
            let outcome = resync(world).await;
            story.push(format!("  taken over: {}", outcome["taken_over"]));
            taken_over += outcome["taken_over"].as_u64().unwrap();
            compare(world, &story).await?;
        }
    }
    // What a skipping run says of the world, and does to it, is what a reading one says and does.
    world.port.take_writes();
    let skipping = resync(world).await;
    let by_skipping = world.port.take_writes().len();
    world.app_mut().config.reads_unchanged = true;
    let reading = resync(world).await;
    let writes = world.port.take_writes();
    prop_assert_eq!(
        by_skipping,
        writes.len(),
        "{:#?}\n{}",
        writes,
        story.join("\n")
    );
    prop_assert_eq!(
        figures(&skipping),
        figures(&reading),
        "{}",
        story.join("\n")
    );
    Ok(usize::try_from(taken_over).unwrap())
}

#[test]
fn whoever_skips_ends_as_whoever_reads() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let taken_over = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let steps = proptest::collection::vec(step(), 1..25);
    let played = runner.run(&steps, |steps| {
        let count = runtime.block_on(play(&steps))?;
        taken_over.set(taken_over.get() + count);
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
    assert!(0 < taken_over.get(), "nothing was ever taken over");
}
