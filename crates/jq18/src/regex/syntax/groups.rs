//! What stands in parentheses, and what refers to it.

use std::sync::Arc;

use super::{Modes, Parsed, Parser};
use crate::regex::class;
use crate::regex::tree::Node;

impl Parser {
    /// After `(`.
    pub(super) fn group(&mut self) -> Parsed<Node> {
        let opening = self.opening()?;
        if let Opening::Condition = opening {
            return self.conditional();
        }
        let before = self.modes;
        if let Opening::Modes(modes) = opening {
            self.modes = modes;
        }
        let node = self.alternatives();
        self.modes = before;
        let node = Box::new(node?);
        self.close()?;
        Ok(match opening {
            Opening::Capture(number) => Node::Group(number, node),
            Opening::Atomic => Node::Atomic(node),
            Opening::Look { behind, negative } => {
                if behind && node.varies_behind() {
                    return Err("invalid pattern in look-behind");
                }
                Node::Look {
                    behind,
                    negative,
                    node,
                }
            }
            Opening::Plain | Opening::Condition => *node,
            // A node of its own, so that an assertion in it may be repeated.
            Opening::Modes(_) => Node::Sequence(vec![*node]),
        })
    }

    fn opening(&mut self) -> Parsed<Opening> {
        if !self.accept("?") {
            self.names.push(None);
            return Ok(Opening::Capture(self.names.len()));
        }
        for (text, behind, negative) in [
            ("=", false, false),
            ("!", false, true),
            ("<=", true, false),
            ("<!", true, true),
        ] {
            if self.accept(text) {
                return Ok(Opening::Look { behind, negative });
            }
        }
        if self.accept(">") {
            return Ok(Opening::Atomic);
        }
        if self.accept(":") {
            return Ok(Opening::Plain);
        }
        if self.accept("(") {
            return Ok(Opening::Condition);
        }
        if let Some(name) = self.name()? {
            if name.is_empty()
                || !name.starts_with(|char: char| class::is_word(char) && !char.is_numeric())
            {
                return Err("invalid group name");
            }
            self.names.push(Some(name.into()));
            return Ok(Opening::Capture(self.names.len()));
        }
        match self.mode_letters() {
            Some((modes, ':')) => Ok(Opening::Modes(modes)),
            _ => Err("undefined group option"),
        }
    }

    /// `<name>` or `'name'`, if it comes next.
    pub(super) fn name(&mut self) -> Parsed<Option<String>> {
        let end = if self.accept("<") {
            '>'
        } else if self.accept("'") {
            '\''
        } else {
            return Ok(None);
        };
        let mut name = String::new();
        loop {
            match self.next().ok_or("invalid group name")? {
                char if char == end => return Ok(Some(name)),
                char => name.push(char),
            }
        }
    }

    fn close(&mut self) -> Parsed<()> {
        if self.accept(")") {
            Ok(())
        } else {
            Err("end pattern with unmatched parenthesis")
        }
    }

    /// After `(?(`: `1)then|otherwise)`.
    fn conditional(&mut self) -> Parsed<Node> {
        let named = self.name()?;
        let name = match named {
            Some(name) => name,
            None => {
                let digits: String = self
                    .chars
                    .get(self.at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|char| char.is_ascii_digit())
                    .collect();
                self.at += digits.len();
                digits
            }
        };
        let groups = self.groups_named(&name)?;
        self.close()?;
        let (then, otherwise) = match self.alternatives()? {
            Node::Alternatives(mut branches) if branches.len() == 2 => {
                let otherwise = branches.pop().unwrap_or(Node::Empty);
                (branches.pop().unwrap_or(Node::Empty), otherwise)
            }
            Node::Alternatives(_) => return Err("invalid if-else syntax"),
            then => (then, Node::Empty),
        };
        self.close()?;
        Ok(Node::Conditional {
            groups,
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        })
    }

    /// The groups that a reference means, the last one first.
    pub(super) fn groups_named(&self, name: &str) -> Parsed<Vec<usize>> {
        if let Ok(number) = name.parse::<usize>() {
            let known = 0 < number && number <= self.groups;
            return if known {
                Ok(vec![number])
            } else {
                Err("invalid backref number/name")
            };
        }
        let named = |(index, known): (usize, &Option<Arc<str>>)| {
            (known.as_deref() == Some(name)).then_some(index + 1)
        };
        let groups: Vec<usize> = self
            .names
            .iter()
            .enumerate()
            .rev()
            .filter_map(named)
            .collect();
        if groups.is_empty() {
            Err("undefined name reference")
        } else {
            Ok(groups)
        }
    }
}

/// What a parenthesis begins.
enum Opening {
    Capture(usize),
    Atomic,
    Look { behind: bool, negative: bool },
    Plain,
    Modes(Modes),
    Condition,
}
