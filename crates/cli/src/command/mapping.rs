//! `ferry mapping test`: one item in, each expression, the entities out; for people or for programs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::entity::{Entity, Identifier};
use ferry::mapping::{Evaluated, Kind, Mapping};
use ferry::sync::sources::Sources;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::reach::reach;
use super::terminal::{BAD, DOUBTFUL, FAINT, GOOD, STRONG, painted, print};
use super::{AskedWrongly, COMPLETED, COMPLETED_WITH_LOSSES, FAILED};
use crate::mapping_file::MappingFile;
use crate::trial::item::Wanted;
use crate::trial::{Tried, try_out};

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Take one real item through a mapping, expression by expression, and write nothing.
    ///
    /// Exits with 0 if the item becomes what the mapping says, or is turned away by its query; with 3 if an expression fails
    /// or Port would not take something; with 1 if there is no such item.
    Test(Options),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The mapping, YAML or JSON.
    pub(crate) file: PathBuf,
    /// Of which kind the item is.
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    kind: String,
    /// The repository that it is of: slug, name or uuid. Not for projects, users and the workspace.
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<String>,
    /// A pull request's number, the path of a file or folder, the name of anything else; the first one if not given.
    #[arg(long)]
    id: Option<String>,
    /// Show the raw item, however long it is.
    #[arg(long)]
    item: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Of the JSON's shape; members may be added under it.
const FORMAT: u32 = 1;

/// Lines of a raw item that are shown without being asked for.
const ITEM_LINES: usize = 40;

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 400;

pub(crate) async fn test(
    app: &App,
    file: &MappingFile,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    let mapping = Mapping::from_config(file.value())?;
    let mut kinds = Kind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.name() == options.kind);
    let wanted = Wanted {
        kind: kind.ok_or_else(|| AskedWrongly(format!("{} is no kind", options.kind)))?,
        repository: options.repo.clone(),
        id: options.id.clone(),
    };
    reach(app).await?;
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let session = app.session(&deadline).await?;
    let sources = Sources::new(Arc::new(mapping));
    let tried = Box::pin(try_out(&session, &sources, &wanted, &deadline)).await?;
    print(match options.json {
        true => format!("{:#}", as_json(file, &wanted, &tried)),
        false => as_text(file, options, &tried),
    })?;
    Ok(ExitCode::from(code(&tried)))
}

fn code(tried: &[Tried]) -> u8 {
    let is_seen = tried.iter().any(|tried| tried.item.is_ok());
    let is_right = tried.iter().all(|tried| tried.problems.is_empty());
    match (is_seen, is_right) {
        (false, _) => FAILED,
        (true, false) => COMPLETED_WITH_LOSSES,
        (true, true) => COMPLETED,
    }
}

fn as_text(file: &MappingFile, options: &Options, tried: &[Tried]) -> String {
    let mut lines = Vec::new();
    let mut shown: Option<&Value> = None;
    for tried in tried {
        lines.push(painted(STRONG, tried.resource.name()));
        let raw = match &tried.item {
            Ok(raw) => raw,
            Err(reason) => {
                lines.push(painted(DOUBTFUL, format!("  not seen: {reason}")));
                continue;
            }
        };
        if shown != Some(raw) {
            lines.extend(item(raw, options.item));
            shown = Some(raw);
        }
        for (number, each) in tried.evaluated.iter().enumerate() {
            if 1 < tried.evaluated.len() {
                lines.push(painted(STRONG, format!("  item {}", number + 1)));
            }
            lines.extend(
                each.iter()
                    .flat_map(|evaluated| expression(file, evaluated)),
            );
        }
        lines.extend(outcome(file, tried));
    }
    lines.join("\n")
}

fn item(raw: &Value, whole: bool) -> Vec<String> {
    let text = format!("{raw:#}");
    let count = text.lines().count();
    match whole || count <= ITEM_LINES {
        true => text.lines().map(|line| format!("  {line}")).collect(),
        false => vec![painted(
            FAINT,
            format!("  the item has {count} lines (--item)"),
        )],
    }
}

fn expression(file: &MappingFile, evaluated: &Evaluated) -> [String; 2] {
    let Evaluated { path, value } = evaluated;
    let (_, below) = path.split_once("].").unwrap_or(("", path));
    let line = file.line_of(path);
    let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
    let source = file.text_at(path).unwrap_or_default();
    let value = match value {
        Ok(Value::Null) => painted(DOUBTFUL, "null"),
        Ok(value) => painted(GOOD, shortened(&value.to_string())),
        Err(reason) => painted(BAD, reason),
    };
    let head = format!("  {below}{}: {source}", painted(FAINT, line));
    [head, format!("    = {value}")]
}

fn outcome(file: &MappingFile, tried: &Tried) -> Vec<String> {
    let mut lines = Vec::new();
    if tried.entities.is_empty() {
        let why = match 0 < tried.filtered_out {
            true => "  no entity: selector.query turns it away",
            false => "  no entity",
        };
        lines.push(painted(DOUBTFUL, why));
    }
    for entity in &tried.entities {
        let text = format!("{:#}", entity_json(entity));
        lines.push(painted(STRONG, format!("  becomes {}", name_of(entity))));
        lines.extend(text.lines().map(|line| format!("  {line}")));
    }
    let problems = tried.problems.iter();
    lines
        .extend(problems.map(|problem| painted(BAD, format!("  wrong: {}", file.placed(problem)))));
    lines
}

fn name_of(entity: &Entity) -> String {
    entity.key().map_or_else(
        || format!("what a search finds of {}", entity.blueprint),
        |key| key.to_string(),
    )
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        None => text.to_owned(),
        Some(_) => text.chars().take(VALUE_CHARS).chain(['…']).collect(),
    }
}

fn as_json(file: &MappingFile, wanted: &Wanted, tried: &[Tried]) -> Value {
    let tried = tried.iter().map(|tried| {
        let items = tried.evaluated.iter().map(|each| {
            let each = each
                .iter()
                .map(|evaluated| expression_json(file, evaluated));
            each.collect::<Vec<_>>()
        });
        let problems = tried.problems.iter().map(|problem| file.placed(problem));
        json!({
            "resource": tried.resource.name(),
            "item": tried.item.as_ref().ok(),
            "not_seen": tried.item.as_ref().err(),
            "expressions": items.collect::<Vec<_>>(),
            "filtered_out": tried.filtered_out,
            "entities": tried.entities.iter().map(entity_json).collect::<Vec<_>>(),
            "problems": problems.collect::<Vec<_>>(),
        })
    });
    json!({
        "format": FORMAT,
        "kind": wanted.kind.name(),
        "repository": wanted.repository,
        "id": wanted.id,
        "resources": tried.collect::<Vec<_>>(),
    })
}

fn expression_json(file: &MappingFile, evaluated: &Evaluated) -> Value {
    let Evaluated { path, value } = evaluated;
    let (value, error) = match value {
        Ok(value) => (value, None),
        Err(reason) => (&Value::Null, Some(reason)),
    };
    json!({
        "place": path, "line": file.line_of(path), "expression": file.text_at(path),
        "value": value, "error": error,
    })
}

fn entity_json(entity: &Entity) -> Value {
    let identifier = match &entity.identifier {
        Identifier::Text(text) => json!(text),
        Identifier::Search(query) => query.clone(),
    };
    json!({
        "blueprint": entity.blueprint, "identifier": identifier, "title": entity.title, "icon": entity.icon,
        "team": entity.team, "properties": entity.properties, "relations": entity.relations,
    })
}
