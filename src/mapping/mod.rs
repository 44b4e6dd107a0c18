//! The user's mapping: which raw items become which entities. Pure: no tokio, no HTTP, no AWS.

pub mod jq;
