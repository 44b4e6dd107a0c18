//! Small worlds, each made for some of the rules. Items are A, B, C, entities x, y, z.

use crate::set::Set;
use crate::world::{Budget, Content, ENTITIES, ITEMS, Image, SHAPES, Variant, World};

mod outlived;

pub use outlived::*;

type Shapes = [Image; SHAPES];

const GONE: Variant = Variant::GONE;
const FIRST: Variant = Variant::shape(1);

/// Maps to nothing.
const NONE: Image = maps(Set::EMPTY);
const X: Image = maps(Set::of(&[0]));
const Y: Image = maps(Set::of(&[1]));
const Z: Image = maps(Set::of(&[2]));
/// Produces x, which relates to z.
const X_TO_Z: Image = Image {
    targets: Z.keys,
    ..X
};
const Y_TO_Z: Image = Image {
    targets: Z.keys,
    ..Y
};
/// Produces x, and enriches z by a search identifier.
const X_ENRICHES_Z: Image = Image {
    searched: Z.keys,
    ..X
};
const NO_ITEM: Shapes = [NONE; SHAPES];

const fn maps(keys: Set) -> Image {
    Image {
        keys,
        targets: Set::EMPTY,
        searched: Set::EMPTY,
    }
}

const NO_TROUBLE: Budget = Budget {
    changes: 0,
    lost: 0,
    deaths: 0,
    late: 0,
    thaws: 0,
    omissions: 0,
    unreadable: 0,
    runs: 0,
    old_looks: 0,
};
/// Two changes, a death, a run and a list that does not show an item.
const USUAL: Budget = Budget {
    changes: 2,
    deaths: 1,
    omissions: 1,
    runs: 1,
    ..NO_TROUBLE
};

/// A world with one mapping.
const fn world(
    name: &'static str,
    images: [Shapes; ITEMS],
    shapes: [u8; ITEMS],
    start: [Variant; ITEMS],
) -> World {
    World {
        name,
        images: [images, images],
        shapes,
        start,
        places: [0, 0, 1],
        port: [Content::ABSENT; ENTITIES],
        recorded: true,
        workers: 2,
        new_mapping: false,
        creates_targets: true,
        budget: USUAL,
        larger: Budget {
            changes: 3,
            ..USUAL
        },
    }
}

/// One item that comes, changes, is renamed, goes.
pub const ALONE: World = World {
    budget: Budget { deaths: 2, ..USUAL },
    larger: Budget {
        changes: 3,
        deaths: 2,
        ..USUAL
    },
    ..world(
        "alone",
        [[X, X, Y], NO_ITEM, NO_ITEM],
        [3, 0, 0],
        [FIRST, GONE, GONE],
    )
};

/// The same with two workers at once and no other trouble.
pub const BUSY: World = World {
    name: "busy",
    budget: Budget {
        changes: 2,
        ..NO_TROUBLE
    },
    larger: Budget {
        changes: 4,
        ..NO_TROUBLE
    },
    ..ALONE
};

/// Two items that take each other's name.
pub const RENAMES: World = world(
    "renames",
    [[X, Y, NONE], [Y, X, NONE], NO_ITEM],
    [2, 2, 0],
    [FIRST, FIRST, GONE],
);

/// Two items with the same entity and different contents.
pub const SHARED: World = world(
    "shared",
    [[X, Y, NONE], [X, X, NONE], NO_ITEM],
    [2, 2, 0],
    [FIRST, GONE, GONE],
);

/// Three items of one entity, in two places.
pub const THREE: World = World {
    budget: Budget {
        changes: 3,
        deaths: 1,
        ..NO_TROUBLE
    },
    larger: Budget {
        changes: 4,
        deaths: 2,
        ..NO_TROUBLE
    },
    ..world(
        "three",
        [[X, NONE, NONE]; ITEMS],
        [1; ITEMS],
        [FIRST; ITEMS],
    )
};

/// Two items relate to one target, which no item produces.
pub const TARGETS: World = world(
    "targets",
    [[X_TO_Z, X, NONE], [Y_TO_Z, NONE, NONE], NO_ITEM],
    [2, 1, 0],
    [FIRST, GONE, GONE],
);

/// An item relates to the entity of another one.
pub const TARGET_ITEM: World = world(
    "target_item",
    [[X_TO_Z, X, NONE], [Z, NONE, NONE], NO_ITEM],
    [2, 1, 0],
    [FIRST, FIRST, GONE],
);

