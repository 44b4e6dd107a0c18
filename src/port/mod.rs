//! The target: all that Ferry knows about the Port API.
//!
//! [`PortClient`] turns entities into requests and answers into reports: `client` sends (`call`, `token`, retries, errors),
//! `upsert`, `delete` and `search` speak the entity routes, `integration`, `defaults` and `report` the object that
//! stands for this installation. `fit` leaves out of an entity what its blueprint (`schema`) does not take. What Port holds
//! is compared as digests ([`Snapshot`]); what may leave the process
//! as an example or a log passes a [`Masker`].
//!
//! Must not know where entities come from: nothing here names Bitbucket beyond the type under which Port lists the
//! integration and the default blueprints, and nothing here decides what to write or to delete.

mod batch;
mod blueprint;
mod call;
mod client;
mod defaults;
mod delete;
mod digest;
mod error;
mod fit;
mod holdings;
mod integration;
mod mask;
mod order;
mod outcome;
mod rehearsal;
mod report;
mod schema;
mod search;
mod shown;
mod signature;
mod snapshot;
mod sync_metrics;
mod token;
mod upsert;

pub use blueprint::{Blueprint, Relation};
pub use client::{PortClient, PortSettings};
pub use defaults::ForeseenIntegration;
pub use delete::DeleteOptions;
pub use digest::digest;
pub use error::{Error, TraceId};
pub use fit::{LeftOut, fit, fits};
pub use integration::Integration;
pub use mask::Masker;
pub use outcome::{DeleteOutcome, DeleteReport, Postponed, Refusal, UpsertOutcome, Upserted};
pub use rehearsal::{EntityContent, Rehearsal, Rehearsed, RehearsedEntity, RehearsedRefusal};
pub use report::{LogLevel, LogLine, ResyncReport, ResyncStatus};
pub use schema::{Misfit, Property, PropertyType};
pub use shown::{ShownFields, identifier_digest, shown};
pub use signature::is_signed_by_port;
pub use snapshot::{MappedFields, Snapshot};
pub use sync_metrics::{ResourceMetrics, SyncEnd, SyncMetrics};
pub use upsert::{UpsertOptions, WriteEvent};

#[cfg(test)]
mod tests;
