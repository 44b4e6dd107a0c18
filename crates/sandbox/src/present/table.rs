//! A catalogue as aligned columns, one table per blueprint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Style, Tone, one_line, pad, shorten};
use crate::port::StoredEntity;

/// Blanks before each line of a table.
const MARGIN: usize = 2;

/// Characters to which cells are cut before columns are left out.
const NARROW_CELL: usize = 24;

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
    /// Characters of a line: cells get narrower, then columns are left out and named. Only the identifier always stays.
    pub line_width: usize,
    pub style: Style,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            columns: Vec::new(),
            max_properties: 4,
            max_width: 32,
            max_rows: usize::MAX,
            line_width: usize::MAX,
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
    let (grid, left_out) = fitted(entities, options);
    let style = options.style;
    let mut text = style.paint(Tone::Heading, &format!("{blueprint} ({})", entities.len())) + "\n";
    let mut rows = grid.lines();
    let header = rows.next().unwrap_or_default();
    text += &format!("  {}\n", style.paint(Tone::Faint, &header));
    for row in rows {
        text += &format!("  {row}\n");
    }
    let hidden = entities.len().saturating_sub(options.max_rows);
    let mut notes = Vec::new();
    if 0 < hidden {
        notes.push(format!("… and {hidden} more"));
    }
    if !left_out.is_empty() {
        notes.push(format!("… without {}", left_out.join(", ")));
    }
    for note in notes {
        let note = shorten(&note, options.line_width.saturating_sub(MARGIN));
        text += &format!("  {}\n", style.paint(Tone::Faint, &note));
    }
    text
}

/// The widest cells and the most columns whose lines fit, and the headings of the columns that do not.
fn fitted(entities: &[&StoredEntity], options: &TableOptions) -> (Grid, Vec<String>) {
    let mut columns = columns(entities, options);
    let mut left_out = Vec::new();
    let narrow = NARROW_CELL.min(options.max_width);
    loop {
        let grids = [options.max_width, narrow]
            .map(|cell| Grid::of(entities, &columns, cell, options.max_rows));
        let mut fitting = grids
            .into_iter()
            .filter(|grid| grid.width() <= options.line_width);
        if let Some(grid) = fitting.next() {
            return (grid, left_out);
        }
        match columns.pop() {
            Some(column) if !columns.is_empty() => left_out.insert(0, column.heading()),
            last => {
                let cell = options.line_width.saturating_sub(MARGIN);
                let columns = Vec::from_iter(last);
                return (
                    Grid::of(entities, &columns, cell, options.max_rows),
                    left_out,
                );
            }
        }
    }
}

/// Cells of a table, the headings in the first row.
struct Grid {
    rows: Vec<Vec<String>>,
    /// Of each column, in characters.
    widths: Vec<usize>,
}

impl Grid {
    fn of(entities: &[&StoredEntity], columns: &[Column], cell: usize, max_rows: usize) -> Grid {
        let header = columns
            .iter()
            .map(|column| shorten(&column.heading(), cell));
        let mut rows = vec![header.collect::<Vec<String>>()];
        rows.extend(entities.iter().take(max_rows).map(|entity| {
            let cells = columns.iter().map(|it| one_line(&it.value(entity), cell));
            cells.collect()
        }));
        let width_of = |index: usize| {
            let cells = rows.iter().filter_map(|row| row.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = (0..columns.len()).map(width_of).collect();
        Grid { rows, widths }
    }

    /// Characters of the longest line.
    fn width(&self) -> usize {
        let gaps = 2 * self.widths.len().saturating_sub(1);
        MARGIN + gaps + self.widths.iter().sum::<usize>()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| {
            let cells = row.iter().zip(&self.widths);
            let cells: Vec<String> = cells.map(|(cell, width)| pad(cell, *width)).collect();
            cells.join("  ").trim_end().to_owned()
        })
    }
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
        columns.extend(relations.into_keys().cloned().map(Column::Relation));
        columns.extend(common.map(|(name, _)| Column::Property(name.clone())));
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
  identifier    title               → owners  → project  private  readme
  api           Zahlungen für alle            PAY        true     # long text that goes on and on…
  payments-web  Web                 a, b                 false
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

    #[test]
    fn no_line_is_longer_than_asked_for_and_what_is_left_out_is_named() {
        for line_width in 20..110 {
            let options = TableOptions {
                line_width,
                ..TableOptions::default()
            };
            let text = render_table(&catalogue(), &options);
            for line in text.lines() {
                assert!(line.chars().count() <= line_width, "{line_width}: {text}");
            }
            // Each column of repositories is there, or is said not to be.
            let unseen = |name: &&str| !text.contains(*name) && !text.contains("without");
            let columns = ["title", "private", "readme", "owners", "project"];
            assert_eq!(columns.iter().find(|name| unseen(name)), None, "{text}");
        }
    }
}
