//! What is said of mappings that are wrong, or do not do what they say.

use serde_json::json;

use super::super::*;
use super::fixture;

fn refusal(file: &str) -> String {
    match Mapping::from_yaml(&fixture(&format!("mappings/{file}"))) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_name_the_place_and_the_remedy() {
    let files = [
        "reject-bad-role.yml",
        "reject-list-property.yml",
        "reject-no-blueprint.yml",
        "reject-no-query.yml",
        "reject-no-selector.yml",
        "reject-null-property.yml",
        "reject-threshold-2.yml",
        // Documented, and refused by Ocean; or a kind that Ocean lacks.
        "reject-unknown-kind.yml",
        "reject-files-list.yml",
        "reject-string-repos.yml",
    ];
    let refusals: Vec<String> = files
        .iter()
        .map(|file| format!("{file}: {}", refusal(file)))
        .collect();
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    reject-bad-role.yml: the mapping is not valid: resources[0].selector.userRole (line 7): must be one of member, contributor, admin, owner, not "reader"
    reject-list-property.yml: the mapping is not valid, in 2 places:
      resources[0].port.entity.mappings.properties.l (line 8): must be a jq expression in quotes, not a list
      resources[0].port.entity.mappings.properties.o (line 8): must be a jq expression in quotes, not a map
    reject-no-blueprint.yml: the mapping is not valid: resources[0].port.entity.mappings.blueprint (line 8): is missing: give the blueprint in two kinds of quotes, '"service"'
    reject-no-query.yml: the mapping is not valid: resources[0].selector.query (line 7): is missing: give 'true' to take every item
    reject-no-selector.yml: the mapping is not valid: resources[0].selector (line 6): is missing: give {query: 'true'} to take every item
    reject-null-property.yml: the mapping is not valid: resources[0].port.entity.mappings.properties.z (line 8): must be a jq expression in quotes, not null
    reject-threshold-2.yml: the mapping is not valid: entityDeletionThreshold (line 5): must be a number from 0 to 1, not "2"
    reject-unknown-kind.yml: accepted
    reject-files-list.yml: accepted
    reject-string-repos.yml: accepted
    "#);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let config = json!({
        "entityDeletionThreshold": "most",
        "resources": [
            {"kind": "repo", "selector": {"query": "true"}, "port": {"entity": {"mappings": {"identifier": ".slug"}}}},
            {"kind": "repository", "selector": {"userRole": "boss"}, "port": {"entity": {}}},
            "nonsense",
        ],
    });
    let error = Mapping::from_config(&config).err().unwrap();
    insta::assert_snapshot!(error, @r#"
    the mapping stored in Port is not valid, in 7 places:
      entityDeletionThreshold: must be a number from 0 to 1, not "most"
      resources[0].kind: "repo" is not known: give one of project, repository, pull-request, folder, file, workspace, user, branch, tag, pipeline, deployment, environment
      resources[0].port.entity.mappings.blueprint: is missing: give the blueprint in two kinds of quotes, '"service"'
      resources[1].selector.query: is missing: give 'true' to take every item
      resources[1].selector.userRole: must be one of member, contributor, admin, owner, not "boss"
      resources[1].port.entity.mappings: is missing: give {entity: {mappings: {identifier: .., blueprint: ..}}}
      resources[2]: must be a map, not a text
    "#);
}

#[test]
fn filters_that_do_not_compile_are_told_with_their_path() {
    let config = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": {
            "identifier": ".slug",
            "blueprint": "'service'",
            "title": "contains('x')",
            "properties": {"flag": true},
            "relations": {"team": {"combinator": "'and'", "rules": [{"property": "'a'", "operator": "'='", "value": ".[["}]}},
        }}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let problems: Vec<String> = mapping.problems().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(problems.join("\n"), @"
    resources[0].port.entity.mappings.title: `contains('x')` does not compile: unexpected `'` at character 10
    resources[0].port.entity.mappings.properties.flag: true without quotes stands for null here: for the constant, write it in quotes, 'true'
    resources[0].port.entity.mappings.relations.team.rules[0].value: `.[[` does not compile: expected a term, found the end at character 4
    ");
}

#[test]
fn problems_of_many_items_are_told_once() {
    let config = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": ".query"},
        "port": {"entity": {"mappings": {
            "identifier": ".id",
            "blueprint": "'service'",
            "properties": {"sum": ".a + 1", "absent": ".nothing"},
        }}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let resource = &mapping.resources()[0];
    let mut report = MappingReport::default();
    for raw in [
        json!({"query": true, "id": "fine", "a": 1}),
        json!({"query": true, "id": "one", "a": "text", "full_name": "acme/one"}),
        json!({"query": true, "id": "two", "a": "text", "full_name": "acme/two"}),
        json!({"query": true, "id": "not good"}),
        json!({"query": true, "id": true, "full_name": "acme/yes"}),
        json!({"query": true}),
        json!({"query": "yes", "id": "x"}),
        json!({"query": false}),
    ] {
        report.add(resource, &raw, &resource.map(&raw));
    }
    let lines: Vec<String> = report.lines().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    resources[0].port.entity.mappings.identifier: gives an identifier that Port refuses: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace the others with gsub: 1 item left out (for example not good: "not good")
    resources[0].port.entity.mappings.identifier: gives no identifier; take another field, or turn such items away with selector.query: 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.identifier: gives no text, which Port refuses; make it one, such as with tostring: 1 item left out (for example acme/yes: true)
    resources[0].port.entity.mappings.properties.sum: fails for 2 items and is null there: correct it, or say what stands for those with // or ? (for example acme/one: string ("text") and number (1) cannot be added)
    resources[0].selector.query: fails for 1 item, so that it is not known what stands for them: correct it, `ferry mapping test` shows each step (for example x: must be true or false, but gives "yes")
    "#);
}
