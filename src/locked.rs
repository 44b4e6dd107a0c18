//! Mutexes that go on where somebody panicked while holding one: what they guard is whole after every statement, and a
//! later invocation of the same process needs it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lock of `mutex`.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
