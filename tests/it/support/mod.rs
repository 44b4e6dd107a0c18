//! The world a story plays in.

mod secrets;
mod waiting;
mod world;

pub(crate) use secrets::secrets_client;
pub(crate) use world::PAUSE;
pub(crate) use world::{
    IDENTIFIER, PORT_CLIENT_ID, PORT_CLIENT_SECRET, Settings, WEBHOOK_SECRET, World, event,
};
