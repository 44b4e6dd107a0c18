//! `ferry preview`: what a resync would do, for people or for machines.

use anyhow::anyhow;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::entity::{Entity, EntityKey, Identifier};
use ferry::failure::chain;
use ferry::resync::{Preview, Scope, preview};
use jiff::Timestamp;
use serde_json::{Value, json};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Look at this kind only; deletions cannot be told then.
    #[arg(long)]
    kind: Option<String>,
    /// Show at most this many entities of each list.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Show what changes, field by field.
    #[arg(long)]
    diff: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(app: &App, options: &Options) -> anyhow::Result<()> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let scope = Scope {
        kind: options.kind.clone(),
    };
    let found = Box::pin(preview(app, &scope, &deadline)).await;
    let found = found.map_err(|failure| anyhow!(chain(&failure)))?;
    print(&match options.json {
        true => format!("{:#}", as_json(&found)),
        false => as_text(&found, options),
    });
    Ok(())
}

fn name(entity: &Entity) -> String {
    match &entity.identifier {
        Identifier::Text(text) => EntityKey::new(&entity.blueprint, text).to_string(),
        Identifier::Search(query) => format!("{}/{query}", entity.blueprint),
    }
}

fn as_json(found: &Preview) -> Value {
    let changed = found.changed.iter().map(|change| {
        let fields = change.fields.iter().map(
            |field| json!({"field": field.name, "before": field.before, "after": field.after}),
        );
        json!({"entity": change.key.to_string(), "fields": fields.collect::<Vec<Value>>()})
    });
    json!({
        "created": found.created.iter().map(name).collect::<Vec<String>>(),
        "changed": changed.collect::<Vec<Value>>(),
        "deleted": found.deleted.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "kept": found.kept,
        "problems": found.problems,
        "failedPartitions": found.failed_partitions,
        "counts": found.counts,
    })
}

fn as_text(found: &Preview, options: &Options) -> String {
    let mut lines = Vec::new();
    let mut list = |what: &str, names: Vec<String>| {
        lines.push(format!("{what}: {}", names.len()));
        let more = names.len().saturating_sub(options.limit);
        lines.extend(names.into_iter().take(options.limit));
        if 0 < more {
            lines.push(format!("  .. and {more} more (--limit)"));
        }
    };
    let created = found.created.iter();
    list(
        "would be created",
        created
            .map(|entity| format!("  + {}", name(entity)))
            .collect(),
    );
    let changed = found.changed.iter().map(|change| {
        let mut line = format!("  ~ {}", change.key);
        for field in change.fields.iter().filter(|_| options.diff) {
            line.push_str(&format!(
                "\n      {}: {} -> {}",
                field.name, field.before, field.after
            ));
        }
        line
    });
    list("would be changed", changed.collect());
    let deleted = found.deleted.iter();
    list(
        "would be deleted",
        deleted.map(|key| format!("  - {key}")).collect(),
    );
    if let Some(kept) = &found.kept {
        lines.push(format!("stale entities would stay: {kept}"));
    }
    for (what, all) in [
        ("problem of the mapping", &found.problems),
        ("not readable", &found.failed_partitions),
    ] {
        lines.extend(all.iter().map(|problem| format!("{what}: {problem}")));
    }
    let counts = found.counts;
    lines.push(format!(
        "{} items read, {} entities mapped, {} filtered out, {} not mapped, {} as they are",
        counts.extracted,
        counts.transformed,
        counts.filtered_out,
        counts.not_mapped,
        counts.unchanged
    ));
    lines.push("nothing was written".to_owned());
    lines.join("\n")
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(text: &str) {
    println!("{text}");
}
