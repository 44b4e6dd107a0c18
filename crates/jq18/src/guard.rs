//! The bounds that stop a runaway expression.
//!
//! Bounds are counted, never timed, so an expression that is refused today is refused tomorrow on a
//! faster machine. The counters live in a thread-local because jaq's value operators have no
//! context argument. A bound that was hit stays hit until the evaluation ends: `try` inside the
//! expression cannot hide it, and every further step fails at once.

use std::cell::Cell;

use super::value::{Extent, Val};

/// Work units of one evaluation, each well under 100 ns: about a quarter of a second in the worst case.
/// An ordinary expression on an input of 5 KB takes a few thousand.
pub const MAX_STEPS: i64 = 4_000_000;
/// Bytes an evaluation may create in total (kept or not), beside its input: a process of 256 MB survives it.
pub const MAX_BYTES: i64 = 64 << 20;
/// Levels of nesting of one value. `serde_json` reads at most 128; this leaves room for wrapping.
pub const MAX_VALUE_DEPTH: u32 = 256;
/// Bytes of one value that an expression builds, parts counted as often as they occur in it.
pub const MAX_VALUE_BYTES: usize = 16 << 20;
/// Calls in one evaluation of a function that passes a new closure to itself: each one lengthens a
/// chain of environments whose release recurses.
pub const MAX_CLOSURE_CALLS: i64 = 10_000;
/// Steps of a path under construction: no value is that deep, and releasing a path recurses.
pub const MAX_PATH_STEPS: usize = 1_000;
/// Stack of one evaluation, in bytes; deep recursion ends when 12 MiB are left.
/// Address space, not memory: pages that are not touched cost nothing.
pub const STACK_BYTES: usize = 32 << 20;
/// Stack that one step may use between two checks: a program of the greatest accepted nesting, or
/// releasing a chain of [`MAX_CLOSURE_CALLS`] environments.
const STACK_RESERVE: usize = 12 << 20;

/// Cost of a call of a jq-defined function, in steps.
const CALL_STEPS: i64 = 10;
/// Bytes that a call may leave in the evaluator's own structures.
const CALL_BYTES: i64 = 128;

/// Which bound an evaluation hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// More work than [`MAX_STEPS`].
    Steps,
    /// More data created than [`MAX_BYTES`].
    Bytes,
    /// Recursion, or a value nested, too deeply.
    Depth,
}

struct Budget {
    steps: Cell<i64>,
    bytes: Cell<i64>,
    closures: Cell<i64>,
    hit: Cell<Option<Bound>>,
}

thread_local! {
    static BUDGET: Budget = const {
        Budget {
            steps: Cell::new(0),
            bytes: Cell::new(0),
            closures: Cell::new(0),
            hit: Cell::new(None),
        }
    };
}

/// Runs one evaluation with a fresh budget on a stack of its own, and says which bound it hit.
pub(super) fn run<T>(evaluate: impl FnOnce() -> T) -> (T, Option<Bound>) {
    BUDGET.with(|budget| {
        budget.steps.set(MAX_STEPS);
        budget.bytes.set(MAX_BYTES);
        budget.closures.set(MAX_CLOSURE_CALLS);
        budget.hit.set(None);
    });
    let value = stacker::grow(STACK_BYTES, evaluate);
    (value, BUDGET.with(|budget| budget.hit.get()))
}

/// Marks a bound as hit. The first one stays.
pub(super) fn trip(bound: Bound) {
    BUDGET.with(|budget| {
        if budget.hit.get().is_none() {
            budget.hit.set(Some(bound));
        }
    });
}

/// Fails when a bound was hit.
pub(super) fn check() -> Result<(), jaq_core::Error<Val>> {
    match BUDGET.with(|budget| budget.hit.get()) {
        None => Ok(()),
        Some(_) => Err(jaq_core::Error::new(Val::Null)),
    }
}

/// Counts work where no error can be returned; the next [`check`] reports it.
pub(super) fn count(steps: usize) {
    BUDGET.with(|budget| {
        let left = budget.steps.get().saturating_sub_unsigned(steps as u64);
        budget.steps.set(left);
        if left < 0 {
            trip(Bound::Steps);
        }
    });
}

/// Counts work and fails when there was too much.
pub(super) fn work(steps: usize) -> Result<(), jaq_core::Error<Val>> {
    count(steps);
    check()
}

/// Counts bytes about to be created and fails when they are too many. Call before allocating.
pub(super) fn allocate(bytes: usize) -> Result<(), jaq_core::Error<Val>> {
    BUDGET.with(|budget| {
        let left = budget.bytes.get().saturating_sub_unsigned(bytes as u64);
        budget.bytes.set(left);
        if left < 0 {
            trip(Bound::Bytes);
        }
    });
    work(1 + bytes / 256)
}

/// Entry of a jq-defined function: recursion must pass here.
pub(super) fn call() -> Result<(), jaq_core::Error<Val>> {
    if stacker::remaining_stack().is_some_and(|left| left < STACK_RESERVE) {
        trip(Bound::Depth);
    }
    BUDGET.with(|budget| {
        let bytes = budget.bytes.get() - CALL_BYTES;
        budget.bytes.set(bytes);
        if bytes < 0 {
            trip(Bound::Bytes);
        }
    });
    count(CALL_STEPS as usize);
    check()
}

/// A recursive call that passes a closure.
pub(super) fn closure_call() -> Result<(), jaq_core::Error<Val>> {
    BUDGET.with(|budget| {
        let left = budget.closures.get() - 1;
        budget.closures.set(left);
        if left < 0 {
            trip(Bound::Depth);
        }
    });
    check()
}

/// Refuses a value of more than [`MAX_VALUE_DEPTH`] levels or [`MAX_VALUE_BYTES`].
pub(super) fn extent(extent: Extent) -> Result<(), jaq_core::Error<Val>> {
    if extent.levels > MAX_VALUE_DEPTH {
        trip(Bound::Depth);
    } else if extent.bytes > MAX_VALUE_BYTES {
        trip(Bound::Bytes);
    }
    check()
}

/// Refuses a path of more than [`MAX_PATH_STEPS`].
pub(super) fn path<'v>(steps: impl Iterator<Item = &'v Val>) -> Result<(), jaq_core::Error<Val>> {
    let length = steps.take(MAX_PATH_STEPS + 1).count();
    if MAX_PATH_STEPS < length {
        trip(Bound::Depth);
    }
    work(length / 8)
}
