//! Worlds in which requests outlive the pen of their sender: a dead holder's, and a frozen one's.

use super::{ALONE, FIRST, GONE, NO_TROUBLE, RENAMES, SHARED, TARGET_ITEM, TARGETS, THREE, USUAL};
use crate::world::{Budget, World};

/// A dead holder's requests reach Port at any later time.
const LATE: Budget = Budget {
    changes: 1,
    late: 1,
    ..USUAL
};
const LATER: Budget = Budget {
    changes: 2,
    late: 1,
    ..USUAL
};
pub const LATE_ALONE: World = World {
    name: "late_alone",
    budget: LATE,
    larger: LATER,
    ..ALONE
};
pub const LATE_RENAMES: World = World {
    name: "late_renames",
    budget: LATE,
    larger: LATER,
    ..RENAMES
};
pub const LATE_SHARED: World = World {
    name: "late_shared",
    budget: LATE,
    larger: LATER,
    ..SHARED
};
pub const LATE_TARGETS: World = World {
    name: "late_targets",
    budget: LATE,
    larger: LATER,
    ..TARGET_ITEM
};

/// Holders are frozen, lose the pen and go on, table writes included.
const FROZEN: Budget = Budget {
    changes: 2,
    thaws: 2,
    deaths: 1,
    ..NO_TROUBLE
};
const FROZEN_LARGER: Budget = Budget {
    thaws: 1,
    runs: 1,
    ..FROZEN
};
pub const FROZEN_ALONE: World = World {
    name: "frozen_alone",
    budget: FROZEN,
    larger: FROZEN_LARGER,
    ..ALONE
};
pub const FROZEN_RENAMES: World = World {
    name: "frozen_renames",
    budget: FROZEN,
    larger: FROZEN_LARGER,
    ..RENAMES
};
pub const FROZEN_SHARED: World = World {
    name: "frozen_shared",
    budget: FROZEN,
    larger: FROZEN_LARGER,
    ..SHARED
};
pub const FROZEN_TARGETS: World = World {
    name: "frozen_targets",
    budget: FROZEN,
    larger: FROZEN_LARGER,
    ..TARGETS
};
/// The same with every item in a place of its own.
pub const FROZEN_APART: World = World {
    name: "frozen_apart",
    places: [0, 1, 2],
    ..FROZEN_RENAMES
};
/// One of two holders goes while a third item becomes one.
pub const FROZEN_THREE: World = World {
    name: "frozen_three",
    places: [0, 1, 2],
    start: [FIRST, GONE, FIRST],
    budget: FROZEN,
    larger: FROZEN_LARGER,
    ..THREE
};
