//! One moment: Bitbucket, the queue, Port, the table, and how far each actor is.

use crate::set::Set;
use crate::world::{Budget, Content, ENTITIES, ITEMS, Variant};

/// Index of the run among the actors; those before it are live workers.
pub(crate) const RUN: usize = 2;
const ACTORS: usize = 3;

/// What the table says of one item.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Entities that the item holds, as content or as a target.
    pub(crate) holds: Set,
    /// Those whose content it writes.
    pub(crate) writes: Set,
    /// Announced, not settled.
    pub(crate) unsure: bool,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    #[default]
    Idle,
    /// A run chooses what to do next.
    Choose,
    ReadRecords,
    ReadBitbucket,
    TakePen,
    /// Reads stamps, generation and rows under the pen, and plans.
    Check,
    /// Works off [`Pending`].
    Commit,
    LetGo,
}

/// What a commit still has to do, in the order of the fields.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pending {
    /// Items to announce.
    pub(crate) announce: Set,
    /// Entities to write.
    pub(crate) write: Set,
    /// Entities to delete.
    pub(crate) delete: Set,
    /// Entities whose rows are to be written.
    pub(crate) rows: Set,
    /// Items to wake.
    pub(crate) wake: Set,
    /// Items to settle.
    pub(crate) settle: Set,
}

/// A worker with one message, or the run with a page of items.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Actor {
    pub(crate) stage: Stage,
    /// Items that it works on.
    pub(crate) items: Set,
    /// Of these, the ones that Bitbucket is still to be asked about.
    pub(crate) unread: Set,
    /// Of these, the ones whose stamp is as this actor read or wrote it.
    pub(crate) fresh: Set,
    /// Generation of the mapping that it maps with.
    pub(crate) generation: u8,
    /// Records as read before Bitbucket.
    pub(crate) held: [Record; ITEMS],
    /// Items as Bitbucket showed them.
    pub(crate) seen: [Variant; ITEMS],
    pub(crate) pending: Pending,
    /// Entities whose content it planned to write.
    pub(crate) writes: Set,
    /// Rows as planned: the places among its own that hold each entity's content ..
    pub(crate) holders: [Set; ENTITIES],
    /// .. and those that relate to it.
    pub(crate) related: [Set; ENTITIES],
    /// Entities that it has written.
    pub(crate) wrote: Set,
    /// Items whose entity Port refused for want of a target.
    pub(crate) refused: Set,
    pub(crate) has_pen: bool,
    /// Entities whose rows somebody else has written since this actor read them under the pen.
    pub(crate) stale_rows: Set,
    /// The run's last section: it deletes what nothing names.
    pub(crate) adopting: bool,
}

/// The run as stored; its invocation is the actor [`RUN`].
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) active: bool,
    /// Items that are done.
    pub(crate) done: Set,
    /// Items that a record names and the list did not show.
    pub(crate) missing: Set,
    /// A part without a record could not be read.
    pub(crate) unread: bool,
    /// Items without a record that the list did not show though they were there, as they still are.
    pub(crate) overlooked: Set,
    /// What has no record was read again, by a list that overlooks nothing.
    pub(crate) proven: bool,
    /// Port as the invocation found it.
    pub(crate) snapshot: [Content; ENTITIES],
}

/// Requests to Port that outlived their sender.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    pub(crate) writes: [Content; ENTITIES],
    pub(crate) deletes: Set,
}

impl Late {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A deletion that may never happen, whatever comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WrongDeletion {
    /// What exists, on the word of a list.
    Unlisted,
    /// What is somebody else's.
    NotOurs,
    /// What could not be read.
    Unread,
    /// What no record names, on the word of a list.
    Overlooked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) items: [Variant; ITEMS],
    pub(crate) generation: u8,
    /// Items that a message asks to look at.
    pub(crate) queue: Set,
    pub(crate) port: [Content; ENTITIES],
    pub(crate) late: Late,
    pub(crate) records: [Record; ITEMS],
    /// Rows: places that hold an entity's content.
    pub(crate) holders: [Set; ENTITIES],
    /// Rows: places that relate to an entity.
    pub(crate) related: [Set; ENTITIES],
    /// Rows: items that wait for an entity.
    pub(crate) waiting: [Set; ENTITIES],
    /// Contents that the records say were written last; kept only where a rule that makes it needless is out.
    pub(crate) believed: [Content; ENTITIES],
    pub(crate) pen_is_held: bool,
    pub(crate) actors: [Actor; ACTORS],
    pub(crate) run: Run,
    /// Something happened that only a run can mend, and none began since.
    pub(crate) run_owed: bool,
    pub(crate) budget: Budget,
    pub(crate) wrong_deletion: Option<WrongDeletion>,
}

impl State {
    /// Whether no message, no live worker and no late request is left.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = self.actors.iter().all(|actor| actor.stage == Stage::Idle);
        self.queue.is_empty() && self.late.is_empty() && idle
    }

    /// Gives the item's record a stamp by `writer`. Everybody else's reading of it is stale from now on; so is what a
    /// commit under way has read of `neighbours`, the items that a condition covers.
    pub(crate) fn stamp(&mut self, item: usize, writer: usize, neighbours: Set) {
        for (other, actor) in self.actors.iter_mut().enumerate() {
            if other == writer {
                actor.fresh |= Set::one(item);
            } else if actor.stage == Stage::Commit {
                actor.fresh -= neighbours;
            } else {
                actor.fresh -= Set::one(item);
            }
        }
    }

    /// Notes that `writer` writes the row of an entity: what another commit under way has read of it is stale.
    pub(crate) fn touch_row(&mut self, entity: usize, writer: usize) {
        for (other, actor) in self.actors.iter_mut().enumerate() {
            if other != writer && actor.stage == Stage::Commit {
                actor.stale_rows |= Set::one(entity);
            }
        }
    }
}

/// What happened between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Change {
        item: u8,
        to: Variant,
    },
    ChangeUnheard {
        item: u8,
        to: Variant,
    },
    Take {
        worker: u8,
        item: u8,
        generation: u8,
    },
    Begin,
    Resume,
    Choose,
    ReadRecords {
        actor: u8,
    },
    See {
        actor: u8,
        item: u8,
    },
    Overlook {
        item: u8,
    },
    FailToRead {
        item: u8,
    },
    TakePen {
        actor: u8,
    },
    Plan {
        actor: u8,
    },
    GiveUp {
        actor: u8,
    },
    Announce {
        actor: u8,
        item: u8,
    },
    Write {
        actor: u8,
        entity: u8,
    },
    Delete {
        actor: u8,
        entity: u8,
    },
    Rows {
        actor: u8,
        entity: u8,
    },
    Wake {
        actor: u8,
    },
    Settle {
        actor: u8,
        item: u8,
    },
    Refused {
        actor: u8,
    },
    LetGo {
        actor: u8,
    },
    Die {
        actor: u8,
    },
    DieLate {
        actor: u8,
    },
    LosePen {
        actor: u8,
    },
    LateRequest {
        entity: u8,
    },
    LateRequestsEnd,
}
