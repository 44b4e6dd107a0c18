//! What has become of a resync, as a page of HTML and as Markdown.

use ferry::counts::Counts;
use ferry::progress::RunProgress;
use ferry::resync::Summary;
use serde_json::{Value, json};

use super::markdown::{code, heading, list};
use super::page::{Head, Sheet, Tone, page};
use super::plan::Subject;

/// A resync that has come to its end.
pub(crate) struct Outcome<'a> {
    pub(crate) subject: Subject,
    pub(crate) summary: &'a Summary,
    pub(crate) progress: &'a RunProgress,
    /// What is not in Port as it should be, in one line.
    pub(crate) losses: Option<&'a str>,
}

impl Outcome<'_> {
    pub(crate) fn html(&self) -> String {
        let head = Head {
            title: "Ferry resync",
            subject: format!(
                "Bitbucket workspace {} into Port, installation {}.",
                self.subject.workspace, self.subject.identifier
            ),
            headline: self.headline(),
            tone: match self.losses {
                None => Tone::Good,
                Some(_) => Tone::Doubt,
            },
            tiles: figures(&self.summary.counts),
            notes: self.summary.kept.iter().cloned().collect(),
            problems: self.summary.mapping_problems.clone(),
            unread: self.summary.failed_partitions.clone(),
            tables: vec![self.kinds()],
        };
        page(&head, Vec::new(), &Value::Null)
    }

    pub(crate) fn markdown(&self) -> String {
        let Sheet { columns, rows, .. } = self.kinds();
        let mut lines = vec![
            heading(&self.subject),
            String::new(),
            format!("**{}**", self.headline()),
            String::new(),
            format!("| {} |", columns.join(" | ")),
            format!("| --- |{}", " ---: |".repeat(columns.len() - 1)),
        ];
        lines.extend(rows.iter().map(|row| {
            let cells = row.iter().map(|cell| match cell {
                Value::String(text) => code(text),
                number => number.to_string(),
            });
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        }));
        lines.push(String::new());
        let figures = figures(&self.summary.counts).into_iter();
        lines.extend(figures.map(|(count, label, _)| format!("- {count} {label}")));
        lines.push(String::new());
        lines.extend(list(
            "Problems of the mapping",
            &self.summary.mapping_problems,
        ));
        lines.extend(list("Not read", &self.summary.failed_partitions));
        let kept: Vec<String> = self.summary.kept.iter().cloned().collect();
        lines.extend(list("To know", &kept));
        lines.join("\n")
    }

    fn headline(&self) -> String {
        self.losses
            .unwrap_or("Completed: all of it is in Port.")
            .to_owned()
    }

    fn kinds(&self) -> Sheet {
        let rows = self.progress.parts.iter().map(|part| {
            vec![
                json!(part.kind),
                json!(part.done),
                json!(part.items),
                json!(part.entities),
            ]
        });
        Sheet {
            heading: "By kind",
            columns: vec!["kind", "partitions", "items", "entities"],
            rows: rows.collect(),
        }
    }
}

/// All that was counted and is not 0.
pub(crate) fn figures(counts: &Counts) -> Vec<(usize, &'static str, Tone)> {
    let all = [
        (counts.written, "written", Tone::Good),
        (counts.unchanged, "as they were", Tone::Plain),
        (counts.deleted, "deleted", Tone::Bad),
        (
            counts.kept,
            "kept, though nothing claims them any more",
            Tone::Doubt,
        ),
        (counts.refused, "refused by Port", Tone::Bad),
        (counts.waiting, "without what they point at", Tone::Bad),
        (counts.filtered_out, "items filtered out", Tone::Plain),
        (counts.not_mapped, "items not mapped", Tone::Bad),
        (counts.left_out, "values left out", Tone::Doubt),
        (counts.skipped, "files left out", Tone::Doubt),
    ];
    let counted = all.into_iter().filter(|(count, ..)| 0 < *count);
    counted.collect()
}
