//! A pattern as a tree, and what its form says without being run.

use regex_syntax::hir::ClassUnicode;

/// A pattern, as a tree.
#[derive(Debug)]
pub(super) enum Node {
    Empty,
    /// One character of a set.
    Class(ClassUnicode),
    /// Any character; with `true` also a line break.
    Any(bool),
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    },
    /// Captures, by its number from 1.
    Group(usize, Box<Node>),
    Atomic(Box<Node>),
    Look {
        behind: bool,
        negative: bool,
        node: Box<Node>,
    },
    Assert(Assertion),
    /// What one of the groups matched, the last one first.
    Reference {
        groups: Vec<usize>,
        ignore_case: bool,
    },
    /// `(?(1)then|otherwise)`
    Conditional {
        groups: Vec<usize>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    /// `\K`
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assertion {
    TextStart,
    TextEnd,
    /// The end, or before a line break that ends the text.
    TextEndOrBreak,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
    /// `\G`
    SearchStart,
}

impl Node {
    /// Characters that it matches at least and at most.
    pub(super) fn length(&self) -> (u32, Option<u32>) {
        match self {
            Node::Empty | Node::Assert(_) | Node::Keep | Node::Look { .. } => (0, Some(0)),
            Node::Class(_) | Node::Any(_) => (1, Some(1)),
            Node::Sequence(nodes) => {
                nodes
                    .iter()
                    .map(Node::length)
                    .fold((0, Some(0)), |sum, length| {
                        let max = sum
                            .1
                            .zip(length.1)
                            .map(|(sum, length)| sum.saturating_add(length));
                        (sum.0.saturating_add(length.0), max)
                    })
            }
            Node::Alternatives(nodes) => either(nodes.iter().map(Node::length)),
            Node::Repeat { node, min, max, .. } => {
                let (least, most) = node.length();
                let most = match most {
                    Some(0) => Some(0),
                    most => most.zip(*max).map(|(most, max)| most.saturating_mul(max)),
                };
                (least.saturating_mul(*min), most)
            }
            Node::Group(_, node) | Node::Atomic(node) => node.length(),
            Node::Reference { .. } => (0, None),
            Node::Conditional {
                then, otherwise, ..
            } => either([then.length(), otherwise.length()].into_iter()),
        }
    }

    /// Whether Oniguruma refuses a quantifier behind it: what only looks at a position, alone or among alternatives.
    pub(super) fn only_looks(&self) -> bool {
        match self {
            Node::Assert(_) | Node::Look { .. } | Node::Keep => true,
            Node::Alternatives(nodes) => nodes.iter().any(Node::only_looks),
            _ => false,
        }
    }

    /// Whether Oniguruma refuses it in a look-behind, in jq's syntax: alternatives of different length, or another look.
    pub(super) fn varies_behind(&self) -> bool {
        match self {
            Node::Look { .. } => true,
            Node::Alternatives(nodes) => {
                let first = nodes.first().map(Node::length);
                nodes
                    .iter()
                    .any(|node| Some(node.length()) != first || node.varies_behind())
            }
            Node::Sequence(nodes) => nodes.iter().any(Node::varies_behind),
            Node::Repeat { node, .. } | Node::Group(_, node) | Node::Atomic(node) => {
                node.varies_behind()
            }
            Node::Conditional {
                then, otherwise, ..
            } => then.varies_behind() || otherwise.varies_behind(),
            _ => false,
        }
    }
}

fn either(lengths: impl Iterator<Item = (u32, Option<u32>)>) -> (u32, Option<u32>) {
    lengths
        .reduce(|one, other| {
            (
                one.0.min(other.0),
                one.1.zip(other.1).map(|(one, other)| one.max(other)),
            )
        })
        .unwrap_or((0, Some(0)))
}
