//! Putting things after what they point at.
//!
//! Pure, and the same for entities and blueprints: a node has a name and points at names.

use std::collections::HashMap;

/// A name, and the names it points at.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) targets: Vec<&'a str>,
}

/// Positions of `nodes` in levels: each node comes after all that it points at, and within a level the given order
/// holds. Names without a node and nodes that point at themselves do not matter. What lies on a cycle, or depends
/// on one, forms the last level.
pub(super) fn levels(nodes: &[Node<'_>]) -> Vec<Vec<usize>> {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (position, node) in nodes.iter().enumerate() {
        named.entry(node.name).or_default().push(position);
    }
    let waits_for = |position: usize, node: &Node<'_>| -> Vec<usize> {
        let targets = node.targets.iter().filter_map(|name| named.get(name));
        let mut targets: Vec<usize> = targets
            .flatten()
            .copied()
            .filter(|target| *target != position)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    };
    let mut waiting: Vec<(usize, Vec<usize>)> = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (position, waits_for(position, node)))
        .collect();
    let mut done = vec![false; nodes.len()];
    let mut levels = Vec::new();
    while !waiting.is_empty() {
        let is_done = |target: &usize| done.get(*target).copied().unwrap_or(true);
        let (ready, blocked): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(_, targets)| targets.iter().all(is_done));
        let stuck = ready.is_empty();
        let (level, rest) = if stuck {
            (blocked, ready)
        } else {
            (ready, blocked)
        };
        let level: Vec<usize> = level.into_iter().map(|(position, _)| position).collect();
        for position in &level {
            if let Some(done) = done.get_mut(*position) {
                *done = true;
            }
        }
        levels.push(level);
        waiting = rest;
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(nodes: &[(&str, &[&str])]) -> Vec<Vec<String>> {
        let nodes: Vec<Node<'_>> = nodes
            .iter()
            .map(|(name, targets)| Node {
                name,
                targets: targets.to_vec(),
            })
            .collect();
        levels(&nodes)
            .into_iter()
            .map(|level| level.into_iter().map(|at| nodes[at].name.into()).collect())
            .collect()
    }

    #[test]
    fn targets_come_first_as_in_the_golden_vector() {
        let levels = names(&[
            ("a", &["b"]),
            ("b", &["c", "zzz"]),
            ("c", &[]),
            ("d", &["d"]),
        ]);
        assert_eq!(levels.concat(), ["c", "d", "b", "a"]);
    }

    #[test]
    fn a_cycle_keeps_the_given_order() {
        let levels = names(&[("b", &["a"]), ("x", &[]), ("a", &["b"])]);
        assert_eq!(levels, [vec!["x"], vec!["b", "a"]]);
    }

    proptest! {
        #[test]
        fn each_node_comes_once_and_after_its_targets(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30),
        ) {
            let names: Vec<String> = (0..12).map(|name| name.to_string()).collect();
            // Pointing at smaller numbers only, there is no cycle.
            let targets = |from: usize| edges.iter()
                .filter(move |(a, b)| *a.max(b) == from && a != b)
                .map(|(a, b)| names[*a.min(b)].as_str());
            let nodes: Vec<Node<'_>> = (0..12)
                .map(|at| Node { name: &names[at], targets: targets(at).collect() })
                .collect();
            let order = levels(&nodes).concat();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
            let place = |name: &str| order.iter().position(|at| nodes[*at].name == name);
            for node in &nodes {
                for target in &node.targets {
                    prop_assert!(place(target) < place(node.name));
                }
            }
        }
    }
}
