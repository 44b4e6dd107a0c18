//! The parts of AWS around a function: the Lambda Runtime API, a process that plays the function, Secrets Manager, and a
//! table that counts.
//!
//! Queues, and what tables do beyond that, are left to existing stand-ins; these have none that is small and scriptable.

mod function;
mod function_url;
mod runtime;
mod secrets;
mod table;

pub use self::function::{Function, Program};
pub use self::function_url::function_url_event;
pub use self::runtime::{FunctionError, RuntimeApi};
pub use self::secrets::SecretsManager;
pub use self::table::{Table, TableWork};
