//! A plan for people at a terminal.

use super::diff;
use super::{Fate, Plan, STUB, name_of, shortened, title_beside};
use crate::command::terminal::{BAD, DOUBTFUL, FAINT, GOOD, STRONG, painted, table};
use ferry::resync::FieldChange;
use serde_json::Value;

/// How much of it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail {
    /// Entities of each list of a blueprint.
    pub(crate) limit: usize,
    /// Each changed entity with its fields.
    pub(crate) diff: bool,
}

/// Characters of a value that stands in a line with others.
const VALUE_CHARS: usize = 60;

pub(crate) fn render(plan: &Plan, detail: Detail) -> String {
    let mut lines = Vec::new();
    for (blueprint, fate) in &plan.fates {
        if !fate.deleted.is_empty() {
            lines.push(painted(STRONG, blueprint));
            lines.extend(capped(&fate.deleted, detail, |deletion| {
                let key = &deletion.key;
                let name = with_title(&key.identifier, deletion.title.as_ref());
                let reason = painted(FAINT, deletion.reason);
                vec![format!("{}  {reason}", painted(BAD, format!("  - {name}")))]
            }));
        }
    }
    if !plan.found.set_up.is_empty() {
        lines.push(painted(STRONG, "the first resync creates"));
        let made = plan.found.set_up.iter();
        lines.extend(made.map(|what| painted(GOOD, format!("  + {what}"))));
    }
    for (blueprint, fate) in &plan.fates {
        if !fate.changed.is_empty() || !fate.created.is_empty() {
            lines.push(painted(STRONG, blueprint));
            lines.extend(changes(fate, detail));
            lines.extend(capped(&fate.created, detail, |entity| {
                let name = match plan.is_stub(entity) {
                    true => format!("{}  {}", name_of(entity), painted(FAINT, STUB)),
                    false => with_title(&name_of(entity), entity.title.as_ref()),
                };
                vec![painted(GOOD, format!("  + {name}"))]
            }));
        }
    }
    if !plan.fates.is_empty() {
        lines.push(totals(plan));
    }
    lines.extend(refusals(plan, detail));
    lines.extend(doubts(plan));
    let counts = plan.found.counts;
    lines.push(format!(
        "{} items read, {} entities mapped, {} filtered out, {} not mapped, {} values left out, {} as they are",
        counts.extracted,
        counts.transformed,
        counts.filtered_out,
        counts.not_mapped,
        counts.left_out,
        counts.unchanged
    ));
    lines.push(painted(STRONG, plan.headline()));
    lines.push("nothing was written".to_owned());
    lines.join("\n")
}

/// What Port would refuse, each kind with who asks for it and one sample.
fn refusals(plan: &Plan, detail: Detail) -> Vec<String> {
    let refused = plan.refusals();
    let mut lines = Vec::new();
    if !refused.is_empty() {
        lines.push(painted(STRONG, "Port would refuse"));
    }
    lines.extend(capped(&refused, detail, |refusal| {
        let (place, tally) = (refusal.subject(), refusal.tally());
        let head = format!("  ! {place}: {tally}: {}", refusal.reason);
        let mut whence = format!("      {}", refusal.resources.join(", "));
        if !refusal.sample.is_empty() {
            whence.push_str(&format!(", such as {}", refusal.sample));
        }
        vec![painted(BAD, head), painted(FAINT, whence)]
    }));
    lines
}

/// What stands in the way of the plan, and of knowing it.
fn doubts(plan: &Plan) -> Vec<String> {
    let found = plan.found;
    let kept = found
        .kept
        .iter()
        .map(|kept| format!("stale entities would stay: {kept}"));
    let unknown = found
        .unknown
        .iter()
        .map(|what| format!("not known: {what}"));
    let problems = found.problems.iter();
    let problems = problems.map(|problem| format!("problem of the mapping: {problem}"));
    let notes = found.notes.iter();
    let problems = problems.chain(notes.map(|note| format!("worth a look: {note}")));
    let unread = found.failed_partitions.iter();
    let unread = unread.map(|part| format!("not readable: {part}"));
    let all = kept.chain(unknown).chain(problems).chain(unread);
    all.map(|line| painted(DOUBTFUL, line)).collect()
}

fn totals(plan: &Plan) -> String {
    let row = |name: &str, numbers: [usize; 3]| {
        let numbers = numbers.iter().map(ToString::to_string);
        std::iter::once(name.to_owned()).chain(numbers).collect()
    };
    let numbers = |fate: &Fate| [fate.deleted.len(), fate.changed.len(), fate.created.len()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (blueprint, fate) in &plan.fates {
        rows.push(row(blueprint, numbers(fate)));
    }
    let found = plan.found;
    let all = [
        found.deleted.len(),
        found.changed.len(),
        found.created.len(),
    ];
    rows.push(row("all", all));
    table(&["blueprint", "to delete", "to change", "to create"], rows)
}

/// By field; with `--diff` entity by entity.
fn changes(fate: &Fate, detail: Detail) -> Vec<String> {
    if detail.diff {
        return capped(&fate.changed, detail, |change| {
            let name = with_title(&change.key.identifier, change.title.as_ref());
            let mut lines = vec![painted(DOUBTFUL, format!("  ~ {name}"))];
            lines.extend(change.fields.iter().flat_map(whole_field));
            lines
        });
    }
    let tallies = fate.fields();
    capped(&tallies, detail, |tally| {
        let (change, field) = tally.sample;
        let shapes = match tally.before == tally.after {
            true => String::new(),
            false => format!(" {} -> {}", tally.before.name(), tally.after.name()),
        };
        let head = format!("  ~ {} {}{shapes}", tally.entities, tally.field);
        let example = format!(
            "      such as {}: {} -> {}",
            change.key.identifier,
            shortened(&field.before, VALUE_CHARS),
            shortened(&field.after, VALUE_CHARS)
        );
        vec![painted(DOUBTFUL, head), painted(FAINT, example)]
    })
}

fn whole_field(field: &FieldChange) -> Vec<String> {
    let name = painted(FAINT, &field.name);
    let Some(lines) = diff::lines(field) else {
        return vec![format!(
            "      {name}: {} -> {}",
            painted(BAD, &field.before),
            painted(GOOD, &field.after)
        )];
    };
    let mut told = vec![format!("      {name}:")];
    told.extend(lines.iter().map(|line| {
        let text = format!("{} {}", line.sign, line.text);
        let text = match line.sign {
            '-' => painted(BAD, text),
            '+' => painted(GOOD, text),
            _ => text,
        };
        format!("        {text}")
    }));
    told
}

/// The lines of as many of `all` as are shown, and how many are not.
fn capped<T>(all: &[T], detail: Detail, tell: impl Fn(&T) -> Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(detail.limit).flat_map(tell).collect();
    let more = all.len().saturating_sub(detail.limit);
    if 0 < more {
        lines.push(painted(FAINT, format!("    and {more} more (--limit)")));
    }
    lines
}

fn with_title(identifier: &str, title: Option<&Value>) -> String {
    match title_beside(identifier, title) {
        None => identifier.to_owned(),
        Some(title) => format!("{identifier}  {title:?}"),
    }
}
