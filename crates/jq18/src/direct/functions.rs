//! The functions that have a direct form.

use std::borrow::Cow;

use serde_json::Value;

use super::compute::plain_text;
use super::{Answer, Unsure, truthy};
use crate::dates;

#[derive(Debug)]
pub(crate) enum Function {
    ToString,
    Not,
    Length,
    First,
    Last,
    AsciiDowncase,
    AsciiUpcase,
    FromDate,
    Split(String),
    StartsWith(String),
    EndsWith(String),
    TrimStart(String),
    TrimEnd(String),
}

impl Function {
    pub(super) fn apply<'v>(&self, input: &'v Value) -> Answer<'v> {
        let as_text = || input.as_str().ok_or(Unsure);
        Ok(Cow::Owned(match self {
            Function::ToString => match input {
                Value::String(_) => return Ok(Cow::Borrowed(input)),
                other => Value::from(plain_text(other)?.into_owned()),
            },
            Function::Not => Value::Bool(!truthy(input)),
            Function::Length => match input {
                Value::Null => Value::from(0),
                Value::String(text) => Value::from(text.chars().count()),
                Value::Array(items) => Value::from(items.len()),
                Value::Object(entries) => Value::from(entries.len()),
                Value::Bool(_) | Value::Number(_) => return Err(Unsure),
            },
            Function::First | Function::Last => match input {
                Value::Array(items) => {
                    let item = if matches!(self, Function::First) {
                        items.first()
                    } else {
                        items.last()
                    };
                    return Ok(item.map_or(Cow::Owned(Value::Null), Cow::Borrowed));
                }
                _ => return Err(Unsure),
            },
            Function::AsciiDowncase => Value::from(as_text()?.to_ascii_lowercase()),
            Function::AsciiUpcase => Value::from(as_text()?.to_ascii_uppercase()),
            Function::FromDate => match dates::parse(as_text()?, "%Y-%m-%dT%H:%M:%SZ") {
                Some(read) if read.rest.is_empty() => {
                    Value::from(read.moment.timestamp().map_err(|_| Unsure)?)
                }
                _ => return Err(Unsure),
            },
            Function::Split(separator) => match as_text()? {
                "" => Value::Array(Vec::new()),
                text => text.split(separator.as_str()).map(Value::from).collect(),
            },
            Function::StartsWith(part) => Value::Bool(as_text()?.starts_with(part.as_str())),
            Function::EndsWith(part) => Value::Bool(as_text()?.ends_with(part.as_str())),
            Function::TrimStart(part) => {
                let text = as_text()?;
                Value::from(text.strip_prefix(part.as_str()).unwrap_or(text))
            }
            Function::TrimEnd(part) => {
                let text = as_text()?;
                Value::from(text.strip_suffix(part.as_str()).unwrap_or(text))
            }
        }))
    }
}