/// The same where Port creates no targets.
pub const WAITING: World = World {
    name: "waiting",
    creates_targets: false,
    start: [GONE; ITEMS],
    ..TARGET_ITEM
};

/// A relation to somebody else's entity comes to its end.
pub const FOREIGN_TARGET: World = World {
    port: [Content::ABSENT, Content::ABSENT, Content::FOREIGN],
    ..world(
        "foreign_target",
        [[X_TO_Z, X, NONE], [Y, NONE, NONE], NO_ITEM],
        [2, 1, 0],
        [FIRST, FIRST, GONE],
    )
};

/// Renames of which a delivery gets lost.
pub const LOST: World = World {
    name: "lost",
    budget: Budget {
        lost: 1,
        omissions: 0,
        ..USUAL
    },
    larger: Budget {
        changes: 2,
        lost: 2,
        ..USUAL
    },
    ..RENAMES
};

/// Two places share an entity; the run learns of one of them and dies midway.
pub const HALF_DONE: World = World {
    places: [0, 1, 2],
    budget: Budget {
        lost: 1,
        omissions: 0,
        ..USUAL
    },
    larger: Budget {
        changes: 3,
        lost: 1,
        deaths: 2,
        ..USUAL
    },
    ..world(
        "half_done",
        [[X, NONE, NONE], [X, NONE, NONE], NO_ITEM],
        [1, 1, 0],
        [GONE, FIRST, GONE],
    )
};

/// The second of two places that share an entity drops it and takes it up again, both unheard.
pub const ROWS_ONLY: World = World {
    places: [0, 1, 2],
    workers: 1,
    budget: Budget {
        changes: 3,
        lost: 2,
        deaths: 1,
        runs: 1,
        ..NO_TROUBLE
    },
    larger: Budget {
        changes: 4,
        lost: 2,
        deaths: 2,
        runs: 2,
        ..NO_TROUBLE
    },
    ..world(
        "rows_only",
        [[X, NONE, NONE], [X, NONE, NONE], NO_ITEM],
        [1, 2, 0],
        [FIRST, FIRST, GONE],
    )
};

/// A new mapping gives other keys and contents, and a worker does not know it yet.
pub const MAPPING: World = World {
    images: [
        [[X, X, NONE], [Y, NONE, NONE], NO_ITEM],
        [[Y, Y, NONE], [Y, NONE, NONE], NO_ITEM],
    ],
    new_mapping: true,
    budget: Budget {
        changes: 1,
        old_looks: 1,
        ..USUAL
    },
    larger: Budget {
        changes: 2,
        old_looks: 1,
        ..USUAL
    },
    ..world("mapping", [NO_ITEM; ITEMS], [2, 1, 0], [FIRST, GONE, GONE])
};

/// The table is new. Port holds two leftovers of ours, and one entity made by hand that an item enriches.
pub const NEW_TABLE: World = World {
    port: [Content::LEFTOVER, Content::LEFTOVER, Content::HANDMADE],
    recorded: false,
    budget: Budget {
        changes: 2,
        unreadable: 1,
        ..USUAL
    },
    larger: Budget {
        changes: 2,
        deaths: 2,
        unreadable: 1,
        ..USUAL
    },
    ..world(
        "new_table",
        [[X_ENRICHES_Z, X, NONE], [Y, NONE, NONE], NO_ITEM],
        [2, 1, 0],
        [FIRST, GONE, GONE],
    )
};

/// All worlds; each must hold.
pub const ALL: &[World] = &[
    ALONE,
    BUSY,
    RENAMES,
    SHARED,
    THREE,
    TARGETS,
    TARGET_ITEM,
    WAITING,
    FOREIGN_TARGET,
    LOST,
    HALF_DONE,
    ROWS_ONLY,
    MAPPING,
    NEW_TABLE,
    LATE_ALONE,
    LATE_RENAMES,
    LATE_SHARED,
    LATE_TARGETS,
    FROZEN_ALONE,
    FROZEN_RENAMES,
    FROZEN_SHARED,
    FROZEN_TARGETS,
    FROZEN_APART,
    FROZEN_THREE,
];

/// The world of this name.
#[must_use]
pub fn named(name: &str) -> Option<World> {
    ALL.iter().copied().find(|world| world.name == name)
}
