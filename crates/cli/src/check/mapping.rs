//! Whether Port lets us in, and whether the mapping and its blueprints fit each other.
//!
//! Knows nothing of Bitbucket's items.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::mapping::{Mapping, Resource, defaults};
use ferry::port::{self, Blueprint, ForeseenIntegration, Integration, PortClient};
use ferry::telemetry::chain;
use serde_json::Value;

use super::{Findings, a_line, reason_of_port};

/// What Port has for this installation, or will have once the first resync has set it up.
pub(super) struct InPort {
    /// Port does not know the installation yet.
    pub(super) is_new: bool,
    /// If there is one that can be read.
    pub(super) mapping: Option<Mapping>,
    /// Default blueprints that would be created.
    pub(super) blueprints: Vec<(String, Arc<Blueprint>)>,
    /// What the first resync would create, in words.
    pub(super) creates: Vec<String>,
}

/// `None` where Port does not let us in.
pub(super) async fn check_port(
    app: &App,
    port: &PortClient,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) -> Option<InPort> {
    let found = foresee(app, port, findings, deadline).await?;
    let identifier = &app.config.identifier;
    let mut creates = Vec::new();
    if found.is_new {
        creates.push(format!("the installation `{identifier}`"));
    }
    let blueprints = found.blueprints.iter();
    creates.extend(blueprints.map(|(blueprint, _)| format!("the blueprint `{blueprint}`")));
    let config = given_mapping(app, &found, findings);
    Some(InPort {
        is_new: found.is_new,
        mapping: config.and_then(|config| check_mapping(app, &config, findings)),
        blueprints: found.blueprints,
        creates,
    })
}

fn check_mapping(app: &App, config: &Value, findings: &mut Findings<'_>) -> Option<Mapping> {
    let mapping = match Mapping::from_config(config) {
        Ok(mapping) => mapping,
        Err(invalid) => {
            let remedy = "correct it on the data source page";
            findings.wrong("mapping", chain(&invalid), remedy);
            return None;
        }
    };
    if mapping.problems().is_empty() {
        let resources = mapping.resources().len();
        findings.fine(
            "mapping",
            format!("{resources} resources, every filter compiles"),
        );
    }
    for problem in mapping.problems() {
        let remedy = match app.mapping_override {
            Some(_) => "correct it in the file: until then it does nothing",
            None => "correct it on the data source page: until then it does nothing",
        };
        findings.wrong("mapping", problem.to_string(), remedy);
    }
    Some(mapping)
}

/// The mapping that a resync would go by, as it is written.
fn given_mapping(
    app: &App,
    found: &ForeseenIntegration,
    findings: &mut Findings<'_>,
) -> Option<Value> {
    let identifier = &app.config.identifier;
    if found.is_new {
        let how = format!("does not know `{identifier}` yet: the first resync registers it");
        findings.fine("Port", how);
    }
    if let Some(mapping) = &app.mapping_override {
        findings.fine("Port", "lets us in; the mapping is the given file");
        return Some(mapping.clone());
    }
    let mapping = found.integration.clone().mapping();
    match &mapping {
        Some(_) if found.is_new => {}
        Some(_) => findings.fine("Port", format!("knows the installation `{identifier}`")),
        None => {
            let reason = format!("the installation `{identifier}` has no mapping");
            findings.wrong("Port", reason, "save a mapping on its data source page");
        }
    }
    mapping
}

/// What a resync would find, if Port lets us in.
async fn foresee(
    app: &App,
    port: &PortClient,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) -> Option<ForeseenIntegration> {
    let (defaults, initialize) = (defaults::mapping(), app.config.initialize_port_resources);
    let line = a_line(deadline);
    let found = port.foresee_integration(&defaults, initialize, &line);
    found
        .await
        .map_err(|error| refused_login(&error, findings))
        .ok()
}

/// What Port knows of the installation, if it lets us in.
pub(super) async fn check_login(
    port: &PortClient,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) -> Option<Option<Integration>> {
    let found = port.integration(&a_line(deadline)).await;
    found.map_err(|error| refused_login(&error, findings)).ok()
}

fn refused_login(error: &port::Error, findings: &mut Findings<'_>) {
    let remedy = match error {
        port::Error::Unauthorized { .. } => {
            "copy client id and secret from Port (… menu > Credentials), and check that \
             OCEAN__PORT__BASE_URL is the API of your region"
        }
        port::Error::TakenIdentifier { .. } => {
            "give this installation an identifier of its own (OCEAN__INTEGRATION__IDENTIFIER)"
        }
        _ => "check OCEAN__PORT__BASE_URL, and try again",
    };
    findings.wrong("Port", reason_of_port(error), remedy);
}

pub(super) async fn check_blueprints(
    port: &PortClient,
    mapping: &Mapping,
    findings: &mut Findings<'_>,
    deadline: &Deadline,
) {
    let mut missing = BTreeSet::new();
    for resource in mapping.resources() {
        let Some(identifier) = resource.constant_blueprint() else {
            let what = resource.name();
            findings.fine(what, "the items say which blueprint is theirs");
            continue;
        };
        match port.blueprint(identifier, &a_line(deadline)).await {
            Ok(blueprint) => check_fields(resource, identifier, &blueprint, findings),
            Err(port::Error::NotFound { .. }) if missing.insert(identifier.to_owned()) => {
                let remedy = "create it in Port's builder, or correct the mapping: Port refuses its entities until then";
                let place = resource.place_of(identifier, "blueprint");
                findings.wrong(
                    resource.name(),
                    format!("{place}: the blueprint `{identifier}` does not exist"),
                    remedy,
                );
            }
            Err(port::Error::NotFound { .. }) => {}
            Err(error) => findings.wrong(resource.name(), reason_of_port(&error), "try again"),
        }
    }
}

fn check_fields(
    resource: &Resource,
    identifier: &str,
    blueprint: &port::Blueprint,
    findings: &mut Findings<'_>,
) {
    let properties = resource
        .property_names()
        .filter(|name| !blueprint.may_have(name));
    let relations = resource
        .relation_names()
        .filter(|name| !blueprint.relations.contains_key(*name));
    let lacking: Vec<String> = properties
        .map(|name| format!("property `{name}`"))
        .chain(relations.map(|name| format!("relation `{name}`")))
        .collect();
    super::lint::tell_required(resource, identifier, blueprint, findings);
    match lacking.is_empty() {
        true => findings.fine(
            resource.name(),
            format!("fits the blueprint `{identifier}`"),
        ),
        false => findings.wrong(
            resource.name(),
            format!("the blueprint `{identifier}` lacks {}", lacking.join(", ")),
            "add them to the blueprint, or take them out of the mapping",
        ),
    }
}
