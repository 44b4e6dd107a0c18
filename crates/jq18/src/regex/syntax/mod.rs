//! The syntax that jq reads patterns in: Oniguruma's `ONIG_SYNTAX_PERL_NT`. It is not the syntax that Oniguruma has by
//! default: `{,3}` is text here, `a{2}?` is lazy, `a{1,2}+` possessive, and classes neither nest nor intersect.

mod brackets;
mod escapes;
mod groups;

use std::sync::Arc;

use super::class;
use super::tree::{Assertion, Greed, Node};

/// Levels of nesting of a pattern: bounds the recursion of everything that walks it.
const MAX_NESTING: usize = 100;
/// Quantifiers one after the other, as in `a+?*`: each is a level.
const MAX_QUANTIFIERS: usize = 8;
/// The greatest number in `{n,m}`; Oniguruma's `ONIG_MAX_REPEAT_NUM`.
const MAX_REPEAT: u32 = 100_000;

/// What `(?imsx)` and the flags of jq's functions switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Modes {
    pub(super) ignore_case: bool,
    pub(super) extended: bool,
    /// `.` matches a line break.
    pub(super) dot_all: bool,
    /// `^` and `$` are the ends of lines.
    pub(super) multi_line: bool,
}

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) node: Node,
    /// By number from 1.
    pub(super) names: Vec<Option<Arc<str>>>,
}

type Parsed<T> = Result<T, &'static str>;

pub(super) fn parse(pattern: &str, modes: Modes) -> Parsed<Pattern> {
    let mut parser = Parser {
        chars: pattern.chars().collect(),
        at: 0,
        modes,
        nesting: 0,
        names: Vec::new(),
        groups: count_groups(pattern),
    };
    let node = parser.alternatives()?;
    if parser.at < parser.chars.len() {
        return Err("unmatched close parenthesis");
    }
    Ok(Pattern {
        node,
        names: parser.names,
    })
}

