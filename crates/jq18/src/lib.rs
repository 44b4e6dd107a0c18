//! jq 1.8 on jaq-core: [`Filter::compile`] once, then evaluate on any number of [`Input`]s.
//!
//! An expression gives what libjq 1.8 gives; the crate's README lists the differences. It sees its input and nothing
//! else: no environment, no files, no modules, no other input. One that runs away is stopped by the bounds of
//! [`guard`]. This crate must not know where expressions and inputs come from, nor log.

mod analysis;
mod dates;
mod direct;
mod engine;
pub mod guard;
mod natives;
mod number;
mod operators;
mod order;
mod parser;
mod regex;
mod value;

use std::cell::OnceCell;

use serde_json::Value;

pub use guard::Bound;

/// Outputs that [`Filter::all`] collects at most.
pub const MAX_OUTPUTS: usize = 100_000;

/// A compiled expression; cheap to share between threads.
pub struct Filter {
    program: engine::Program,
    direct: Option<direct::Direct>,
    constant: Option<Value>,
    source: String,
}

/// The expression is not valid; the message names the place.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    message: String,
}

/// The expression failed on this input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// jq reports an error; the message shows at most an excerpt of the data.
    #[error("{message}")]
    Failed {
        /// At most 200 characters.
        message: String,
    },
    /// The expression was stopped.
    #[error("the expression was stopped: it takes too much ({bound:?})")]
    RanAway {
        /// What it exceeded.
        bound: Bound,
    },
}

/// An input for any number of filters, converted for the engine at most once.
pub struct Input<'a> {
    value: &'a Value,
    converted: OnceCell<Result<value::Val, EvalError>>,
}

impl CompileError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl<'a> Input<'a> {
    /// Wraps `value`; nothing is converted yet.
    pub fn new(value: &'a Value) -> Self {
        Self {
            value,
            converted: OnceCell::new(),
        }
    }

    /// The value as given.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    fn converted(&self) -> Result<value::Val, EvalError> {
        let convert = || engine::convert(self.value);
        self.converted.get_or_init(convert).clone()
    }
}

impl Filter {
    /// Compiles `source`; everything that can be checked without an input is checked here.
    pub fn compile(source: &str) -> Result<Filter, CompileError> {
        let term = parser::parse(source).map_err(|error| {
            CompileError::new(format!(
                "{} at character {}",
                error.message,
                position(source, error.offset)
            ))
        })?;
        // Compiled once, with the mapping; one that does not compile fails where it is used, as in jq.
        analysis::regular_expressions(&term, &mut regex::prepare);
        let direct = direct::compile(&term);
        let is_constant = analysis::is_constant(&term);
        let program = engine::Program::compile(term)?;
        // An expression such as `"a" - 1` fails for every item, and is left to do so.
        let constant = if is_constant {
            program.run(value::Val::Null, 1)
        } else {
            Ok(Vec::new())
        };
        let constant = constant.ok().and_then(|mut outputs| outputs.pop());
        Ok(Filter {
            program,
            direct,
            constant,
            source: source.to_owned(),
        })
    }

    /// The first output, or none.
    pub fn first(&self, input: &Input<'_>) -> Result<Option<Value>, EvalError> {
        if let Some(constant) = &self.constant {
            return Ok(Some(constant.clone()));
        }
        if let Some(Ok(output)) = self.direct.as_ref().map(|direct| direct.first(input.value)) {
            return Ok(Some(output));
        }
        self.first_by_engine(input)
    }

    /// The first output, as the engine alone finds it.
    fn first_by_engine(&self, input: &Input<'_>) -> Result<Option<Value>, EvalError> {
        Ok(self.program.run(input.converted()?, 1)?.pop())
    }

    /// All outputs, at most [`MAX_OUTPUTS`].
    pub fn all(&self, input: &Input<'_>) -> Result<Vec<Value>, EvalError> {
        self.program.run(input.converted()?, MAX_OUTPUTS)
    }

    /// The value of an expression that does not depend on its input.
    pub fn constant(&self) -> Option<&Value> {
        self.constant.as_ref()
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether [`first`](Filter::first) tries to answer without the engine, from the input as it is.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// Whether the expression may read the clock; false only when the same input surely gives the same value at any time.
    /// Nothing else than input and clock can matter.
    pub fn reads_clock(&self) -> bool {
        parser::parse(&self.source).map_or(true, |term| analysis::reads_clock(&term))
    }

    /// Whether the expression may read what is at `path` in an input object; false only when it surely does not.
    pub fn reads(&self, path: &[&str]) -> bool {
        // The tree borrows the text, so it is made again for this rare question.
        parser::parse(&self.source).map_or(true, |term| analysis::may_read(&term, path))
    }
}

fn position(source: &str, offset: usize) -> usize {
    1 + source
        .get(..offset)
        .map_or(0, |before| before.chars().count())
}

#[cfg(test)]
mod tests;
