//! What Bitbucket is asked for where it filters the listing of a tree itself. Pure. What it answers is matched again.

use super::wanted::{TreeSearch, What};
use crate::bitbucket::quoted;

/// Longest query, in bytes: percent-encoded, the address stays well below 8 KB.
const LONGEST: usize = 2_000;

/// A query that every match of `searches` satisfies; `None` where that would be everything, or too long.
pub(super) fn query(searches: &[TreeSearch<'_>]) -> Option<String> {
    let mut conditions: Vec<String> = Vec::new();
    for search in searches {
        let (kind, pieces) = match search.what {
            What::Folder(folder) => ("commit_directory", vec![folder.path.literal()?]),
            What::Files(files) => ("commit_file", files.literals()?),
        };
        for piece in pieces {
            let condition = format!("type=\"{kind}\" AND path~{}", quoted(&piece));
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
    }
    let query = match conditions.as_slice() {
        [] => return None,
        [one] => one.clone(),
        several => {
            let several: Vec<String> = several.iter().map(|one| format!("({one})")).collect();
            several.join(" OR ")
        }
    };
    (query.len() <= LONGEST).then_some(query)
}
