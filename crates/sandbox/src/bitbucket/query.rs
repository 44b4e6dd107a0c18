//! Bitbucket's query language, as in `q=state="OPEN" AND (title~"fix" OR author=null)`.
//!
//! Parses and evaluates against the JSON of one object. Which fields an endpoint filters by is the caller's rule.

use jiff::Timestamp;
use serde_json::Value;

/// A parsed `q`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Compare {
        field: String,
        operator: Operator,
        literal: Literal,
    },
    In {
        field: String,
        literals: Vec<Literal>,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    /// Contains, whatever the case.
    Like,
    NotLike,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Date(Timestamp),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Operator(Operator),
    Text(String),
    /// A field, a keyword, a number or a date.
    Word(String),
}

/// What is wrong with `title="a"b"`; Bitbucket answers it with 500 and HTML.
pub(super) const UNENDED: &str = "a string without an end";

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 50;

impl Query {
    /// Parses `q`; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Query, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            position: 0,
            depth: 0,
        };
        let query = parser.any()?;
        match parser.peek() {
            None => Ok(query),
            Some(token) => Err(format!("unexpected {token:?} after the end")),
        }
    }

    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Query::All(parts) | Query::Any(parts) => parts.iter().flat_map(Query::fields).collect(),
            Query::Compare { field, .. } | Query::In { field, .. } => vec![field],
        }
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        match self {
            Query::All(parts) => parts.iter().all(|part| part.matches(object)),
            Query::Any(parts) => parts.iter().any(|part| part.matches(object)),
            Query::Compare {
                field,
                operator,
                literal,
            } => {
                let positive = match operator {
                    Operator::NotEqual => Operator::Equal,
                    Operator::NotLike => Operator::Like,
                    other => *other,
                };
                let holds = values(object, field)
                    .iter()
                    .any(|value| literal.compare(value, positive));
                // `!=` on a list means: none of them.
                holds == (positive == *operator)
            }
            Query::In {
                field,
                literals,
                negated,
            } => {
                let values = values(object, field);
                let found = literals.iter().any(|literal| {
                    values
                        .iter()
                        .any(|value| literal.compare(value, Operator::Equal))
                });
                found != *negated
            }
        }
    }
}

impl Literal {
    fn compare(&self, value: &Value, operator: Operator) -> bool {
        use std::cmp::Ordering;
        if operator == Operator::Like {
            return match (self, value) {
                (Literal::Text(part), Value::String(text)) => {
                    text.to_lowercase().contains(&part.to_lowercase())
                }
                _ => false,
            };
        }
        let ordering = match (value, self) {
            (Value::Null, Literal::Null) => Some(Ordering::Equal),
            (Value::Bool(value), Literal::Bool(literal)) => Some(value.cmp(literal)),
            (Value::Number(value), Literal::Number(literal)) => {
                value.as_f64().and_then(|value| value.partial_cmp(literal))
            }
            (Value::String(value), Literal::Date(date)) => {
                timestamp(value).map(|value| value.cmp(date))
            }
            (Value::String(value), Literal::Text(literal)) => {
                match (timestamp(value), timestamp(literal)) {
                    (Some(value), Some(literal)) => Some(value.cmp(&literal)),
                    _ => Some(value.as_str().cmp(literal)),
                }
            }
            _ => None,
        };
        ordering.is_some_and(|ordering| match operator {
            Operator::Equal | Operator::NotEqual => ordering.is_eq(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Like | Operator::NotLike => false,
        })
    }
}

/// What a dotted path leads to, through lists; null when nothing is there.
pub(super) fn values<'v>(object: &'v Value, field: &str) -> Vec<&'v Value> {
    let mut found = vec![object];
    for name in field.split('.') {
        found = found
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().map(|item| &item[name]).collect(),
                other => vec![&other[name]],
            })
            .collect();
    }
    found
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        })
        .collect()
}

/// A date with or without a time; without an offset it is UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.len() < 10 {
        return None;
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '=' => Token::Operator(Operator::Equal),
            '~' => Token::Operator(Operator::Like),
            '!' => match chars.next() {
                Some('=') => Token::Operator(Operator::NotEqual),
                Some('~') => Token::Operator(Operator::NotLike),
                _ => return Err("expected = or ~ after !".to_owned()),
            },
            '>' | '<' => {
                let or_equal = chars.next_if_eq(&'=').is_some();
                Token::Operator(match (c, or_equal) {
                    ('>', false) => Operator::Greater,
                    ('>', true) => Operator::GreaterOrEqual,
                    (_, false) => Operator::Less,
                    (_, true) => Operator::LessOrEqual,
                })
            }
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break Token::Text(text),
                        Some('\\') => text.extend(chars.next()),
                        Some(c) => text.push(c),
                        None => return Err(UNENDED.to_owned()),
                    }
                }
            }
            c if c.is_alphanumeric() || "_-+.:{}".contains(c) => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || "_-+.:".contains(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
            c => return Err(format!("unexpected {c:?}")),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.position += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Query, String> {
        let mut parts = vec![self.all()?];
        while self.keyword("OR") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Query::Any))
    }

    fn all(&mut self) -> Result<Query, String> {
        let mut parts = vec![self.term()?];
        while self.keyword("AND") {
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Query::All))
    }

    fn term(&mut self) -> Result<Query, String> {
        if self.peek() == Some(&Token::Open) {
            self.depth += 1;
            if MAX_DEPTH < self.depth {
                return Err("nested too deeply".to_owned());
            }
            self.position += 1;
            let query = self.any()?;
            self.expect(&Token::Close)?;
            self.depth -= 1;
            return Ok(query);
        }
        let field = match self.next() {
            Some(Token::Word(word)) if is_field(&word) => word,
            other => return Err(format!("expected a field, found {other:?}")),
        };
        let negated = self.keyword("NOT");
        if self.keyword("IN") {
            return Ok(Query::In {
                field,
                literals: self.list()?,
                negated,
            });
        }
        match self.next() {
            Some(Token::Operator(operator)) if !negated => Ok(Query::Compare {
                field,
                operator,
                literal: self.literal()?,
            }),
            other => Err(format!("expected an operator, found {other:?}")),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, String> {
        self.expect(&Token::Open)?;
        let mut literals = vec![self.literal()?];
        while self.peek() == Some(&Token::Comma) {
            self.position += 1;
            literals.push(self.literal()?);
        }
        self.expect(&Token::Close)?;
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal, String> {
        let word = match self.next() {
            Some(Token::Text(text)) => return Ok(Literal::Text(text)),
            Some(Token::Word(word)) => word,
            other => return Err(format!("expected a value, found {other:?}")),
        };
        match word.to_ascii_lowercase().as_str() {
            "null" => Ok(Literal::Null),
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            _ => {
                if let Ok(number) = word.parse::<f64>() {
                    return Ok(Literal::Number(number));
                }
                timestamp(&word)
                    .map(Literal::Date)
                    .ok_or_else(|| format!("{word} is no value; strings stand in double quotes"))
            }
        }
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        match self.next() {
            Some(found) if found == *token => Ok(()),
            other => Err(format!("expected {token:?}, found {other:?}")),
        }
    }
}

fn one_or(mut parts: Vec<Query>, join: impl Fn(Vec<Query>) -> Query) -> Query {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn is_field(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

#[cfg(test)]
mod tests;
