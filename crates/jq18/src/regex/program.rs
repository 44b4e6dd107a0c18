//! A pattern as instructions for the [machine](super::machine).

use std::sync::Arc;

use super::class::CharSet;
use super::tree::{Assertion, Greed, Node};

/// Where in a program.
pub(super) type Address = usize;

#[derive(Debug)]
pub(super) enum Instruction {
    /// One character.
    One(Single),
    /// As many characters as a bound allows, without instructions between.
    Run {
        single: Single,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    },
    Jump(Address),
    /// Goes on behind, and later at the address.
    Fork(Address),
    /// Goes on at the address, and later behind.
    ForkAway(Address),
    /// Stores the position.
    Save(usize),
    Assert(Assertion),
    Reference {
        groups: Vec<usize>,
        ignore_case: bool,
    },
    /// Jumps where none of the groups took part.
    Unless {
        groups: Vec<usize>,
        otherwise: Address,
    },
    /// The machine matches what follows, up to [`Instruction::Accept`], by itself, and goes on at `then`.
    Inner {
        kind: Inner,
        then: Address,
    },
    /// Begins counting iterations.
    Reset(usize),
    /// Before each iteration: enough of them go on at `exit`.
    Iterate {
        counter: usize,
        min: u32,
        max: Option<u32>,
        lazy: bool,
        exit: Address,
    },
    /// Counts an iteration, which follows.
    Enter(usize),
    /// After an iteration: back to `Iterate`, unless it matched nothing.
    Again {
        counter: usize,
        iterate: Address,
    },
    /// The end of the pattern, or of what [`Instruction::Inner`] begins.
    Accept,
}

/// What one character has to be.
#[derive(Clone, Debug)]
pub(super) enum Single {
    Any,
    /// Any but a line break.
    AnyInLine,
    Char(char),
    Set(Arc<CharSet>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Inner {
    /// Matches once and is not tried otherwise.
    Atomic,
    Ahead {
        negative: bool,
    },
    /// Ends where it begins to be asked, and has so many characters.
    Behind {
        negative: bool,
        least: u32,
        most: Option<u32>,
    },
}

#[derive(Debug)]
pub(super) struct Routine {
    pub(super) code: Vec<Instruction>,
    pub(super) counters: usize,
    pub(super) groups: usize,
    pub(super) starts: Starts,
}

/// Where a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    Anywhere,
    /// Only at the beginning of the text.
    AtText,
    /// At the beginning of a line, as far as `.*` is concerned, which would else be tried from everywhere in it.
    AtLine,
}

impl Routine {
    pub(super) fn new(node: &Node, groups: usize) -> Self {
        let mut compiler = Compiler {
            code: Vec::new(),
            counters: 0,
        };
        compiler.add(node);
        compiler.code.push(Instruction::Accept);
        Self {
            code: compiler.code,
            counters: compiler.counters,
            groups,
            starts: starts(node),
        }
    }
}

fn starts(node: &Node) -> Starts {
    match node {
        Node::Assert(Assertion::TextStart) => Starts::AtText,
        Node::Repeat {
            node,
            min: 0,
            max: None,
            greed: Greed::Greedy,
        } => match **node {
            Node::Any(true) => Starts::AtText,
            Node::Any(false) => Starts::AtLine,
            _ => Starts::Anywhere,
        },
        Node::Sequence(nodes) => nodes.first().map_or(Starts::Anywhere, starts),
        Node::Alternatives(nodes) if nodes.iter().all(|node| starts(node) == Starts::AtText) => {
            Starts::AtText
        }
        Node::Group(_, node) => starts(node),
        _ => Starts::Anywhere,
    }
}

struct Compiler {
    code: Vec<Instruction>,
    counters: usize,
}

impl Compiler {
    fn here(&self) -> Address {
        self.code.len()
    }

    /// Adds an instruction whose address is not known yet.
    fn hole(&mut self) -> Address {
        self.code.push(Instruction::Accept);
        self.here() - 1
    }

    fn fill(&mut self, hole: Address, instruction: Instruction) {
        if let Some(slot) = self.code.get_mut(hole) {
            *slot = instruction;
        }
    }

