//! The user's mapping: which raw items become which entities.
//!
//! A configuration as Port stores it (or a file holds it) is read once into compiled [`Resource`]s; each turns raw
//! items into [`Mapped`] entities. Pure: no tokio, no HTTP, no AWS.

pub mod defaults;
mod evaluate;
mod expression;
mod fnmatch;
mod items;
mod lint;
mod literal;
mod mistaken;
mod names;
mod path_glob;
mod places;
mod problem;
mod quotes;
mod read;
mod report;
mod resource;
mod selector;
mod trial;
mod whole;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use jq18 as jq;

pub use evaluate::{Dropped, Mapped, MappedEntity, Null, Unmapped};
pub use lint::{FieldFigures, ResourceFigures};
pub use path_glob::PathGlob;
pub use problem::{InvalidMapping, Problem};
pub use report::MappingReport;
pub use resource::{Fields, Resource};
pub use selector::{
    FileSelector, FolderRepository, FolderSelector, Kind, Part, RepositoryFilter, RepositoryName,
    Selector,
};
pub use trial::Evaluated;

use crate::yaml::{self, YamlDocument};
use read::Reader;

/// A compiled mapping.
pub struct Mapping {
    resources: Vec<Arc<Resource>>,
    settings: MappingSettings,
    problems: Vec<Problem>,
    fingerprint: String,
}

/// What the mapping says about writing and deleting, for all resources.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingSettings {
    /// Deleting an entity deletes those that require it.
    pub delete_dependent_entities: bool,
    /// A relation's missing target is created, bare.
    pub create_missing_related_entities: bool,
    /// A written entity keeps the properties that the mapping does not name.
    pub enable_merge_entity: bool,
    /// Share of our entities (0 to 1) beyond which a resync deletes none of them; 0 turns its deletions off.
    pub entity_deletion_threshold: f64,
}

impl Default for MappingSettings {
    fn default() -> MappingSettings {
        MappingSettings {
            delete_dependent_entities: true,
            create_missing_related_entities: true,
            enable_merge_entity: true,
            entity_deletion_threshold: 0.9,
        }
    }
}

impl Mapping {
    /// Reads the `config` of an integration in Port. A mapping with any mistake in its shape is refused whole, with
    /// all mistakes; filters that do not compile are no such mistake: see [`problems`](Mapping::problems).
    pub fn from_config(config: &Value) -> Result<Mapping, InvalidMapping> {
        let mut reader = Reader::default();
        let mapping = Mapping::read(&mut reader, config);
        match mapping {
            Some(mapping) if reader.mistakes.is_empty() => Ok(mapping),
            _ => Err(InvalidMapping::new(reader.mistakes)),
        }
    }

    /// Reads the same from YAML (or JSON) text.
    pub fn from_yaml(text: &str) -> Result<Mapping, InvalidMapping> {
        let YamlDocument { value, lines } = yaml::document(text).map_err(|error| {
            InvalidMapping::new(vec![Problem {
                path: String::new(),
                line: Some(error.line),
                message: format!("the file is not YAML: {}", error.message),
            }])
        })?;
        let placed = |mut problem: Problem| {
            problem.line = lines.of(&problem.path).or(Some(1));
            problem
        };
        match Mapping::from_config(&value) {
            Ok(mut mapping) => {
                let problems = std::mem::take(&mut mapping.problems).into_iter();
                mapping.problems = problems.map(placed).collect();
                Ok(mapping)
            }
            Err(invalid) => {
                let problems = invalid.into_problems().into_iter();
                Err(InvalidMapping::new(problems.map(placed).collect()))
            }
        }
    }

    fn read(reader: &mut Reader, config: &Value) -> Option<Mapping> {
        let root = reader.root(config)?;
        let default = MappingSettings::default();
        let settings = MappingSettings {
            delete_dependent_entities: reader
                .flag(&root, "deleteDependentEntities")
                .unwrap_or(default.delete_dependent_entities),
            create_missing_related_entities: reader
                .flag(&root, "createMissingRelatedEntities")
                .unwrap_or(default.create_missing_related_entities),
            enable_merge_entity: reader
                .flag(&root, "enableMergeEntity")
                .unwrap_or(default.enable_merge_entity),
            entity_deletion_threshold: reader
                .share(&root, "entityDeletionThreshold")
                .unwrap_or(default.entity_deletion_threshold),
        };
        let resources = reader.required_list(&root, "resources")?;
        if resources.is_empty() {
            let remedy = "add one, such as {kind: repository, selector: .., port: ..}";
            let message =
                format_args!("is empty, so nothing is asked for, written or deleted: {remedy}");
            reader.problem("resources", message);
        }
        let resources = resources
            .iter()
            .enumerate()
            .filter_map(|(index, node)| Resource::read(reader, index, node).map(Arc::new))
            .collect();
        Some(Mapping {
            resources,
            settings,
            problems: std::mem::take(&mut reader.problems),
            fingerprint: fingerprint(config),
        })
    }

    /// In the order of the configuration, which is the order of a resync.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub fn settings(&self) -> &MappingSettings {
        &self.settings
    }

    /// What does not refuse the mapping, but hardly does what was meant: above all filters that do not compile. Such
    /// a filter evaluates to null; where null would decide what is deleted, the item fails.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same for configurations that mean the same, whatever the order of their keys.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// A digest of what `config` says, whatever the order of its keys.
fn fingerprint(config: &Value) -> String {
    let mut config = config.clone();
    config.sort_all_objects();
    hex::encode(Sha256::digest(config.to_string()))
}
