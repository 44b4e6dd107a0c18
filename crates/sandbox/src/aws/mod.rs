//! The parts of AWS around a function: the Lambda Runtime API, a process that plays the function, and Secrets Manager.
//!
//! Queues and tables are left to existing stand-ins; these three have none that is small and scriptable.

mod function;
mod function_url;
mod runtime;
mod secrets;

pub use self::function::{Function, Program};
pub use self::function_url::function_url_event;
pub use self::runtime::{FunctionError, RuntimeApi};
pub use self::secrets::SecretsManager;
