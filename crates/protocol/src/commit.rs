//! Lines 2, 3, 5 and 6: the pen, what is read again under it, and the order in which a commit writes.

use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{Actor, Pending, RUN, Record, Stage, State, Step, WrongDeletion};
use crate::world::{Content, Variant};

/// What a commit does under the pen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Announce,
    Write,
    Delete,
    Rows,
    Wake,
    Settle,
}

impl Phase {
    /// What is left to do of it.
    fn of(self, pending: &Pending) -> Set {
        match self {
            Self::Announce => pending.announce,
            Self::Write => pending.write,
            Self::Delete => pending.delete,
            Self::Rows => pending.rows,
            Self::Wake => pending.wake,
            Self::Settle => pending.settle,
        }
    }

    /// Whether its requests are sent at once, so that each may be the next to take effect.
    fn is_parallel(self) -> bool {
        match self {
            Self::Write | Self::Rows | Self::Settle => true,
            Self::Announce | Self::Delete | Self::Wake => false,
        }
    }
}

impl Protocol {
    pub(crate) fn take_pen(&self, mut state: State, who: usize, out: &mut Vec<(Step, State)>) {
        if state.pen_is_held && self.has(Rule::OneWriter) {
            return;
        }
        state.pen_is_held = true;
        state.actors[who].has_pen = true;
        state.actors[who].stage = Stage::Check;
        out.push((Step::TakePen { actor: who as u8 }, state));
    }

    /// Line 3, then line 4.
    pub(crate) fn check(&self, mut state: State, who: usize, out: &mut Vec<(Step, State)>) {
        if state.actors[who].adopting {
            return self.check_orphans(state, out);
        }
        let outdated = self.outdated(&state, who);
        let actor = &mut state.actors[who];
        if who != RUN {
            state.queue |= outdated;
        } else if !outdated.is_empty() {
            state.run.done |= outdated;
            if self.has(Rule::LeftOutIsLookedAt) {
                state.queue |= outdated;
            }
        }
        actor.items -= outdated;
        actor.fresh = actor.items;
        let plan = self.plan(&state, &state.actors[who]);
        self.begin(&mut state.actors[who], &plan);
        let step = if outdated.is_empty() {
            Step::Plan { actor: who as u8 }
        } else {
            Step::GiveUp { actor: who as u8 }
        };
        out.push((step, state));
    }

    /// Items whose stamp, or all if the generation, is not what the look began with.
    fn outdated(&self, state: &State, who: usize) -> Set {
        let actor = &state.actors[who];
        if self.has(Rule::SameGenerationUnderPen) && actor.generation != state.generation {
            actor.items
        } else if self.has(Rule::SameStampUnderPen) {
            actor.items - actor.fresh
        } else {
            Set::EMPTY
        }
    }

    fn begin(&self, actor: &mut Actor, plan: &Plan) {
        let rows_only = (plan.writes | plan.deletes).is_empty();
        let announces = self.has(Rule::Announce)
            && !plan.touched.is_empty()
            && (!rows_only || self.has(Rule::AnnounceRowsToo));
        actor.pending = Pending {
            announce: if announces { actor.items } else { Set::EMPTY },
            write: plan.writes,
            delete: plan.deletes,
            rows: plan.touched,
            wake: plan.wakes,
            settle: actor.items,
        };
        actor.writes = plan.writes;
        actor.holders = plan.holders;
        actor.related = plan.related;
        self.advance(actor);
    }

    /// Line 6. The rules that say in which order keep the place of what they move.
    fn phases(&self) -> [Phase; 6] {
        use Phase::{Announce, Delete, Rows, Settle, Wake, Write};
        if !self.has(Rule::RowsBeforeSettle) {
            [Announce, Write, Delete, Settle, Rows, Wake]
        } else if !self.has(Rule::WakesBeforeSettle) {
            [Announce, Write, Delete, Rows, Settle, Wake]
        } else {
            [Announce, Write, Delete, Rows, Wake, Settle]
        }
    }

