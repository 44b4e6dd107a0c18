//! `ferry preview`: what a resync would do, for people or for machines.

use std::collections::BTreeMap;

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::entity::{Entity, Identifier};
use ferry::mapping::Kind;
use ferry::resync::{FieldChange, Preview, Scope, preview};
use ferry::telemetry::chain;
use indicatif::MultiProgress;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::progress::show;
use super::reach::reach;
use super::terminal::{Audience, BAD, DOUBTFUL, FAINT, GOOD, STRONG, painted, print, table};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Look at this kind only; deletions cannot be told then.
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
    kind: Option<String>,
    /// Show at most this many entities of each list of a blueprint.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Show what changes, field by field.
    #[arg(long)]
    diff: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(app: &App, options: &Options, bars: &MultiProgress) -> anyhow::Result<()> {
    reach(app).await?;
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let scope = Scope {
        kind: options.kind.clone(),
    };
    let found = tokio::select! {
        found = Box::pin(preview(app, &scope, &deadline)) => found,
        () = show(app.progress.subscribe(), Audience::People, bars) => return Ok(()),
    };
    let found = found.map_err(|failure| anyhow!(chain(&failure)))?;
    print(match options.json {
        true => format!("{:#}", as_json(&found)),
        false => as_text(&found, options),
    })
}

/// The identifier, or the query by which Port finds the entity.
fn name(entity: &Entity) -> Value {
    match &entity.identifier {
        Identifier::Text(text) => text.as_str().into(),
        Identifier::Search(query) => query.clone(),
    }
}

fn as_json(found: &Preview) -> Value {
    let mut blueprints: BTreeMap<&str, [Vec<Value>; 3]> = BTreeMap::new();
    for entity in &found.created {
        let [created, ..] = blueprints.entry(&entity.blueprint).or_default();
        created.push(json!({
            "identifier": name(entity), "title": entity.title, "team": entity.team,
            "properties": entity.properties, "relations": entity.relations,
        }));
    }
    for change in &found.changed {
        let field = |field: &FieldChange| json!({"field": field.name, "before": field.before, "after": field.after});
        let fields: Vec<Value> = change.fields.iter().map(field).collect();
        let [_, changed, _] = blueprints.entry(&change.key.blueprint).or_default();
        changed.push(json!({"identifier": change.key.identifier, "fields": fields}));
    }
    for key in &found.deleted {
        let [.., deleted] = blueprints.entry(&key.blueprint).or_default();
        deleted.push(key.identifier.as_str().into());
    }
    let blueprints: Map<String, Value> = blueprints
        .into_iter()
        .map(|(blueprint, [created, changed, deleted])| {
            let lists = json!({"created": created, "changed": changed, "deleted": deleted});
            (blueprint.to_owned(), lists)
        })
        .collect();
    json!({
        "blueprints": blueprints,
        "kept": found.kept,
        "mapping_problems": found.problems,
        "failed_partitions": found.failed_partitions,
        "counts": found.counts,
    })
}

/// What would happen to the entities of one blueprint.
#[derive(Default)]
struct Fate {
    created: Vec<String>,
    changed: Vec<String>,
    deleted: Vec<String>,
}

fn by_blueprint<'a>(found: &'a Preview, options: &Options) -> BTreeMap<&'a str, Fate> {
    let mut fates: BTreeMap<&str, Fate> = BTreeMap::new();
    for entity in &found.created {
        let line = match name(entity) {
            Value::String(text) => text,
            query => query.to_string(),
        };
        let fate = fates.entry(&entity.blueprint).or_default();
        fate.created.push(painted(GOOD, format!("  + {line}")));
    }
    for change in &found.changed {
        let mut line = painted(DOUBTFUL, format!("  ~ {}", change.key.identifier));
        for field in change.fields.iter().filter(|_| options.diff) {
            let name = painted(FAINT, &field.name);
            line.push_str(&format!(
                "\n      {name}: {} -> {}",
                painted(BAD, &field.before),
                painted(GOOD, &field.after)
            ));
        }
        let fate = fates.entry(&change.key.blueprint).or_default();
        fate.changed.push(line);
    }
    for key in &found.deleted {
        let fate = fates.entry(&key.blueprint).or_default();
        let line = painted(BAD, format!("  - {}", key.identifier));
        fate.deleted.push(line);
    }
    fates
}

fn as_text(found: &Preview, options: &Options) -> String {
    let fates = by_blueprint(found, options);
    let mut lines = Vec::new();
    for (blueprint, fate) in &fates {
        lines.push(painted(STRONG, blueprint));
        for list in [&fate.created, &fate.changed, &fate.deleted] {
            lines.extend(list.iter().take(options.limit).cloned());
            let more = list.len().saturating_sub(options.limit);
            if 0 < more {
                lines.push(painted(FAINT, format!("    and {more} more (--limit)")));
            }
        }
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let row = |name: &str, lists: [usize; 3]| {
        let numbers = lists.iter().map(ToString::to_string);
        std::iter::once(name.to_owned()).chain(numbers).collect()
    };
    for (blueprint, fate) in &fates {
        let lists = [&fate.created, &fate.changed, &fate.deleted];
        rows.push(row(blueprint, lists.map(Vec::len)));
    }
    let all = [
        found.created.len(),
        found.changed.len(),
        found.deleted.len(),
    ];
    rows.push(row("all", all));
    let header = [
        "blueprint",
        "would be created",
        "would be changed",
        "would be deleted",
    ];
    lines.push(table(&header, rows));
    if let Some(kept) = &found.kept {
        lines.push(painted(
            DOUBTFUL,
            format!("stale entities would stay: {kept}"),
        ));
    }
    for (what, all) in [
        ("problem of the mapping", &found.problems),
        ("not readable", &found.failed_partitions),
    ] {
        let problems = all.iter();
        lines.extend(problems.map(|problem| painted(DOUBTFUL, format!("{what}: {problem}"))));
    }
    let counts = found.counts;
    lines.push(format!(
        "{} items read, {} entities mapped, {} filtered out, {} not mapped, {} values left out, {} as they are",
        counts.extracted,
        counts.transformed,
        counts.filtered_out,
        counts.not_mapped,
        counts.left_out,
        counts.unchanged
    ));
    lines.push("nothing was written".to_owned());
    lines.join("\n")
}
