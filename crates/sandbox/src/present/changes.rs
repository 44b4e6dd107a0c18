//! The difference between two states of a catalogue, field by field.
//!
//! Times and owners do not count: a rewrite that changes nothing is no change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Style, Tone, one_line, pad, shorten};
use crate::port::StoredEntity;

/// Characters of a value that a line shows, at most.
const VALUE_WIDTH: usize = 60;

/// Blanks before a field.
const INDENT: usize = 4;

/// What became of one entity.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created(StoredEntity),
    /// The entity as it is now, and what differs.
    Updated(StoredEntity, Vec<FieldChange>),
    /// The entity as it was.
    Deleted(StoredEntity),
}

/// A field that differs. `None` is unset.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// `title`, `icon`, `team`, the name of a property, or `→` and the name of a relation.
    pub field: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// What changed, by blueprint and identifier.
pub fn changes(before: &[StoredEntity], after: &[StoredEntity]) -> Vec<Change> {
    let (before, after) = (index(before), index(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter_map(|key| match (before.get(key), after.get(key)) {
            (None, Some(new)) => Some(Change::Created((*new).clone())),
            (Some(old), None) => Some(Change::Deleted((*old).clone())),
            (Some(old), Some(new)) => {
                let fields = field_changes(old, new);
                (!fields.is_empty()).then(|| Change::Updated((*new).clone(), fields))
            }
            (None, None) => None,
        })
        .collect()
}

fn index(entities: &[StoredEntity]) -> BTreeMap<(&str, &str), &StoredEntity> {
    entities
        .iter()
        .map(|entity| {
            (
                (entity.blueprint.as_str(), entity.identifier.as_str()),
                entity,
            )
        })
        .collect()
}

fn field_changes(old: &StoredEntity, new: &StoredEntity) -> Vec<FieldChange> {
    let (old, new) = (fields(old), fields(new));
    let mut names: Vec<&String> = new.iter().map(|(name, _)| name).collect();
    names.extend(
        old.iter()
            .map(|(name, _)| name)
            .filter(|name| !new.iter().any(|(other, _)| other == *name)),
    );
    let find = |fields: &[(String, Value)], name: &str| {
        fields
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
    };
    names
        .into_iter()
        .map(|name| FieldChange {
            field: name.clone(),
            before: find(&old, name),
            after: find(&new, name),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// All fields that are set, in the order in which people look at them. Relations begin with `→`.
pub fn fields(entity: &StoredEntity) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    if let Some(title) = &entity.title {
        fields.push(("title".to_owned(), json!(title)));
    }
    if let Some(icon) = &entity.icon {
        fields.push(("icon".to_owned(), json!(icon)));
    }
    if !entity.team.is_empty() {
        fields.push(("team".to_owned(), json!(entity.team)));
    }
    let properties = entity.properties.iter();
    fields.extend(properties.map(|(name, value)| (name.clone(), value.clone())));
    let relations = entity.relations.iter();
    fields.extend(relations.map(|(name, value)| (format!("→ {name}"), value.clone())));
    fields
}

/// One block per change and a line of totals; `no changes` when there are none. Lines have at most `line_width`
/// characters.
pub fn render_changes(changes: &[Change], style: Style, line_width: usize) -> String {
    let mut text = String::new();
    for change in changes {
        match change {
            Change::Created(entity) => {
                text += &headline("+", Tone::Created, entity, style, line_width);
                let mut fields = fields(entity);
                fields.retain(|(name, _)| name != "title");
                let names = fields.iter().map(|(name, _)| name.as_str());
                let room = room_beside(names.clone(), line_width);
                let values = fields.iter().map(|(_, value)| show(Some(value), room));
                text += &indented(&names.zip(values).collect::<Vec<_>>(), style);
            }
            Change::Updated(entity, fields) => {
                text += &headline("~", Tone::Updated, entity, style, line_width);
                let names = fields.iter().map(|change| change.field.as_str());
                let room = room_beside(names.clone(), line_width);
                let values = fields.iter().map(|change| show_both(change, style, room));
                text += &indented(&names.zip(values).collect::<Vec<_>>(), style);
            }
            Change::Deleted(entity) => {
                text += &headline("-", Tone::Deleted, entity, style, line_width)
            }
        }
    }
    text + &totals(changes) + "\n"
}

fn headline(
    sign: &str,
    tone: Tone,
    entity: &StoredEntity,
    style: Style,
    line_width: usize,
) -> String {
    let name = format!("{sign} {} {}", entity.blueprint, entity.identifier);
    let name = shorten(&name, line_width);
    let left = line_width.saturating_sub(name.chars().count() + 2);
    let title = match &entity.title {
        Some(title) if 0 < left => {
            let title = shorten(title, VALUE_WIDTH.min(left));
            format!("  {}", style.paint(Tone::Faint, &title))
        }
        _ => String::new(),
    };
    format!("{}{title}\n", style.paint(tone, &name))
}

/// The characters that a line has left for a value, beside the longest of these names.
fn room_beside<'n>(names: impl Iterator<Item = &'n str>, line_width: usize) -> usize {
    let longest = names.map(|name| name.chars().count()).max();
    line_width.saturating_sub(INDENT + longest.unwrap_or_default() + 2)
}

fn indented(lines: &[(&str, String)], style: Style) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let mut text = String::new();
    for (name, value) in lines {
        let name = style.paint(Tone::Faint, &pad(name, width.unwrap_or_default()));
        text += &format!("{:INDENT$}{name}  {value}\n", "");
    }
    text
}

fn show(value: Option<&Value>, room: usize) -> String {
    let room = room.min(VALUE_WIDTH);
    let text = match value {
        None => "(unset)".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "(blank)".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "(empty list)".to_owned(),
        Some(value) => one_line(value, room),
    };
    shorten(&text, room)
}

/// Long texts that differ only behind the cut would look equal; then their lengths are shown.
fn show_both(change: &FieldChange, style: Style, room: usize) -> String {
    let arrow = " → ";
    let half = room.saturating_sub(arrow.chars().count()) / 2;
    let values = [&change.before, &change.after];
    let mut texts = values.map(|value| show(value.as_ref(), half));
    let [before, after] = &texts;
    if before == after {
        texts = values.map(|value| {
            let length = value
                .as_ref()
                .map_or(0, |it| it.to_string().chars().count());
            let length = format!(" [{length} characters]");
            let text = show(value.as_ref(), half.saturating_sub(length.chars().count()));
            shorten(&(text + &length), half)
        });
    }
    let [before, after] = texts;
    let before = style.paint(Tone::Deleted, &before);
    before + arrow + &style.paint(Tone::Created, &after)
}

/// How many were created, updated and deleted, in one line.
pub fn totals(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no changes".to_owned();
    }
    let count = |wanted: fn(&Change) -> bool| changes.iter().filter(|it| wanted(it)).count();
    let parts = [
        (count(|it| matches!(it, Change::Created(_))), "created"),
        (count(|it| matches!(it, Change::Updated(..))), "updated"),
        (count(|it| matches!(it, Change::Deleted(_))), "deleted"),
    ];
    parts
        .iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, verb)| format!("{count} {verb}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::entity;
    use super::*;

    #[test]
    fn every_kind_of_change_is_told() {
        let before = [
            entity("pr", json!({"identifier": "api/1", "title": "Fix"})),
            entity(
                "pr",
                json!({"identifier": "api/2", "title": "Add", "properties": {"status": "OPEN", "link": "x"}, "relations": {"repository": "api"}}),
            ),
            entity("repository", json!({"identifier": "api"})),
        ];
        let after = [
            entity(
                "pr",
                json!({"identifier": "api/2", "title": "Add", "properties": {"status": "MERGED", "lead_time_days": 3}, "relations": {"repository": "web"}}),
            ),
            entity(
                "repository",
                json!({"identifier": "web", "title": "Web", "properties": {"readme": "# Web\n\ntext"}, "relations": {"project": "P"}}),
            ),
            entity("repository", json!({"identifier": "api"})),
        ];
        let text = render_changes(&changes(&before, &after), Style::Plain, 120);
        let expected = "\
- pr api/1  Fix
~ pr api/2  Add
    lead_time_days  (unset) → 3
    status          OPEN → MERGED
    → repository    api → web
    link            x → (unset)
+ repository web  Web
    readme     # Web text
    → project  P
1 created, 1 updated, 1 deleted
";
        assert_eq!(text, expected);
    }

    #[test]
    fn times_and_owners_are_no_change() {
        let old = entity("pr", json!({"identifier": "a"}));
        let mut new = old.clone();
        new.datasource = "other".to_owned();
        new.updated_at = "2027-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            render_changes(&changes(&[old], &[new]), Style::Ansi, 120),
            "no changes\n"
        );
    }

    #[test]
    fn long_texts_that_look_equal_show_their_length() {
        let text = |tail: &str| json!({"identifier": "a", "properties": {"readme": "x".repeat(100) + tail}});
        let found = changes(&[entity("r", text(""))], &[entity("r", text("yz"))]);
        let shown = render_changes(&found, Style::Plain, 160);
        assert!(shown.contains("… [102 characters] → "), "{shown}");
        assert!(shown.contains("… [104 characters]"), "{shown}");
    }

    #[test]
    fn colours_mark_the_kind_of_change() {
        let found = changes(&[], &[entity("r", json!({"identifier": "a"}))]);
        assert!(render_changes(&found, Style::Ansi, 80).starts_with("\u{1b}[32m+ r a\u{1b}[0m\n"));
    }

    #[test]
    fn no_line_is_longer_than_asked_for() {
        let text = |tail: &str| json!({"identifier": "payments-api/1", "title": "A title of some words", "properties": {"readme": "x".repeat(100) + tail, "status": tail}});
        let before = [entity("pr", text("")), entity("old", text(""))];
        let after = [entity("pr", text("yz")), entity("new", text(""))];
        for line_width in 40..140 {
            let shown = render_changes(&changes(&before, &after), Style::Plain, line_width);
            let longest = shown.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(line_width), "{line_width}: {shown}");
        }
    }
}
