//! The parts of AWS around a function: the Lambda Runtime API, a process that plays the function, how many of them Lambda
//! lets run, Secrets Manager, a table that counts, and a queue whose time is told.
//!
//! What tables and queues do beyond that is left to existing stand-ins.

mod concurrency;
mod edition;
mod function;
mod function_url;
mod lambda;
mod queue;
mod runtime;
mod secrets;
mod table;

pub use self::concurrency::{Admission, Concurrency, Usage};
pub use self::function::{Function, Program};
pub use self::function_url::function_url_event;
pub use self::lambda::{Ended, EventSourceMapping, Lambda, Ticket};
pub use self::queue::{FifoQueue, HandedOut};
pub use self::runtime::{FunctionError, RuntimeApi};
pub use self::secrets::SecretsManager;
pub use self::table::{Table, TableWork};
