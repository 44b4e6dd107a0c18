//! The built-in functions that are written in Rust, by subject, and the list of what expressions may call.

mod collections;
mod control;
mod formats;
mod math;
mod paths;
mod patterns;
mod strings;
mod time;

use jaq_core::native::Fun;

use super::engine::Data;
use super::value::Error;

/// Every function that jq 1.8 defines for an expression, as `builtins` lists them.
pub(super) const BUILTINS: &str = include_str!("builtins.txt");

/// All natives, in the form jaq's compiler takes.
pub(super) fn all() -> Vec<Fun<Data>> {
    let mut all = Vec::new();
    control::add(&mut all);
    paths::add(&mut all);
    collections::add(&mut all);
    strings::add(&mut all);
    patterns::add(&mut all);
    formats::add(&mut all);
    math::add(&mut all);
    time::add(&mut all);
    all
}

/// A function of values that sees its arguments on the context's stack, the last one on top.
macro_rules! of_values {
    ($name:expr, $arity:literal, $run:expr) => {
        (
            $name,
            jaq_core::native::v($arity),
            jaq_core::Native::new($run),
        )
    };
}

/// A function of the input.
macro_rules! of_input {
    ($name:literal, $function:expr) => {
        $crate::natives::of_values!($name, 0, |cv| { jaq_core::native::bome($function(cv.1)) })
    };
}

/// A function of the input and one argument.
macro_rules! of_argument {
    ($name:literal, $function:expr) => {
        $crate::natives::of_values!($name, 1, |mut cv| {
            let argument = cv.0.pop_var();
            jaq_core::native::bome($function(cv.1, argument))
        })
    };
}

/// A function of the input and two arguments.
macro_rules! of_arguments {
    ($name:literal, $function:expr) => {
        $crate::natives::of_values!($name, 2, |mut cv| {
            let second = cv.0.pop_var();
            let first = cv.0.pop_var();
            jaq_core::native::bome($function(cv.1, first, second))
        })
    };
}

use {of_argument, of_arguments, of_input, of_values};

/// Error with a text.
fn fail<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::str(message.into()))
}
