//! Ferry's write protocol as a state machine, and a search through all of its schedules.
//!
//! Two live workers and one run read Bitbucket and write Port and the table. One access is one step; between any two
//! steps everybody else may go on or die. [`search`] visits every state that a small [`world`] can reach and asks of
//! each whether the catalogue is right. [`rules`] names what the protocol demands; leaving one out must make a world
//! fail ([`knockouts`]).
//!
//! This crate shares no code with Ferry. It says what the engine must do, not how.

pub mod knockouts;
pub mod protocol;
pub mod rules;
pub mod search;
pub mod world;
pub mod worlds;

mod commit;
mod environment;
mod look;
mod plan;
mod run;
mod set;
mod state;
mod story;
mod verdict;
