//! A simulated world for Ferry: Bitbucket, Port and the AWS services around a function, over real HTTP on loopback.
//!
//! The demo and the tests share it. It knows nothing about Ferry's code.

pub mod aws;
pub mod bitbucket;
pub mod clock;
pub mod fault;
pub mod loopback;
pub mod port;
pub mod present;
mod random;
pub mod server;
pub mod webhook;
