//! Line 1: a look reads the record, then Bitbucket, and decides whether the item goes to the pen.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{Actor, RUN, Stage, State, Step};
use crate::world::{Content, Variant};

impl Protocol {
    /// An actor that begins to look at these items.
    pub(crate) fn looking(&self, items: Set, generation: u8) -> Actor {
        let stage = if self.has(Rule::RecordBeforeBitbucket) {
            Stage::ReadRecords
        } else {
            Stage::ReadBitbucket
        };
        Actor {
            stage,
            items,
            unread: items,
            generation,
            ..Actor::default()
        }
    }

    pub(crate) fn read_records(&self, mut state: State, who: usize, out: &mut Vec<(Step, State)>) {
        let records = state.records;
        let actor = &mut state.actors[who];
        actor.fresh = actor.items;
        for item in actor.items.iter() {
            actor.held[item] = records[item];
        }
        if self.has(Rule::RecordBeforeBitbucket) {
            actor.stage = Stage::ReadBitbucket;
        } else {
            self.compare(&mut state, who);
        }
        out.push((Step::ReadRecords { actor: who as u8 }, state));
    }

    /// Items are read one by one: between two of a page, anything can happen.
    pub(crate) fn read_bitbucket(&self, state: &State, who: usize, out: &mut Vec<(Step, State)>) {
        let Some(item) = state.actors[who].unread.first() else {
            return;
        };
        let mut seen = *state;
        seen.actors[who].seen[item] = state.items[item];
        if who == RUN {
            seen.run.overlooked -= Set::one(item);
        }
        self.item_is_read(&mut seen, who, item);
        out.push((
            Step::See {
                actor: who as u8,
                item: item as u8,
            },
            seen,
        ));
        if who == RUN {
            self.misread(state, item, out);
        }
    }

    /// A list that does not show an item, and a part that cannot be read.
    fn misread(&self, state: &State, item: usize, out: &mut Vec<(Step, State)>) {
        let unknown = state.records[item].holds.is_empty();
        let may_slip = !state.run.proven && state.items[item] != Variant::GONE;
        if state.budget.omissions > 0 && may_slip {
            let mut next = *state;
            next.budget.omissions -= 1;
            next.actors[RUN].seen[item] = Variant::UNLISTED;
            next.run_owed |= unknown;
            if unknown {
                next.run.overlooked |= Set::one(item);
            }
            self.item_is_read(&mut next, RUN, item);
            out.push((Step::Overlook { item: item as u8 }, next));
        }
        if state.budget.unreadable > 0 {
            let mut next = *state;
            next.budget.unreadable -= 1;
            next.run.unread |= unknown;
            next.run.done |= Set::one(item);
            next.run_owed = true;
            next.actors[RUN].items -= Set::one(item);
            self.item_is_read(&mut next, RUN, item);
            out.push((Step::FailToRead { item: item as u8 }, next));
        }
    }

    fn item_is_read(&self, state: &mut State, who: usize, item: usize) {
        let actor = &mut state.actors[who];
        actor.unread -= Set::one(item);
        if !actor.unread.is_empty() {
            return;
        }
        if self.has(Rule::RecordBeforeBitbucket) {
            self.compare(state, who);
        } else {
            actor.stage = Stage::ReadRecords;
        }
    }

    /// What of the items goes to the pen; the rest is done.
    fn compare(&self, state: &mut State, who: usize) {
        let items = state.actors[who].items;
        let going = if who == RUN {
            for item in items.iter() {
                if state.actors[RUN].seen[item] == Variant::GONE {
                    state.actors[RUN].seen[item] = Variant::UNLISTED;
                }
            }
            if self.has(Rule::ListOnlyAdds) {
                let actor = &state.actors[RUN];
                let recorded = |item: usize| !actor.held[item].holds.is_empty();
                let unlisted = items.filter(|item| actor.seen[item] == Variant::UNLISTED);
                state.run.missing |= unlisted.filter(recorded);
                (items - unlisted).filter(|item| self.differs(state, item))
            } else {
                items.filter(|item| self.differs(state, item))
            }
        } else {
            items.filter(|item| {
                self.has(Rule::LiveLookAlwaysCommits) || !self.is_as_believed(state, who, item)
            })
        };
        self.go_on_with(state, who, going);
    }

    fn go_on_with(&self, state: &mut State, who: usize, going: Set) {
        let actor = &mut state.actors[who];
        if who == RUN {
            state.run.done |= actor.items - going;
        }
        *actor = match (going.is_empty(), who == RUN) {
            (false, _) => {
                let mut seen = actor.seen;
                for (item, variant) in seen.iter_mut().enumerate() {
                    if !going.contains(item) {
                        *variant = Variant::GONE;
                    }
                }
                let (fresh, generation) = (actor.fresh & going, actor.generation);
                Actor {
                    stage: Stage::TakePen,
                    items: going,
                    fresh,
                    generation,
                    seen,
                    ..Actor::default()
                }
            }
            (true, true) => Actor {
                stage: Stage::Choose,
                ..Actor::default()
            },
            (true, false) => Actor::default(),
        };
    }

    /// Line 2, of a run: the item differs from the record or from Port, or its record is unsure.
    fn differs(&self, state: &State, item: usize) -> bool {
        let actor = &state.actors[RUN];
        let (held, image) = (actor.held[item], self.image(actor, item));
        let snapshot = self.has(Rule::CompareWithSnapshot);
        let port = if snapshot {
            state.run.snapshot
        } else {
            state.believed
        };
        let content = self.content(actor, item);
        let is_absent = |entity: usize| port[entity] == Content::ABSENT;
        let lacks_target = self.world.creates_targets && image.targets.iter().any(is_absent);
        held.holds != self.claims(actor, item)
            || self.has(Rule::UnsureIsDifferent) && held.unsure
            || (image.keys & held.writes)
                .iter()
                .any(|entity| port[entity] != content)
            || snapshot && lacks_target
            || image
                .searched
                .iter()
                .any(|entity| port[entity] == Content::HANDMADE)
    }

    fn is_as_believed(&self, state: &State, who: usize, item: usize) -> bool {
        let actor = &state.actors[who];
        let content = self.content(actor, item);
        let keys = self.image(actor, item).keys;
        actor.held[item].holds == self.claims(actor, item)
            && keys.iter().all(|entity| state.believed[entity] == content)
    }
}
