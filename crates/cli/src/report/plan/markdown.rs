//! A plan as Markdown: for a comment on a pull request, or the summary of a pipeline's step.

use serde_json::Value;

use super::{Fate, Plan, STUB, name_of, shortened, title_beside};
use crate::report::markdown::{code, heading, list, plain};

/// Entities of each list: GitHub cuts a step's summary at 1 MiB, Bitbucket a comment at 32 KiB.
const ENTITIES: usize = 20;

/// Characters of a value.
const VALUE_CHARS: usize = 80;

pub(crate) fn render(plan: &Plan) -> String {
    let mut lines = vec![
        heading(&plan.subject),
        String::new(),
        format!("**{}**", plan.headline()),
        String::new(),
    ];
    if !plan.is_empty() {
        lines.push("| blueprint | to delete | to change | to create |".to_owned());
        lines.push("| --- | ---: | ---: | ---: |".to_owned());
        lines.extend(plan.fates.iter().map(|(blueprint, fate)| {
            let (deleted, changed, created) = (&fate.deleted, &fate.changed, &fate.created);
            let name = code(blueprint);
            let numbers = [deleted.len(), changed.len(), created.len()];
            let numbers = numbers.map(|number| number.to_string()).join(" | ");
            format!("| {name} | {numbers} |")
        }));
        lines.push(String::new());
    }
    for (blueprint, fate) in &plan.fates {
        lines.extend(deletions(blueprint, fate));
    }
    lines.extend(list("The first resync creates", &plan.found.set_up));
    for (blueprint, fate) in &plan.fates {
        lines.extend(changes(blueprint, fate, plan));
    }
    let found = plan.found;
    let refused: Vec<String> = plan.refusals().iter().map(ToString::to_string).collect();
    lines.extend(list("Port would refuse", &refused));
    lines.extend(list("Problems of the mapping", &found.problems));
    lines.extend(list("Worth a look in the mapping", &found.notes));
    lines.extend(list("Not readable", &found.failed_partitions));
    let kept = found
        .kept
        .iter()
        .map(|kept| format!("stale entities would stay: {kept}"));
    let doubts: Vec<String> = kept.chain(found.unknown.iter().cloned()).collect();
    lines.extend(list("To know", &doubts));
    lines.push("Nothing was written.".to_owned());
    lines.push(String::new());
    lines.join("\n")
}

fn deletions(blueprint: &str, fate: &Fate) -> Vec<String> {
    let rows = fate.deleted.iter().map(|deletion| {
        let identifier = &deletion.key.identifier;
        let title = title_beside(identifier, deletion.title.as_ref()).unwrap_or_default();
        format!(
            "| {} | {} | {} |",
            code(identifier),
            plain(title),
            plain(deletion.reason)
        )
    });
    let heading = format!(
        "{} of {} would be deleted",
        fate.deleted.len(),
        code(blueprint)
    );
    section(&heading, "| identifier | title | because |", rows, true)
}

fn changes(blueprint: &str, fate: &Fate, plan: &Plan) -> Vec<String> {
    let tallies = fate.fields();
    let rows = tallies.iter().map(|tally| {
        let (change, field) = tally.sample;
        format!(
            "| {} | {} | {} | {} → {} |",
            tally.entities,
            code(tally.field),
            code(&change.key.identifier),
            value(&field.before),
            value(&field.after)
        )
    });
    let heading = format!("{} of {} would change", fate.changed.len(), code(blueprint));
    let mut lines = section(
        &heading,
        "| entities | field | such as | change |",
        rows,
        false,
    );
    let rows = fate.created.iter().map(|entity| {
        let identifier = name_of(entity);
        let title = match plan.is_stub(entity) {
            true => STUB,
            false => title_beside(&identifier, entity.title.as_ref()).unwrap_or_default(),
        };
        format!("| {} | {} |", code(&identifier), plain(title))
    });
    let heading = format!(
        "{} of {} would be created",
        fate.created.len(),
        code(blueprint)
    );
    lines.extend(section(&heading, "| identifier | title |", rows, false));
    lines
}

/// A table under a heading that opens and closes.
fn section(
    heading: &str,
    header: &str,
    rows: impl ExactSizeIterator<Item = String>,
    open: bool,
) -> Vec<String> {
    let all = rows.len();
    if all == 0 {
        return Vec::new();
    }
    let details = if open { "<details open>" } else { "<details>" };
    let rule = header
        .split('|')
        .map(|cell| if cell.is_empty() { "" } else { " --- " });
    let mut lines = vec![
        format!("{details}<summary>{}</summary>", summary(heading)),
        String::new(),
        header.to_owned(),
        rule.collect::<Vec<_>>().join("|"),
    ];
    lines.extend(rows.take(ENTITIES));
    if ENTITIES < all {
        lines.push(String::new());
        lines.push(format!("and {} more", all - ENTITIES));
    }
    lines.extend([String::new(), "</details>".to_owned(), String::new()]);
    lines
}

fn value(value: &Value) -> String {
    code(&shortened(value, VALUE_CHARS))
}

/// Within HTML, Markdown's own signs mean nothing.
fn summary(text: &str) -> String {
    text.replace('`', "").replace('<', "&lt;")
}