    fn phase(&self, pending: &Pending) -> Option<Phase> {
        let is_left = |phase: &Phase| !phase.of(pending).is_empty();
        self.phases().into_iter().find(is_left)
    }

    /// Goes on to what is left, or lets go.
    fn advance(&self, actor: &mut Actor) {
        if self.phase(&actor.pending).is_some() {
            actor.stage = Stage::Commit;
        } else {
            *actor = Actor {
                stage: Stage::LetGo,
                items: actor.items,
                has_pen: actor.has_pen,
                adopting: actor.adopting,
                ..Actor::default()
            };
        }
    }

    /// The next access of a commit.
    pub(crate) fn commit(&self, state: &State, who: usize, out: &mut Vec<(Step, State)>) {
        let pending = state.actors[who].pending;
        let Some(phase) = self.phase(&pending) else {
            return;
        };
        let count = if phase.is_parallel() { usize::MAX } else { 1 };
        for member in phase.of(&pending).iter().take(count) {
            let mut next = *state;
            let step = if self.is_refused(state, who, phase, member) {
                self.give_up(&mut next, who);
                Step::Refused { actor: who as u8 }
            } else {
                self.apply(&mut next, who, phase, member)
            };
            self.advance(&mut next.actors[who]);
            out.push((step, next));
        }
    }

    fn apply(&self, state: &mut State, who: usize, phase: Phase, member: usize) -> Step {
        let (actor, item, entity) = (who as u8, member as u8, member as u8);
        match phase {
            Phase::Announce => {
                self.announce(state, who, member);
                Step::Announce { actor, item }
            }
            Phase::Write => {
                self.write(state, who, member);
                Step::Write { actor, entity }
            }
            Phase::Delete => {
                self.delete(state, who, member);
                Step::Delete { actor, entity }
            }
            Phase::Rows => {
                self.write_rows(state, who, member);
                Step::Rows { actor, entity }
            }
            Phase::Wake => {
                state.queue |= state.actors[who].pending.wake;
                state.actors[who].pending.wake = Set::EMPTY;
                Step::Wake { actor }
            }
            Phase::Settle => {
                self.settle(state, who, member);
                Step::Settle { actor, item }
            }
        }
    }

    /// Whether the table refuses a write because its condition is not met. Under the pen all are.
    fn is_refused(&self, state: &State, who: usize, phase: Phase, member: usize) -> bool {
        let actor = &state.actors[who];
        match phase {
            Phase::Announce => {
                self.has(Rule::AnnounceOnlyUnchanged) && !actor.fresh.contains(member)
            }
            Phase::Rows => self.has(Rule::RowsOnlyUnchanged) && actor.stale_rows.contains(member),
            Phase::Settle => self.has(Rule::SettleOnlyOwnStamp) && !actor.fresh.contains(member),
            Phase::Write | Phase::Delete | Phase::Wake => false,
        }
    }

    /// Items that a condition on the record of one covers.
    fn neighbours(&self, item: usize) -> Set {
        if self.has(Rule::ConditionsCoverPlace) {
            self.world.items_of(Set::one(self.world.places[item]))
        } else {
            Set::one(item)
        }
    }

    /// Stops in the middle of a commit, as if dead.
    fn give_up(&self, state: &mut State, who: usize) {
        if self.has(Rule::RefusedIsLookedAt) {
            state.queue |= state.actors[who].items;
        }
        state.actors[who].pending = Pending::default();
    }

    /// Line 5: the record names what was held and what is held now.
    fn announce(&self, state: &mut State, who: usize, item: usize) {
        let actor = &state.actors[who];
        let (claims, writes) = (self.claims(actor, item), self.written_by(actor, item));
        let record = &mut state.records[item];
        record.holds |= claims;
        record.writes |= writes;
        record.unsure = true;
        state.stamp(item, who, self.neighbours(item));
        state.actors[who].pending.announce -= Set::one(item);
    }

