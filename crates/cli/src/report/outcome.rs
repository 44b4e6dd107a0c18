//! What has become of a resync, as a page of HTML and as Markdown.

use ferry::counts::{Counts, Tally};
use ferry::resync::Summary;
use serde_json::{Value, json};

use super::markdown::{code, heading, list};
use super::page::{Head, Sheet, Tone, page};
use super::plan::Subject;

/// A resync that has come to its end.
pub(crate) struct Outcome<'a> {
    pub(crate) subject: Subject,
    pub(crate) summary: &'a Summary,
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
        let KindTable { columns, rows } = by_kind(self.summary);
        let rows = rows.into_iter().map(|(kind, counts)| {
            let counts = counts.into_iter().map(|count| json!(count));
            [json!(kind)].into_iter().chain(counts).collect()
        });
        Sheet {
            heading: "By kind",
            columns,
            rows: rows.collect(),
        }
    }
}

/// What became of each kind.
pub(crate) struct KindTable {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<(String, Vec<usize>)>,
}

/// A column with its name. What waits is shown only where something does.
type Column = (&'static str, fn(&Tally) -> usize);

const COLUMNS: [Column; 9] = [
    ("read", |of| of.read),
    ("mapped", |of| of.mapped),
    ("written", |of| of.written),
    ("unchanged", |of| of.unchanged),
    ("refused", |of| of.refused),
    ("waiting", |of| of.waiting + of.postponed),
    ("deleted", |of| of.deleted),
    ("skipped", |of| of.skipped),
    ("failed", |of| of.failed + of.unread),
];

/// One row for each kind, and one for deletions of what no kind of the mapping has made.
pub(crate) fn by_kind(summary: &Summary) -> KindTable {
    let mut tallies: Vec<(String, Tally)> = summary
        .kinds
        .iter()
        .map(|one| (one.kind.clone(), one.tally))
        .collect();
    let deleted: usize = tallies.iter().map(|(_, tally)| tally.deleted).sum();
    let others = Tally {
        deleted: summary.counts.deleted.saturating_sub(deleted),
        ..Tally::default()
    };
    if 0 < others.deleted {
        tallies.push(("not mapped".to_owned(), others));
    }
    let is_shown = |(name, count): &&Column| {
        *name != "waiting" || tallies.iter().any(|(_, tally)| 0 < count(tally))
    };
    let shown: Vec<&Column> = COLUMNS.iter().filter(is_shown).collect();
    let names = shown.iter().map(|(name, _)| *name);
    let counts = |tally: &Tally| shown.iter().map(|(_, count)| count(tally)).collect();
    let rows = tallies.iter();
    KindTable {
        columns: std::iter::once("kind").chain(names).collect(),
        rows: rows
            .map(|(kind, tally)| (kind.clone(), counts(tally)))
            .collect(),
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
        (counts.postponed, "left to a look of their own", Tone::Doubt),
        (counts.undeleted, "not deleted by Port", Tone::Bad),
        (counts.filtered_out, "items filtered out", Tone::Plain),
        (counts.not_mapped, "items not mapped", Tone::Bad),
        (counts.left_out, "values left out", Tone::Doubt),
        (counts.skipped, "files left out", Tone::Doubt),
    ];
    let counted = all.into_iter().filter(|(count, ..)| 0 < *count);
    counted.collect()
}
