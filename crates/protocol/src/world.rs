//! What a world consists of: items and what they map to, what Port holds at first, what may happen and how often.

use crate::set::Set;

/// Items of Bitbucket in a world, at most.
pub const ITEMS: usize = 3;
/// Entities of Port in a world.
pub const ENTITIES: usize = 3;
/// Generations of the mapping.
pub const GENERATIONS: usize = 2;
/// Shapes that an item can have, at most.
pub const SHAPES: usize = 3;

/// How an item is in Bitbucket: gone, or in one of its shapes (counted from 1).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant(pub(crate) u8);

impl Variant {
    pub const GONE: Self = Self(0);
    /// What a list says of an item that it does not show.
    pub(crate) const UNLISTED: Self = Self(99);

    #[must_use]
    pub const fn shape(number: u8) -> Self {
        Self(number)
    }

    /// Index of the shape, unless the item was not seen.
    pub(crate) fn index(self) -> Option<usize> {
        (self != Self::GONE && self != Self::UNLISTED).then(|| usize::from(self.0) - 1)
    }
}

/// What Port holds under an entity's name.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content(u8);

impl Content {
    pub const ABSENT: Self = Self(0);
    /// Created by Port because a relation names it.
    pub const STUB: Self = Self(1);
    /// Somebody else's.
    pub const FOREIGN: Self = Self(2);
    /// Ours, from an installation whose table is lost.
    pub const LEFTOVER: Self = Self(3);
    /// Made by hand, for a search identifier to enrich.
    pub const HANDMADE: Self = Self(4);
    /// Made by hand and enriched by us: Port calls it ours, yet it must stay.
    pub const ENRICHED: Self = Self(5);

    /// First of the contents that tell item, shape and generation.
    const MAPPED: u8 = 16;

    /// What the mapping of this generation makes of this item.
    pub(crate) fn of(generation: u8, item: usize, variant: Variant) -> Self {
        Self(Self::MAPPED + generation * 16 + item as u8 * 4 + variant.0)
    }

    /// Generation, item and variant of mapped content.
    pub(crate) fn origin(self) -> Option<(u8, usize, u8)> {
        let code = self.0.checked_sub(Self::MAPPED)?;
        Some((code / 16, usize::from(code % 16 / 4), code % 4))
    }

    /// Whether Port names our data source as the owner.
    pub(crate) fn is_ours(self) -> bool {
        !matches!(self, Self::ABSENT | Self::FOREIGN | Self::HANDMADE)
    }
}

/// What an item in one shape maps to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Image {
    /// Entities that it produces.
    pub keys: Set,
    /// Entities that its relations name.
    pub targets: Set,
    /// Entities that it enriches by a search identifier.
    pub searched: Set,
}

/// How often each trouble may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Changes of an item in Bitbucket.
    pub changes: u8,
    /// Deliveries that get lost.
    pub lost: u8,
    /// Deaths of a worker or a run.
    pub deaths: u8,
    /// Deaths whose requests to Port take effect at any later time.
    pub late: u8,
    /// Holders that lose the pen and go on.
    pub thaws: u8,
    /// Items that a list does not show although they exist.
    pub omissions: u8,
    /// Items that a run cannot read.
    pub unreadable: u8,
    /// Runs that begin at any time, beside those that repair what was lost.
    pub runs: u8,
    /// Looks of a worker that does not know the new mapping yet.
    pub old_looks: u8,
}

#[derive(Clone, Copy, Debug)]
pub struct World {
    pub name: &'static str,
    /// What each item maps to, by generation and shape.
    pub images: [[[Image; SHAPES]; ITEMS]; GENERATIONS],
    /// Shapes of each item; an item without one is not in this world.
    pub shapes: [u8; ITEMS],
    /// Items as they are at first.
    pub start: [Variant; ITEMS],
    /// The place that each item belongs to.
    pub places: [usize; ITEMS],
    /// What Port holds at first under names that no recorded item claims.
    pub port: [Content; ENTITIES],
    /// Whether the table knows the items of the start; otherwise it is new.
    pub recorded: bool,
    /// Live workers, 1 or 2.
    pub workers: usize,
    /// Whether the first run brings a new generation of the mapping.
    pub new_mapping: bool,
    /// Whether Port creates the targets of relations.
    pub creates_targets: bool,
    pub budget: Budget,
    /// The budget of the larger world, searched on request.
    pub larger: Budget,
}

impl World {
    /// The same world with its larger budget.
    #[must_use]
    pub const fn large(self) -> Self {
        self.with(self.larger)
    }

    /// The same world with another budget.
    #[must_use]
    pub const fn with(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    pub(crate) fn items(&self) -> usize {
        self.shapes.iter().filter(|shapes| **shapes > 0).count()
    }

    /// Items of these places.
    pub(crate) fn items_of(&self, places: Set) -> Set {
        (0..self.items())
            .filter(|item| places.contains(self.places[*item]))
            .collect()
    }

    pub(crate) fn places_of(&self, items: Set) -> Set {
        items.iter().map(|item| self.places[item]).collect()
    }

    pub(crate) fn image(&self, generation: u8, item: usize, variant: Variant) -> Image {
        variant.index().map_or(Image::default(), |shape| {
            self.images[usize::from(generation)][item][shape]
        })
    }

    /// Whether an item produces an entity in some shape (otherwise it can only be its target).
    pub(crate) fn produces(&self, item: usize, entity: usize) -> bool {
        let shapes = self.images.iter().flat_map(|items| items[item]);
        shapes.into_iter().any(|image| image.keys.contains(entity))
    }

    /// Entities that a search identifier may address.
    pub(crate) fn searched(&self) -> Set {
        let images = self.images.iter().flatten().flatten();
        images.fold(Set::EMPTY, |all, image| all | image.searched)
    }
}
