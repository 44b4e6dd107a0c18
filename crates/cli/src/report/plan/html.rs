//! A plan as a page of HTML: what the page's script is given, bounded. A value is cut where nobody reads on.

use ferry::mapping::FieldFigures;
use ferry::resync::FieldChange;
use serde_json::{Value, json};

use super::diff::{self, DiffLine};
use super::{Fate, FieldTally, Plan, STUB, name_of, shortened, title_beside};
use crate::report::page::{Head, Sheet, Tone, page};

/// Characters of a value.
const VALUE_CHARS: usize = 400;

/// Lines of a text's difference.
const DIFF_LINES: usize = 200;

pub(crate) fn render(plan: &Plan) -> String {
    let found = plan.found;
    let refusals = plan.refusals();
    let problems: Vec<String> = refusals
        .iter()
        .map(ToString::to_string)
        .chain(found.problems.iter().chain(&found.notes).cloned())
        .collect();
    let is_doubtful = !problems.is_empty() || !found.failed_partitions.is_empty();
    let kept = found
        .kept
        .iter()
        .map(|kept| format!("stale entities would stay: {kept}"));
    let set_up = found.set_up.iter();
    let set_up = set_up.map(|what| format!("the first resync creates {what}"));
    let counts = &found.counts;
    let head = Head {
        title: "Ferry preview",
        subject: format!(
            "What a resync of the Bitbucket workspace {} would do in Port, installation {}. Nothing was written.",
            plan.subject.workspace, plan.subject.identifier
        ),
        headline: plan.headline(),
        tone: match (found.deleted.is_empty(), is_doubtful) {
            (false, _) => Tone::Bad,
            (true, true) => Tone::Doubt,
            (true, false) => Tone::Good,
        },
        tiles: vec![
            (found.deleted.len(), "to delete", Tone::Bad),
            (found.changed.len(), "to change", Tone::Doubt),
            (found.created.len(), "to create", Tone::Good),
            (counts.unchanged, "as they are", Tone::Plain),
            (counts.extracted, "items read", Tone::Plain),
            (counts.filtered_out, "filtered out", Tone::Plain),
            (counts.not_mapped, "items not mapped", Tone::Bad),
            (counts.left_out, "values left out", Tone::Doubt),
            (counts.refused, "refused by Port", Tone::Bad),
            (counts.waiting, "without what they point at", Tone::Bad),
        ],
        notes: set_up
            .chain(kept)
            .chain(found.unknown.iter().cloned())
            .collect(),
        problems,
        unread: found.failed_partitions.clone(),
        tables: nulls(&found.nulls).into_iter().collect(),
    };
    let blueprints = plan.fates.iter();
    let blueprints = blueprints.map(|(name, fate)| blueprint(name, fate, plan));
    page(&head, blueprints.collect(), &found.mapping)
}

/// How often which fields are null.
fn nulls(fields: &[FieldFigures]) -> Option<Sheet> {
    let rows = fields.iter().map(|field| {
        let percent = 100 * field.nulls / field.entities.max(1);
        vec![
            json!(field.path),
            json!(field.nulls),
            json!(field.entities),
            json!(percent),
        ]
    });
    (!fields.is_empty()).then(|| Sheet {
        heading: "Fields that are null",
        columns: vec!["field", "null", "entities", "%"],
        rows: rows.collect(),
    })
}

fn blueprint(name: &str, fate: &Fate, plan: &Plan) -> Value {
    let title = |identifier: &str, title: Option<&Value>| {
        title_beside(identifier, title)
            .unwrap_or_default()
            .to_owned()
    };
    let deleted = fate.deleted.iter().map(|deletion| {
        let identifier = &deletion.key.identifier;
        json!([
            identifier,
            title(identifier, deletion.title.as_ref()),
            deletion.reason
        ])
    });
    let changed = fate.changed.iter().map(|change| {
        let identifier = &change.key.identifier;
        let fields: Vec<Value> = change.fields.iter().map(field).collect();
        json!([identifier, title(identifier, change.title.as_ref()), fields])
    });
    let created = fate.created.iter().map(|entity| {
        let identifier = name_of(entity);
        let title = match plan.is_stub(entity) {
            true => STUB.to_owned(),
            false => title(&identifier, entity.title.as_ref()),
        };
        json!([identifier, title])
    });
    let fields = fate.fields();
    let fields = fields.iter().map(tally);
    json!({
        "name": name,
        "deleted": deleted.collect::<Vec<_>>(),
        "changed": changed.collect::<Vec<_>>(),
        "created": created.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(),
    })
}

fn field(change: &FieldChange) -> Value {
    let (before, after) = (
        shortened(&change.before, VALUE_CHARS),
        shortened(&change.after, VALUE_CHARS),
    );
    match diff::lines(change) {
        None => json!([change.name, before, after]),
        Some(lines) => {
            let line = |DiffLine { sign, text }: &DiffLine| json!([sign, text]);
            let lines = lines.iter().take(DIFF_LINES).map(line);
            json!([change.name, "", "", lines.collect::<Vec<_>>()])
        }
    }
}

fn tally(tally: &FieldTally) -> Value {
    let (change, example) = tally.sample;
    let shapes = match tally.before == tally.after {
        true => String::new(),
        false => format!("{} → {}", tally.before.name(), tally.after.name()),
    };
    json!([
        tally.field,
        tally.entities,
        shapes,
        change.key.identifier,
        shortened(&example.before, VALUE_CHARS),
        shortened(&example.after, VALUE_CHARS),
    ])
}
