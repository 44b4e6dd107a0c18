//! The plan of a preview, as a page, as Markdown and as text.

use ferry::counts::Counts;
use ferry::entity::EntityKey;
use ferry::mapping::FieldFigures;
use ferry::resync::ForeseenRefusal;
use serde_json::json;

use super::text::Detail;
use super::*;

mod shape;

fn entity(blueprint: &str, identifier: &str, title: &str) -> Entity {
    Entity {
        blueprint: blueprint.into(),
        identifier: Identifier::Text(identifier.into()),
        title: Some(title.into()),
        icon: None,
        team: None,
        properties: None,
        relations: None,
    }
}

fn stub() -> Entity {
    Entity {
        title: None,
        ..entity("project", "PAY", "")
    }
}

fn refusal(field: &str, costs: RefusalCost, reason: &str) -> ForeseenRefusal {
    ForeseenRefusal {
        place: "resources[0].port.entity.mappings.blueprint".into(),
        resources: vec!["resources[0] (repository)".into()],
        blueprint: "service".into(),
        field: field.into(),
        costs,
        reason: reason.into(),
        count: 2,
        sample: "cart".into(),
    }
}

fn change(identifier: &str, fields: Vec<FieldChange>) -> PreviewedChange {
    PreviewedChange {
        key: EntityKey::new("pull", identifier),
        title: Some("Mend | <b>it</b>".into()),
        fields,
    }
}

fn field(name: &str, before: Value, after: Value) -> FieldChange {
    FieldChange {
        name: name.into(),
        before,
        after,
    }
}

fn found() -> Preview {
    let reviewers = || field("properties.reviewers", Value::Null, json!(["Ann"]));
    let text = field("properties.text", "a\nb\n".into(), "a\nc\n".into());
    Preview {
        created: vec![stub(), entity("repository", "acme/new", "New")],
        changed: vec![
            change("api/1", vec![reviewers()]),
            change("api/2", vec![reviewers(), text]),
        ],
        deleted: vec![PreviewedDeletion {
            key: EntityKey::new("repository", "acme/old"),
            title: Some("</script><script>alert(1)</script>".into()),
            reason: "no item of the mapping stands for it",
        }],
        stubs: [EntityKey::new("project", "PAY")].into(),
        set_up: vec!["the blueprint `pull`".into()],
        refused: vec![
            refusal("", RefusalCost::Entity, "Port has no such blueprint"),
            refusal(
                "properties.size",
                RefusalCost::Value,
                "not of the type number",
            ),
        ],
        kept: None,
        problems: vec![
            "resources[0].port.entity.mappings.title: fails for 2 items and is null there".into(),
        ],
        notes: vec!["resources[0].selector.query: is true for none of 9 items".into()],
        nulls: vec![FieldFigures {
            path: "resources[0].port.entity.mappings.title".into(),
            entities: 9,
            nulls: 3,
        }],
        failed_partitions: vec!["files of acme/api: 403".into()],
        unknown: vec!["no resync is recorded".into()],
        mapping: json!({"resources": [{"kind": "repository", "port": {"entity": {"mappings": {"title": ".nam"}}}}]}),
        counts: Counts::default(),
    }
}

fn nothing() -> Preview {
    Preview {
        created: Vec::new(),
        changed: Vec::new(),
        deleted: Vec::new(),
        set_up: Vec::new(),
        refused: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
        nulls: Vec::new(),
        failed_partitions: Vec::new(),
        unknown: Vec::new(),
        ..found()
    }
}

fn plan(found: &Preview) -> Plan<'_> {
    let subject = Subject {
        workspace: "acme".into(),
        identifier: "my-bitbucket".into(),
    };
    Plan::of(found, subject)
}

fn text(found: &Preview, diff: bool) -> String {
    let text = text::render(&plan(found), Detail { limit: 20, diff });
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn deletions_come_first_and_changes_are_told_by_field() {
    assert_eq!(
        text(&found(), false),
        r#"repository
  - acme/old  "</script><script>alert(1)</script>"  no item of the mapping stands for it
the first resync creates
  + the blueprint `pull`
project
  + PAY  empty: a relation leads to it
pull
  ~ 2 properties.reviewers null -> list
      such as api/1: null -> ["Ann"]
  ~ 1 properties.text
      such as api/2: "a\nb\n" -> "a\nc\n"
repository
  + acme/new  "New"
blueprint  to delete to change to create
project            0         0         1
pull               0         2         0
repository         1         0         1
all                1         2         2
Port would refuse
  ! service: 2 entities not written: Port has no such blueprint
      resources[0] (repository), such as cart
not known: no resync is recorded
problem of the mapping: resources[0].port.entity.mappings.title: fails for 2 items and is null there
worth a look: resources[0].selector.query: is true for none of 9 items
not readable: files of acme/api: 403
0 items read, 0 entities mapped, 0 filtered out, 0 not mapped, 0 values left out, 0 as they are
1 to delete, 2 to change, 2 to create
nothing was written"#
    );
}

#[test]
fn with_diff_each_entity_is_told_and_long_texts_by_line() {
    let text = text(&found(), true);
    let expected = r#"  ~ api/2  "Mend | <b>it</b>"
      properties.reviewers: null -> ["Ann"]
      properties.text:
          a
        - b
        + c
"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn nothing_to_do_is_said_in_a_line() {
    let text = text(&nothing(), false);
    assert!(text.contains("No changes. Port is as a resync would leave it."));
    assert!(!text.contains("blueprint"), "{text}");
    assert!(markdown::render(&plan(&nothing())).contains("**No changes."));
}

#[test]
fn markdown_keeps_texts_from_being_markup() {
    let told = markdown::render(&plan(&found()));
    let rows = [
        "| `repository` | 1 | 0 | 1 |",
        "- resources\\[0\\].port.entity.mappings.blueprint: 2 entities not written of service: Port has no such blueprint (for example cart)",
        "- the blueprint \\`pull\\`",
        "| `PAY` | empty: a relation leads to it |",
        "<details open><summary>1 of repository would be deleted</summary>",
        "| `acme/old` | &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; | no item of the mapping stands for it |",
        "| 2 | `properties.reviewers` | `api/1` | `null` → `[\"Ann\"]` |",
    ];
    for row in rows {
        assert!(told.contains(row), "{row} is not in\n{told}");
    }
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

#[test]
fn a_page_holds_all_of_it_and_no_text_ends_its_script() {
    let page = html::render(&plan(&found()));
    // The data, the script, and nothing that a title brought.
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(
        !page.contains("http:") && !page.contains("https:"),
        "a page loads nothing"
    );
    let data = data(&page);
    assert_eq!(
        data["blueprints"][2]["deleted"][0][1],
        "</script><script>alert(1)</script>"
    );
    assert_eq!(data["tone"], "bad");
    let problems = data["problems"].as_array().unwrap();
    let lines = problems
        .iter()
        .filter_map(|problem| problem["line"].as_u64());
    assert_eq!(lines.collect::<Vec<_>>(), [5, 6, 2]);
    assert_eq!(
        data["tables"][0]["rows"],
        json!([["resources[0].port.entity.mappings.title", 3, 9, 33]])
    );
    assert_eq!(
        data["mapping"][5],
        json!([
            "          title: .nam",
            "fails for 2 items and is null there"
        ])
    );
    assert_eq!(
        data["blueprints"][1]["changed"][1][2][1],
        json!([
            "properties.text",
            "",
            "",
            [[" ", "a"], ["-", "b"], ["+", "c"]]
        ])
    );
}
