//! A plan for programs: everything, in the shape that docs/command-line.md promises.

use ferry::mapping::FieldFigures;
use ferry::resync::FieldChange;
use serde_json::{Map, Value, json};

use super::{FieldTally, Plan, name_of};

/// Of the shape. A program that knows this number can read whatever has it; members may be added under it.
const FORMAT: u32 = 1;

pub(crate) fn render(plan: &Plan) -> Value {
    let blueprints: Map<String, Value> = plan
        .fates
        .iter()
        .map(|(blueprint, fate)| {
            let created = fate.created.iter().map(|entity| {
                json!({
                    "identifier": name_of(entity), "title": entity.title, "team": entity.team,
                    "properties": entity.properties, "relations": entity.relations,
                    "stub": plan.is_stub(entity),
                })
            });
            let changed = fate.changed.iter().map(|change| {
                let fields: Vec<Value> = change.fields.iter().map(field).collect();
                json!({"identifier": change.key.identifier, "title": change.title, "fields": fields})
            });
            let deleted = fate.deleted.iter().map(|deletion| {
                json!({"identifier": deletion.key.identifier, "title": deletion.title, "reason": deletion.reason})
            });
            let fields = fate.fields();
            let fields = fields.iter().map(tally);
            let lists = json!({
                "deleted": deleted.collect::<Vec<_>>(), "changed": changed.collect::<Vec<_>>(),
                "created": created.collect::<Vec<_>>(), "changes_by_field": fields.collect::<Vec<_>>(),
            });
            ((*blueprint).to_owned(), lists)
        })
        .collect();
    let found = plan.found;
    json!({
        "format": FORMAT,
        "workspace": plan.subject.workspace,
        "identifier": plan.subject.identifier,
        "totals": {
            "deleted": found.deleted.len(), "changed": found.changed.len(), "created": found.created.len(),
        },
        "set_up": found.set_up,
        "blueprints": blueprints,
        "would_refuse": found.refused,
        "kept": found.kept,
        "unknown": found.unknown,
        "mapping_problems": found.problems,
        "mapping_notes": found.notes,
        "nulls": found.nulls.iter().map(nulls).collect::<Vec<_>>(),
        "failed_partitions": found.failed_partitions,
        "counts": found.counts,
    })
}

fn field(field: &FieldChange) -> Value {
    json!({"field": field.name, "before": field.before, "after": field.after})
}

fn nulls(field: &FieldFigures) -> Value {
    json!({"place": field.path, "entities": field.entities, "nulls": field.nulls})
}

fn tally(tally: &FieldTally) -> Value {
    let (change, example) = tally.sample;
    json!({
        "field": tally.field, "from": tally.before.name(), "to": tally.after.name(), "entities": tally.entities,
        "example": {"identifier": change.key.identifier, "before": example.before, "after": example.after},
    })
}