    fn add(&mut self, node: &Node) {
        match node {
            Node::Empty => {}
            Node::Class(_) | Node::Any(_) => self.code.extend(single(node).map(Instruction::One)),
            Node::Sequence(nodes) => nodes.iter().for_each(|node| self.add(node)),
            Node::Alternatives(nodes) => self.alternatives(nodes),
            Node::Repeat {
                node,
                min,
                max,
                greed,
            } => self.repeat(node, *min, *max, *greed),
            Node::Group(number, node) => {
                self.code.push(Instruction::Save(2 * number));
                self.add(node);
                self.code.push(Instruction::Save(2 * number + 1));
            }
            Node::Atomic(node) => self.inner(Inner::Atomic, node),
            Node::Look {
                behind: false,
                negative,
                node,
            } => self.inner(
                Inner::Ahead {
                    negative: *negative,
                },
                node,
            ),
            Node::Look {
                behind: true,
                negative,
                node,
            } => {
                let (least, most) = node.length();
                self.inner(
                    Inner::Behind {
                        negative: *negative,
                        least,
                        most,
                    },
                    node,
                );
            }
            Node::Assert(assertion) => self.code.push(Instruction::Assert(*assertion)),
            Node::Reference {
                groups,
                ignore_case,
            } => self.code.push(Instruction::Reference {
                groups: groups.clone(),
                ignore_case: *ignore_case,
            }),
            Node::Conditional {
                groups,
                then,
                otherwise,
            } => self.conditional(groups, then, otherwise),
            Node::Keep => self.code.push(Instruction::Save(0)),
        }
    }

    fn conditional(&mut self, groups: &[usize], then: &Node, otherwise: &Node) {
        let test = self.hole();
        self.add(then);
        let end = self.hole();
        let test_fails = Instruction::Unless {
            groups: groups.to_vec(),
            otherwise: self.here(),
        };
        self.fill(test, test_fails);
        self.add(otherwise);
        let here = self.here();
        self.fill(end, Instruction::Jump(here));
    }

    fn alternatives(&mut self, nodes: &[Node]) {
        let mut ends = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            if index + 1 == nodes.len() {
                self.add(node);
                break;
            }
            let fork = self.hole();
            self.add(node);
            ends.push(self.hole());
            let next = self.here();
            self.fill(fork, Instruction::Fork(next));
        }
        let here = self.here();
        for end in ends {
            self.fill(end, Instruction::Jump(here));
        }
    }

    fn inner(&mut self, kind: Inner, node: &Node) {
        let hole = self.hole();
        self.add(node);
        self.code.push(Instruction::Accept);
        let then = self.here();
        self.fill(hole, Instruction::Inner { kind, then });
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed) {
        if let Some(single) = single(node) {
            self.code.push(Instruction::Run {
                single,
                min,
                max,
                greed,
            });
            return;
        }
        if greed == Greed::Possessive {
            let hole = self.hole();
            self.repeat(node, min, max, Greed::Greedy);
            self.code.push(Instruction::Accept);
            let then = self.here();
            self.fill(
                hole,
                Instruction::Inner {
                    kind: Inner::Atomic,
                    then,
                },
            );
            return;
        }
        if (min, max) == (0, Some(1)) {
            let fork = self.hole();
            self.add(node);
            let here = self.here();
            let lazy = greed == Greed::Lazy;
            self.fill(
                fork,
                if lazy {
                    Instruction::ForkAway(here)
                } else {
                    Instruction::Fork(here)
                },
            );
            return;
        }
        let counter = self.counters;
        self.counters += 1;
        self.code.push(Instruction::Reset(counter));
        let iterate = self.hole();
        self.code.push(Instruction::Enter(counter));
        self.add(node);
        self.code.push(Instruction::Again { counter, iterate });
        let exit = self.here();
        let lazy = greed == Greed::Lazy;
        self.fill(
            iterate,
            Instruction::Iterate {
                counter,
                min,
                max,
                lazy,
                exit,
            },
        );
    }
}

/// The node as one character, if it is one.
fn single(node: &Node) -> Option<Single> {
    match node {
        Node::Any(true) => Some(Single::Any),
        Node::Any(false) => Some(Single::AnyInLine),
        Node::Class(class) => Some(match class.ranges() {
            [only] if only.start() == only.end() => Single::Char(only.start()),
            _ => Single::Set(Arc::new(CharSet::from(class))),
        }),
        _ => None,
    }
}
