//! A preview as people and programs read it: by blueprint, deletions first, changes gathered by field.
//!
//! Owns the arrangement, and one file for each form in which it is told. Decides nothing about entities, and prints nothing.

mod diff;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod text;

use std::collections::BTreeMap;

use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::entity::{Entity, Identifier};
use ferry::resync::{
    FieldChange, ForeseenRefusal, Preview, PreviewedChange, PreviewedDeletion, RefusalCost,
};
use serde_json::Value;

/// What is said of an entity that is created empty.
const STUB: &str = "empty: a relation leads to it";

/// What would happen, in the order in which it is told.
pub(crate) struct Plan<'a> {
    pub(crate) subject: Subject,
    pub(crate) fates: BTreeMap<&'a str, Fate<'a>>,
    pub(crate) found: &'a Preview,
}

/// Whose workspace, and which installation in Port.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) workspace: String,
    pub(crate) identifier: String,
}

/// What would happen to the entities of one blueprint.
#[derive(Default)]
pub(crate) struct Fate<'a> {
    pub(crate) deleted: Vec<&'a PreviewedDeletion>,
    pub(crate) changed: Vec<&'a PreviewedChange>,
    pub(crate) created: Vec<&'a Entity>,
}

/// Entities of one blueprint that change alike in one field.
pub(crate) struct FieldTally<'a> {
    pub(crate) field: &'a str,
    pub(crate) before: Shape,
    pub(crate) after: Shape,
    pub(crate) entities: usize,
    pub(crate) sample: (&'a PreviewedChange, &'a FieldChange),
}

impl Subject {
    pub(crate) async fn of(app: &App, deadline: &Deadline) -> anyhow::Result<Subject> {
        let session = app.session(deadline).await?;
        Ok(Subject {
            workspace: session.credentials.workspace.clone(),
            identifier: app.config.identifier.clone(),
        })
    }
}

/// What a value looks like, told in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl Shape {
    fn of(value: &Value) -> Shape {
        match value {
            Value::Null => Shape::Null,
            Value::Bool(_) => Shape::Boolean,
            Value::Number(_) => Shape::Number,
            Value::String(_) => Shape::Text,
            Value::Array(_) => Shape::List,
            Value::Object(_) => Shape::Object,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Number => "number",
            Shape::Text => "text",
            Shape::List => "list",
            Shape::Object => "object",
        }
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn of(found: &'a Preview, subject: Subject) -> Plan<'a> {
        let mut fates: BTreeMap<&str, Fate> = BTreeMap::new();
        for deletion in &found.deleted {
            let fate = fates.entry(&deletion.key.blueprint).or_default();
            fate.deleted.push(deletion);
        }
        for change in &found.changed {
            let fate = fates.entry(&change.key.blueprint).or_default();
            fate.changed.push(change);
        }
        for entity in &found.created {
            fates
                .entry(&entity.blueprint)
                .or_default()
                .created
                .push(entity);
        }
        Plan {
            subject,
            fates,
            found,
        }
    }

    /// Whether a resync would leave Port as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.fates.is_empty() && self.found.set_up.is_empty()
    }

    /// Whether `entity` is created empty, because a relation leads there.
    pub(crate) fn is_stub(&self, entity: &Entity) -> bool {
        let key = entity.key();
        key.is_some_and(|key| self.found.stubs.contains(&key))
    }

    /// What Port would refuse as a whole; values are among the problems of the mapping.
    pub(crate) fn refusals(&self) -> Vec<&'a ForeseenRefusal> {
        let refused = self.found.refused.iter();
        refused
            .filter(|refusal| refusal.costs != RefusalCost::Value)
            .collect()
    }

    /// `2 to create, 199 to change, 3 to delete`, in one line.
    pub(crate) fn headline(&self) -> String {
        let Preview {
            created,
            changed,
            deleted,
            ..
        } = self.found;
        match self.is_empty() {
            true => "No changes. Port is as a resync would leave it.".to_owned(),
            false if self.fates.is_empty() => {
                "No entity changes; the first resync sets up the installation.".to_owned()
            }
            false => format!(
                "{} to delete, {} to change, {} to create",
                deleted.len(),
                changed.len(),
                created.len()
            ),
        }
    }
}

impl<'a> Fate<'a> {
    /// The most frequent first.
    pub(crate) fn fields(&self) -> Vec<FieldTally<'a>> {
        let mut tallies: BTreeMap<(&str, Shape, Shape), FieldTally> = BTreeMap::new();
        for change in &self.changed {
            for field in &change.fields {
                let (before, after) = (Shape::of(&field.before), Shape::of(&field.after));
                let tally = tallies
                    .entry((&field.name, before, after))
                    .or_insert(FieldTally {
                        field: &field.name,
                        before,
                        after,
                        entities: 0,
                        sample: (change, field),
                    });
                tally.entities += 1;
            }
        }
        let mut tallies: Vec<FieldTally> = tallies.into_values().collect();
        tallies.sort_by_key(|tally| std::cmp::Reverse(tally.entities));
        tallies
    }
}

/// The identifier, or the query by which Port finds the entity.
pub(crate) fn name_of(entity: &Entity) -> String {
    match &entity.identifier {
        Identifier::Text(text) => text.clone(),
        Identifier::Search(query) => query.to_string(),
    }
}

/// The title, where it is a text that says more than the identifier.
pub(crate) fn title_beside<'v>(identifier: &str, title: Option<&'v Value>) -> Option<&'v str> {
    title
        .and_then(Value::as_str)
        .filter(|title| *title != identifier && !title.is_empty())
}

/// A value in at most `most` characters.
pub(crate) fn shortened(value: &Value, most: usize) -> String {
    let text = value.to_string();
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => text
            .chars()
            .take(most.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

#[cfg(test)]
mod tests;
