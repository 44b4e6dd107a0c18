//! The world a story plays in.

mod world;

pub(crate) use world::{IDENTIFIER, Settings, WEBHOOK_SECRET, World, event};
