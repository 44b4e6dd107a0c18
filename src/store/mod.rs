//! Where what outlives an invocation lies.

pub mod documents;
