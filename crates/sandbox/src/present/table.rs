//! A catalogue as aligned columns, one table per blueprint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Style, Tone, one_line, pad};
use crate::port::StoredEntity;

/// What a table shows.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Names of properties and relations to show, in this order, where a blueprint has them. Empty: the relations, and the
    /// properties that most entities have.
    pub columns: Vec<String>,
    /// Most properties when `columns` is empty.
    pub max_properties: usize,
    /// Characters of a cell.
    pub max_width: usize,
    /// Rows of one blueprint; the rest is counted.
    pub max_rows: usize,
    pub style: Style,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            columns: Vec::new(),
            max_properties: 4,
            max_width: 32,
            max_rows: usize::MAX,
            style: Style::Plain,
        }
    }
}

/// All entities, by blueprint; `the catalogue is empty` when there are none.
pub fn render_table(entities: &[StoredEntity], options: &TableOptions) -> String {
    let mut blueprints: BTreeMap<&str, Vec<&StoredEntity>> = BTreeMap::new();
    for entity in entities {
        blueprints
            .entry(&entity.blueprint)
            .or_default()
            .push(entity);
    }
    if blueprints.is_empty() {
        return "the catalogue is empty\n".to_owned();
    }
    let tables: Vec<String> = blueprints
        .iter()
        .map(|(blueprint, entities)| table(blueprint, entities, options))
        .collect();
    tables.join("\n")
}

fn table(blueprint: &str, entities: &[&StoredEntity], options: &TableOptions) -> String {
    let columns = columns(entities, options);
    let header: Vec<String> = columns.iter().map(Column::heading).collect();
    let rows: Vec<Vec<String>> = entities
        .iter()
        .take(options.max_rows)
        .map(|entity| {
            columns
                .iter()
                .map(|column| one_line(&column.value(entity), options.max_width))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|index| {
            let cells = rows
                .iter()
                .chain([&header])
                .filter_map(|row| row.get(index));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let line = |cells: &[String]| {
        let cells = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad(cell, *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let style = options.style;
    let mut text = style.paint(Tone::Heading, &format!("{blueprint} ({})", entities.len())) + "\n";
    text += &format!("  {}\n", style.paint(Tone::Faint, &line(&header)));
    for row in &rows {
        text += &format!("  {}\n", line(row));
    }
    let hidden = entities.len().saturating_sub(options.max_rows);
    if 0 < hidden {
        text += &style.paint(Tone::Faint, &format!("  … and {hidden} more"));
        text += "\n";
    }
    text
}

#[derive(Clone, Debug, PartialEq)]
enum Column {
    Identifier,
    Title,
    Property(String),
    Relation(String),
}

impl Column {
    fn heading(&self) -> String {
        match self {
            Column::Identifier => "identifier".to_owned(),
            Column::Title => "title".to_owned(),
            Column::Property(name) => name.clone(),
            Column::Relation(name) => format!("→ {name}"),
        }
    }

    fn value(&self, entity: &StoredEntity) -> Value {
        match self {
            Column::Identifier => json!(entity.identifier),
            Column::Title => json!(entity.title),
            Column::Property(name) => entity.properties.get(name).cloned().unwrap_or_default(),
            Column::Relation(name) => entity.relations.get(name).cloned().unwrap_or_default(),
        }
    }
}

fn columns(entities: &[&StoredEntity], options: &TableOptions) -> Vec<Column> {
    let mut columns = vec![Column::Identifier];
    if entities.iter().any(|entity| entity.title.is_some()) {
        columns.push(Column::Title);
    }
    let properties = count(entities.iter().flat_map(|entity| entity.properties.keys()));
    let relations = count(entities.iter().flat_map(|entity| entity.relations.keys()));
    if options.columns.is_empty() {
        let mut common: Vec<(&String, usize)> = properties.into_iter().collect();
        // The sort is stable: among equals, the order of the names.
        common.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let common = common.into_iter().take(options.max_properties);
        columns.extend(common.map(|(name, _)| Column::Property(name.clone())));
        columns.extend(relations.into_keys().cloned().map(Column::Relation));
    } else {
        columns.extend(options.columns.iter().filter_map(|name| {
            if properties.contains_key(name) {
                Some(Column::Property(name.clone()))
            } else {
                relations
                    .contains_key(name)
                    .then(|| Column::Relation(name.clone()))
            }
        }));
    }
    columns
}

fn count<'a>(names: impl Iterator<Item = &'a String>) -> BTreeMap<&'a String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::fixture::entity;
    use super::*;

    fn catalogue() -> Vec<StoredEntity> {
        vec![
            entity(
                "repository",
                json!({"identifier": "api", "title": "Zahlungen für alle", "properties": {"private": true, "readme": "# long\ntext that goes on and on and on"}, "relations": {"project": "PAY"}}),
            ),
            entity(
                "repository",
                json!({"identifier": "payments-web", "title": "Web", "properties": {"private": false}, "relations": {"owners": ["a", "b"]}}),
            ),
            entity("project", json!({"identifier": "PAY"})),
        ]
    }

    #[test]
    fn columns_are_aligned() {
        let text = render_table(&catalogue(), &TableOptions::default());
        let expected = "\
project (1)
  identifier
  PAY

repository (2)
  identifier    title               private  readme                            → owners  → project
  api           Zahlungen für alle  true     # long text that goes on and on…            PAY
  payments-web  Web                 false                                      a, b
";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_can_be_chosen_and_rows_cut() {
        let options = TableOptions {
            columns: vec!["project".to_owned(), "private".to_owned()],
            max_rows: 1,
            ..TableOptions::default()
        };
        let text = render_table(catalogue().get(..2).unwrap(), &options);
        let expected = "\
repository (2)
  identifier  title               → project  private
  api         Zahlungen für alle  PAY        true
  … and 1 more
";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_empty_catalogue_says_so() {
        let text = render_table(&[], &TableOptions::default());
        assert_eq!(text, "the catalogue is empty\n");
    }
}