    fn write(&self, state: &mut State, who: usize, entity: usize) {
        let port = state.port;
        let actor = &mut state.actors[who];
        actor.pending.write -= Set::one(entity);
        let Some(item) = self.writer(actor, entity) else {
            return;
        };
        let image = self.image(actor, item);
        let missing = image
            .targets
            .filter(|target| port[target] == Content::ABSENT);
        if !missing.is_empty() && !self.world.creates_targets {
            actor.refused |= Set::one(item);
            return;
        }
        actor.wrote |= Set::one(entity);
        state.port[entity] = self.content(&state.actors[who], item);
        for target in missing.iter() {
            state.port[target] = Content::STUB;
        }
        for found in image.searched.iter() {
            if state.port[found] != Content::ABSENT {
                state.port[found] = Content::ENRICHED;
            }
        }
    }

    fn delete(&self, state: &mut State, who: usize, entity: usize) {
        state.actors[who].pending.delete -= Set::one(entity);
        let found = state.port[entity];
        if self.has(Rule::DeleteOnlyOurs) && !found.is_ours() {
            return;
        }
        state.port[entity] = Content::ABSENT;
        let actor = &state.actors[who];
        let exists = |item: usize| {
            let variant = state.items[item];
            let image = self.world.image(state.generation, item, variant);
            image.keys.contains(entity)
        };
        let unlisted = actor
            .items
            .filter(|item| actor.seen[item] == Variant::UNLISTED);
        if matches!(
            found,
            Content::FOREIGN | Content::HANDMADE | Content::ENRICHED
        ) {
            state.wrong_deletion = Some(WrongDeletion::NotOurs);
        } else if unlisted.iter().any(exists) {
            state.wrong_deletion = Some(WrongDeletion::Unlisted);
        } else if actor.adopting && state.run.overlooked.iter().any(exists) {
            state.wrong_deletion = Some(WrongDeletion::Overlooked);
        } else if actor.adopting && state.run.unread && (0..self.world.items()).any(exists) {
            state.wrong_deletion = Some(WrongDeletion::Unread);
        }
    }

    fn write_rows(&self, state: &mut State, who: usize, entity: usize) {
        state.touch_row(entity, who);
        let actor = state.actors[who];
        let waits = |item: usize| {
            actor.refused.contains(item) && self.image(&actor, item).targets.contains(entity)
        };
        let waiting = actor.items.filter(waits);
        let own_places = self.world.places_of(actor.items);
        if self.has(Rule::RowsNameHolders) {
            let (holders, related) = (&mut state.holders[entity], &mut state.related[entity]);
            *holders = (*holders - own_places) | actor.holders[entity];
            *related = (*related - own_places) | actor.related[entity];
        }
        let pending = &mut state.actors[who].pending;
        pending.rows -= Set::one(entity);
        if self.has(Rule::WakeWaiting) {
            if actor.wrote.contains(entity) {
                pending.wake |= state.waiting[entity] | waiting;
            }
            state.waiting[entity] = (state.waiting[entity] - actor.items) | waiting;
        }
    }

    /// Line 6: the record is what is held now, and sure.
    fn settle(&self, state: &mut State, who: usize, item: usize) {
        state.actors[who].pending.settle -= Set::one(item);
        let actor = &state.actors[who];
        state.records[item] = Record {
            holds: self.claims(actor, item),
            writes: self.written_by(actor, item),
            unsure: false,
        };
        for entity in actor.wrote.iter() {
            state.believed[entity] = state.port[entity];
        }
        state.stamp(item, who, self.neighbours(item));
    }

    pub(crate) fn let_go(&self, mut state: State, who: usize, out: &mut Vec<(Step, State)>) {
        let actor = state.actors[who];
        if actor.has_pen {
            state.pen_is_held = false;
        }
        state.actors[who] = Actor::default();
        if who == RUN {
            state.run.done |= actor.items;
            if actor.adopting {
                state.run = Default::default();
            } else {
                state.actors[RUN].stage = Stage::Choose;
            }
        }
        out.push((Step::LetGo { actor: who as u8 }, state));
    }
}