/// Groups that capture, wherever they stand: which numbers references may name. Text in classes may count as well,
/// which is at worst a reference to a group that never takes part.
fn count_groups(pattern: &str) -> usize {
    let bytes = pattern.as_bytes();
    let mut groups = 0;
    let mut at = 0;
    let mut in_class = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => {
                let named = matches!(bytes.get(at + 1..at + 4), Some([b'?', b'<', next]) if !matches!(next, b'=' | b'!'))
                    || bytes.get(at + 1..at + 3) == Some(b"?'");
                groups += usize::from(named || bytes.get(at + 1) != Some(&b'?'));
            }
            _ => {}
        }
        at += 1;
    }
    groups
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    modes: Modes,
    nesting: usize,
    names: Vec<Option<Arc<str>>>,
    groups: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        Some(char)
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let found = text.chars().count() <= rest.len()
            && text.chars().zip(rest).all(|(wanted, char)| wanted == *char);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Up to the end or a `)`. Modes that are switched inside end with the group.
    fn alternatives(&mut self) -> Parsed<Node> {
        if MAX_NESTING <= self.nesting {
            return Err("too deep nest level");
        }
        self.nesting += 1;
        let modes = self.modes;
        let mut branches = vec![self.sequence()?];
        while self.accept("|") {
            branches.push(self.sequence()?);
        }
        self.modes = modes;
        self.nesting -= 1;
        Ok(match branches.pop() {
            Some(only) if branches.is_empty() => only,
            Some(last) => {
                branches.push(last);
                Node::Alternatives(branches)
            }
            None => Node::Empty,
        })
    }

    fn sequence(&mut self) -> Parsed<Node> {
        let mut nodes = Vec::new();
        loop {
            self.skip_comments()?;
            match self.peek() {
                None | Some('|' | ')') => break,
                Some(_) => {}
            }
            if self.at_quantifier() {
                return Err("target of repeat operator is not specified");
            }
            // `(?i)` switches for the rest of the group, the alternatives that follow included.
            if let Some(modes) = self.switched()? {
                self.modes = modes;
                // At the end of a branch it counts as a node, so that an assertion before it may be repeated.
                self.skip_comments()?;
                if matches!(self.peek(), None | Some('|' | ')')) {
                    nodes.push(Node::Empty);
                }
                continue;
            }
            let node = self.atom()?;
            nodes.push(self.repeated(node)?);
        }
        Ok(match nodes.pop() {
            None => Node::Empty,
            Some(only) if nodes.is_empty() => only,
            Some(last) => {
                nodes.push(last);
                Node::Sequence(nodes)
            }
        })
    }

    /// `(?#..)`, and blanks and `#..` in extended mode.
    fn skip_comments(&mut self) -> Parsed<()> {
        loop {
            if self.accept("(?#") {
                while self.next().ok_or("end pattern in group")? != ')' {}
            } else if self.modes.extended && self.peek().is_some_and(char::is_whitespace) {
                self.at += 1;
            } else if self.modes.extended && self.peek() == Some('#') {
                while self.next().is_some_and(|char| char != '\n') {}
            } else {
                return Ok(());
            }
        }
    }

    fn at_quantifier(&self) -> bool {
        match self.peek() {
            Some('*' | '+' | '?') => true,
            Some('{') => self.interval().is_some(),
            _ => false,
        }
    }

    /// `{n}`, `{n,}` or `{n,m}` at the current position, and its length. Anything else is text.
    fn interval(&self) -> Option<(u64, Option<u64>, usize)> {
        let rest = self.chars.get(self.at + 1..)?;
        let length = rest.iter().position(|char| *char == '}')?;
        let inside: String = rest.get(..length)?.iter().collect();
        let (low, high) = inside.split_once(',').unwrap_or((&inside, &inside));
        let number = |digits: &str| {
            let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            all.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        let max = if high.is_empty() {
            None
        } else {
            Some(number(high)?)
        };
        Some((number(low)?, max, length + 2))
    }

    /// `node` with the quantifiers behind it.
    fn repeated(&mut self, mut node: Node) -> Parsed<Node> {
        for _ in 0..MAX_QUANTIFIERS {
            self.skip_comments()?;
            let (min, max) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => match self.interval() {
                    Some((min, max, length)) => {
                        self.at += length - 1;
                        (min, max)
                    }
                    None => return Ok(node),
                },
                _ => return Ok(node),
            };
            self.at += 1;
            if node.only_looks() {
                return Err("target of repeat operator is invalid");
            }
            let bounded = |number: u64| {
                let number = u32::try_from(number)
                    .ok()
                    .filter(|number| *number <= MAX_REPEAT);
                number.ok_or("too big number for repeat range")
            };
            let (min, max) = (bounded(min)?, max.map(bounded).transpose()?);
            if max.is_some_and(|max| max < min) {
                return Err("upper is smaller than lower in repeat range");
            }
            let greed = if self.accept("?") {
                Greed::Lazy
            } else if self.accept("+") {
                Greed::Possessive
            } else {
                Greed::Greedy
            };
            node = Node::Repeat {
                node: Box::new(node),
                min,
                max,
                greed,
            };
        }
        Err("too deep nest level")
    }

    /// `(?imsx-imsx)`, if it comes next: the modes from there on.
    fn switched(&mut self) -> Parsed<Option<Modes>> {
        let start = self.at;
        if self.accept("(?")
            && let Some((modes, ')')) = self.mode_letters()
        {
            return Ok(Some(modes));
        }
        self.at = start;
        Ok(None)
    }

    /// Letters that switch modes and the `)` or `:` behind them; `None` when it is something else.
    fn mode_letters(&mut self) -> Option<(Modes, char)> {
        let mut modes = self.modes;
        let mut on = true;
        if matches!(self.peek(), Some(')' | ':')) {
            return None;
        }
        loop {
            match self.next()? {
                '-' => on = false,
                'i' => modes.ignore_case = on,
                'm' => modes.multi_line = on,
                's' => modes.dot_all = on,
                'x' => modes.extended = on,
                end @ (')' | ':') => return Some((modes, end)),
                _ => return None,
            }
        }
    }

    fn atom(&mut self) -> Parsed<Node> {
        let Some(char) = self.next() else {
            return Ok(Node::Empty);
        };
        Ok(match char {
            '.' => Node::Any(self.modes.dot_all),
            '^' if self.modes.multi_line => Node::Assert(Assertion::LineStart),
            '^' => Node::Assert(Assertion::TextStart),
            '$' if self.modes.multi_line => Node::Assert(Assertion::LineEnd),
            '$' => Node::Assert(Assertion::TextEndOrBreak),
            '[' => Node::Class(self.brackets()?),
            '(' => self.group()?,
            '\\' => self.escape()?,
            char => self.literal(char),
        })
    }

    fn literal(&self, char: char) -> Node {
        let mut class = class::single(char);
        if self.modes.ignore_case {
            class::fold_case(&mut class);
        }
        Node::Class(class)
    }
}
