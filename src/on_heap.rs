//! Large futures, put on the heap without a stay on the stack of whoever waits for them.
//!
//! `Box::pin(work())` lays the future out in the caller's frame before it is moved, and in an unoptimized build each of them
//! keeps its place there. Deep chains of such frames do not fit into the stack of a thread.

use std::pin::Pin;

/// The future that `make` gives.
pub(crate) fn on_heap<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}
