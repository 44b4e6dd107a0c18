//! Ferry keeps a Port catalogue in step with a Bitbucket Cloud workspace.

pub mod mapping;
pub mod port;

pub mod config;

pub mod deadline;
pub mod entity;
pub mod http;
